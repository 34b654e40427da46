// What a fuzzer checks of the trace parsers, whoever calls it: any bytes give a trace that keeps
// its promises, or one error that names file and line.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mais/sim/trace.hpp"

namespace mais::sim {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "trace fuzz: %s\n", what);
  std::abort();
}

inline void check_trace(const Result<Trace>& trace) {
  if (!trace) {
    require(trace.error().code == ErrorCode::parse_error, "an error of another kind");
    require(trace.error().message.starts_with("fuzz:"), "the error names no file");
    require(trace.error().message.find('\n') == std::string::npos, "more than one line of error");
    return;
  }
  require(!trace->requests.empty(), "a trace without requests");
  Duration before{};
  for (const TraceRequest& request : trace->requests) {
    require(request.arrival >= before, "arrivals go backwards");
    require(request.prompt >= Tokens(1) && request.output >= Tokens(1), "a length below 1");
    require(
        trace->prefix_of(request).size() * 512 <= static_cast<std::size_t>(request.prompt.count()),
        "a prefix longer than its prompt");
    before = request.arrival;
  }
}

inline void fuzz_trace_parsers(std::string_view bytes) {
  check_trace(parse_azure(bytes, "fuzz"));
  check_trace(parse_mooncake(bytes, "fuzz"));
}

}  // namespace mais::sim
