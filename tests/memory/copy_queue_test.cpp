#include "memory/copy_queue.hpp"

#include <array>

#include <gmock/gmock.h>

#include "memory/checksum.hpp"

namespace mais::memory {
namespace {

using namespace mais::literals;
using Status = CopyResult::Status;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kCell = static_cast<std::int64_t>(kChecksumCell);

class CopyQueueTest : public ::testing::Test {
 protected:
  // Addresses that nobody touches: the queue only compares them.
  static std::byte* at(std::int64_t cell) {
    return reinterpret_cast<std::byte*>(0x1000000 + cell * kCell);
  }
  static Copy copy(std::int64_t from, std::int64_t to, std::int64_t cells,
                   Urgency urgency = Urgency::demand) {
    return {.from = CopyEnd::host(at(from)),
            .to = CopyEnd::host(at(to)),
            .bytes = Bytes(cells * kCell),
            .urgency = urgency};
  }
  CopyId add(const Copy& one) {
    const auto id = queue.add(one, {}, clock);
    EXPECT_TRUE(id) << id.error().message;
    return *id;
  }
  CopyQueue::Piece next() {
    const auto piece = queue.next(std::nullopt, clock);
    EXPECT_TRUE(piece);
    return piece.value_or(CopyQueue::Piece{});
  }
  void finish(const CopyQueue::Piece& piece) { queue.ended(piece, std::uint64_t{0}, clock, ended); }
  void fail_piece(const CopyQueue::Piece& piece, const char* why) {
    queue.ended(piece, fail(ErrorCode::io_error, why), clock, ended);
  }
  // Which copies ended how since last asked.
  std::vector<std::pair<CopyId, Status>> endings() {
    std::vector<std::pair<CopyId, Status>> list;
    for (const auto& one : ended) list.emplace_back(one.result.id, one.result.status);
    ended.clear();
    return list;
  }

