#include "cuda_subjects.hpp"

#include <cstring>

#include "fake/fake_drivers.hpp"
#include "mais/memory/pinned_source.hpp"
#include "memory/cuda_context.hpp"

namespace mais::memory {

namespace {

using namespace mais::literals;
using probing::fake::FakeDrivers;

// Writes and looks by the driver's own copies.
class CudaSubject : public Subject {
 public:
  CudaSubject(std::shared_ptr<CudaDevice> device, std::unique_ptr<MemorySource> source)
      : device_(std::move(device)), source_(std::move(source)) {}

  MemorySource& source() override { return *source_; }
  void write(void* address, int value, Bytes size) override {
    std::vector<unsigned char> bytes(static_cast<std::size_t>(size.count()),
                                     static_cast<unsigned char>(value));
    copy(address, bytes.data(), bytes.size());
  }
  bool holds(const void* address, int value, Bytes size) override {
    std::vector<unsigned char> bytes(static_cast<std::size_t>(size.count()));
    copy(bytes.data(), address, bytes.size());
    return std::all_of(bytes.begin(), bytes.end(),
                       [&](unsigned char byte) { return byte == value % 256; });
  }

 protected:
  void copy(void* to, const void* from, std::size_t size) {
    const CurrentContext context(*device_);
    const CudaMemoryFunctions& cuda = device_->driver().cuda;
    CUstream stream = nullptr;
    ASSERT_EQ(cuda.create_stream(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    EXPECT_EQ(cuda.copy(reinterpret_cast<CUdeviceptr>(to), reinterpret_cast<CUdeviceptr>(from),
                        size, stream),
              CUDA_SUCCESS);
    EXPECT_EQ(cuda.await_stream(stream), CUDA_SUCCESS);
    cuda.destroy_stream(stream);
  }
  std::shared_ptr<CudaDevice> device_;
  std::unique_ptr<MemorySource> source_;
};

using MakeSource = Result<std::unique_ptr<MemorySource>> (*)(std::shared_ptr<CudaDevice>);

Result<std::unique_ptr<MemorySource>> pinned_by(std::shared_ptr<CudaDevice> device) {
  return std::make_unique<PinnedSource>(PinnedOptions{.limit = 1_MiB, .device = std::move(device)});
}

// FAKE: no device at all.
class FakeCudaSubject final : public CudaSubject {
 public:
  FakeCudaSubject(std::unique_ptr<FakeDrivers> drivers, std::shared_ptr<CudaDevice> device,
                  std::unique_ptr<MemorySource> source, const char* fails, bool pins)
      : CudaSubject(std::move(device), std::move(source)),
        drivers_(std::move(drivers)),
        fails_(fails),
        pins_(pins),
        before_(drivers_->world.gpus[0].used) {}
  ~FakeCudaSubject() override {
    source_.reset();
    device_.reset();
    const auto& world = drivers_->world;
    EXPECT_EQ(world.gpus[0].used, before_);
    EXPECT_EQ(world.contexts_now, 0);
    EXPECT_EQ(world.streams_now, 0);
    EXPECT_EQ(world.registrations_now, 0);
    EXPECT_EQ(world.address_ranges_now, 0);
    EXPECT_EQ(world.pools_now, 0);
  }
  std::optional<Bytes> held() override {
    const auto& world = drivers_->world;
    return Bytes(
        static_cast<std::int64_t>(pins_ ? world.pinned_now : world.gpus[0].used - before_));
  }
  bool fail_commits(std::optional<int> nth) override {
    auto& world = drivers_->world;
    world.cuda_errors.erase(fails_);
    if (nth) {
      world.cuda_successes[fails_] = *nth;
      world.cuda_errors[fails_] = CUDA_ERROR_OUT_OF_MEMORY;
    }
    return true;
  }

 private:
  std::unique_ptr<FakeDrivers> drivers_;
  const char* const fails_;
  const bool pins_;
  const unsigned long long before_;
};

std::unique_ptr<Subject> fake(MakeSource make, const char* fails, std::string& why_not) {
  auto drivers = std::make_unique<FakeDrivers>();
  drivers->world.gpus = probing::fake::two_gpus();
  auto device = CudaDevice::open(0, FakeDrivers::cuda());
  if (!device) return why_not = device.error().message, nullptr;
  auto source = make(*device);
  if (!source) return why_not = source.error().message, nullptr;
  return std::make_unique<FakeCudaSubject>(std::move(drivers), *std::move(device),
                                           *std::move(source), fails, make == pinned_by);
}

std::unique_ptr<Subject> real(MakeSource make, std::string& why_not) {
  auto device = CudaDevice::open(0);
  auto source = device ? make(*device) : tl::unexpected(device.error());
  if (source) return std::make_unique<CudaSubject>(*std::move(device), *std::move(source));
  why_not = source.error().message;
#ifdef MAIS_DEVICE_TESTS
  ADD_FAILURE() << "the build says that there is a GPU (MAIS_DEVICE_TESTS): " << why_not;
#endif
  return nullptr;
}

}  // namespace

std::unique_ptr<Subject> fake_cuda_virtual(std::string& why_not) {
  return fake(cuda_virtual_memory, "cuMemSetAccess", why_not);
}
std::unique_ptr<Subject> fake_cuda_pool(std::string& why_not) {
  return fake(cuda_stream_ordered_pool, "cuMemAllocFromPoolAsync", why_not);
}
std::unique_ptr<Subject> fake_cuda_pinned(std::string& why_not) {
  return fake(pinned_by, "cuMemHostRegister", why_not);
}
std::unique_ptr<Subject> real_cuda_virtual(std::string& why_not) {
  return real(cuda_virtual_memory, why_not);
}
std::unique_ptr<Subject> real_cuda_pool(std::string& why_not) {
  return real(cuda_stream_ordered_pool, why_not);
}
std::unique_ptr<Subject> real_cuda_pinned(std::string& why_not) {
  return real(pinned_by, why_not);
}

}  // namespace mais::memory
