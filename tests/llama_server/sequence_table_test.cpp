// Pages and sequences, without llama.cpp.
#include "sequence_table.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>

#include <gmock/gmock.h>

namespace llama_server {
namespace {

using mais::RequestId;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

using Pages = std::vector<std::uint32_t>;

constexpr RequestId kA{1}, kB{2}, kC{3};

struct SequenceTableTest : testing::Test {
  // The sequence that a step of this one request gets.
  Sequence step(RequestId request, const Pages& pages, bool restarts = false) {
    gone.clear();
    table.claim(request, pages, restarts, ++steps, gone);
    return table.place(request, gone);
  }
  SequenceTable table{2, 8};
  std::vector<Sequence> gone;
  std::uint64_t steps = 0;
};

TEST_F(SequenceTableTest, ARequestKeepsItsSequenceWhileItsTableGrows) {
  const Sequence first = step(kA, {0});
  EXPECT_EQ(step(kA, {0, 3}), first);
  EXPECT_EQ(step(kA, {0, 3, 7}), first);
  EXPECT_THAT(gone, IsEmpty());
  EXPECT_NE(step(kB, {1}), first);
}

TEST_F(SequenceTableTest, WhoLosesAPageLosesItsState) {
  const Sequence a = step(kA, {0, 1, 2});
  step(kB, {3, 1});
  EXPECT_THAT(gone, ElementsAre(a));
  EXPECT_EQ(table.placed(), 1U);
}

TEST_F(SequenceTableTest, ARestartDropsWhatTheRequestHad) {
  const Sequence a = step(kA, {0, 1});
  step(kA, {1, 0}, true);
  EXPECT_THAT(gone, ElementsAre(a));
  EXPECT_EQ(table.placed(), 1U);
}

TEST_F(SequenceTableTest, AnEndedRequestGivesItsSequenceBack) {
  const Sequence a = step(kA, {0});
  gone.clear();
  table.release(kA, gone);
  table.release(kA, gone);  // of what is not there: nothing
  EXPECT_THAT(gone, ElementsAre(a));
  EXPECT_EQ(table.placed(), 0U);
  step(kB, {0});
  EXPECT_THAT(gone, IsEmpty());
}

TEST_F(SequenceTableTest, WithoutAFreeSequenceTheOneLongestAwayGoes) {
  const Sequence a = step(kA, {0});
  step(kB, {1});
  step(kB, {1});
  EXPECT_EQ(step(kC, {2}), a);
  EXPECT_THAT(gone, ElementsAre(a));
}

TEST_F(SequenceTableTest, OfOneStepNobodyGoesForAnother) {
  step(kA, {0});
  step(kB, {1});
  gone.clear();
  // A is in the step, and was so longer ago than B; its place comes last.
  ++steps;
  table.claim(kC, Pages{2}, false, steps, gone);
  table.claim(kA, Pages{0}, false, steps, gone);
  const Sequence c = table.place(kC, gone);
  EXPECT_NE(table.place(kA, gone), c);
  EXPECT_EQ(gone.size(), 1U);
}

TEST(SequenceTableDeathTest, TwoEntriesOfAStepDoNotHaveTheSamePage) {
  SequenceTable table(2, 4);
  std::vector<Sequence> gone;
  table.claim(kA, Pages{0}, false, 1, gone);
  table.claim(kB, Pages{0}, false, 1, gone);
  EXPECT_DEATH(table.place(kA, gone), "took pages of this one");
  EXPECT_DEATH(table.claim(kB, Pages{0, 4}, false, 1, gone), "page that the pool does not have");
}

// A pool as a planner has it: requests come, grow, lose all their pages to others, begin anew, end.
class Pool {
 public:
  explicit Pool(std::uint64_t seed) : random_(seed) {
    for (std::uint32_t page = 0; page < kPages; ++page) free_.push_back(page);
  }

  void step() {
    ++steps_;
    if (chance(3)) start();
    if (running_.size() > 1 && chance(4)) preempt();
    if (!running_.empty() && chance(4)) finish();
    std::vector<std::uint64_t> entries;
    for (auto& [request, one] : running_) {
      if (chance(2) && grow(one)) entries.push_back(request);
    }
    std::vector<Sequence> gone;
    for (const std::uint64_t request : entries) {
      One& one = running_.at(request);
      table_.claim(RequestId(request), one.pages, one.restarts, steps_, gone);
    }
    std::map<Sequence, std::uint64_t> used;
    for (const std::uint64_t request : entries) {
      One& one = running_.at(request);
      const Sequence sequence = table_.place(RequestId(request), gone);
      for (const Sequence dropped : gone) cells_.erase(dropped);
      gone.clear();
      EXPECT_TRUE(used.emplace(sequence, request).second) << "one sequence for two requests";
      // With sequences to spare nobody who runs loses state, and who begins anew has none.
      EXPECT_EQ(cells_[sequence], one.computed) << "request " << request;
      cells_[sequence] = one.computed = one.tokens;
      one.restarts = false;
    }
    std::int64_t cells = 0;
    for (const auto& [sequence, count] : cells_) cells += count;
    EXPECT_LE(cells, kPages * kPage);
  }

 private:
  struct One {
    Pages pages{};
    std::int64_t tokens = 0, computed = 0;
    bool restarts = true;
  };
  static constexpr std::uint32_t kPages = 40;
  static constexpr std::int64_t kPage = 4;

  bool chance(std::uint32_t of) { return random_() % of == 0; }
  auto any() {
    auto at = running_.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(random_() % running_.size()));
    return at;
  }
  void start() {
    if (running_.size() >= 8) return;
    if (!waiting_.empty() && chance(2)) {
      running_[waiting_.front()];
      waiting_.pop_front();
    } else {
      running_[++last_];
    }
  }
  void preempt() {
    const auto victim = any();
    give_back(victim->second);
    waiting_.push_back(victim->first);
    running_.erase(victim);
  }
  void finish() {
    const auto done = any();
    give_back(done->second);
    std::vector<Sequence> gone;
    table_.release(RequestId(done->first), gone);
    for (const Sequence dropped : gone) cells_.erase(dropped);
    running_.erase(done);
  }
  void give_back(One& one) {
    // In any order, so that what others are given next may be anybody's.
    for (const std::uint32_t page : one.pages) {
      free_.insert(free_.begin() + static_cast<std::ptrdiff_t>(random_() % (free_.size() + 1)),
                   page);
    }
    one = {};
  }
  bool grow(One& one) {
    const std::int64_t tokens = one.computed + 1 + static_cast<std::int64_t>(random_() % 9);
    const auto pages = static_cast<std::size_t>((tokens + kPage - 1) / kPage);
    if (pages > one.pages.size() + free_.size()) return false;
    while (one.pages.size() < pages) {
      one.pages.push_back(free_.back());
      free_.pop_back();
    }
    one.tokens = tokens;
    return true;
  }

  std::mt19937_64 random_;
  SequenceTable table_{48, kPages};
  std::uint64_t steps_ = 0, last_ = 0;
  std::deque<std::uint32_t> free_;
  std::map<std::uint64_t, One> running_;
  std::deque<std::uint64_t> waiting_;
  std::map<Sequence, std::int64_t> cells_;  // as llama.cpp would hold them
};

TEST(SequenceTablePropertyTest, CellsNeverExceedThePagesAndNobodyHasAnothersState) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Pool pool(seed);
    for (int i = 0; i < 400; ++i) pool.step();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace llama_server
