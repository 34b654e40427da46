#include "mais/probe/cuda_driver.hpp"

#include <algorithm>
#include <cstdio>

#include "probe/cuda_functions.hpp"

namespace mais::probing {

bool has_cuda() noexcept {
  return true;
}

namespace {

// Not in the headers of every toolkit (CUDA 12.2 and later).
constexpr auto kNumaConfig = static_cast<CUdevice_attribute>(130);
constexpr auto kNumaId = static_cast<CUdevice_attribute>(131);
constexpr auto kHostNumaId = static_cast<CUdevice_attribute>(134);
constexpr int kIsNumaNode = 1;  // CU_DEVICE_NUMA_CONFIG_NUMA_NODE

std::string digits_of(const CUuuid& uuid) {
  std::string text;
  for (std::size_t i = 0; i < sizeof uuid.bytes; ++i) {
    char pair[4];
    std::snprintf(pair, sizeof pair, "%02x", static_cast<unsigned char>(uuid.bytes[i]));
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += pair;
  }
  return text;
}

tl::unexpected<Error> failed(const CudaFunctions& cuda, const char* call, CUresult status) {
  return fail(ErrorCode::unavailable, cuda.said(call, status));
}

}  // namespace

struct CudaDriver::Driver {
  CudaFunctions cuda;

  // Nothing where the driver does not know the attribute.
  std::optional<int> attribute(CUdevice device, CUdevice_attribute which) const {
    int value = 0;
    if (cuda.device_attribute(&value, which, device) != CUDA_SUCCESS) return std::nullopt;
    return value;
  }
};

namespace {

// The primary context of a device, current in this thread for as long as this lives.
class CurrentContext {
 public:
  CurrentContext(const CudaFunctions& cuda, CUdevice device) : cuda_(cuda), device_(device) {
    call_ = "cuDevicePrimaryCtxRetain";
    status_ = cuda.retain_context(&context_, device);
    if (status_ != CUDA_SUCCESS) return;
    retained_ = true;
    call_ = "cuCtxPushCurrent";
    status_ = cuda.push_context(context_);
    pushed_ = status_ == CUDA_SUCCESS;
  }
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;
  ~CurrentContext() {
    CUcontext popped = nullptr;
    if (pushed_) cuda_.pop_context(&popped);
    if (retained_) cuda_.release_context(device_);
  }
  CUresult status() const { return status_; }
  const char* call() const { return call_; }
  CUcontext get() const { return context_; }

