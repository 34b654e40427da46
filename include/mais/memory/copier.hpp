// Copies between memories: host to host, host to device and back, device to device, and files.
//
//   auto copier = Copier::create({.workers = 2});
//   copier->submit({.from = CopyEnd::host(page), .to = CopyEnd::in_file(fd, 0), .bytes = 2_MiB},
//                  [](const CopyResult& result) { ... });
//
// Copies are cut into pieces. Pieces of demanded copies go before those of prefetches, earlier ones
// before later ones, and a demanded copy overtakes a prefetch between two of its pieces. A copy
// waits for the earlier ones that write what it reads, or read or write what it writes, and what it
// waits for becomes as urgent as it is; so the outcome is that of one after another, in the order
// of submission. One that reads what an earlier copy failed to write, or was kept from writing,
// fails.
//
// Every copy ends exactly once: done, cancelled or failed. Only one whose every byte was copied,
// and verified where asked, is done.
//
// Ways: memcpy; a device's copy engine, by a stream for each worker and device, directly from
// pinned memory and through two staging buffers from other memory and files, one being filled while
// the other is copied; io_uring where the library was built with it and the kernel allows it, else
// pread and pwrite. What is written to a file is not flushed to its disk.
//
// Threads: every member from any thread. Callbacks run without a lock held, in the thread that
// ended the copy: a worker, or who called run_one(), cancel() or the destructor; they may call
// submit() and cancel(), and must not wait for the copier. With workers the copier owns threads;
// without, it copies when run_one() or drain() is called.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "mais/memory/copy.hpp"
#include "mais/memory/memory_source.hpp"

namespace mais::memory {

struct CopierOptions {
  std::size_t workers = 0;
  // NUMA nodes to whose CPUs workers are bound, in turn; such a worker prefers copies to its node.
  std::vector<int> worker_nodes{};
  Bytes piece = Bytes(4 << 20);  // rounded up to 64 KiB
  std::size_t most_pending = 4096;
  // Where staging buffers are taken from (pinned memory, for speed), two of `staging_piece` bytes
  // (rounded up to the source's granularity) for each worker. They are taken at the beginning, so
  // that no copy fails for want of them; without a source, ordinary memory when they are needed.
  MemorySource* staging = nullptr;
  Bytes staging_piece = Bytes(1 << 20);
  bool use_io_uring = true;  // where there is one
};

class Copier {
 public:
  using OnDone = std::function<void(const CopyResult&)>;

  // Errors: what the source of staging says; invalid_argument for sizes that are not positive.
  static Result<Copier> create(CopierOptions options = {});
  Copier(Copier&&) noexcept;
  Copier& operator=(Copier&&) noexcept;
  // Cancels what has not ended, waits for the pieces under way, and tells everybody.
  ~Copier();

  // invalid_argument: no bytes, an end without its memory, device or file, ends that overlap;
  // over_limit: too many pending. `on_done` may be empty. O(pending).
  Result<CopyId> submit(const Copy& copy, OnDone on_done = {});
  // The same with a future. Without workers somebody else must call run_one().
  Result<std::future<CopyResult>> start(const Copy& copy);

  // True: it ends as cancelled, at once when none of its pieces is under way (before this returns),
  // else when those are copied. False: it has ended, or there was none.
  bool cancel(CopyId id);

  // Without workers: copies one piece; false when there is none to copy. With workers it aborts.
  bool run_one();
  // Returns when nothing is pending; copies itself where there are no workers.
  void drain();

  std::size_t pending() const;
  // Since the beginning, for each pair of spaces that copies named, sorted by them.
  std::vector<LinkTraffic> traffic() const;
  // What was asked for and could not be had, and why: io_uring, binding to a node.
  std::vector<std::string> notes() const;

 private:
  struct State;
  explicit Copier(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace mais::memory
