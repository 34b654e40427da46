#include "mais/core/variants.hpp"

#include <algorithm>
#include <cstdio>
#include <numeric>

namespace mais::core {

namespace {

constexpr double kAnswer = 256;  // tokens

std::string time_text(double seconds) {
  char text[32];
  if (seconds >= 1) {
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  } else {
    std::snprintf(text, sizeof text, seconds >= 0.01 ? "%.0f ms" : "%.2f ms", seconds * 1e3);
  }
  return text;
}

void compare(std::string& text, const char* what, double seconds, std::optional<Duration> bound) {
  if (!bound || seconds <= to_seconds(*bound)) return;
  text += (text.empty() ? "" : ", ") + std::string(what) + " " + time_text(seconds) + " > " +
          time_text(to_seconds(*bound));
}

}  // namespace

std::string missed(const SplitSpeed& speed, const Slo& slo) {
  std::string text;
  compare(text, "TTFT", speed.ttft_s, slo.ttft);
  compare(text, "TPOT", speed.step_s, slo.tpot);
  return text;
}

Result<Split> split_within(const LayeredModel& model, const Machine& machine,
                           const SplitOptions& options, const Slo& slo) {
  std::vector<SplitOptions> ways;
  for (const bool spread : {options.spread, true}) {
    for (const bool prompts : {options.prompts_on_device, false}) {
      ways.push_back(options);
      ways.back().spread = spread;
      ways.back().prompts_on_device = prompts;
      if (!prompts) break;
    }
    if (spread) break;
  }
  std::optional<Split> best;
  std::optional<Error> error;
  for (const SplitOptions& way : ways) {
    if (best && way.spread && !options.spread && !best->whole()) break;  // it is spread already
    Result<Split> split = core::split(model, machine, way);
    if (!split) {
      if (!error) error = split.error();
      if (split.error().code != ErrorCode::over_capacity) break;
      continue;
    }
    if (missed(split->speed, slo).empty() && (slo.ttft || slo.tpot || split->whole())) {
      return split;
    }
    const auto request = [](const SplitSpeed& speed) {
      return speed.ttft_s + kAnswer * speed.step_s;
    };
    if (!best || request(split->speed) < request(best->speed)) best = std::move(*split);
  }
  if (!best) return tl::unexpected<Error>(*error);
  return std::move(*best);
}

Result<VariantChoice> choose_variant(std::span<const Variant> variants, const Machine& machine,
                                     const SplitOptions& options, const Slo& slo) {
  if (variants.empty()) {
    return fail(ErrorCode::invalid_argument, "there are no variants to choose from");
  }
  std::vector<std::size_t> order(variants.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return variants[a].quality > variants[b].quality;
  });
  VariantChoice choice;
  for (const std::size_t index : order) {
    VariantVerdict verdict{.variant = index};
    Result<Split> split = split_within(variants[index].model, machine, options, slo);
    if (split) {
      verdict.why_not = missed(split->speed, slo);
      verdict.split = std::move(*split);
    } else if (split.error().code == ErrorCode::over_capacity) {
      verdict.why_not = split.error().message;
    } else {
      Error error = split.error();
      error.message = variants[index].name + ": " + error.message;
      return tl::unexpected<Error>(std::move(error));
    }
    if (verdict.why_not.empty() && !choice.chosen) choice.chosen = index;
    choice.verdicts.push_back(std::move(verdict));
  }
  return choice;
}

}  // namespace mais::core
