// Which of several variants of a model (quantisations, types of cache) to run: the best quality
// that meets memory and deadlines, and of each better one why it does not.
//
// Pure; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mais/core/split.hpp"

namespace mais::core {

// Bounds on predicted times; none: not asked for.
struct Slo {
  std::optional<Duration> ttft{};  // of a prompt that is alone
  std::optional<Duration> tpot{};  // between tokens of each of the parallel sequences
};

// "TTFT 2.1 s > 500 ms, TPOT 71 ms > 40 ms"; empty where both are met.
std::string missed(const SplitSpeed& speed, const Slo& slo);

// The split that meets the bounds: the one asked for, or without the buffers that it keeps for
// prompts, or over more devices, in this order. Where none meets them, the one that serves a prompt
// and 256 tokens soonest. Errors: those of split(). Up to four splits.
Result<Split> split_within(const LayeredModel& model, const Machine& machine,
                           const SplitOptions& options, const Slo& slo = {});

struct Variant {
  std::string name{};
  double quality = 0;  // more is better: bits for each parameter, a measured score
  LayeredModel model{};
};

struct VariantVerdict {
  std::size_t variant = 0;       // index in what was given
  std::optional<Split> split{};  // none: it does not fit
  std::string why_not{};         // empty: it meets all
};

struct VariantChoice {
  std::optional<std::size_t> chosen{};     // the best that meets all
  std::vector<VariantVerdict> verdicts{};  // best quality first, then in the order given
};

// Errors: invalid_argument: of split(), for the variant that it names, or no variants. A variant
// that does not fit is a verdict. O(variants) splits.
Result<VariantChoice> choose_variant(std::span<const Variant> variants, const Machine& machine,
                                     const SplitOptions& options, const Slo& slo = {});

}  // namespace mais::core
