// What this machine is: the one call that most hosts need.
//
//   auto machine = mais::probe();                 // Result<Machine>: spaces, devices, links
//   auto report = mais::probing::inspect();       // the same with the source of every figure
//
// Without options nothing is measured and no GPU context is created: it takes a fraction of a
// second, and leaves the machine as it was. No thread is started. Any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mais/machine.hpp"
#include "mais/probe/readings.hpp"
#include "mais/probe/record.hpp"
#include "mais/probe/report.hpp"
#include "mais/result.hpp"

namespace mais {

namespace probing {

struct ProbeOptions {
  // Below which /proc and /sys are looked at; anything but "/" leaves hwloc out, which looks at the
  // machine itself.
  std::string root = "/";
  // Libraries of the drivers, as dlopen() takes them; none: not looked for.
  std::optional<std::string> cuda_library = "libcuda.so.1";
  std::optional<std::string> nvml_library = "libnvidia-ml.so.1";
  // May create a context on each GPU, which costs some hundred MiB of it for a moment: for free
  // memory where there is no NVML, and for measuring copies.
  bool contexts = false;
  // Measures bandwidth (probe/bandwidth.hpp): some seconds. Copies only with `contexts`.
  bool measure = false;
  // Rates measured earlier are read from this file, and those measured now written to it. A file of
  // another machine does harm: name it for the machine.
  std::optional<std::string> measurements{};
  // A folder that state may be moved to; its file system becomes a space of kind disk.
  std::optional<std::string> offload{};
  // Rates that the host knows better than any source.
  std::vector<ConfiguredRate> configured{};
};

// Asks every source. Fails only where not even /proc/meminfo can be read (unavailable), or
// `measurements` cannot be read or written (parse_error, io_error).
Result<Readings> read_machine(const ProbeOptions& options = {});

// read_machine() and assemble().
Result<MachineReport> inspect(const ProbeOptions& options = {});

// The machine as it is now, for a file. Names, addresses and serial numbers stay out of it.
Result<MachineRecord> record_machine(const ProbeOptions& options = {});

// What was recorded, as if it were read here. A topology as XML needs hwloc; without it, /sys as it
// was recorded is used. Errors as read_machine().
Result<Readings> readings_of(const MachineRecord& record);

}  // namespace probing

// The machine, for the planner. Capacities are what may be used now. Errors as
// probing::read_machine().
Result<Machine> probe(const probing::ProbeOptions& options = {});

}  // namespace mais
