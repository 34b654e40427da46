// A machine as it was seen once, in one text file: for bug reports and for tests.
//
// The format is lines. The first is "mais machine record 1"; a line without a bar begins a section,
// the lines after it that begin with a bar are its text:
//
//   mais machine record 1
//   file /proc/meminfo        a file of /proc or /sys, as it was
//   |MemTotal: 16384 kB
//   hwloc-xml                 the topology as hwloc XML, version 2
//   |...
//   cuda                      what the CUDA driver and NVML said, as "name value" lines
//   |...
//   measured                  rates that were measured: place, least, median, most, how
//   |...
//
// Empty lines and lines that begin with # outside a section's text are skipped.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mais/probe/gpu.hpp"
#include "mais/result.hpp"

namespace mais::probing {

// A rate that was measured at a place: the name of a space ("host0") or of a way between two
// ("host0 > gpu0").
struct Measurement {
  std::string place{};
  Rate rate{};
  Duration latency{};  // of the smallest copy; 0: not measured
};

struct MachineRecord {
  std::map<std::string, std::string, std::less<>> files{};
  std::string hwloc_xml{};  // empty: none
  CudaReading cuda{};
  NvmlReading nvml{};
  std::vector<Measurement> measured{};
};

// parse_error with "origin:line: what is there; what would be right". O(text).
Result<MachineRecord> parse_record(std::string_view text, std::string_view origin);
// What parse_record() reads back as the same.
std::string to_text(const MachineRecord& record);

// A list of measurements alone, in the form of the section `measured`: the file that a probe keeps
// them in.
Result<std::vector<Measurement>> parse_measurements(std::string_view text, std::string_view origin);
std::string to_text(const std::vector<Measurement>& measured);

}  // namespace mais::probing
