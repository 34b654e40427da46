#include "mais/shared_ledger.hpp"

#include <array>
#include <chrono>
#include <random>
#include <thread>

#include <gmock/gmock.h>

#include "mais/core/ledger_audit.hpp"

namespace mais {
namespace {

using namespace mais::literals;
using core::AccountId;
using core::Hold;
using core::Ledger;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kRounds = 10'000;

// What threads do to each other is repeated kRounds times or for a while, whichever ends first: a
// busy machine makes a test weaker, not slow.
class Patience {
 public:
  bool left() const { return std::chrono::steady_clock::now() < end_; }

 private:
  std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + 1s;
};

class SharedLedgerTest : public ::testing::Test {
 protected:
  Ledger ledger;
  SpaceId gpu = ledger.add_space("gpu", 1000_B);
  AccountId root = ledger.root(gpu);
  AccountId a = *ledger.add_account(root, {.name = "a"});
  AccountId b = *ledger.add_account(root, {.name = "b"});
  SharedLedger shared{ledger, {.quantum = 16_B, .shards = 4}};

  Bytes used(AccountId account) {
    return shared.exclusively([&](Ledger& exact) { return exact.used(account); });
  }
};

TEST_F(SharedLedgerTest, TheBooksAreExactWhenLookedAt) {
  SharedLedger::Gate gate = shared.open(a);
  ASSERT_TRUE(gate.try_charge(5_B));
  EXPECT_EQ(ledger.used(a), 21_B);  // with the quantum that the shard keeps
  EXPECT_EQ(used(a), 5_B);
  ASSERT_TRUE(gate.try_charge(300_B));
  EXPECT_EQ(used(root), 305_B);
  gate.give_back(305_B);
  EXPECT_EQ(used(root), 0_B);
}

TEST_F(SharedLedgerTest, AChargeGivesItselfBack) {
  SharedLedger::Gate gate = shared.open(a);
  {
    Result<SharedLedger::Charge> charge = gate.charge(40_B);
    ASSERT_TRUE(charge);
    const SharedLedger::Charge moved = *std::move(charge);
    SharedLedger::Gate elsewhere = std::move(gate);  // a charge survives the move of its gate
    gate = std::move(elsewhere);
    EXPECT_EQ(moved.bytes(), 40_B);
    EXPECT_EQ(used(a), 40_B);
  }
  EXPECT_EQ(used(a), 0_B);
}

TEST_F(SharedLedgerTest, ARefusalCarriesTheLedgersReasons) {
  SharedLedger::Gate gate = shared.open(a);
  const Result<SharedLedger::Charge> charge = gate.charge(1001_B);
  ASSERT_FALSE(charge);
  EXPECT_EQ(charge.error().asked, 1001);
  EXPECT_EQ(charge.error().available, 1000);
  EXPECT_THAT(charge.error().message, HasSubstr("\"gpu\" has 1000 B"));
}

TEST_F(SharedLedgerTest, UnusedQuantaOfOtherThreadsRefuseNobody) {
  SharedLedger::Gate one = shared.open(a);
  SharedLedger::Gate two = shared.open(b);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      ASSERT_TRUE(one.try_charge(7_B));
      one.give_back(7_B);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(ledger.used(a), 0_B);
  EXPECT_TRUE(two.try_charge(1000_B));
  EXPECT_FALSE(one.try_charge(1_B));
  two.give_back(1_B);
  EXPECT_TRUE(one.try_charge(1_B));
  one.give_back(1_B);
  two.give_back(999_B);
}

TEST_F(SharedLedgerTest, ADoomedLargeRequestNeverMakesAFittingSmallOneFail) {
  SharedLedger::Gate large = shared.open(a);
  SharedLedger::Gate small = shared.open(b);
  const auto held = *large.charge(300_B);
  std::atomic<bool> done{false};
  std::atomic<int> granted{0}, attempts{0};
  std::thread hostile([&] {
    for (; !done; ++attempts) granted += large.try_charge(701_B) ? 1 : 0;  // 300 + 701 never fit
  });
  int refused = 0;
  const Patience patience;
  for (int i = 0; (i < kRounds || attempts < kRounds) && patience.left(); ++i) {
    if (small.try_charge(700_B)) {
      small.give_back(700_B);
    } else {
      ++refused;
    }
  }
  done = true;
  hostile.join();
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(granted, 0);
}

// Every thread stays within a budget of its own and the budgets are just the capacity, so every
// charge fits at every moment, in whatever shard or gate the free bytes are lying.
TEST_F(SharedLedgerTest, WhatFitsIsGrantedWhereverTheFreeBytesLie) {
  std::array<SharedLedger::Gate, 3> gates = {shared.open(a), shared.open(b),
                                             shared.open(a, Hold::revocable)};
  std::atomic<int> refused{0};
  std::atomic<std::int64_t> charged{0};
  std::atomic<bool> above{false};
  const Patience patience;
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937 random(seed);
      std::int64_t budget = 250;
      std::vector<std::pair<std::size_t, std::int64_t>> held;
      const auto drop = [&](std::size_t i) {
        const auto [gate, bytes] = held[i];
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
        charged -= bytes;
        gates[gate].give_back(Bytes(bytes));
        budget += bytes;
      };
      for (int i = 0; i < kRounds && patience.left(); ++i) {
        if (!held.empty() && random() % 2 == 0) drop(random() % held.size());
        const std::int64_t bytes = random() % 4 == 0 ? budget : std::min<std::int64_t>(budget, 9);
        const std::size_t gate = random() % gates.size();
        if (!gates[gate].try_charge(Bytes(bytes))) {
          ++refused;
          continue;
        }
        if ((charged += bytes) > 1000) above = true;
        budget -= bytes;
        held.emplace_back(gate, bytes);
        if (i % 1024 == 0) {
          shared.exclusively([&](Ledger& exact) {
            if (!core::audit(exact.snapshot()).empty()) above = true;
          });
        }
      }
      while (!held.empty()) drop(0);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused, 0);
  EXPECT_FALSE(above);
  EXPECT_EQ(used(root), 0_B);
}

// Bytes charged by one thread and given back by another end in another shard.
TEST_F(SharedLedgerTest, BytesGivenBackByAnotherThreadAreFoundAgain) {
  SharedLedger::Gate gate = shared.open(a);
  std::atomic<bool> charged{false};
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (true) {
      charged.wait(false);
      if (done) return;
      gate.give_back(1000_B);
      charged = false;
      charged.notify_one();
    }
  });
  int refused = 0;
  const Patience patience;
  for (int i = 0; i < kRounds && patience.left(); ++i) {
    for (int piece = 0; piece < 10; ++piece) refused += gate.try_charge(100_B) ? 0 : 1;
    charged = true;
    charged.notify_one();
    charged.wait(true);
  }
  done = true;
  charged = true;
  charged.notify_one();
  other.join();
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(used(root), 0_B);
}

