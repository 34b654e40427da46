// A thread's wait that another thread can end, and the kernel.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <poll.h>
#include <unistd.h>

#include <sys/eventfd.h>

#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::probing {

class WakeUp {
 public:
  WakeUp() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    MAIS_EXPECTS(descriptor_ >= 0, "no eventfd can be had: too many files are open");
  }
  WakeUp(const WakeUp&) = delete;
  WakeUp& operator=(const WakeUp&) = delete;
  ~WakeUp() { ::close(descriptor_); }

  // Any thread.
  void ring() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(descriptor_, &one, sizeof one);
  }

  // Waits for ring(), for an urgent event on another descriptor (-1: none), or for so long. True
  // when it was that event.
  bool wait(Duration most, int urgent) noexcept {
    pollfd list[2] = {{descriptor_, POLLIN, 0}, {urgent, POLLPRI, 0}};
    constexpr std::int64_t kSecond = 1'000'000'000;
    const timespec time{static_cast<time_t>(most.count() / kSecond),
                        static_cast<long>(most.count() % kSecond)};
    const int ready = ::ppoll(list, 2, &time, nullptr);
    // POLLERR: what is watched went away; that is no event, and must not make this spin.
    if (ready > 0 && (list[1].revents & POLLERR) != 0 && (list[0].revents & POLLIN) == 0) {
      ::ppoll(list, 1, &time, nullptr);
      return false;
    }
    return ready > 0 && (list[1].revents & POLLPRI) != 0;
  }

 private:
  int descriptor_;
};

}  // namespace mais::probing
