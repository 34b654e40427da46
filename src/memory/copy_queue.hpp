// Which piece of which copy is next: the decisions of a copier, without its threads.
//
// One user at a time. Time is an argument. Callbacks of copies that ended are handed out, not
// called.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "mais/memory/copy.hpp"

namespace mais::memory {

class CopyQueue {
 public:
  using OnDone = std::function<void(const CopyResult&)>;
  struct Ended {
    OnDone on_done;
    CopyResult result;
  };
  // A part of a copy that somebody is to carry out. Its ends are those of the part.
  struct Piece {
    CopyId id{};
    CopyEnd from{}, to{};
    std::size_t size = 0;
    std::uint64_t offset = 0;  // in the copy
    bool verify = false;
  };

  // `piece` is a multiple of kChecksumCell.
  CopyQueue(Bytes piece, std::size_t most_pending);
  CopyQueue(const CopyQueue&) = delete;
  CopyQueue& operator=(const CopyQueue&) = delete;
  ~CopyQueue();

  // Errors as Copier::submit. O(pending).
  Result<CopyId> add(const Copy& copy, OnDone on_done, Time now);
  // The next piece; for a worker of a NUMA node rather one that goes there. O(log pending).
  std::optional<Piece> next(std::optional<int> node, Time now);
  // A piece that next() gave was copied (with its checksum, where it was verified) or was not.
  void ended(const Piece& piece, const Result<std::uint64_t>& outcome, Time now,
             std::vector<Ended>& out);
  bool cancel(CopyId id, Time now, std::vector<Ended>& out);
  void cancel_all(Time now, std::vector<Ended>& out);

  bool has_ready() const noexcept { return !ready_[0].empty() || !ready_[1].empty(); }
  std::size_t pending() const noexcept { return copies_.size(); }
  std::vector<LinkTraffic> traffic() const;

 private:
  struct Pending;
  struct Link {
    Bytes bytes{};
    Duration busy{};
    std::size_t under_way = 0;
    Time since{};
  };
  using LinkKey = std::pair<SpaceId, SpaceId>;

  bool over(const Pending& copy) const noexcept;
  static bool reads_of(const Pending& later, const Pending& earlier) noexcept;
  void end(Pending& copy, Time now, std::vector<Ended>& out);
  void raise(Pending& copy);
  void put_among_ready(Pending& copy);
  void take_from_ready(Pending& copy);
  Link* link_of(const CopyEnd& from, const CopyEnd& to);

  const std::int64_t piece_;
  const std::size_t most_pending_;
  std::uint64_t last_id_ = 0;
  std::map<CopyId, std::unique_ptr<Pending>> copies_;
  std::map<CopyId, Pending*> ready_[2];  // by urgency: unblocked, with pieces left to begin
  std::map<LinkKey, Link> links_;
};

}  // namespace mais::memory