// One thread carries its ten bytes to and fro between two gates, the other takes all the rest. Were
// the gates emptied one after the other, the ten bytes would be counted in both now and then; the
// idle gates between them make that likely.
TEST_F(SharedLedgerTest, BytesThatMoveBetweenGatesAreCountedOnce) {
  SharedLedger::Gate first = shared.open(a);
  std::vector<SharedLedger::Gate> idle;
  for (int i = 0; i < 300; ++i) idle.push_back(shared.open(a));
  SharedLedger::Gate last = shared.open(a);
  SharedLedger::Gate rest = shared.open(b);
  std::atomic<bool> done{false};
  std::atomic<int> refused{0};
  std::atomic<std::int64_t> rounds{0};
  std::thread carrier([&] {
    SharedLedger::Gate* here = &first;
    SharedLedger::Gate* there = &last;
    bool holds = here->try_charge(10_B);
    for (; !done; ++rounds) {
      const std::int64_t until = rounds % 64;  // stays a while, now longer and now shorter
      for (std::atomic<std::int64_t> i{0}; i < 100 * until;) ++i;
      if (holds) here->give_back(10_B);
      std::swap(here, there);
      holds = here->try_charge(10_B);
      if (!holds) ++refused;
    }
    if (holds) here->give_back(10_B);
  });
  const Patience patience;
  for (int i = 0; i < kRounds && patience.left(); ++i) {
    if (rest.try_charge(990_B)) {
      rest.give_back(990_B);
    } else {
      ++refused;
    }
    // Meanwhile both gates come by a quantum again.
    for (const std::int64_t seen = rounds; rounds < seen + 4 && patience.left();) continue;
  }
  done = true;
  carrier.join();
  EXPECT_EQ(refused, 0);
}