 private:
  const CudaFunctions& cuda_;
  CUdevice device_;
  CUcontext context_ = nullptr;
  CUresult status_ = CUDA_SUCCESS;
  const char* call_ = "";
  bool retained_ = false, pushed_ = false;
};

// What a measurement holds; given back when it goes, in the context that is current then.
struct Buffers {
  explicit Buffers(const CudaFunctions& functions) : cuda(functions) {}
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;
  ~Buffers() {
    for (const CUdeviceptr pointer : {first, second}) {
      if (pointer != 0) cuda.free(pointer);
    }
    if (host != nullptr) cuda.free_host(host);
    for (CUevent event : {begin, end}) {
      if (event != nullptr) cuda.destroy_event(event);
    }
  }
  const CudaFunctions& cuda;
  CUdeviceptr first = 0, second = 0;
  void* host = nullptr;
  CUevent begin = nullptr, end = nullptr;
};

#define MAIS_CUDA_TRY(cuda, call, name)                                   \
  if (const CUresult mais_status = (call); mais_status != CUDA_SUCCESS) { \
    return failed(cuda, name, mais_status);                               \
  }

// Seconds of one copy, by events on the default stream.
template <class Copy>
Result<double> seconds_of(const CudaFunctions& cuda, const Buffers& buffers, const Copy& copy) {
  MAIS_CUDA_TRY(cuda, cuda.record_event(buffers.begin, nullptr), "cuEventRecord")
  MAIS_CUDA_TRY(cuda, copy(), "cuMemcpyAsync")
  MAIS_CUDA_TRY(cuda, cuda.record_event(buffers.end, nullptr), "cuEventRecord")
  MAIS_CUDA_TRY(cuda, cuda.await_event(buffers.end), "cuEventSynchronize")
  float milliseconds = 0;
  MAIS_CUDA_TRY(cuda, cuda.elapsed(&milliseconds, buffers.begin, buffers.end), "cuEventElapsedTime")
  return static_cast<double>(milliseconds) * 1e-3;
}

// Rates of `runs` copies, after one that warms up.
template <class Copy>
Result<std::vector<double>> rates_of(const CudaFunctions& cuda, const Buffers& buffers,
                                     double bytes, int runs, const Copy& copy) {
  std::vector<double> rates;
  for (int run = 0; run <= runs; ++run) {
    const Result<double> seconds = seconds_of(cuda, buffers, copy);
    if (!seconds) return tl::unexpected<Error>(seconds.error());
    if (run > 0 && *seconds > 0) rates.push_back(bytes / *seconds);
  }
  return rates;
}

}  // namespace

CudaDriver::CudaDriver(std::unique_ptr<Driver> driver) noexcept : driver_(std::move(driver)) {}
CudaDriver::CudaDriver(CudaDriver&&) noexcept = default;
CudaDriver& CudaDriver::operator=(CudaDriver&&) noexcept = default;
CudaDriver::~CudaDriver() = default;

Result<CudaDriver> CudaDriver::load(const std::string& library) {
  auto cuda = load_cuda(library);
  if (!cuda) return tl::unexpected<Error>(cuda.error());
  auto driver = std::make_unique<Driver>();
  driver->cuda = *std::move(cuda);
  return CudaDriver(std::move(driver));
}

Result<CudaReading> CudaDriver::read() const {
  const CudaFunctions& cuda = driver_->cuda;
  CudaReading reading;
  reading.driver_version = cuda.driver_version;
  int count = 0;
  MAIS_CUDA_TRY(cuda, cuda.device_count(&count), "cuDeviceGetCount")
  std::vector<CUdevice> handles;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    CUdevice handle = 0;
    MAIS_CUDA_TRY(cuda, cuda.device(&handle, ordinal), "cuDeviceGet")
    handles.push_back(handle);
    CudaDevice device;
    device.ordinal = ordinal;
    char name[256] = {};
    MAIS_CUDA_TRY(cuda, cuda.device_name(name, sizeof name - 1, handle), "cuDeviceGetName")
    device.name = name;
    CUuuid uuid{};
    MAIS_CUDA_TRY(cuda, cuda.device_uuid(&uuid, handle), "cuDeviceGetUuid")
    device.uuid = digits_of(uuid);
    std::size_t total = 0;
    MAIS_CUDA_TRY(cuda, cuda.device_total(&total, handle), "cuDeviceTotalMem")
    device.total = Bytes(static_cast<std::int64_t>(
        std::min<std::size_t>(total, static_cast<std::size_t>(mais::detail::kCountMax))));

    const auto attribute = [&](CUdevice_attribute which) {
      return driver_->attribute(handle, which);
    };
    const auto bus = attribute(CU_DEVICE_ATTRIBUTE_PCI_BUS_ID);
    const auto slot = attribute(CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID);
    if (bus && slot) {
      char pci[32];
      std::snprintf(pci, sizeof pci, "%04x:%02x:%02x.0",
                    static_cast<unsigned>(attribute(CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID).value_or(0)),
                    static_cast<unsigned>(*bus), static_cast<unsigned>(*slot));
      device.pci = pci;
    }
    device.bus_width = attribute(CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH).value_or(0);
    device.memory_clock = attribute(CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE).value_or(0);
    device.l2 = Bytes(attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE).value_or(0));
    device.multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT).value_or(0);
    device.capability_major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR).value_or(0);
    device.capability_minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR).value_or(0);
    device.integrated = attribute(CU_DEVICE_ATTRIBUTE_INTEGRATED).value_or(0) != 0;
    device.host_page_tables =
        attribute(CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES).value_or(0) !=
        0;
    if (const auto node = attribute(kHostNumaId); node && *node >= 0) device.host_node = *node;
    if (attribute(kNumaConfig) == kIsNumaNode) {
      if (const auto node = attribute(kNumaId); node && *node >= 0) device.memory_node = *node;
    }
    reading.devices.push_back(std::move(device));
  }
  for (std::size_t i = 0; i < handles.size(); ++i) {
    for (std::size_t j = 0; j < handles.size(); ++j) {
      int can = 0;
      if (i == j || cuda.can_access_peer(&can, handles[i], handles[j]) != CUDA_SUCCESS) continue;
      if (can != 0) reading.devices[i].peers.push_back(static_cast<int>(j));
    }
  }
  reading.status = {"CUDA driver", true,
                    "for CUDA " + std::to_string(cuda.driver_version / 1000) + "." +
                        std::to_string(cuda.driver_version % 1000 / 10)};
  return reading;
}

Result<FreeAndTotal> CudaDriver::memory(int ordinal) const {
  const CudaFunctions& cuda = driver_->cuda;
  CUdevice device = 0;
  MAIS_CUDA_TRY(cuda, cuda.device(&device, ordinal), "cuDeviceGet")
  const CurrentContext context(cuda, device);
  MAIS_CUDA_TRY(cuda, context.status(), context.call())
  std::size_t free = 0, total = 0;
  MAIS_CUDA_TRY(cuda, cuda.memory_info(&free, &total), "cuMemGetInfo")
  return FreeAndTotal{Bytes(static_cast<std::int64_t>(free)),
                      Bytes(static_cast<std::int64_t>(total))};
}