  CopyQueue queue{Bytes(kCell), 100};
  std::vector<CopyQueue::Ended> ended;
  Time clock{};
};

TEST_F(CopyQueueTest, PiecesOfOneCopyCoverItAndItEndsWithTheLast) {
  Copy one = copy(0, 10, 2);
  one.bytes += 5_B;
  const CopyId id = add(one);
  std::int64_t covered = 0;
  std::vector<CopyQueue::Piece> pieces;
  while (const auto piece = queue.next(std::nullopt, clock)) {
    EXPECT_EQ(piece->from.address, at(0) + covered);
    EXPECT_EQ(piece->to.address, at(10) + covered);
    EXPECT_EQ(piece->offset, static_cast<std::uint64_t>(covered));
    covered += static_cast<std::int64_t>(piece->size);
    pieces.push_back(*piece);
  }
  EXPECT_EQ(covered, 2 * kCell + 5);
  ASSERT_EQ(pieces.size(), 3U);
  finish(pieces[2]);
  finish(pieces[0]);
  EXPECT_THAT(endings(), IsEmpty());
  finish(pieces[1]);
  EXPECT_THAT(endings(), ElementsAre(std::pair(id, Status::done)));
}

TEST_F(CopyQueueTest, DemandGoesBeforePrefetchBetweenPiecesAndEarlierBeforeLater) {
  const CopyId slow = add(copy(0, 10, 3, Urgency::prefetch));
  finish(next());
  const CopyId first = add(copy(20, 30, 1)), second = add(copy(40, 50, 1));
  EXPECT_EQ(next().id, first);
  EXPECT_EQ(next().id, second);
  EXPECT_EQ(next().id, slow);
}

TEST_F(CopyQueueTest, ACopyWaitsForWhatItReadsOverwritesOrIsOverwrittenBy) {
  const CopyId writes = add(copy(0, 10, 1));
  const CopyId reads = add(copy(10, 20, 1));
  const CopyId overwrites = add(copy(30, 10, 1));
  const CopyId over_source = add(copy(40, 30, 1));
  const CopyId free = add(copy(0, 50, 1));  // two may read one place
  std::vector<CopyId> order;
  for (int i = 0; i < 2; ++i) {
    const auto piece = next();
    order.push_back(piece.id);
    if (piece.id == free) continue;
    EXPECT_EQ(piece.id, writes);
  }
  EXPECT_FALSE(queue.next(std::nullopt, clock));
  queue.cancel(free, clock, ended);
  for (const CopyId id : {writes, reads, overwrites, over_source}) {
    const auto piece = id == writes ? CopyQueue::Piece{.id = writes} : next();
    EXPECT_EQ(piece.id, id);
    EXPECT_FALSE(queue.has_ready());
    finish(piece);
  }
}

TEST_F(CopyQueueTest, ADemandedCopyLendsItsUrgencyToAllThatItWaitsFor) {
  const CopyId a = add(copy(0, 10, 1, Urgency::prefetch));
  const CopyId b = add(copy(10, 20, 1, Urgency::prefetch));
  const CopyId patient = add(copy(60, 70, 1, Urgency::prefetch));
  const CopyId other = add(copy(80, 90, 1));
  const CopyId demand = add(copy(20, 30, 1));
  for (const CopyId id : {a, b, other, demand, patient}) {
    const auto piece = next();
    EXPECT_EQ(piece.id, id);
    finish(piece);
  }
}

TEST_F(CopyQueueTest, WhatReadsWhatWasNotWrittenFailsAndWhatOnlyWaitedGoesOn) {
  const CopyId a = add(copy(0, 10, 2));
  const CopyId reads = add(copy(10, 20, 1)), reads_that = add(copy(20, 30, 1));
  const CopyId overwrites = add(copy(50, 10, 2)), reads_anew = add(copy(10, 60, 2));
  const auto one = next(), two = next();
  fail_piece(one, "the disk is full");
  EXPECT_THAT(endings(), IsEmpty()) << "another piece is under way";
  finish(two);
  ASSERT_EQ(ended.size(), 3U);
  for (const auto& end : ended) {
    EXPECT_EQ(end.result.status, Status::failed);
    EXPECT_THAT(end.result.error.message, HasSubstr("the disk is full"));
    EXPECT_EQ(end.result.error.code, ErrorCode::io_error);
  }
  EXPECT_THAT(endings(), ElementsAre(std::pair(a, Status::failed), std::pair(reads, Status::failed),
                                     std::pair(reads_that, Status::failed)));
  finish(next());
  finish(next());
  EXPECT_THAT(endings(), ElementsAre(std::pair(overwrites, Status::done)));
  finish(next());
  finish(next());
  EXPECT_THAT(endings(), ElementsAre(std::pair(reads_anew, Status::done)));
}

TEST_F(CopyQueueTest, ACancelledCopyEndsWhenItsPiecesHave) {
  const CopyId id = add(copy(0, 10, 3));
  const CopyId reader = add(copy(10, 20, 1));
  const auto piece = next();
  EXPECT_TRUE(queue.cancel(id, clock, ended));
  EXPECT_TRUE(queue.cancel(id, clock, ended)) << "asked again, the answer is the same";
  EXPECT_THAT(endings(), IsEmpty());
  EXPECT_FALSE(queue.next(std::nullopt, clock)) << "and no more pieces begin";
  finish(piece);
  EXPECT_THAT(endings(),
              ElementsAre(std::pair(id, Status::cancelled), std::pair(reader, Status::failed)));
  EXPECT_FALSE(queue.cancel(id, clock, ended));
}

TEST_F(CopyQueueTest, BadCopiesAreRefusedWithTheReason) {
  const auto refused = [&](const Copy& bad, const char* word) {
    const auto id = queue.add(bad, {}, clock);
    ASSERT_FALSE(id) << word;
    EXPECT_EQ(id.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(id.error().message, HasSubstr(word));
  };
  refused(copy(0, 10, 0), "at least one byte");
  refused(copy(0, 10, -1), "at least one byte");
  refused(copy(0, 2, 3), "overlap");
  refused({.from = CopyEnd::host(nullptr), .to = CopyEnd::host(at(1)), .bytes = 1_B}, "address");
  refused({.from = CopyEnd{.kind = CopyEnd::Kind::device, .address = at(2)},
           .to = CopyEnd::host(at(1)),
           .bytes = 1_B},
          "device");
  refused({.from = CopyEnd::in_file(-1, 0), .to = CopyEnd::host(at(1)), .bytes = 1_B},
          "descriptor");
  refused({.from = CopyEnd::in_file(3, -1), .to = CopyEnd::host(at(1)), .bytes = 1_B}, "offset");
  refused({.from = CopyEnd::in_file(3, INT64_MAX), .to = CopyEnd::host(at(1)), .bytes = 1_B},
          "last");
  refused({.from = CopyEnd::host(at(0)), .to = CopyEnd::host(at(9)), .bytes = Bytes::max()},
          "overlap");
  EXPECT_EQ(queue.pending(), 0U);
}

TEST_F(CopyQueueTest, PendingCopiesAreBounded) {
  CopyQueue small(Bytes(kCell), 2);
  EXPECT_TRUE(small.add(copy(0, 10, 1), {}, clock));
  EXPECT_TRUE(small.add(copy(20, 30, 1), {}, clock));
  const auto third = small.add(copy(40, 50, 1), {}, clock);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ErrorCode::over_limit);
  EXPECT_EQ(third.error().available, 2);
}

TEST_F(CopyQueueTest, ReportsHowLongItTookAndWhatEachLinkCarried) {
  Copy one = copy(0, 10, 2), other = copy(20, 30, 1);
  for (Copy* each : {&one, &other}) each->from.space = SpaceId(1), each->to.space = SpaceId(0);
  add(one);
  clock += 5ms;
  const auto first = next();
  clock += 10ms;
  const auto second = next();
  clock += 10ms;
  finish(first);
  clock += 10ms;
  finish(second);
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].result.waited, Duration(5ms));
  EXPECT_EQ(ended[0].result.took, Duration(30ms));
  EXPECT_DOUBLE_EQ(ended[0].result.rate().value, 2 * kCell / 0.03);
  clock += 100ms;  // nothing under way
  add(other);
  const auto third = next();
  clock += 10ms;
  finish(third);
  const auto traffic = queue.traffic();
  ASSERT_EQ(traffic.size(), 1U);
  EXPECT_EQ(traffic[0].from, SpaceId(1));
  EXPECT_EQ(traffic[0].bytes, Bytes(3 * kCell));
  EXPECT_EQ(traffic[0].busy, Duration(40ms));
}

