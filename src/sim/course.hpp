// The course of a run in a bounded number of points: when there are too many, every other one is
// dropped and the distance doubles.
#pragma once

#include <algorithm>
#include <vector>

#include "mais/sim/run_result.hpp"

namespace mais::sim {

class Course {
 public:
  Course(std::size_t points, Duration distance)
      : limit_(std::max<std::size_t>(points, 4)), distance_(std::max(distance, Duration(1))) {}

  // True when a point is due; `sequences` goes into its peak in any case.
  bool due(Time now, Bytes sequences) {
    peak_ = std::max(peak_, sequences);
    return now >= next_;
  }
  void add(LoadSample sample) {
    sample.sequences = std::max(sample.sequences, peak_);
    peak_ = {};
    points_.push_back(sample);
    if (points_.size() > limit_) halve();
    next_ = saturating_add(sample.time, distance_);
  }
  std::vector<LoadSample> take() { return std::move(points_); }

 private:
  void halve() {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < points_.size(); i += 2) {
      LoadSample point = points_[i];
      if (i > 0) point.sequences = std::max(point.sequences, points_[i - 1].sequences);
      points_[kept++] = point;
    }
    points_.resize(kept);
    distance_ *= 2;
  }

  std::size_t limit_;
  Duration distance_;
  Time next_{};
  Bytes peak_;
  std::vector<LoadSample> points_;
};

}  // namespace mais::sim
