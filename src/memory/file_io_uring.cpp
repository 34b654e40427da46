#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <liburing.h>
#include <optional>

#include "memory/file_io.hpp"

namespace mais::memory {

namespace {

constexpr unsigned kDepth = 8;
constexpr std::size_t kRequest = std::size_t{256} << 10;

// A read or write is cut into requests of which kDepth are in the kernel's hands at once; all have
// come back before the call returns, so nothing is written into memory that is no longer ours.
class UringFileIo final : public FileIo {
 public:
  static std::unique_ptr<FileIo> open(std::string& why_not) {
    auto io = std::unique_ptr<UringFileIo>(new UringFileIo);
    if (const int status = ::io_uring_queue_init(kDepth, &io->ring_, 0); status < 0) {
      why_not = std::string("io_uring is not to be had here: ") + std::strerror(-status);
      return nullptr;
    }
    io->is_open_ = true;
    return io;
  }
  UringFileIo(const UringFileIo&) = delete;
  UringFileIo& operator=(const UringFileIo&) = delete;
  ~UringFileIo() override {
    if (is_open_) ::io_uring_queue_exit(&ring_);
  }

  Result<void> read(int file, std::byte* to, std::size_t size, std::int64_t offset) override {
    return run(file, to, size, offset, false);
  }
  Result<void> write(int file, const std::byte* from, std::size_t size,
                     std::int64_t offset) override {
    // The kernel only reads it.
    return run(file, const_cast<std::byte*>(from), size, offset, true);
  }

 private:
  UringFileIo() = default;

  struct Request {
    std::byte* at = nullptr;
    std::size_t size = 0;
    std::int64_t offset = 0;
  };

  Result<void> run(int file, std::byte* at, std::size_t size, std::int64_t offset, bool writes) {
    std::deque<unsigned> idle;
    for (unsigned i = 0; i < kDepth; ++i) idle.push_back(i);
    std::deque<Request> again;  // what was cut short
    std::optional<Error> error;
    unsigned in_kernel = 0;
    while (in_kernel > 0 || (!error && (size > 0 || !again.empty()))) {
      while (!error && !idle.empty() && (size > 0 || !again.empty())) {
        Request request;
        if (!again.empty()) {
          request = again.front();
          again.pop_front();
        } else {
          request = {at, std::min(size, kRequest), offset};
          at += request.size;
          size -= request.size;
          offset += static_cast<std::int64_t>(request.size);
        }
        begin(file, request, idle.front(), writes);
        idle.pop_front();
        ++in_kernel;
      }
      // What the kernel does not take now stays in the ring and is offered again.
      const int status = ::io_uring_submit_and_wait(&ring_, 1);
      // Anything else says that the ring is not one; with requests under way nothing can be made
      // safe then.
      MAIS_EXPECTS(status >= 0 || status == -EINTR || status == -EAGAIN || status == -EBUSY,
                   "io_uring_submit_and_wait failed with requests under way");
      io_uring_cqe* answer = nullptr;
      while (in_kernel > 0 && ::io_uring_peek_cqe(&ring_, &answer) == 0) {
        const auto slot = static_cast<unsigned>(
            reinterpret_cast<std::uintptr_t>(::io_uring_cqe_get_data(answer)));
        const int result = answer->res;
        ::io_uring_cqe_seen(&ring_, answer);
        --in_kernel;
        idle.push_back(slot);
        take(requests_[slot], result, writes, again, error);
      }
    }
    if (error) return tl::unexpected(*std::move(error));
    return {};
  }

  void begin(int file, const Request& request, unsigned slot, bool writes) {
    requests_[slot] = request;
    io_uring_sqe* const entry = ::io_uring_get_sqe(&ring_);
    // There are as many entries as slots, and each has been submitted.
    MAIS_EXPECTS(entry != nullptr, "io_uring has no entry for a request");
    const auto length = static_cast<unsigned>(request.size);
    const auto place = static_cast<std::uint64_t>(request.offset);
    if (writes) {
      ::io_uring_prep_write(entry, file, request.at, length, place);
    } else {
      ::io_uring_prep_read(entry, file, request.at, length, place);
    }
    ::io_uring_sqe_set_data(entry, reinterpret_cast<void*>(static_cast<std::uintptr_t>(slot)));
  }

  static void take(const Request& request, int result, bool writes, std::deque<Request>& again,
                   std::optional<Error>& error) {
    if (result == -EINTR || result == -EAGAIN) {
      again.push_back(request);
    } else if (result < 0 || (result == 0 && writes)) {
      if (!error) {
        error = file_error(writes ? "write" : "read", request.size, request.offset,
                           result < 0 ? -result : ENOSPC);
      }
    } else if (result == 0) {
      if (!error) error = short_read(request.size, request.offset);
    } else if (static_cast<std::size_t>(result) < request.size) {
      again.push_back({request.at + result, request.size - static_cast<std::size_t>(result),
                       request.offset + result});
    }
  }

  io_uring ring_{};
  bool is_open_ = false;
  Request requests_[kDepth];
};

}  // namespace

std::unique_ptr<FileIo> uring_file_io(std::string& why_not) {
  return UringFileIo::open(why_not);
}

}  // namespace mais::memory
