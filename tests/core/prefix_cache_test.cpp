// The prefix cache beside a naive model: who is evicted, and what is matched.
#include "mais/core/prefix_cache.hpp"

#include <array>
#include <map>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "core/planner_host.hpp"

namespace mais::core {
namespace {

using Node = PrefixCache::Node;
constexpr Node kNone = PrefixCache::kNoNode;

class PrefixCacheTest : public testing::Test {
 protected:
  Node add(Node parent, BlockHash hash) {
    const std::array page = {pages_++};
    return cache_.insert(parent, hash, page, 1);
  }
  Node add_unused(Node parent, BlockHash hash) {
    const Node node = add(parent, hash);
    cache_.leave(node);
    return node;
  }
  std::optional<BlockHash> evicted() {
    std::vector<std::uint32_t> freed;
    // The hash is read before: an evicted node has none.
    std::map<Node, BlockHash> hashes;
    cache_.for_each([&](Node node) { hashes[node] = cache_.hash(node); });
    const Node node = cache_.evict(freed);
    if (node == kNone) return std::nullopt;
    EXPECT_EQ(freed.size(), 1U);
    return hashes[node];
  }
  void come_back(Node node) {
    cache_.use(node);
    cache_.mark_reused(node);
    cache_.leave(node);
  }

  PrefixCache cache_;
  std::uint32_t pages_ = 0;
};

TEST_F(PrefixCacheTest, WhatWasLeftLongestAgoGoesFirst) {
  add_unused(kNone, 1);
  const Node second = add_unused(kNone, 2);
  add_unused(kNone, 3);
  cache_.use(second);
  cache_.leave(second);
  EXPECT_EQ(evicted(), 1U);
  EXPECT_EQ(evicted(), 3U);
  EXPECT_EQ(evicted(), 2U);
  EXPECT_EQ(evicted(), std::nullopt);
}

TEST_F(PrefixCacheTest, AParentGoesAfterItsChildren) {
  const Node parent = add_unused(kNone, 1);
  add_unused(parent, 2);
  add_unused(kNone, 3);
  EXPECT_EQ(evicted(), 2U);
  EXPECT_EQ(evicted(), 1U);
}

TEST_F(PrefixCacheTest, ABlockThatSomebodyCameBackForAgesHalfAsFast) {
  come_back(add_unused(kNone, 1));  // left second
  add_unused(kNone, 2);
  add_unused(kNone, 3);
  // Ages now: block 1 has 2, block 2 has 1: twice as old is not older.
  EXPECT_EQ(evicted(), 2U);
  add_unused(kNone, 4);  // block 1: 3, block 3: 1
  EXPECT_EQ(evicted(), 1U);
}

TEST_F(PrefixCacheTest, WhatNobodyWillAskForGoesFirstOfAll) {
  add_unused(kNone, 1);
  const Node own = add(kNone, 2);
  cache_.leave(own, PrefixCache::Wanted::no);
  EXPECT_EQ(evicted(), 2U);
  EXPECT_EQ(evicted(), 1U);
}

TEST_F(PrefixCacheTest, WhatIsUsedOrBusyStays) {
  const Node used = add(kNone, 1);
  const Node busy = add_unused(kNone, 2);
  cache_.set_busy(busy, true);
  EXPECT_EQ(cache_.busy_pages(), 1U);
  EXPECT_EQ(evicted(), std::nullopt);
  cache_.set_busy(busy, false);
  EXPECT_EQ(cache_.busy_pages(), 0U);
  EXPECT_EQ(evicted(), 2U);
  EXPECT_EQ(evicted(), std::nullopt);
  cache_.leave(used);
  EXPECT_EQ(evicted(), 1U);
}

// Every node as it should be, found by looking at all.
class Naive {
 public:
  struct Entry {
    std::optional<BlockHash> parent{};
    int users = 0;
    bool busy = false, reused = false;
    std::int64_t left = 0;
  };

  std::map<BlockHash, Entry> entries;
  std::int64_t clock = 0;

