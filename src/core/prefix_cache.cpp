#include "mais/core/prefix_cache.hpp"

#include <algorithm>

#include "mais/result.hpp"

namespace mais::core {

namespace {
constexpr std::int64_t kReusedAges = 2;  // how much slower a block ages that somebody came back for
}

std::size_t PrefixCache::home(BlockHash hash) const noexcept {
  // Hosts' hashes may be counters: spread them (Fibonacci hashing, Knuth vol. 3, 6.4).
  return static_cast<std::size_t>((hash * 0x9e3779b97f4a7c15ULL) >> 20) & (index_.size() - 1);
}

PrefixCache::Node PrefixCache::find(BlockHash hash) const noexcept {
  if (index_.empty()) return kNoNode;
  for (std::size_t at = home(hash); index_[at] != kNoNode; at = (at + 1) & (index_.size() - 1)) {
    if (nodes_[index_[at]].hash == hash) return index_[at];
  }
  return kNoNode;
}

namespace {

// The length of the longest prefix whose last block is one of `there`, where that holds for all
// shorter ones too.
template <class There>
std::size_t longest(std::span<const BlockHash> prefix, There there) noexcept {
  const auto end = std::partition_point(prefix.begin(), prefix.end(), there);
  return static_cast<std::size_t>(end - prefix.begin());
}

}  // namespace

std::size_t PrefixCache::match(std::span<const BlockHash> prefix) const noexcept {
  return longest(prefix, [&](BlockHash hash) { return find(hash) != kNoNode; });
}

std::size_t PrefixCache::match_used(std::span<const BlockHash> prefix) const noexcept {
  return longest(prefix, [&](BlockHash hash) {
    const Node node = find(hash);
    return node != kNoNode && nodes_[node].users > 0;
  });
}

void PrefixCache::index(Node node) {
  std::size_t at = home(nodes_[node].hash);
  while (index_[at] != kNoNode) at = (at + 1) & (index_.size() - 1);
  index_[at] = node;
}

void PrefixCache::unindex(Node node) {
  const std::size_t mask = index_.size() - 1;
  std::size_t hole = home(nodes_[node].hash);
  while (index_[hole] != node) hole = (hole + 1) & mask;
  // Close the gap so that no search ends early (Knuth vol. 3, 6.4, algorithm R).
  for (std::size_t at = (hole + 1) & mask; index_[at] != kNoNode; at = (at + 1) & mask) {
    const std::size_t wanted = home(nodes_[index_[at]].hash);
    if (((at - wanted) & mask) >= ((at - hole) & mask)) {
      index_[hole] = index_[at];
      hole = at;
    }
  }
  index_[hole] = kNoNode;
}

void PrefixCache::grow_index() {
  index_.assign(std::max<std::size_t>(64, index_.size() * 2), kNoNode);
  for (Node node = 0; node < nodes_.size(); ++node) {
    if (nodes_[node].live) index(node);
  }
}

PrefixCache::Node PrefixCache::insert(Node parent, BlockHash hash,
                                      std::span<const std::uint32_t> pages, double cost) {
  MAIS_EXPECTS(pages.size() == pages_per_block_, "a cached block must bring all of its pages");
  if (index_.size() < 2 * (live_ + 1)) grow_index();
  Node node = 0;
  if (free_.empty()) {
    node = static_cast<Node>(nodes_.size());
    nodes_.emplace_back();
    pages_.resize(pages_.size() + pages_per_block_);
  } else {
    node = free_.back();
    free_.pop_back();
  }
  nodes_[node] = {.hash = hash, .parent = parent, .users = 1, .cost = cost, .live = true};
  std::copy(pages.begin(), pages.end(),
            pages_.begin() + static_cast<std::ptrdiff_t>(std::size_t{node} * pages_per_block_));
  if (parent != kNoNode) {
    if (evictable(parent)) withdraw(parent);
    ++nodes_[parent].children;
  }
  ++live_;
  ++used_;
  index(node);
  return node;
}

void PrefixCache::offer(Node node) {
  const Entry& entry = nodes_[node];
  (entry.reused ? reused_ : once_).push(static_cast<std::int64_t>(entry.order), 0, node);
}

void PrefixCache::withdraw(Node node) {
  (nodes_[node].reused ? reused_ : once_).remove(node);
}

void PrefixCache::use(Node node) {
  if (nodes_[node].users == 0) {
    if (evictable(node)) withdraw(node);
    if (!nodes_[node].busy) --unused_;
    ++used_;
  }
  ++nodes_[node].users;
}

void PrefixCache::leave(Node node, Wanted wanted) {
  MAIS_EXPECTS(nodes_[node].users > 0, "a cached block was left by somebody who did not use it");
  if (--nodes_[node].users > 0) return;
  --used_;
  nodes_[node].order = wanted == Wanted::yes ? ++order_ : 0;
  if (wanted == Wanted::no) nodes_[node].reused = false;
  if (nodes_[node].busy) return;
  ++unused_;
  if (evictable(node)) offer(node);
}

void PrefixCache::mark_reused(Node node) {
  MAIS_EXPECTS(nodes_[node].users > 0, "a block that nobody uses was called reused");
  nodes_[node].reused = true;
}

void PrefixCache::set_busy(Node node, bool busy) {
  if (nodes_[node].busy == busy) return;
  if (evictable(node)) withdraw(node);
  nodes_[node].busy = busy;
  if (nodes_[node].users == 0) busy ? --unused_ : ++unused_;
  if (evictable(node)) offer(node);
}

PrefixCache::Node PrefixCache::evict(std::vector<std::uint32_t>& freed) {
  if (once_.empty() && reused_.empty()) return kNoNode;
  const auto age = [&](const TiedHeap& heap) {
    return heap.empty() ? -1 : static_cast<std::int64_t>(order_) - heap.top_value();
  };
  const Node node = age(reused_) > kReusedAges * age(once_) ? reused_.top() : once_.top();
  withdraw(node);
  unindex(node);
  const Node parent = nodes_[node].parent;
  nodes_[node].live = false;
  free_.push_back(node);
  --live_;
  --unused_;
  if (parent != kNoNode) {
    --nodes_[parent].children;
    if (evictable(parent)) offer(parent);
  }
  const auto held = pages(node);
  freed.insert(freed.end(), held.begin(), held.end());
  return node;
}

}  // namespace mais::core
