// Requests and sequences, without llama.cpp.
#include "sequence_table.hpp"

#include <map>
#include <random>
#include <set>

#include <gmock/gmock.h>

namespace llama_server {
namespace {

using mais::RequestId;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr RequestId kA{1}, kB{2}, kC{3};

struct SequenceTableTest : testing::Test {
  // The sequence that a step of this one request gives it.
  Sequence step(RequestId request) {
    gone.clear();
    table.enter(request, ++steps);
    return table.place(request, gone);
  }
  SequenceTable table{2};
  std::vector<Sequence> gone;
  std::uint64_t steps = 0;
};

TEST_F(SequenceTableTest, ARequestKeepsItsSequenceFromStepToStep) {
  const Sequence a = step(kA), b = step(kB);
  EXPECT_NE(a, b);
  EXPECT_EQ(step(kA), a);
  EXPECT_EQ(step(kB), b);
  EXPECT_THAT(gone, IsEmpty());
}

TEST_F(SequenceTableTest, AnEndedRequestGivesItsSequenceBack) {
  const Sequence a = step(kA);
  step(kB);
  gone.clear();
  table.release(kA, gone);
  table.release(kA, gone);  // of what is not there: nothing
  EXPECT_THAT(gone, ElementsAre(a));
  EXPECT_EQ(table.placed(), 1U);
  EXPECT_EQ(table.find(kA), std::nullopt);
  EXPECT_EQ(step(kC), a);
  EXPECT_EQ(table.find(kC), a);
  EXPECT_THAT(gone, IsEmpty());
}

TEST_F(SequenceTableTest, WithoutAFreeSequenceTheOneLongestAwayGoes) {
  const Sequence a = step(kA), b = step(kB);
  EXPECT_EQ(step(kC), a);
  EXPECT_THAT(gone, ElementsAre(a));
  EXPECT_EQ(step(kA), b);  // A is new again
  EXPECT_THAT(gone, ElementsAre(b));
}

TEST_F(SequenceTableTest, OfOneStepNobodyGoesForAnother) {
  const Sequence a = step(kA), b = step(kB);
  gone.clear();
  // A was in a step longer ago than B, but is in this one; its place comes last.
  table.enter(kC, ++steps);
  table.enter(kA, steps);
  EXPECT_EQ(table.place(kC, gone), b);
  EXPECT_EQ(table.place(kA, gone), a);
  EXPECT_THAT(gone, ElementsAre(b));
}

TEST_F(SequenceTableTest, AStepWithMoreEntriesThanSequencesAborts) {
  for (const RequestId request : {kA, kB, kC}) table.enter(request, 1);
  table.place(kA, gone);
  table.place(kB, gone);
  EXPECT_DEATH(table.place(kC, gone), "more entries than there are sequences");
}

// Beside a map that remembers what each sequence holds.
TEST(SequenceTablePropertyTest, NobodyIsGivenAnothersStateAndTheLatestKeepTheirs) {
  constexpr std::int32_t kSequences = 6;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    SequenceTable table(kSequences);
    std::map<Sequence, RequestId> holds;
    std::map<RequestId, std::uint64_t> last;
    std::vector<Sequence> gone;
    for (std::uint64_t step = 1; step <= 300; ++step) {
      if (random() % 3 == 0) {
        const RequestId over{random() % 12};
        table.release(over, gone);
        for (const Sequence sequence : gone) ASSERT_EQ(holds.at(sequence), over);
        for (const Sequence sequence : std::exchange(gone, {})) holds.erase(sequence);
        last.erase(over);
      }
      std::set<RequestId> entries;
      while (entries.size() < 1 + random() % kSequences) entries.insert(RequestId(random() % 12));
      for (const RequestId request : entries) table.enter(request, step);
      std::set<Sequence> used;
      for (const RequestId request : entries) {
        const Sequence sequence = table.place(request, gone);
        for (const Sequence dropped : std::exchange(gone, {})) {
          const RequestId loser = holds.at(dropped);
          ASSERT_EQ(entries.count(loser), 0U) << "who is in the step lost its state";
          for (const auto& [other, held] : holds) {
            ASSERT_TRUE(entries.count(held) > 0 || last.at(loser) <= last.at(held));
          }
          holds.erase(dropped);
        }
        ASSERT_TRUE(used.insert(sequence).second) << "one sequence for two requests";
        ASSERT_EQ(holds.emplace(sequence, request).first->second, request);
      }
      for (const RequestId request : entries) last[request] = step;
      ASSERT_EQ(table.placed(), holds.size());
    }
  }
}

}  // namespace
}  // namespace llama_server
