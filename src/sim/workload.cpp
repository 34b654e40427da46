#include "mais/sim/workload.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/prefix_block.hpp"
#include "sim/random.hpp"

namespace mais::sim {

namespace {

// Lengths at fixed quantiles; between two of them the logarithm of the length is linear.
constexpr std::array kAt = {0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0};
using Quantiles = std::array<double, kAt.size()>;

struct Shape {
  double rate;  // requests per second
  Quantiles prompt;
  Quantiles output;
};

constexpr Shape kConversation = {5.5,
                                 {2, 29, 181, 207, 396, 1020, 1189, 2735, 4083, 4142, 6212, 14050},
                                 {7, 16, 41, 54, 85, 129, 395, 424, 451, 601, 954, 1000}};
constexpr Shape kLongContext = {
    3.4,
    {891, 894, 901, 964, 2306, 6909, 15368, 27367, 39552, 85401, 121301, 126195},
    {1, 3, 10, 24, 156, 350, 472, 597, 698, 1120, 2000, 2000}};

std::int64_t draw(const Quantiles& lengths, Random& random) {
  const double u = random.uniform();
  std::size_t upper = 1;
  while (upper + 1 < kAt.size() && kAt[upper] < u) ++upper;
  const double part = (u - kAt[upper - 1]) / (kAt[upper] - kAt[upper - 1]);
  const double low = std::log(lengths[upper - 1]);
  const double high = std::log(lengths[upper]);
  return std::max<std::int64_t>(1, std::llround(std::exp(low + part * (high - low))));
}

// Gives the requests prefixes as if `continued` of them went on where an earlier one had ended.
void add_sessions(Trace& trace, double continued, Random& random) {
  trace.prefix_block = kPrefixBlock;
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    TraceRequest& request = trace.requests[i];
    const auto blocks = static_cast<std::uint32_t>(request.prompt.count() / kPrefixBlock.count());
    request.first_prefix = static_cast<std::uint32_t>(trace.hashes.size());
    request.prefix_count = blocks;
    std::uint32_t shared = 0;
    if (i > 0 && random.uniform() < continued) {
      // Sessions go on soon: one of the last thousand requests.
      const std::size_t back = 1 + random.below(std::min<std::uint64_t>(i, 1000));
      const TraceRequest& earlier = trace.requests[i - back];
      shared = std::min(blocks, earlier.prefix_count);
      for (std::uint32_t b = 0; b < shared; ++b) {
        trace.hashes.push_back(trace.hashes[earlier.first_prefix + b]);
      }
    }
    for (std::uint32_t b = shared; b < blocks; ++b) trace.hashes.push_back(random.bits());
  }
}

}  // namespace

std::string_view to_string(WorkloadKind kind) noexcept {
  return kind == WorkloadKind::conversation ? "conversation" : "long_context";
}

Trace synthetic_workload(const WorkloadOptions& options) {
  const bool chat = options.kind == WorkloadKind::conversation;
  const Shape& shape = chat ? kConversation : kLongContext;
  const double rate = options.rate > 0 ? options.rate : shape.rate;
  Random random(options.seed);
  Trace trace;
  trace.name = "synthetic " + std::string(to_string(options.kind));
  trace.synthetic = true;
  trace.requests.reserve(options.requests);
  double seconds = 0;
  for (std::size_t i = 0; i < options.requests; ++i) {
    const std::int64_t prompt = draw(shape.prompt, random);
    const std::int64_t output = draw(shape.output, random);
    trace.requests.push_back(
        {.arrival = from_seconds(seconds), .prompt = Tokens(prompt), .output = Tokens(output)});
    seconds += random.exponential() / rate;
  }
  if (!chat) add_sessions(trace, options.continued, random);
  return trace;
}

}  // namespace mais::sim