TEST_F(SharedLedgerTest, ALimitBelowUseLetsNothingBackInUntilItIsMet) {
  SharedLedger::Gate gate = shared.open(a);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(gate.try_charge(10_B));
  const auto change = shared.exclusively([&](Ledger& exact) { return *exact.set_limit(a, 80_B); });
  EXPECT_FALSE(change.applied());
  gate.give_back(10_B);
  EXPECT_FALSE(gate.try_charge(1_B));  // a shard that kept the 10 would have granted it
  gate.give_back(10_B);
  EXPECT_FALSE(gate.try_charge(1_B));
  EXPECT_FALSE(ledger.settling(a));
  gate.give_back(10_B);
  EXPECT_TRUE(gate.try_charge(10_B));
  EXPECT_FALSE(gate.try_charge(1_B));
  gate.give_back(80_B);
  EXPECT_EQ(used(root), 0_B);
}

TEST_F(SharedLedgerTest, LimitsChangeUnderLoadAndEveryByteComesBack) {
  SharedLedger::Gate gate = shared.open(a);
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      std::vector<SharedLedger::Charge> held;
      while (!done) {
        for (const Bytes bytes : {5_B, 40_B, 90_B}) {
          if (auto charge = gate.charge(bytes)) held.push_back(*std::move(charge));
        }
        if (held.size() > 4) held.clear();
      }
    });
  }
  std::vector<std::string> faults;
  const Patience patience;
  for (int i = 0; i < kRounds && faults.empty() && patience.left(); ++i) {
    shared.exclusively([&](Ledger& exact) {
      (void)exact.set_limit(a, Bytes(i % 2 == 0 ? 60 : 600));
      faults = core::audit(exact.snapshot());
    });
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(faults, IsEmpty());
  EXPECT_EQ(used(root), 0_B);
}

TEST_F(SharedLedgerTest, ARevocableGateIsNamedByItsReservation) {
  SharedLedger::Gate gate = shared.open(a, Hold::revocable, 2.0);
  ASSERT_TRUE(gate.try_charge(900_B));
  const core::ReclaimPlan plan =
      shared.exclusively([&](Ledger& exact) { return exact.plan_reclaim(b, 300_B); });
  ASSERT_EQ(plan.steps.size(), 1u);
  EXPECT_EQ(plan.steps[0].reservation, gate.reservation());
  EXPECT_EQ(plan.steps[0].bytes, 200_B);
  gate.give_back(900_B);
}

TEST(SharedLedgerDeathTest, MisuseAbortsWithAMessage) {
  Ledger ledger;
  const AccountId root = ledger.root(ledger.add_space("gpu", 1000_B));
  EXPECT_DEATH(
      {
        SharedLedger shared(ledger);
        SharedLedger::Gate gate = shared.open(root);
        (void)gate.try_charge(5_B);
      },
      "a gate is closed while bytes are still charged through it");
  EXPECT_DEATH(
      {
        SharedLedger shared(ledger);
        SharedLedger::Gate gate = shared.open(root);
        gate.give_back(5_B);
      },
      "cannot give back more than it holds");
  EXPECT_DEATH(
      {
        SharedLedger::Gate gate;
        SharedLedger shared(ledger);
        gate = shared.open(root);
      },
      "a shared ledger is destroyed before its gates");
  SharedLedger shared(ledger);
  SharedLedger::Gate gate = shared.open(root);
  EXPECT_DEATH((void)gate.try_charge(Bytes(-1)), "a charge cannot be negative");
  EXPECT_DEATH(gate.give_back(Bytes(-1)), "bytes given back cannot be negative");
  EXPECT_DEATH((void)SharedLedger(ledger, {.quantum = Bytes(-1)}), "a quantum cannot be negative");
}

}  // namespace
}  // namespace mais
