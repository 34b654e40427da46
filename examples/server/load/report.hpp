// What runs of the load came to: a table, a file that another run may read, a page with plots.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "clients.hpp"
#include "mais/result.hpp"

namespace server_load {

struct Figures {
  std::size_t sent = 0, finished = 0, refused = 0, failed = 0, in_time = 0;
  double worst_ttft = 0;  // seconds, 95th percentile of those that finished
};
// Of the requests of kinds[kind].
Figures figures_of(const Run& run, std::span<const Kind> kinds, std::size_t kind);

// What a server has to keep.
enum class Verdict : std::uint8_t {
  good,
  lost,  // an allocation failed, or a request neither finished nor was refused with a reason
  late,  // of a realtime kind less than kMustBeInTime was answered within its goals, or none was
         // sent
};
inline constexpr double kMustBeInTime = 0.95;  // of what was sent, refusals included
Verdict verdict_of(const Run& run, std::span<const Kind> kinds);
std::string to_text(Verdict verdict);

std::string to_text(const Run& run, std::span<const Kind> kinds);
std::string to_json(const Run& run);
// parse_error, with the name.
mais::Result<Run> from_json(const std::string& text, const std::string& name);
// One file with everything in it.
std::string to_html(std::span<const Run> runs, std::span<const Kind> kinds);

}  // namespace server_load
