#include "progress.hpp"

#include <algorithm>
#include <cstdio>
#include <unistd.h>
#include <utility>

namespace example {

namespace {
constexpr std::size_t kBarWidth = 28;
constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr auto kLine = std::chrono::seconds(15);
}  // namespace

Progress::Progress(std::string program)
    : program_(std::move(program)), terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() {
  if (drawn_) std::fputs("\r\033[K", stderr);
}

void Progress::show(const std::string& what, double done) {
  const Clock::time_point now = Clock::now();
  done = std::clamp(done, 0.0, 1.0);
  if (terminal_) {
    if (now - shown_ < kRedraw) return;
    const auto full = static_cast<std::size_t>(done * static_cast<double>(kBarWidth));
    const std::string bar = std::string(full, '#') + std::string(kBarWidth - full, '.');
    std::fprintf(stderr, "\r\033[K[%s] %3.0f %%  %s", bar.c_str(), done * 100, what.c_str());
    drawn_ = true;
  } else {
    if (now - shown_ < kLine) return;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - start_).count();
    std::fprintf(stderr, "%s: %s (%lld s so far)\n", program_.c_str(), what.c_str(),
                 static_cast<long long>(seconds));
  }
  std::fflush(stderr);
  shown_ = now;
}

}  // namespace example
