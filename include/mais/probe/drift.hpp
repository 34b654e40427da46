// Drift: what the ledger granted against what the driver reports.
//
// A driver's figure lags and races with allocations, so no single sample proves anything. The
// difference is a residue with an account of its own: contexts, fragmentation, other processes. It
// counts against the planner at once when it rises, is forgotten slowly when it falls, and raises
// an alarm when it has grown for good. A plain value; no clock.
#pragma once

#include <optional>

#include "mais/units.hpp"

namespace mais::probing {

struct DriftOptions {
  Duration smoothing = Duration(5'000'000'000);  // time constant, above 0
  Bytes alarm = Bytes(512 << 20);                // growth above the baseline that raises the alarm
  double clear = 0.5;                            // it ends below this part of `alarm`; 0 to 1
};

struct DriftSample {
  Bytes used{};                // of the space, by everybody, as the driver reports it
  Bytes granted{};             // of the space, by the ledger
  std::optional<Bytes> own{};  // this process's part of `used`, where the driver tells
};

struct DriftReading {
  Bytes residue{};   // now: used - min(own, granted), without `own` used - granted; at least 0
  Bytes held{};      // what to count with: rises with the residue, falls with the time constant
  Bytes smoothed{};  // the residue smoothed both ways
  Bytes baseline{};  // the least it has been since the start
  bool alarm = false;
};

class Drift {
 public:
  explicit Drift(DriftOptions options = {});

  // Times must not go backwards. What is granted and not yet allocated counts as neither: it is
  // still free, and still the ledger's. O(1).
  DriftReading take(Time at, const DriftSample& sample);

 private:
  DriftOptions options_;
  std::optional<Time> last_;
  double held_ = 0, smoothed_ = 0, baseline_ = 0;
  bool alarm_ = false;
};

}  // namespace mais::probing
