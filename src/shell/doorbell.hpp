// Threads that sleep until they are rung for.
//
// A sleeper registers before it looks whether there is something to do, so a ring between looking
// and sleeping is not lost: sleep() then returns at once. Ringing holds a mutex for a moment only,
// and never waits for what a rung thread goes on to do.
#pragma once

#include <optional>

#include "mais/units.hpp"
#include "shell/sync.hpp"

namespace mais::shell {

class Doorbell {
 public:
  class Sleeper {
   public:
    explicit Sleeper(Doorbell& bell);  // registers
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;
    ~Sleeper();

    // Returns when rung, at once when rung since the last sleep, and after `at_most`. It may return
    // for no reason.
    void sleep(std::optional<Duration> at_most);

    void ring() noexcept;

    // Ends the registration. True when a ring was not answered by a sleep(): whoever rang counts on
    // this thread, which has to look once more.
    bool leave() noexcept;

   private:
    friend class Doorbell;
    Doorbell& bell_;
    Sleeper* previous_ = nullptr;
    Sleeper* next_ = nullptr;
    ConditionVariable wake_;
    bool rung_ = false;
    bool registered_ = true;
  };

  // Makes sure that some sleeper looks again: rings the first, unless one is rung already and so
  // will look. False when there is none.
  bool ring_one() noexcept;
  void ring_all() noexcept;

 private:
  void ring_locked(Sleeper& sleeper) noexcept;
  void answer_locked(Sleeper& sleeper) noexcept;

  // How many are registered. Read without the mutex: whoever leaves work behind and then reads 0
  // knows that any later sleeper will find it (both sides are sequentially consistent).
  Atomic<int> sleepers_{0};
  Mutex mutex_;
  Sleeper* first_ = nullptr;  // who registered first, and most likely is next in turn
  Sleeper* last_ = nullptr;
  int rung_ = 0;
};

}  // namespace mais::shell
