#include "mais/sim/trace.hpp"

#include <algorithm>
#include <fstream>
#include <utility>

namespace mais::sim {

namespace {

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return fail(ErrorCode::not_found, path + ": cannot be opened; is the path right?");
  const std::streamoff size = file.tellg();
  // A folder opens on Linux but tells no sensible size.
  if (size < 0 || size > (std::streamoff{1} << 40)) {
    return fail(ErrorCode::io_error, path + ": is not a file that can be read");
  }
  std::string text(static_cast<std::size_t>(size), '\0');
  file.seekg(0);
  if (size > 0 && !file.read(text.data(), size)) {
    return fail(ErrorCode::io_error, path + ": could not be read to its end");
  }
  return text;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

TraceFormat guess_format(std::string_view path, std::string_view text) {
  if (ends_with(path, ".jsonl") || ends_with(path, ".json")) return TraceFormat::mooncake;
  if (ends_with(path, ".csv")) return TraceFormat::azure;
  const auto first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{' ? TraceFormat::mooncake
                                                               : TraceFormat::azure;
}

}  // namespace

std::string_view to_string(TraceFormat format) noexcept {
  return format == TraceFormat::azure ? "azure" : "mooncake";
}

double mean_rate(const Trace& trace) noexcept {
  if (trace.requests.empty()) return 0;
  const Duration span = trace.requests.back().arrival - trace.requests.front().arrival;
  if (span <= Duration::zero()) return 0;
  return static_cast<double>(trace.requests.size()) / to_seconds(span);
}

Result<Trace> read_trace(const std::string& path, std::optional<TraceFormat> format) {
  const Result<std::string> text = read_file(path);
  if (!text) return tl::unexpected<Error>(text.error());
  Result<Trace> trace = format.value_or(guess_format(path, *text)) == TraceFormat::azure
                            ? parse_azure(*text, path)
                            : parse_mooncake(*text, path);
  if (trace) {
    const auto slash = path.find_last_of('/');
    trace->name = slash == std::string::npos ? path : path.substr(slash + 1);
  }
  return trace;
}

Trace first_requests(Trace trace, std::size_t count) {
  if (trace.requests.size() > count) trace.requests.resize(count);
  return trace;
}

std::size_t leave_out_longer_than(Trace& trace, Tokens pool) {
  return std::erase_if(trace.requests, [&](const TraceRequest& request) {
    return request.prompt + request.output > pool;
  });
}

Trace spread_ticks(Trace trace) {
  std::vector<TraceRequest>& requests = trace.requests;
  Duration gap{};
  for (std::size_t first = 0; first < requests.size();) {
    const Duration tick = requests[first].arrival;
    std::size_t next = first;
    while (next < requests.size() && requests[next].arrival == tick) ++next;
    if (next < requests.size()) gap = requests[next].arrival - tick;
    const auto count = static_cast<std::int64_t>(next - first);
    // gap / count first: the product could leave the range of a long trace.
    for (std::int64_t i = 0; i < count; ++i) {
      requests[first + static_cast<std::size_t>(i)].arrival =
          tick + gap / count * i + gap % count * i / count;
    }
    first = next;
  }
  return trace;
}

}  // namespace mais::sim
