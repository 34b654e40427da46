// The connections of a server and what they are at: who may be closed when there is no room.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <unordered_map>

#include <sys/socket.h>

namespace server {

// Threads: every member from any thread.
class Connections {
 public:
  void add(int socket) {
    const std::scoped_lock lock(mutex_);
    open_[socket] = {.waits_for_client = true, .ended = false};
    if (closing_) end(socket, open_[socket]);
  }
  // Before the socket is closed.
  void remove(int socket) {
    const std::scoped_lock lock(mutex_);
    open_.erase(socket);
  }
  // Whether it is the client's turn. False: the connection was ended meanwhile.
  bool waits_for_client(int socket, bool waits) {
    const std::scoped_lock lock(mutex_);
    Open& one = open_.at(socket);
    if (one.ended) return false;
    one.waits_for_client = waits;
    if (closing_ && waits) end(socket, one);
    return !one.ended;
  }
  // Whether one of them waits for its client: it gives its place up when others want it.
  bool any_silent() {
    const std::scoped_lock lock(mutex_);
    for (const auto& [socket, one] : open_) {
      if (one.ended || one.waits_for_client) return true;
    }
    return false;
  }
  // From now on every connection ends when it waits for its client.
  void end_all_silent() {
    const std::scoped_lock lock(mutex_);
    closing_ = true;
    for (auto& [socket, one] : open_) {
      if (one.waits_for_client) end(socket, one);
    }
  }

  // Connections that wait for a place.
  std::atomic<std::size_t> waiting{0};

 private:
  struct Open {
    bool waits_for_client = true;
    bool ended = false;
  };
  // The socket is still open, and its number its own, as long as it is in `open_`.
  static void end(int socket, Open& one) {
    one.ended = true;
    ::shutdown(socket, SHUT_RDWR);
  }

  std::mutex mutex_;
  std::unordered_map<int, Open> open_;
  bool closing_ = false;
};

}  // namespace server
