// A trace: who asked when, for how much, with which shared prefix. Plain data, read from a file or
// drawn by mais/sim/workload.hpp.
//
// Reading is all or nothing: a file with one bad line gives one error that names file and line, and
// no trace. Everything here is pure and safe to use from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mais/request.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::sim {

struct TraceRequest {
  Duration arrival{};  // since the start of the trace; never falls from one request to the next
  Tokens prompt{};     // >= 1
  Tokens output{};     // >= 1: a prompt that is complete gives a token in any case
  TenantId tenant{};   // as Config::tenants lists them; traces from files have one
  std::uint32_t first_prefix = 0;  // its block hashes: Trace::hashes[first_prefix ... + count)
  std::uint32_t prefix_count = 0;
};

struct Trace {
  std::string name;        // for reports: the file's name without folder
  bool synthetic = false;  // drawn by a generator, not recorded
  Tokens prefix_block{0};  // tokens that one hash names; 0: no shared prefixes
  std::vector<TraceRequest> requests;
  std::vector<BlockHash> hashes;

  std::span<const BlockHash> prefix_of(const TraceRequest& request) const noexcept {
    return std::span(hashes).subspan(request.first_prefix, request.prefix_count);
  }
};

// Requests per second as recorded: count over the time from the first to the last arrival. 0 where
// there are fewer than two arrival times.
double mean_rate(const Trace& trace) noexcept;

enum class TraceFormat : std::uint8_t {
  azure,     // CSV: arrived_at (seconds), num_prefill_tokens, num_decode_tokens
  mooncake,  // JSON lines: timestamp (ms), input_length, output_length, hash_ids (512 tokens each)
};

std::string_view to_string(TraceFormat format) noexcept;

// Azure CSV. Columns are found by their names in the first line, in any order; others are ignored.
// parse_error with "origin:line: " and what is wrong: a missing column, a field that is no number,
// is negative, not finite, or beyond 100,000,000 tokens or ten years; an arrival before the one
// before it. An output of 0 counts as 1. O(text).
Result<Trace> parse_azure(std::string_view text, std::string_view origin);

// Mooncake JSON lines. Keys in any order; unknown ones are ignored. Errors as above, and for more
// hash ids than prompt and output have blocks. Ids stand for the tokens of their own block: hashes
// are chained, so that equal hashes mean equal prefixes, and only those of whole blocks within the
// prompt are kept. O(text).
Result<Trace> parse_mooncake(std::string_view text, std::string_view origin);

// Reads a file. Without a format it is told by the name (.csv, .jsonl), then by the first
// character. io_error or not_found where it cannot be read.
Result<Trace> read_trace(const std::string& path, std::optional<TraceFormat> format = {});

// The first `count` requests.
Trace first_requests(Trace trace, std::size_t count);

// Leaves out requests that are longer, prompt and output together, than `pool`; returns how many.
std::size_t leave_out_longer_than(Trace& trace, Tokens pool);

// Spreads requests that share an arrival time evenly until the next arrival time; those of the last
// one over the gap before it. For traces whose clock is coarser than their arrivals.
Trace spread_ticks(Trace trace);

}  // namespace mais::sim
