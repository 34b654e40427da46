// Tells a waiting person on standard error how far it is: a bar on a terminal, else a line now and
// then.
#pragma once

#include <chrono>
#include <string>

namespace example {

class Progress {
 public:
  // `program` is named before a line.
  explicit Progress(std::string program);
  // Leaves a clean line behind.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` in 0 ... 1 of what is under way. Cheap; shows something at most ten times a second.
  void show(const std::string& what, double done);

 private:
  using Clock = std::chrono::steady_clock;
  std::string program_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_ = start_;
};

}  // namespace example
