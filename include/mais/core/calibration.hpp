// Upper bounds of known confidence for what was predicted: how much more than that it may be.
//
// A prediction is corrected by a factor that all but a small part (1 - confidence) of what was
// measured stayed below. The factor is a split-conformal quantile (Vovk, Gammerman and Shafer,
// Algorithmic Learning in a Random World, 2005) of measured / predicted over a window, with the
// part that may be above it steered by the misses themselves (adaptive conformal inference; Gibbs
// and Candes, NeurIPS 2021, eq. 2), so that the confidence holds when the world changes too. With
// fewer samples than the confidence needs it is the largest one seen and a margin, which shrinks
// with every sample from the first one that was configured.
//
//   calibration.observe(key, predicted, measured);
//   const Bytes reserve = calibration.bound(key, predicted);
//
// Plain values; one user at a time; deterministic: plain arithmetic, no libm.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::core {

struct CalibrationOptions {
  double confidence = 0.99;   // 0.5 ... 0.9999: this part of what is measured is to stay below
  double first_factor = 1.3;  // above 1: of the bound while nothing was measured
  std::size_t window = 512;   // samples remembered, at least 2 / (1 - confidence) for a tight bound
};

// The bound of one quantity.
class UpperBound {
 public:
  explicit UpperBound(const CalibrationOptions& options = {});

  // What a prediction is to be multiplied by; above 0. O(1).
  double factor() const noexcept { return factor_; }

  // measured / predicted, finite, >= 0. O(window) moves of a double; allocates nothing once the
  // window is full.
  void observe(double ratio);

  std::uint64_t observed() const noexcept { return observed_; }
  std::uint64_t missed() const noexcept { return missed_; }  // of those, above the bound of then

 private:
  friend class Calibration;
  double quantile() const noexcept;

  CalibrationOptions options_;
  std::vector<double> recent_;  // a ring, oldest at next_ when it is full
  std::vector<double> sorted_;  // the same, in order
  std::size_t next_ = 0;
  double miss_part_;       // that the quantile aims at; below 0: more than was ever seen
  double after_miss_ = 0;  // what the bound is at least for a while after a miss
  double factor_;
  std::uint64_t observed_ = 0;
  std::uint64_t missed_ = 0;
};

// What is calibrated on its own. Free texts; equal ones mean the same.
struct CalibrationKey {
  std::string model;
  std::string configuration;  // the engine, the type of the cache, the degree of parallelism, ...
  std::string kind;           // weights, state, workspace, ...
  friend bool operator<(const CalibrationKey& a, const CalibrationKey& b) {
    return std::tie(a.model, a.configuration, a.kind) < std::tie(b.model, b.configuration, b.kind);
  }
};

class Calibration {
 public:
  explicit Calibration(const CalibrationOptions& options = {}) : options_(options) {}

  // So much may be needed where so much is predicted. Rounded up, saturating. O(log keys).
  Bytes bound(const CalibrationKey& key, Bytes predicted) const;
  // `predicted` must be above 0, `measured` not below it. O(log keys + window).
  void observe(const CalibrationKey& key, Bytes predicted, Bytes measured);

  // Null for one of which nothing was measured.
  const UpperBound* find(const CalibrationKey& key) const;
  std::size_t size() const noexcept { return bounds_.size(); }

  // Everything as lines of text, to be read back by the next run: a line for each key, about eight
  // characters for each sample of its window. What is read back goes on exactly as it would have.
  std::string text() const;
  // parse_error with the line, what is wrong there and what would be right; nothing is kept then.
  static Result<Calibration> parse(std::string_view text, const CalibrationOptions& options = {});

 private:
  CalibrationOptions options_;
  std::map<CalibrationKey, UpperBound> bounds_;
};

}  // namespace mais::core
