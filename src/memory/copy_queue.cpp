#include "memory/copy_queue.hpp"

#include <algorithm>

#include "memory/checksum.hpp"

namespace mais::memory {

struct CopyQueue::Pending {
  CopyId id{};
  Copy copy{};
  OnDone on_done{};
  std::vector<Pending*> blocked_by{}, blocks{};
  std::int64_t next = 0;  // bytes whose copying has begun
  std::size_t under_way = 0;
  bool cancelled = false;
  std::optional<Error> error{};
  std::uint64_t checksum = 0;
  Time submitted{};
  std::optional<Time> begun{};
};

namespace {

bool same_memory(const CopyEnd& a, const CopyEnd& b) noexcept {
  if ((a.kind == CopyEnd::Kind::file) != (b.kind == CopyEnd::Kind::file)) return false;
  // Devices and the host share one space of addresses (unified virtual addressing).
  return a.kind != CopyEnd::Kind::file || a.file == b.file;
}

std::uint64_t start_of(const CopyEnd& end) noexcept {
  return end.kind == CopyEnd::Kind::file ? static_cast<std::uint64_t>(end.offset)
                                         : reinterpret_cast<std::uintptr_t>(end.address);
}

bool overlap(const CopyEnd& a, Bytes a_size, const CopyEnd& b, Bytes b_size) noexcept {
  const std::uint64_t first = start_of(a), second = start_of(b);
  return same_memory(a, b) && first < second + static_cast<std::uint64_t>(b_size.count()) &&
         second < first + static_cast<std::uint64_t>(a_size.count());
}

bool covers(const CopyEnd& a, Bytes a_size, const CopyEnd& b, Bytes b_size) noexcept {
  const std::uint64_t first = start_of(a), second = start_of(b);
  return same_memory(a, b) && first <= second &&
         second + static_cast<std::uint64_t>(b_size.count()) <=
             first + static_cast<std::uint64_t>(a_size.count());
}

bool must_follow(const Copy& later, const Copy& earlier) noexcept {
  return overlap(later.from, later.bytes, earlier.to, earlier.bytes) ||
         overlap(later.to, later.bytes, earlier.from, earlier.bytes) ||
         overlap(later.to, later.bytes, earlier.to, earlier.bytes);
}

const char* fault_of(const CopyEnd& end) noexcept {
  switch (end.kind) {
    case CopyEnd::Kind::host:
      return end.address == nullptr ? "an end in host memory needs an address" : nullptr;
    case CopyEnd::Kind::device:
      return end.address == nullptr || end.device == nullptr
                 ? "an end on a device needs the device and an address"
                 : nullptr;
    case CopyEnd::Kind::file:
      return end.file < 0 || end.offset < 0
                 ? "an end in a file needs an open descriptor and an offset that is not negative"
                 : nullptr;
  }
  return "an end is of no kind";
}

CopyEnd advanced(CopyEnd end, std::int64_t by) noexcept {
  if (end.kind == CopyEnd::Kind::file) {
    end.offset += by;
  } else {
    end.address += by;
  }
  return end;
}

}  // namespace

CopyQueue::CopyQueue(Bytes piece, std::size_t most_pending)
    : piece_(piece.count()), most_pending_(most_pending) {}
CopyQueue::~CopyQueue() = default;

Result<CopyId> CopyQueue::add(const Copy& copy, OnDone on_done, Time now) {
  const char* fault = fault_of(copy.from);
  if (fault == nullptr) fault = fault_of(copy.to);
  if (copy.bytes <= Bytes(0)) fault = "a copy needs at least one byte";
  std::uint64_t last = 0;
  for (const CopyEnd* end : {&copy.from, &copy.to}) {
    const auto size = static_cast<std::uint64_t>(std::max<std::int64_t>(copy.bytes.count(), 0));
    if (__builtin_add_overflow(start_of(*end), size, &last) ||
        (end->kind == CopyEnd::Kind::file && last > (std::uint64_t{1} << 63) - 1)) {
      fault = "an end reaches beyond the last address or offset";
    }
  }
  if (fault == nullptr && overlap(copy.from, copy.bytes, copy.to, copy.bytes)) {
    fault = "the two ends of a copy overlap";
  }
  if (fault != nullptr) return fail(ErrorCode::invalid_argument, fault);
  if (copies_.size() >= most_pending_) {
    return tl::unexpected(Error{ErrorCode::over_limit, "too many copies are pending",
                                static_cast<std::int64_t>(copies_.size() + 1),
                                static_cast<std::int64_t>(most_pending_)});
  }

  auto added = std::make_unique<Pending>();
  added->id = CopyId{++last_id_};
  added->copy = copy;
  added->copy.verify = copy.verify || copy.expected.has_value();
  added->on_done = std::move(on_done);
  added->submitted = now;
  for (const auto& [id, earlier] : copies_) {
    if (must_follow(copy, earlier->copy)) added->blocked_by.push_back(earlier.get());
  }
  Pending& pending = *added;
  copies_.emplace(pending.id, std::move(added));
  for (Pending* earlier : pending.blocked_by) {
    earlier->blocks.push_back(&pending);
    if (copy.urgency == Urgency::demand) raise(*earlier);
  }
  put_among_ready(pending);
  return pending.id;
}

// Makes a copy, and all that it waits for, as urgent as can be.
void CopyQueue::raise(Pending& copy) {
  if (copy.copy.urgency == Urgency::demand) return;  // and so is what it waits for
  take_from_ready(copy);
  copy.copy.urgency = Urgency::demand;
  put_among_ready(copy);
  for (Pending* earlier : copy.blocked_by) raise(*earlier);
}

void CopyQueue::put_among_ready(Pending& copy) {
  if (!copy.blocked_by.empty() || copy.cancelled || copy.error ||
      copy.next >= copy.copy.bytes.count()) {
    return;
  }
  ready_[static_cast<std::size_t>(copy.copy.urgency)].emplace(copy.id, &copy);
}

void CopyQueue::take_from_ready(Pending& copy) {
  ready_[static_cast<std::size_t>(copy.copy.urgency)].erase(copy.id);
}

CopyQueue::Link* CopyQueue::link_of(const CopyEnd& from, const CopyEnd& to) {
  return from.space && to.space ? &links_[{*from.space, *to.space}] : nullptr;
}

std::optional<CopyQueue::Piece> CopyQueue::next(std::optional<int> node, Time now) {
  const auto& ready = ready_[ready_[0].empty() ? 1 : 0];
  if (ready.empty()) return std::nullopt;
  Pending* chosen = ready.begin()->second;
  if (node) {
    constexpr int kLookAhead = 16;  // so that the first is passed by a few at most
    int looked = 0;
    for (const auto& [id, copy] : ready) {
      if (++looked > kLookAhead) break;
      if (copy->copy.to.numa_node != node) continue;
      chosen = copy;
      break;
    }
  }
  Pending& copy = *chosen;
  if (!copy.begun) copy.begun = now;
  const std::int64_t size = std::min(piece_, copy.copy.bytes.count() - copy.next);
  Piece piece{.id = copy.id,
              .from = advanced(copy.copy.from, copy.next),
              .to = advanced(copy.copy.to, copy.next),
              .size = static_cast<std::size_t>(size),
              .offset = static_cast<std::uint64_t>(copy.next),
              .verify = copy.copy.verify};
  copy.next += size;
  ++copy.under_way;
  if (copy.next == copy.copy.bytes.count()) take_from_ready(copy);
  if (Link* const link = link_of(piece.from, piece.to); link != nullptr) {
    if (link->under_way++ == 0) link->since = now;
  }
  return piece;
}

bool CopyQueue::over(const Pending& copy) const noexcept {
  return copy.under_way == 0 &&
         (copy.cancelled || copy.error || copy.next == copy.copy.bytes.count());
}

void CopyQueue::ended(const Piece& piece, const Result<std::uint64_t>& outcome, Time now,
                      std::vector<Ended>& out) {
  if (Link* const link = link_of(piece.from, piece.to); link != nullptr) {
    if (outcome) link->bytes += Bytes(static_cast<std::int64_t>(piece.size));
    if (--link->under_way == 0) link->busy += now - link->since;
  }
  Pending& copy = *copies_.at(piece.id);
  --copy.under_way;
  if (outcome) {
    copy.checksum += *outcome;
  } else if (!copy.error && !copy.cancelled) {
    take_from_ready(copy);
    copy.error = outcome.error();
  }
  if (over(copy)) end(copy, now, out);
}

bool CopyQueue::cancel(CopyId id, Time now, std::vector<Ended>& out) {
  const auto found = copies_.find(id);
  if (found == copies_.end()) return false;
  Pending& copy = *found->second;
  // One that failed is reported so, even while other pieces of it are under way.
  if (copy.error) return false;
  take_from_ready(copy);
  copy.cancelled = true;
  if (over(copy)) end(copy, now, out);
  return true;
}

void CopyQueue::cancel_all(Time now, std::vector<Ended>& out) {
  std::vector<CopyId> all;
  for (const auto& [id, copy] : copies_) all.push_back(id);
  // The last first, so that none fails for what an earlier one did not write.
  for (auto id = all.rbegin(); id != all.rend(); ++id) cancel(*id, now, out);
}

// True when `later` reads what `earlier` writes, and no copy between the two writes all of it anew.
bool CopyQueue::reads_of(const Pending& later, const Pending& earlier) noexcept {
  const Copy& reader = later.copy;
  if (!overlap(reader.from, reader.bytes, earlier.copy.to, earlier.copy.bytes)) return false;
  return std::none_of(later.blocked_by.begin(), later.blocked_by.end(), [&](const Pending* other) {
    return other->id > earlier.id &&
           covers(other->copy.to, other->copy.bytes, reader.from, reader.bytes);
  });
}

void CopyQueue::end(Pending& first, Time now, std::vector<Ended>& out) {
  std::vector<Pending*> ending = {&first};
  while (!ending.empty()) {
    Pending& copy = *ending.back();
    ending.pop_back();
    CopyResult result{.id = copy.id, .bytes = copy.copy.bytes};
    if (!copy.error && !copy.cancelled && copy.copy.verify) {
      result.checksum = copy.checksum;
      if (copy.copy.expected && *copy.copy.expected != copy.checksum) {
        copy.error =
            Error{ErrorCode::io_error, "the checksum of what was copied is not the expected one",
                  std::nullopt, std::nullopt};
      }
    }
    if (copy.error) {
      result.status = CopyResult::Status::failed;
      result.error = *copy.error;
    } else if (copy.cancelled) {
      result.status = CopyResult::Status::cancelled;
    }
    result.waited = copy.begun.value_or(now) - copy.submitted;
    result.took = now - copy.begun.value_or(now);
    for (Pending* const later : copy.blocks) {
      std::erase(later->blocked_by, &copy);
      if (result.status != CopyResult::Status::done && !later->error && reads_of(*later, copy)) {
        later->error = Error{
            result.error.code,
            "an earlier copy was to write what this one reads, and " +
                (copy.error ? "failed: " + result.error.message : std::string("was cancelled")),
            std::nullopt, std::nullopt};
        if (!copy.error) later->error->code = ErrorCode::unavailable;
      }
      if (!later->error) {
        put_among_ready(*later);
      } else if (std::find(ending.begin(), ending.end(), later) == ending.end()) {
        ending.push_back(later);  // it had not begun, so nothing of it is under way
      }
    }
    for (Pending* const earlier : copy.blocked_by) std::erase(earlier->blocks, &copy);
    out.push_back({std::move(copy.on_done), std::move(result)});
    copies_.erase(copy.id);
  }
}

std::vector<LinkTraffic> CopyQueue::traffic() const {
  std::vector<LinkTraffic> list;
  for (const auto& [key, link] : links_) {
    list.push_back({.from = key.first, .to = key.second, .bytes = link.bytes, .busy = link.busy});
  }
  return list;
}

}  // namespace mais::memory
