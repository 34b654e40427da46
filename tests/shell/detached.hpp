// A coroutine that begins at once, belongs to nobody, and goes when it is done.
#pragma once

#include <coroutine>
#include <exception>

namespace mais {

struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};

}  // namespace mais
