#include "mais/memory/copier.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include "memory/checksum.hpp"
#include "memory/copy_queue.hpp"
#include "memory/cpu_binding.hpp"
#include "memory/transfer.hpp"

namespace mais::memory {

namespace {

Time now() {
  return Time(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

void tell(std::vector<CopyQueue::Ended>& ended) {
  for (CopyQueue::Ended& one : ended) {
    if (one.on_done) one.on_done(one.result);
  }
  ended.clear();
}

}  // namespace

struct Copier::State {
  State(Bytes piece, std::size_t most_pending) : queue(piece, most_pending) {}

  void work(std::size_t worker);
  // Copies a piece that was taken from the queue; `lock` is held before and after.
  void carry_out(const CopyQueue::Piece& piece, Transfer& transfer,
                 std::unique_lock<std::mutex>& lock);

  mutable std::mutex mutex;  // guards what follows up to `transfers`
  std::condition_variable work_or_stop, idle;
  CopyQueue queue;
  std::size_t telling = 0;  // threads that call callbacks
  bool stopping = false;
  std::vector<std::string> notes;

  // One for each worker, or one for whoever calls run_one().
  std::vector<std::unique_ptr<Transfer>> transfers;
  std::mutex by_hand;
  std::vector<std::optional<int>> nodes;  // of workers
  std::vector<std::thread> threads;
};

void Copier::State::carry_out(const CopyQueue::Piece& piece, Transfer& transfer,
                              std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  const Result<std::uint64_t> outcome = [&]() -> Result<std::uint64_t> {
    try {
      return transfer.run(piece);
    } catch (const std::bad_alloc&) {  // ends this copy, not the worker
      return fail(ErrorCode::over_capacity, "out of memory");
    }
  }();
  const Time at = now();
  std::vector<CopyQueue::Ended> ended;
  lock.lock();
  queue.ended(piece, outcome, at, ended);
  // What waited for this copy can go, and whoever drains may see the last one gone.
  if (ended.empty()) return;
  work_or_stop.notify_all();
  ++telling;
  lock.unlock();
  tell(ended);
  lock.lock();
  --telling;
  if (queue.pending() == 0 && telling == 0) idle.notify_all();
}

void Copier::State::work(std::size_t worker) {
  std::unique_lock lock(mutex);
  if (nodes[worker]) {
    if (std::string why = bind_to_node(*nodes[worker]); !why.empty()) {
      notes.push_back(std::move(why));
      nodes[worker].reset();
    }
  }
  while (true) {
    work_or_stop.wait(lock, [&] { return stopping || queue.has_ready(); });
    if (stopping) return;
    if (const auto piece = queue.next(nodes[worker], now())) {
      if (queue.has_ready()) work_or_stop.notify_one();  // there is work for another
      carry_out(*piece, *transfers[worker], lock);
    }
  }
}

Result<Copier> Copier::create(CopierOptions options) {
  if (options.piece <= Bytes(0) || options.staging_piece <= Bytes(0) || options.most_pending == 0) {
    return fail(ErrorCode::invalid_argument,
                "a copier's pieces and the number of copies that may be pending are positive");
  }
  constexpr auto kCell = static_cast<std::int64_t>(kChecksumCell);
  if (options.piece > Bytes::max() - Bytes(kCell)) {
    return fail(ErrorCode::invalid_argument, "a copier's piece is larger than any copy");
  }
  const Bytes piece((options.piece.count() + kCell - 1) / kCell * kCell);
  auto state = std::make_unique<State>(piece, options.most_pending);
  for (std::size_t i = 0; i < std::max<std::size_t>(options.workers, 1); ++i) {
    std::unique_ptr<FileIo> files;
    std::string why_not;
    if (options.use_io_uring) files = uring_file_io(why_not);
    if (!files) files = plain_file_io();
    if (!why_not.empty() && i == 0) state->notes.push_back(why_not);
    auto transfer = Transfer::create(options.staging, options.staging_piece, std::move(files));
    if (!transfer) return tl::unexpected(std::move(transfer.error()));
    state->transfers.push_back(*std::move(transfer));
    state->nodes.push_back(
        options.worker_nodes.empty()
            ? std::nullopt
            : std::optional<int>(options.worker_nodes[i % options.worker_nodes.size()]));
  }
  Copier copier(std::move(state));
  for (std::size_t i = 0; i < options.workers; ++i) {
    copier.state_->threads.emplace_back([at = copier.state_.get(), i] { at->work(i); });
  }
  return copier;
}

Copier::Copier(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Copier::Copier(Copier&&) noexcept = default;
Copier& Copier::operator=(Copier&& other) noexcept {
  Copier old(std::move(other));
  std::swap(state_, old.state_);
  return *this;
}

Copier::~Copier() {
  if (!state_) return;
  std::vector<CopyQueue::Ended> ended;
  {
    const std::scoped_lock lock(state_->mutex);
    state_->stopping = true;
    state_->queue.cancel_all(now(), ended);
  }
  state_->work_or_stop.notify_all();
  // Callbacks of the workers may have submitted more before they saw that it stops; submit()
  // refuses from then on.
  for (std::thread& thread : state_->threads) thread.join();
  tell(ended);
}

Result<CopyId> Copier::submit(const Copy& copy, OnDone on_done) {
  const std::scoped_lock lock(state_->mutex);
  if (state_->stopping) return fail(ErrorCode::unavailable, "the copier is going away");
  Result<CopyId> id = state_->queue.add(copy, std::move(on_done), now());
  if (id) state_->work_or_stop.notify_one();
  return id;
}

Result<std::future<CopyResult>> Copier::start(const Copy& copy) {
  auto promise = std::make_shared<std::promise<CopyResult>>();
  std::future<CopyResult> future = promise->get_future();
  Result<CopyId> id =
      submit(copy, [promise](const CopyResult& result) { promise->set_value(result); });
  if (!id) return tl::unexpected(std::move(id.error()));
  return future;
}

bool Copier::cancel(CopyId id) {
  std::vector<CopyQueue::Ended> ended;
  std::unique_lock lock(state_->mutex);
  const bool cancelled = state_->queue.cancel(id, now(), ended);
  if (ended.empty()) return cancelled;
  // What waited for it may go now.
  state_->work_or_stop.notify_all();
  ++state_->telling;
  lock.unlock();
  tell(ended);
  lock.lock();
  --state_->telling;
  if (state_->queue.pending() == 0 && state_->telling == 0) state_->idle.notify_all();
  return cancelled;
}

bool Copier::run_one() {
  MAIS_EXPECTS(state_->threads.empty(), "run_one() of a copier that has workers");
  const std::scoped_lock one(state_->by_hand);
  std::unique_lock lock(state_->mutex);
  const auto piece = state_->queue.next(std::nullopt, now());
  if (!piece) return false;
  state_->carry_out(*piece, *state_->transfers.front(), lock);
  return true;
}

void Copier::drain() {
  if (state_->threads.empty()) {
    while (run_one()) {
    }
    return;
  }
  std::unique_lock lock(state_->mutex);
  state_->idle.wait(lock, [&] { return state_->queue.pending() == 0 && state_->telling == 0; });
}

std::size_t Copier::pending() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->queue.pending();
}

std::vector<LinkTraffic> Copier::traffic() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->queue.traffic();
}

std::vector<std::string> Copier::notes() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->notes;
}

}  // namespace mais::memory
