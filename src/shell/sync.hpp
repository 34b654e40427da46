// What threads of the shell meet at. Its own names, so that a test can put in ones that let it
// choose who goes next at each of them (tests/shell/interleaver.hpp).
#pragma once

#ifdef MAIS_SHELL_SYNC
#include MAIS_SHELL_SYNC
#else

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace mais::shell {

using Mutex = std::mutex;
using ConditionVariable = std::condition_variable;  // waits with std::unique_lock<Mutex>
template <class Value>
using Atomic = std::atomic<Value>;

}  // namespace mais::shell

#endif
