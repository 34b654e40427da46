// What a fuzzer checks of the parsers of the probe, whoever calls it: any bytes give a value that
// keeps its promises, or one error that says where.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mais/probe/probe.hpp"
#include "mais/probe/record.hpp"
#include "mais/probe/report.hpp"
#include "probe/host_text.hpp"

// hwloc leaks where it refuses a topology; that is not ours to find.
extern "C" __attribute__((used)) const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libhwloc\n";
}

namespace mais::probing {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "probe fuzz: %s\n", what);
  std::abort();
}

template <class T>
bool parsed(const Result<T>& result) {
  if (result) return true;
  require(result.error().code == ErrorCode::parse_error, "an error of another kind");
  require(result.error().message.starts_with("fuzz:"), "the error names no file");
  require(result.error().message.find('\n') == std::string::npos, "more than one line of error");
  return false;
}

// The first byte says which text it is.
inline void fuzz_host_text(std::string_view bytes) {
  if (bytes.empty()) return;
  const char kind = bytes.front();
  bytes.remove_prefix(1);
  const auto counted = [](const Result<Counters>& counters) {
    if (!parsed(counters)) return;
    for (const auto& [name, value] : counters->list) require(value >= 0, "a negative count");
  };
  switch (kind) {
    case '0':
      counted(parse_meminfo(bytes, "fuzz"));
      break;
    case '1':
      counted(parse_counters(bytes, "fuzz"));
      break;
    case '2':
      if (const auto limit = parse_limit(bytes, "fuzz"); parsed(limit) && *limit) {
        require(**limit >= Bytes(0), "a negative limit");
      }
      break;
    case '3':
      if (const auto pressure = parse_pressure(bytes, "fuzz"); parsed(pressure)) {
        for (const double part :
             {pressure->some_10s, pressure->some_60s, pressure->full_10s, pressure->full_60s}) {
          require(part >= 0 && part <= 1, "a part of the time outside 0 to 1");
        }
        require(pressure->some_total >= Duration::zero(), "a negative time");
      }
      break;
    case '4':
      if (const auto list = parse_index_list(bytes, "fuzz"); parsed(list)) {
        for (std::size_t i = 1; i < list->size(); ++i) {
          require((*list)[i - 1] < (*list)[i], "a list that does not rise");
        }
      }
      break;
    case '5':
      if (const auto list = parse_membership(bytes, "fuzz"); parsed(list)) {
        for (const Membership& entry : *list) require(entry.path.starts_with('/'), "no path");
      }
      break;
    case '6':
      if (const auto list = parse_mounts(bytes, "fuzz"); parsed(list)) {
        for (const CgroupMount& mount : *list) require(!mount.point.empty(), "no mount point");
      }
      break;
    case '7':
      if (const auto limits = parse_process_limits(bytes, "fuzz"); parsed(limits)) {
        require(limits->locked.value_or(Bytes(0)) >= Bytes(0), "a negative limit");
      }
      break;
    case '8':
      if (const auto status = parse_process_status(bytes, "fuzz"); parsed(status)) {
        require(status->resident >= Bytes(0), "a negative size");
      }
      break;
    default:
      break;
  }
}

inline void check_report(const MachineReport& report) {
  Bytes host{};
  for (const SpaceReport& space : report.spaces) {
    require(space.usable >= Bytes(0), "a negative size may be used");
    if (space.kind == SpaceKind::host) host += space.usable;
  }
  require(host <= report.budget.bytes, "the host's spaces promise more than it may use");
  for (const Link& link : report.machine.links) {
    require(link.bandwidth.value > 0, "a link without a rate");
  }
  to_text(report);
  to_json(report);
}

// A record, and what is concluded from it. XML is left to fuzz_xml().
inline void fuzz_record(std::string_view bytes) {
  auto record = parse_record(bytes, "fuzz");
  if (!parsed(record)) return;
  const std::string text = to_text(*record);
  const auto again = parse_record(text, "fuzz");
  require(again.has_value(), "what was written is not read back");
  require(to_text(*again) == text, "what was read back is something else");
  record->hwloc_xml.clear();
  if (const auto readings = readings_of(*record)) check_report(assemble(*readings));
}

inline void fuzz_xml(std::string_view bytes) {
  const auto topology = read_topology_xml(bytes);
  if (!topology) {
    require(!has_hwloc() || topology.error().code == ErrorCode::parse_error,
            "an error of another kind");
    return;
  }
  Readings readings;
  readings.host.total = readings.host.free = readings.host.available = Bytes(1 << 30);
  readings.topology = *topology;
  check_report(assemble(readings));
}

}  // namespace mais::probing
