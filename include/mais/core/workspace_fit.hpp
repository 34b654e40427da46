// Learns how much scratch memory steps take from how much they took.
//
//   predicted = fixed + f(tokens) + per_sequence * sequences + per_context_token * context
//
// The form of Workspace, but f may bend at 8, 16, 32, ... tokens: engines compute in tiles, and
// what a full tile takes is there once. Least squares on relative errors with coefficients >= 0 (by
// coordinate descent; Franc, Hlavac and Navara, Sequential coordinate-wise algorithm for the
// non-negative least squares problem, CAIP 2005), with a memory that grows to about a hundred steps
// and outliers that count less (usual_error.hpp). What nothing was said of keeps its value. No
// coefficient is ever below 0, so that a prediction never falls where the step is larger.
//
// It predicts what is usual. What to reserve is a bound of known confidence on top of it, once it
// has learned; until then what was declared:
//
//   const Bytes expected = fit.predict(tokens, sequences, context);
//   const Bytes reserve = fit.learned() ? calibration.bound(key, expected) : declared;
//   ... the step takes `measured` ...
//   if (fit.learned()) calibration.observe(key, expected, measured);
//   fit.observe(tokens, sequences, context, measured);
//
// A plain value; one user at a time; deterministic: plain arithmetic.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "mais/core/usual_error.hpp"
#include "mais/model.hpp"
#include "mais/units.hpp"

namespace mais::core {

class WorkspaceFit {
 public:
  WorkspaceFit() = default;
  // Begins with what configuration or a model file says. Where all is 0, the first step is laid in
  // halves on the step itself and on its tokens.
  explicit WorkspaceFit(const Workspace& believed) noexcept;

  // Rounded up. O(1).
  Bytes predict(Tokens tokens, std::int64_t sequences, Tokens context) const noexcept;

  // A step with so many tokens computed, sequences in it and tokens of state attended to had
  // `measured` bytes of scratch memory at its peak. Negative numbers are ignored. O(1), no
  // allocation.
  void observe(Tokens tokens, std::int64_t sequences, Tokens context, Bytes measured) noexcept;

  std::uint64_t observed() const noexcept { return errors_.observed(); }
  // True when enough was seen for a bound to be learned on top: what is off before would keep that
  // bound too high for hundreds of steps. A prediction is above 0 bytes then, unless all were 0.
  bool learned() const noexcept { return observed() >= kEnough; }
  // Mean of |predicted - measured| over the larger of the two, of late, fading.
  double error() const noexcept { return observed() == 0 ? 0 : errors_.mean(); }

 private:
  static constexpr std::uint64_t kEnough = 128;
  static constexpr std::size_t kBends = 10;  // at 8 ... 4096
  // Where each term stands. A slope is what a token takes between two bends.
  static constexpr std::size_t kFixed = 0, kSlopes = 1, kPerSequence = kSlopes + kBends + 1,
                               kPerContextToken = kPerSequence + 1, kTerms = kPerContextToken + 1;
  using Vector = std::array<double, kTerms>;

  static Vector amounts(Tokens tokens, std::int64_t sequences, Tokens context) noexcept;
  double expected(const Vector& amount) const noexcept;
  void set_per_token(double bytes) noexcept;
  void descend() noexcept;

  Vector bytes_{};                            // the coefficients
  std::array<Vector, kTerms> information_{};  // sum of x x', fading
  Vector target_{};                           // sum of x, fading
  UsualError errors_;
};

}  // namespace mais::core
