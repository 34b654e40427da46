// On a machine with an NVIDIA GPU: the report agrees with nvidia-smi, copies are as fast as they
// should be, and drift is found when another process takes memory. Skips where there is none,
// unless the build says that there must be one (MAIS_DEVICE_TESTS).
#include <cstdio>
#include <sstream>
#include <unistd.h>

#include <gmock/gmock.h>
#include <sys/wait.h>

#include "mais/probe/cuda_driver.hpp"
#include "mais/probe/monitor.hpp"
#include "mais/probe/probe.hpp"

namespace mais::probing {
namespace {

using namespace mais::literals;

class RealGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    auto report = inspect();
    ASSERT_TRUE(report) << report.error().message;
    report_ = *std::move(report);
    for (const DeviceReport& device : report_.devices) {
      if (device.kind == DeviceKind::gpu && !device.shares_host_memory) gpus_.push_back(device);
    }
    if (!gpus_.empty()) return;
#ifdef MAIS_DEVICE_TESTS
    FAIL() << "the build says that there is a GPU (MAIS_DEVICE_TESTS):\n" << to_text(report_);
#else
    GTEST_SKIP() << "no usable GPU: " << report_.sources[1].detail;
#endif
  }

  MachineReport report_;
  std::vector<DeviceReport> gpus_;
};

struct Smi {
  std::string uuid, name, pci;
  double total = 0;  // bytes
};

// What nvidia-smi says; nothing where it is not installed.
std::vector<Smi> ask_nvidia_smi() {
  std::vector<Smi> list;
  FILE* const pipe = ::popen(
      "nvidia-smi --query-gpu=uuid,name,pci.bus_id,memory.total --format=csv,noheader,nounits "
      "2>/dev/null",
      "r");
  if (pipe == nullptr) return list;
  char line[512];
  while (std::fgets(line, sizeof line, pipe) != nullptr) {
    std::stringstream fields(line);
    Smi gpu;
    std::string total;
    std::getline(fields, gpu.uuid, ',');
    std::getline(fields >> std::ws, gpu.name, ',');
    std::getline(fields >> std::ws, gpu.pci, ',');
    std::getline(fields >> std::ws, total);
    gpu.total = std::atof(total.c_str()) * 1024 * 1024;
    if (gpu.total > 0) list.push_back(gpu);
  }
  ::pclose(pipe);
  return list;
}

TEST_F(RealGpu, TheReportAgreesWithNvidiaSmi) {
  const std::vector<Smi> smi = ask_nvidia_smi();
  if (smi.empty()) GTEST_SKIP() << "nvidia-smi is not here, or shows no GPU";
  for (const DeviceReport& gpu : gpus_) {
    bool found = false;
    for (const Smi& other : smi) {
      if (canonical_uuid(other.uuid) != gpu.uuid) continue;
      found = true;
      EXPECT_EQ(gpu.what, other.name);
      EXPECT_EQ(gpu.pci, canonical_pci(other.pci));
      const Bytes total = report_.spaces[gpu.space.value()].total;
      EXPECT_NEAR(static_cast<double>(total.count()), other.total, 0.01 * other.total);
    }
    EXPECT_TRUE(found || gpu.what.find("MIG") != std::string::npos) << gpu.uuid;
  }
}

TEST_F(RealGpu, CopiesWithinReachFourFifthsOfThePeak) {
  const auto cuda = CudaDriver::load();
  ASSERT_TRUE(cuda) << cuda.error().message;
  const auto reading = cuda->read();
  ASSERT_TRUE(reading) << reading.error().message;
  for (const CudaDevice& device : reading->devices) {
    if (device.integrated || device.memory_clock == 0) continue;
    const double peak = 2.0 * static_cast<double>(device.memory_clock) * 1e3 *
                        static_cast<double>(device.bus_width) / 8;
    const auto times = cuda->time_copies(device.ordinal, 512_MiB, 11);
    ASSERT_TRUE(times) << times.error().message;
    EXPECT_GE(measured_rate(times->inside, "").median.value, kDatasheetShare * peak) << device.name;
    EXPECT_GT(measured_rate(times->to_device, "").median.value, 1e9);
    EXPECT_GT(measured_rate(times->to_host, "").median.value, 1e9);
  }
}

// Another process that holds memory of a GPU until this goes.
class OtherProcess {
 public:
  OtherProcess(int ordinal, Bytes bytes) {
    int to[2], from[2];
    if (::pipe(to) != 0 || ::pipe(from) != 0) return;
    child_ = ::fork();
    if (child_ == 0) {
      ::dup2(to[0], STDIN_FILENO);
      ::dup2(from[1], STDOUT_FILENO);
      for (const int descriptor : {to[0], to[1], from[0], from[1]}) ::close(descriptor);
      ::execl(MAIS_TAKE_GPU_MEMORY, "take_gpu_memory", "libcuda.so.1",
              std::to_string(ordinal).c_str(), std::to_string(bytes.count()).c_str(), nullptr);
      ::_exit(127);
    }
    ::close(to[0]);
    ::close(from[1]);
    hold_ = to[1];
    char said[64] = {};
    const ssize_t got = ::read(from[0], said, sizeof said - 1);
    taken_ = got > 0 && std::string(said) == "taken\n";
    ::close(from[0]);
  }
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;
  ~OtherProcess() {
    ::close(hold_);
    int status = 0;
    ::waitpid(child_, &status, 0);
  }
  bool taken() const { return taken_; }

 private:
  pid_t child_ = -1;
  int hold_ = -1;
  bool taken_ = false;
};

TEST_F(RealGpu, AnotherProcessThatTakesTwoGiBIsDrift) {
  WatcherOptions options;
  options.watch.drift = {.smoothing = 5s, .alarm = 1_GiB};
  Watcher watcher(report_, options);
  const SpaceId space = gpus_[0].space;
  watcher.step(Time(0s));
  if (!watcher.latest(space).known) GTEST_SKIP() << "NVML tells no memory of this GPU";
  if (watcher.latest(space).free < 4_GiB) GTEST_SKIP() << "less than 4 GiB are free";
  const Bytes before = watcher.latest(space).foreign;

  const OtherProcess other(0, 2_GiB);
  ASSERT_TRUE(other.taken());
  bool alarm = false;
  for (int second = 1; second <= 30; ++second) {
    for (const MonitorEvent& event : watcher.step(Time(second * 1s))) {
      const auto* drift = std::get_if<monitor_event::DriftChanged>(&event);
      alarm |= drift != nullptr && drift->alarm && drift->space == space;
    }
  }
  EXPECT_TRUE(alarm);
  EXPECT_GE(watcher.latest(space).foreign - before, 2_GiB - 64_MiB);
}

}  // namespace
}  // namespace mais::probing
