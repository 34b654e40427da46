#include <array>

#include "mais/sim/trace.hpp"
#include "sim/text_scanner.hpp"

namespace mais::sim {

namespace {

constexpr std::array<std::string_view, 3> kColumns = {"arrived_at", "num_prefill_tokens",
                                                      "num_decode_tokens"};

std::string_view trimmed(std::string_view field) {
  while (!field.empty() && (field.front() == ' ' || field.front() == '"')) field.remove_prefix(1);
  while (!field.empty() && (field.back() == ' ' || field.back() == '"')) field.remove_suffix(1);
  return field;
}

// Where each of kColumns stands in a line.
struct Layout {
  std::array<std::size_t, 3> place{};
  std::size_t columns = 0;
};

Result<Layout> read_header(std::string_view header, std::string_view origin) {
  Layout layout;
  std::array<bool, 3> found{};
  TextScanner scanner(header);
  do {
    const std::string_view name = trimmed(scanner.take_until(','));
    for (std::size_t i = 0; i < kColumns.size(); ++i) {
      if (name != kColumns[i]) continue;
      if (found[i]) {
        return bad_line(origin, 1, "the column " + std::string(name) + " stands there twice");
      }
      found[i] = true;
      layout.place[i] = layout.columns;
    }
    ++layout.columns;
  } while (!scanner.done());
  for (std::size_t i = 0; i < kColumns.size(); ++i) {
    if (!found[i]) {
      return bad_line(origin, 1,
                      "there is no column " + std::string(kColumns[i]) +
                          "; an Azure trace starts with the line "
                          "arrived_at,num_prefill_tokens,num_decode_tokens");
    }
  }
  return layout;
}

// Nothing wrong, or what is.
std::string read_arrival(std::string_view field, Duration& arrival) {
  double seconds = 0;
  TextScanner scanner(field);
  if (!scanner.take_number(seconds) || !scanner.done()) {
    return "arrived_at is " + shown(field) + ", not a number of seconds";
  }
  if (seconds < 0) return "arrived_at is " + shown(field) + ", before the start of the trace";
  if (seconds > kMaxTraceSeconds) return "arrived_at is " + shown(field) + ", beyond ten years";
  arrival = from_seconds(seconds);
  return {};
}

std::string read_tokens(std::string_view name, std::string_view field, std::int64_t least,
                        Tokens& tokens) {
  std::int64_t count = 0;
  TextScanner scanner(field);
  if (!scanner.take_integer(count) || !scanner.done()) {
    return std::string(name) + " is " + shown(field) + ", not a whole number of tokens";
  }
  if (count < least || count > kMaxTraceTokens) {
    return std::string(name) + " is " + shown(field) + ", not between " + std::to_string(least) +
           " and " + std::to_string(kMaxTraceTokens);
  }
  tokens = Tokens(count);
  return {};
}

}  // namespace

Result<Trace> parse_azure(std::string_view text, std::string_view origin) {
  Lines lines(text);
  std::string_view line;
  if (!lines.next(line)) return bad_line(origin, 1, "the file is empty");
  const Result<Layout> layout = read_header(line, origin);
  if (!layout) return tl::unexpected<Error>(layout.error());

  Trace trace;
  trace.name = origin;
  trace.requests.reserve(text.size() / 16);
  while (lines.next(line)) {
    if (line.empty()) continue;
    std::array<std::string_view, 3> fields;
    std::size_t column = 0;
    TextScanner scanner(line);
    do {
      const std::string_view field = trimmed(scanner.take_until(','));
      for (std::size_t i = 0; i < fields.size(); ++i) {
        if (layout->place[i] == column) fields[i] = field;
      }
      ++column;
    } while (!scanner.done());
    if (column != layout->columns) {
      return bad_line(origin, lines.number(),
                      "has " + std::to_string(column) + " fields where the first line names " +
                          std::to_string(layout->columns));
    }

    TraceRequest request;
    std::string problem = read_arrival(fields[0], request.arrival);
    if (problem.empty()) problem = read_tokens(kColumns[1], fields[1], 1, request.prompt);
    if (problem.empty()) problem = read_tokens(kColumns[2], fields[2], 0, request.output);
    if (problem.empty() && !trace.requests.empty() &&
        request.arrival < trace.requests.back().arrival) {
      problem =
          "arrived_at is " + shown(fields[0]) + ", before the line above; sort the file by arrival";
    }
    if (!problem.empty()) return bad_line(origin, lines.number(), problem);
    request.output = std::max(request.output, Tokens(1));
    trace.requests.push_back(request);
  }
  if (trace.requests.empty()) {
    return bad_line(origin, lines.number(), "there is no request in the file");
  }
  return trace;
}

}  // namespace mais::sim
