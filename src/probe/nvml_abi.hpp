// The part of NVML's binary interface that the probe uses. Written down here because nvml.h is not
// a part of every CUDA toolkit; NVML keeps these forms (a change gets a new suffix). From the
// "NVML API Reference Guide" of NVIDIA.
#pragma once

namespace mais::probing::nvml_abi {

using Device = struct OpaqueDevice*;
using Status = int;

inline constexpr Status kSuccess = 0;
inline constexpr Status kNotSupported = 3;
inline constexpr Status kNoPermission = 4;
inline constexpr Status kNotFound = 6;
inline constexpr Status kInsufficientSize = 7;
inline constexpr Status kDriverNotLoaded = 9;
inline constexpr Status kGpuIsLost = 15;

inline constexpr unsigned long long kNotAvailable = ~0ULL;  // of a process's memory
inline constexpr unsigned kMaxNvLinks = 36;
inline constexpr int kRemoteIsSwitch = 2;
inline constexpr int kUncorrected = 1;  // kind of memory error
inline constexpr int kSinceLoaded = 0;  // kind of counter

struct Memory {
  unsigned long long total, free, used;
};
struct PciInfo {
  char legacy_bus_id[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
struct ProcessInfo {
  unsigned pid;
  unsigned long long used;
  unsigned gpu_instance, compute_instance;
};

using Init = Status (*)();
using ErrorString = const char* (*)(Status);
using DriverVersion = Status (*)(char*, unsigned);
using Count = Status (*)(unsigned*);
using HandleByIndex = Status (*)(unsigned, Device*);
using Text = Status (*)(Device, char*, unsigned);
using GetPci = Status (*)(Device, PciInfo*);
using GetMemory = Status (*)(Device, Memory*);
using Number = Status (*)(Device, unsigned*);
using TwoNumbers = Status (*)(Device, unsigned*, unsigned*);
using MigByIndex = Status (*)(Device, unsigned, Device*);
using Processes = Status (*)(Device, unsigned*, ProcessInfo*);
using EccErrors = Status (*)(Device, int, int, unsigned long long*);
using LinkNumber = Status (*)(Device, unsigned, unsigned*);
using LinkPci = Status (*)(Device, unsigned, PciInfo*);
using LinkKind = Status (*)(Device, unsigned, int*);

}  // namespace mais::probing::nvml_abi
