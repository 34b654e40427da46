// Asks the kernel to report when tasks wait for memory (PSI trigger,
// Documentation/accounting/psi.rst of Linux).
#pragma once

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace mais::probing {

class PressureTrigger {
 public:
  // 200 ms of waiting in any 2 s: windows of whole 2 s are what processes without privileges may
  // ask for.
  static constexpr std::string_view kTrigger = "some 200000 2000000";

  PressureTrigger() noexcept = default;
  static PressureTrigger arm(const std::string& file) noexcept {
    PressureTrigger trigger;
    trigger.descriptor_ = ::open(file.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    // The kernel wants the final zero too.
    if (trigger.descriptor_ < 0 ||
        ::write(trigger.descriptor_, kTrigger.data(), kTrigger.size() + 1) < 0) {
      trigger.why_not_ = errno;
      trigger.close();
    }
    return trigger;
  }
  PressureTrigger(PressureTrigger&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), why_not_(other.why_not_) {}
  PressureTrigger& operator=(PressureTrigger&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    why_not_ = other.why_not_;
    return *this;
  }
  ~PressureTrigger() { close(); }

  explicit operator bool() const noexcept { return descriptor_ >= 0; }
  int descriptor() const noexcept { return descriptor_; }  // -1: not armed
  int why_not() const noexcept { return why_not_; }        // errno

 private:
  void close() noexcept {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  int descriptor_ = -1;
  int why_not_ = 0;
};

}  // namespace mais::probing