  bool has_child(BlockHash hash) const {
    for (const auto& [other, entry] : entries) {
      if (entry.parent == hash) return true;
    }
    return false;
  }
  std::optional<BlockHash> victim() const {
    std::array<std::optional<BlockHash>, 2> oldest;
    for (const auto& [hash, entry] : entries) {
      if (entry.users > 0 || entry.busy || has_child(hash)) continue;
      auto& best = oldest[entry.reused ? 1 : 0];
      if (!best || entry.left < entries.at(*best).left) best = hash;
    }
    if (!oldest[0]) return oldest[1];
    if (!oldest[1]) return oldest[0];
    const auto age = [&](BlockHash hash) { return clock - entries.at(hash).left; };
    return age(*oldest[1]) > 2 * age(*oldest[0]) ? oldest[1] : oldest[0];
  }
};

TEST(PrefixCache, AgreesWithANaiveModel) {
#ifdef MAIS_LONG_TESTS
  constexpr int kOperations = 400'000;
#else
  constexpr int kOperations = 20'000;
#endif
  std::cout << "seed 1\n";
  Random random(1);
  PrefixCache cache;
  Naive naive;
  std::map<BlockHash, Node> nodes;
  std::uint32_t pages = 0;
  BlockHash next = 1;
  const auto any = [&]() -> std::optional<BlockHash> {
    if (nodes.empty()) return std::nullopt;
    auto at = nodes.begin();
    std::advance(at, random.below(static_cast<std::int64_t>(nodes.size())));
    return at->first;
  };
  for (int i = 0; i < kOperations; ++i) {
    const auto hash = any();
    switch (random.below(10)) {
      case 0:
      case 1: {
        if (nodes.size() > 60) break;
        const bool below = hash && random.one_in(2);
        const std::array page = {pages++};
        nodes[next] = cache.insert(below ? nodes[*hash] : kNone, next, page, 1);
        naive.entries[next] = {.users = 1};
        if (below) naive.entries[next].parent = *hash;
        ++next;
        break;
      }
      case 2:
        if (!hash) break;
        cache.use(nodes[*hash]);
        ++naive.entries[*hash].users;
        if (random.one_in(2)) {
          cache.mark_reused(nodes[*hash]);
          naive.entries[*hash].reused = true;
        }
        break;
      case 3:
      case 4:
      case 5:
      case 6: {
        if (!hash || naive.entries[*hash].users == 0) break;
        const bool wanted = !random.one_in(8) || naive.entries[*hash].users > 1;
        cache.leave(nodes[*hash], wanted ? PrefixCache::Wanted::yes : PrefixCache::Wanted::no);
        Naive::Entry& entry = naive.entries[*hash];
        if (--entry.users > 0) break;
        entry.left = wanted ? ++naive.clock : 0;
        entry.reused = wanted && entry.reused;
        break;
      }
      case 7:
        if (!hash) break;
        naive.entries[*hash].busy = random.one_in(4);
        cache.set_busy(nodes[*hash], naive.entries[*hash].busy);
        break;
      default: {
        const auto expected = naive.victim();
        std::vector<std::uint32_t> freed;
        const Node node = cache.evict(freed);
        ASSERT_EQ(node != kNone, expected.has_value()) << "operation " << i;
        if (!expected) break;
        // Of several that nobody wants any more, any may go.
        if (naive.entries[*expected].left > 0) {
          ASSERT_EQ(node, nodes[*expected]) << "operation " << i;
        }
        for (auto at = nodes.begin(); at != nodes.end(); ++at) {
          if (at->second != node) continue;
          ASSERT_EQ(naive.entries[at->first].left, naive.entries[*expected].left);
          naive.entries.erase(at->first);
          nodes.erase(at);
          break;
        }
      }
    }
    std::uint32_t used = 0, unused = 0, busy = 0;
    for (const auto& [each, entry] : naive.entries) {
      ++(entry.users > 0 ? used : entry.busy ? busy : unused);
    }
    ASSERT_EQ(cache.used_pages(), used);
    ASSERT_EQ(cache.unused_pages(), unused);
    ASSERT_EQ(cache.busy_pages(), busy);
  }
}

}  // namespace
}  // namespace mais::core
