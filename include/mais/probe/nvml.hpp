// NVML, loaded at run time: free and used memory of GPUs without a context, who uses them, and how
// they are.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mais/probe/gpu.hpp"
#include "mais/result.hpp"

namespace mais::probing {

// One loaded NVML. One user at a time.
class Nvml {
 public:
  // Loads and initialises it. unavailable, with the reason for a person: no library, no driver
  // behind it, a function missing, or what NVML itself says.
  static Result<Nvml> load(const std::string& library = "libnvidia-ml.so.1");

  Nvml(Nvml&&) noexcept;
  Nvml& operator=(Nvml&&) noexcept;
  ~Nvml();

  // Every GPU and MIG slice. What a device does not tell is left out; one that does not answer at
  // all is `lost`.
  NvmlReading read() const;

  // Reads again what changes: memory, processes, power, health. The devices are those of a reading
  // by this object; in O(devices) calls of the driver.
  void refresh(NvmlReading& reading) const;

 private:
  struct Library;
  explicit Nvml(std::unique_ptr<Library> library) noexcept;
  std::unique_ptr<Library> library_;
};

}  // namespace mais::probing
