// Which prompt prefixes have their state in the pool: a tree of blocks, each named by a hash of its
// tokens and of all before them.
//
// A node holds the pages of one block of tokens. Sequences that share it count as its users; a node
// without users is kept for later, until its pages are wanted. What goes first is the leaf that was
// left longest ago, where a block that somebody came back for counts as half as old: most blocks
// are never asked for again, and those that were once are asked for more (segmented LRU; Karedla,
// Love and Wherry, IEEE Computer 27(3), 1994). Ranking by recompute cost x uses / pages instead
// (GreedyDual-Size with frequency; Cherkasova, HP Labs report 98-69) carried less on multi-turn
// conversations: old turns count for little, and a prompt's cost grows along it. A parent never
// goes before its children, so of a prefix the first so many blocks are here and the others are
// not. A busy node (its pages are being copied) stays whoever uses it.
//
// A plain value; one user at a time; deterministic. Allocates only while it grows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mais/core/tied_heap.hpp"
#include "mais/request.hpp"

namespace mais::core {

class PrefixCache {
 public:
  using Node = std::uint32_t;
  static constexpr Node kNoNode = 0xffffffff;

  // `pages_per_block`: pages that the state of one block takes.
  explicit PrefixCache(std::uint32_t pages_per_block = 1) : pages_per_block_(pages_per_block) {}

  std::uint32_t pages_per_block() const noexcept { return pages_per_block_; }
  std::size_t nodes() const noexcept { return live_; }
  // Pages of nodes that nobody uses and that are not busy. O(1).
  std::uint32_t unused_pages() const noexcept { return unused_ * pages_per_block_; }
  // Pages of nodes with users. O(1).
  std::uint32_t used_pages() const noexcept { return used_ * pages_per_block_; }
  // Pages of nodes without users that are busy: they can go when their copies are done. O(1).
  std::uint32_t busy_pages() const noexcept {
    return (static_cast<std::uint32_t>(live_) - used_ - unused_) * pages_per_block_;
  }

  // The node of a hash, or kNoNode. O(1) expected.
  Node find(BlockHash hash) const noexcept;
  // How many leading blocks of the prefix are here. O(log blocks) expected.
  std::size_t match(std::span<const BlockHash> prefix) const noexcept;
  // How many of them somebody uses. O(log blocks) expected.
  std::size_t match_used(std::span<const BlockHash> prefix) const noexcept;

  // Adds a block below `parent` (kNoNode: a first block) that holds `pages`, with one user. The
  // hash must not be here yet. `cost`: seconds to compute the block again.
  Node insert(Node parent, BlockHash hash, std::span<const std::uint32_t> pages, double cost);
  std::span<const std::uint32_t> pages(Node node) const noexcept {
    return {pages_.data() + std::size_t{node} * pages_per_block_, pages_per_block_};
  }
  std::uint32_t users(Node node) const noexcept { return nodes_[node].users; }
  bool live(Node node) const noexcept { return nodes_[node].live; }
  BlockHash hash(Node node) const noexcept { return nodes_[node].hash; }
  Node parent(Node node) const noexcept { return nodes_[node].parent; }
  double cost(Node node) const noexcept { return nodes_[node].cost; }

  // A sequence begins and ends to use a block; one that nobody will ask for again goes first of
  // all. O(log n).
  enum class Wanted : bool { no, yes };
  void use(Node node);
  void leave(Node node, Wanted wanted = Wanted::yes);
  // Somebody came back for a block. It must have users. O(1).
  void mark_reused(Node node);
  bool reused(Node node) const noexcept { return nodes_[node].reused; }
  // A copy of its pages begins or ends. O(log n).
  void set_busy(Node node, bool busy);

  // Takes out the block that goes first and appends its pages to `freed`. kNoNode if all are in
  // use. O(log n).
  Node evict(std::vector<std::uint32_t>& freed);

  template <class Visit>
  void for_each(Visit visit) const {
    for (Node node = 0; node < nodes_.size(); ++node) {
      if (nodes_[node].live) visit(node);
    }
  }

 private:
  struct Entry {
    BlockHash hash = 0;
    Node parent = kNoNode;
    std::uint32_t children = 0;
    std::uint32_t users = 0;
    double cost = 0;
    std::uint64_t order = 0;  // which leaving was its last
    bool live = false;
    bool reused = false;
    bool busy = false;
  };
  bool evictable(Node node) const noexcept {
    return nodes_[node].users == 0 && nodes_[node].children == 0 && !nodes_[node].busy;
  }
  void offer(Node node);     // to eviction
  void withdraw(Node node);  // from eviction

  std::size_t home(BlockHash hash) const noexcept;
  void index(Node node);
  void unindex(Node node);
  void grow_index();

  std::uint32_t pages_per_block_;
  std::vector<Entry> nodes_;
  std::vector<std::uint32_t> pages_;
  std::vector<Node> free_;
  std::size_t live_ = 0;
  std::uint32_t unused_ = 0;
  std::uint32_t used_ = 0;

  std::vector<Node> index_;  // open addressing, a power of two long, at most half full
  TiedHeap once_, reused_;   // victims, by when they were left
  std::uint64_t order_ = 0;
};

}  // namespace mais::core
