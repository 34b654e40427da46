// The CUDA driver, loaded at run time: nothing links it, so a program runs with and without one.
//
// No call creates a context except those that say so: a context costs hundreds of megabytes of
// device memory and some of the host's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mais/probe/gpu.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::probing {

// True when cuda.h was there when this library was built.
bool has_cuda() noexcept;

// One loaded driver. One user at a time.
class CudaDriver {
 public:
  // Loads and initialises the driver. unavailable, with the reason for a person: not built in, no
  // library, a stub of the toolkit, too old (before 11.3), a function missing, no device, or what
  // the driver itself says.
  static Result<CudaDriver> load(const std::string& library = "libcuda.so.1");

  CudaDriver(CudaDriver&&) noexcept;
  CudaDriver& operator=(CudaDriver&&) noexcept;
  ~CudaDriver();

  // Every device that this process may use. Creates no context. A figure that the driver does not
  // give is left out; a device that does not answer is an error.
  Result<CudaReading> read() const;

  // Free and total memory of a device. Retains its primary context for the call, so one is created
  // where the process had none, and destroyed again.
  Result<FreeAndTotal> memory(int ordinal) const;

  struct CopyTimes {
    std::vector<double> to_device, to_host, inside;  // bytes per second, one for each run
    Duration latency{};                              // of the smallest copy from pinned memory
  };
  // Copies of `size` bytes with pinned host memory, timed by events, `runs` times after one that is
  // not counted. `inside` copies within the device and counts what is read and written. Needs a
  // context, `size` bytes of the host and 2 x `size` of the device.
  Result<CopyTimes> time_copies(int ordinal, Bytes size, int runs) const;
  // From one device to another, directly where they are peers. Needs two contexts.
  Result<std::vector<double>> time_peer_copies(int from, int to, Bytes size, int runs) const;

 private:
  struct Driver;
  explicit CudaDriver(std::unique_ptr<Driver> driver) noexcept;
  std::unique_ptr<Driver> driver_;
};

}  // namespace mais::probing
