// One request on its way: what it knows, and its callbacks, told in order and never after the end.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "host.hpp"

namespace server {

class Ticket {
 public:
  Ticket(Job job, Callbacks callbacks)
      : tokens(std::move(job.prompt)),
        sampling(job.sampling),
        prompt_(tokens.size()),
        callbacks_(std::move(callbacks)) {}

  // Of the worker that runs it alone.
  std::vector<Token> tokens;         // all that are known
  std::vector<std::uint32_t> pages;  // its block table
  const Sampling sampling;
  std::atomic<bool> stopped{false};  // set while another thread may end the request

  bool ran = false;  // a worker took it up; guarded by who keeps the tickets

  // A callback runs outside of the lock, so that it may end the request itself; an end that comes
  // while one runs is told when it is done. False: no more tokens are wanted.
  bool give(Token token) {
    if (!begin()) return false;
    const bool more = !callbacks_.on_token || callbacks_.on_token(token);
    finish(1);
    return more;
  }
  void give(std::span<const float> embedding) {
    if (!begin()) return;
    if (callbacks_.on_embedding) callbacks_.on_embedding(embedding);
    finish(0);
  }
  void end(const mais::RequestEnd& end) {
    {
      const std::scoped_lock lock(mutex_);
      end_ = end;
      if (giving_) return;
    }
    tell();
  }

 private:
  bool begin() {
    const std::scoped_lock lock(mutex_);
    if (end_) return false;
    giving_ = true;
    return true;
  }
  void finish(std::int64_t given) {
    {
      const std::scoped_lock lock(mutex_);
      giving_ = false;
      given_ += given;
      if (!end_) return;
    }
    tell();
  }
  void tell() {
    if (!callbacks_.on_end) return;
    callbacks_.on_end({.end = *end_,
                       .prompt = static_cast<std::int64_t>(prompt_),
                       .generated = given_,
                       .stopped = stopped});
  }

  const std::size_t prompt_;
  const Callbacks callbacks_;
  std::mutex mutex_;  // guards what follows
  std::optional<mais::RequestEnd> end_;
  bool giving_ = false;
  std::int64_t given_ = 0;
};

}  // namespace server