TEST_F(CopyQueueTest, AWorkerOfANodePrefersCopiesThatGoThereAndPassesOnlyAFew) {
  const CopyId far = add(copy(0, 10, 1));
  Copy near = copy(20, 30, 1);
  near.to.numa_node = 1;
  const CopyId wanted = add(near);
  EXPECT_EQ(queue.next(1, clock)->id, wanted);
  EXPECT_EQ(queue.next(1, clock)->id, far);
}

// Every order of beginning and ending pieces, failing them and cancelling, for copies of which the
// second reads what the first writes: each ends exactly once, and as a plain count says.
class EveryOrder : public CopyQueueTest {
 protected:
  static constexpr int kCopies = 3;
#ifdef MAIS_LONG_TESTS
  static constexpr int kSteps = 8;
#else
  static constexpr int kSteps = 6;
#endif
  struct Model {
    int left_to_begin = 0, under_way = 0;
    bool cancelled = false, failed = false;
    std::optional<Status> ended{};
  };

  void try_sequence(int code) {
    CopyQueue fresh(Bytes(kCell), 100);
    std::array<Model, kCopies> model;
    std::array<CopyId, kCopies> ids{};
    std::array<int, kCopies> told{};
    std::vector<CopyQueue::Piece> under_way;
    std::vector<CopyQueue::Ended> out;
    const std::array<Copy, kCopies> copies = {copy(0, 10, 2), copy(10, 20, 1),
                                              copy(40, 50, 1, Urgency::prefetch)};
    for (std::size_t i = 0; i < kCopies; ++i) {
      ids[i] = *fresh.add(copies[i], {}, clock);
      model[i].left_to_begin = static_cast<int>(copies[i].bytes.count() / kCell);
    }
    const auto index = [&](CopyId id) {
      return static_cast<std::size_t>(std::find(ids.begin(), ids.end(), id) - ids.begin());
    };
    const auto settle = [&] {
      for (std::size_t i = 0; i < kCopies; ++i) {
        Model& m = model[i];
        if (m.ended || m.under_way > 0) continue;
        if (m.failed)
          m.ended = Status::failed;
        else if (m.cancelled)
          m.ended = Status::cancelled;
        else if (m.left_to_begin == 0)
          m.ended = Status::done;
        if (i == 0 && m.ended && m.ended != Status::done && !model[1].ended) model[1].failed = true;
      }
    };
    const auto check = [&] {
      settle();
      for (const auto& one : out) {
        const std::size_t i = index(one.result.id);
        ++told[i];
        ASSERT_EQ(one.result.status, model[i].ended) << "copy " << i << " of sequence " << code;
      }
      out.clear();
      for (std::size_t i = 0; i < kCopies; ++i) {
        ASSERT_EQ(told[i], model[i].ended ? 1 : 0) << "copy " << i << " of sequence " << code;
      }
    };
    const auto end_piece = [&](bool well) {
      const auto piece = under_way.front();
      under_way.erase(under_way.begin());
      Model& m = model[index(piece.id)];
      --m.under_way;
      if (!well && !m.cancelled) m.failed = true;
      fresh.ended(piece, well ? Result<std::uint64_t>(0) : fail(ErrorCode::io_error, "x"), clock,
                  out);
    };
    int rest = code;
    for (int step = 0; step < kSteps; ++step, rest /= 6) {
      const int action = rest % 6;
      if (action == 0) {
        const auto piece = fresh.next(std::nullopt, clock);
        bool could = false;
        for (std::size_t i = 0; i < kCopies; ++i) {
          const Model& m = model[i];
          could |= !m.ended && !m.cancelled && !m.failed && m.left_to_begin > 0 &&
                   (i != 1 || model[0].ended);
        }
        ASSERT_EQ(piece.has_value(), could) << code;
        if (!piece) continue;
        Model& m = model[index(piece->id)];
        ASSERT_TRUE(!m.ended && !m.cancelled && !m.failed && m.left_to_begin > 0) << code;
        --m.left_to_begin;
        ++m.under_way;
        under_way.push_back(*piece);
      } else if (action <= 2) {
        if (under_way.empty()) continue;
        end_piece(action == 1);
      } else {
        const auto i = static_cast<std::size_t>(action - 3);
        const bool may = !model[i].ended && !model[i].failed;
        ASSERT_EQ(fresh.cancel(ids[i], clock, out), may) << code;
        if (may) model[i].cancelled = true;
      }
      ASSERT_NO_FATAL_FAILURE(check());
    }
    fresh.cancel_all(clock, out);
    for (std::size_t i = kCopies; i-- > 0;) {
      if (!model[i].ended && !model[i].failed) model[i].cancelled = true;
      settle();
    }
    ASSERT_NO_FATAL_FAILURE(check());
    while (!under_way.empty()) {
      end_piece(true);
      ASSERT_NO_FATAL_FAILURE(check());
    }
    ASSERT_EQ(fresh.pending(), 0U) << code;
    ASSERT_FALSE(fresh.has_ready()) << code;
  }
};

TEST_F(EveryOrder, EndsEachCopyExactlyOnceAndRight) {
  int sequences = 1;
  for (int i = 0; i < kSteps; ++i) sequences *= 6;
  for (int code = 0; code < sequences; ++code) {
    ASSERT_NO_FATAL_FAILURE(try_sequence(code));
  }
}

}  // namespace
}  // namespace mais::memory