Result<CudaDriver::CopyTimes> CudaDriver::time_copies(int ordinal, Bytes size, int runs) const {
  const CudaFunctions& cuda = driver_->cuda;
  CUdevice device = 0;
  MAIS_CUDA_TRY(cuda, cuda.device(&device, ordinal), "cuDeviceGet")
  const CurrentContext context(cuda, device);
  MAIS_CUDA_TRY(cuda, context.status(), context.call())
  Buffers buffers(cuda);
  const auto bytes = static_cast<std::size_t>(size.count());
  MAIS_CUDA_TRY(cuda, cuda.allocate_host(&buffers.host, bytes, CU_MEMHOSTALLOC_PORTABLE),
                "cuMemHostAlloc")
  MAIS_CUDA_TRY(cuda, cuda.allocate(&buffers.first, bytes), "cuMemAlloc")
  MAIS_CUDA_TRY(cuda, cuda.allocate(&buffers.second, bytes), "cuMemAlloc")
  MAIS_CUDA_TRY(cuda, cuda.create_event(&buffers.begin, CU_EVENT_DEFAULT), "cuEventCreate")
  MAIS_CUDA_TRY(cuda, cuda.create_event(&buffers.end, CU_EVENT_DEFAULT), "cuEventCreate")

  CopyTimes times;
  const double amount = static_cast<double>(bytes);
  const auto fill = [&](std::vector<double>& rates, double counted, const auto& copy) {
    auto measured = rates_of(cuda, buffers, counted, runs, copy);
    if (!measured) return std::optional<Error>(measured.error());
    rates = *std::move(measured);
    return std::optional<Error>();
  };
  const auto down = [&] {
    return cuda.copy_to_device(buffers.first, buffers.host, bytes, nullptr);
  };
  const auto up = [&] { return cuda.copy_to_host(buffers.host, buffers.first, bytes, nullptr); };
  const auto inside = [&] {
    return cuda.copy_inside(buffers.second, buffers.first, bytes, nullptr);
  };
  if (auto error = fill(times.to_device, amount, down)) return tl::unexpected<Error>(*error);
  if (auto error = fill(times.to_host, amount, up)) return tl::unexpected<Error>(*error);
  // Read once and written once.
  if (auto error = fill(times.inside, 2 * amount, inside)) return tl::unexpected<Error>(*error);

  std::vector<double> rates;
  const auto tiny = [&] { return cuda.copy_to_device(buffers.first, buffers.host, 4, nullptr); };
  if (auto error = fill(rates, 1, tiny)) return tl::unexpected<Error>(*error);
  std::sort(rates.begin(), rates.end());
  if (!rates.empty()) times.latency = from_seconds(1 / rates[rates.size() / 2]);
  return times;
}

Result<std::vector<double>> CudaDriver::time_peer_copies(int from, int to, Bytes size,
                                                         int runs) const {
  const CudaFunctions& cuda = driver_->cuda;
  CUdevice source = 0, target = 0;
  MAIS_CUDA_TRY(cuda, cuda.device(&source, from), "cuDeviceGet")
  MAIS_CUDA_TRY(cuda, cuda.device(&target, to), "cuDeviceGet")
  const CurrentContext there(cuda, target);
  MAIS_CUDA_TRY(cuda, there.status(), there.call())
  const auto bytes = static_cast<std::size_t>(size.count());
  Buffers remote(cuda);
  MAIS_CUDA_TRY(cuda, cuda.allocate(&remote.first, bytes), "cuMemAlloc")
  const CurrentContext here(cuda, source);
  MAIS_CUDA_TRY(cuda, here.status(), here.call())
  Buffers local(cuda);
  MAIS_CUDA_TRY(cuda, cuda.allocate(&local.first, bytes), "cuMemAlloc")
  MAIS_CUDA_TRY(cuda, cuda.create_event(&local.begin, CU_EVENT_DEFAULT), "cuEventCreate")
  MAIS_CUDA_TRY(cuda, cuda.create_event(&local.end, CU_EVENT_DEFAULT), "cuEventCreate")
  // Where they are no peers, or are enabled already, the copy works all the same.
  cuda.enable_peer(there.get(), 0);
  return rates_of(cuda, local, static_cast<double>(bytes), runs, [&] {
    return cuda.copy_to_peer(remote.first, there.get(), local.first, here.get(), bytes, nullptr);
  });
}

#undef MAIS_CUDA_TRY

}  // namespace mais::probing
