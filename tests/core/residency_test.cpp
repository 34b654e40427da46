// Loads that take more than predicted, unloads that leave something behind: deficits and residue,
// by hand and against a device that keeps the truth.
#include "mais/core/residency.hpp"

#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/planner_host.hpp"
#include "mais/core/ledger_audit.hpp"

namespace mais::core {
namespace {

using namespace mais::literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const CalibrationKey kKey{"llama", "q4", "weights"};

// A space of 1000 bytes in which predictions are taken as they are, but for a hair.
struct World {
  World() : space(ledger.add_space("gpu0", 1000_B)), root(ledger.root(space)) {
    auto made =
        Residency::create(ledger, root, Calibration(CalibrationOptions{.first_factor = 1.0000001}));
    if (!made) throw std::runtime_error(made.error().message);
    residency.emplace(std::move(*made));
  }
  // Loads what is predicted as 1 byte less than `reserved`, which is rounded up to it.
  LoadId load(std::int64_t reserved, std::int64_t measured, const char* name) {
    auto id = residency->begin_load(ledger, {name, "", ""}, Bytes(reserved - 1));
    if (!id) throw std::runtime_error(id.error().message);
    residency->end_load(ledger, *id, Bytes(measured));
    return *id;
  }
  Ledger ledger;
  SpaceId space;
  AccountId root;
  std::optional<Residency> residency;
};

TEST(Residency, ALoadIsChargedWhatItWasMeasuredToTake) {
  World world;
  auto id = world.residency->begin_load(world.ledger, kKey, 399_B);
  ASSERT_TRUE(id);
  EXPECT_EQ(world.ledger.used(world.root), 400_B);
  const auto loaded = world.residency->end_load(world.ledger, *id, 350_B);
  EXPECT_EQ(loaded.returned, 50_B);
  EXPECT_EQ(loaded.owed, 0_B);
  EXPECT_EQ(world.ledger.used(world.residency->loads_account()), 350_B);
  const auto unloaded = world.residency->unload(world.ledger, *id, 350_B);
  EXPECT_EQ(unloaded.residue, 0_B);
  EXPECT_EQ(world.ledger.used(world.root), 0_B);
  EXPECT_EQ(world.residency->held(*id), std::nullopt);
}

TEST(Residency, MoreThanPredictedComesFromFreeMemoryAndThenIsOwed) {
  World world;
  const auto others = world.ledger.reserve(world.root, 550_B);
  auto id = world.residency->begin_load(world.ledger, kKey, 399_B);
  const auto loaded = world.residency->end_load(world.ledger, *id, 480_B);
  EXPECT_EQ(loaded.taken, 50_B);
  EXPECT_EQ(loaded.owed, 30_B);
  EXPECT_EQ(world.residency->owed(), 30_B);
  EXPECT_EQ(world.residency->held(*id), 480_B);
  EXPECT_EQ(world.ledger.size(*others), 550_B);  // nobody was evicted for it

  // Nothing is loaded as long as it is owed.
  const auto refused = world.residency->begin_load(world.ledger, {"small", "", ""}, 1_B);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::over_capacity);
  EXPECT_THAT(refused.error().message, HasSubstr("30 bytes more than was free"));

  // What others give back pays for it, before anybody else is given anything.
  world.ledger.shrink(*others, 100_B);
  EXPECT_TRUE(world.residency->begin_load(world.ledger, {"small", "", ""}, 69_B));
  EXPECT_EQ(world.residency->owed(), 0_B);
  EXPECT_EQ(world.ledger.used(world.root), 1000_B);
}

TEST(Residency, TheNextUnloadRepaysTheOldestFirst) {
  World world;
  const LoadId victim = world.load(300, 300, "victim");
  auto first = world.residency->begin_load(world.ledger, {"first", "", ""}, 299_B);
  auto second = world.residency->begin_load(world.ledger, {"second", "", ""}, 399_B);
  ASSERT_TRUE(first && second);
  world.residency->end_load(world.ledger, *second, 600_B);
  world.residency->end_load(world.ledger, *first, 450_B);
  EXPECT_EQ(world.residency->owed(*first), 150_B);
  EXPECT_EQ(world.residency->owed(*second), 200_B);
  const auto unloaded = world.residency->unload(world.ledger, victim, 300_B);
  EXPECT_EQ(unloaded.repaid, 300_B);
  EXPECT_EQ(world.residency->owed(*first), 0_B);
  EXPECT_EQ(world.residency->owed(*second), 50_B);
  // What is owed to it goes with it.
  world.residency->unload(world.ledger, *second, 600_B);
  EXPECT_EQ(world.residency->owed(), 0_B);
  EXPECT_EQ(world.ledger.used(world.root), 450_B);
}

TEST(Residency, WhatAnUnloadLeavesBehindIsChargedUntilItIsGone) {
  World world;
  const LoadId a = world.load(400, 400, "a");
  const LoadId b = world.load(300, 300, "b");
  EXPECT_EQ(world.residency->unload(world.ledger, a, 340_B).residue, 60_B);
  EXPECT_EQ(world.residency->residue(), 60_B);
  EXPECT_EQ(world.ledger.used(world.residency->residue_account()), 60_B);
  // Some of it goes with the next one.
  EXPECT_EQ(world.residency->unload(world.ledger, b, 320_B).residue, -20_B);
  EXPECT_EQ(world.ledger.used(world.root), 40_B);
  world.residency->measure_residue(world.ledger, 55_B);
  EXPECT_EQ(world.ledger.used(world.root), 55_B);
  world.residency->measure_residue(world.ledger, 0_B);
  EXPECT_EQ(world.ledger.used(world.root), 0_B);
}

TEST(Residency, ResidueOfALoadThatWasOwedIsOwedAsFarAsNothingIsFree) {
  World world;
  const auto others = world.ledger.reserve(world.root, 900_B);
  const LoadId load = world.load(100, 250, "load");
  EXPECT_EQ(world.residency->owed(), 150_B);
  const auto unloaded = world.residency->unload(world.ledger, load, 50_B);
  EXPECT_EQ(unloaded.residue, 200_B);
  EXPECT_EQ(unloaded.repaid, 0_B);  // what paid for the residue was no load's
  EXPECT_EQ(world.residency->owed(), 100_B);
  world.ledger.release(*others);
  EXPECT_EQ(world.residency->repay(world.ledger), 100_B);
  EXPECT_EQ(world.residency->owed(), 0_B);
}

TEST(Residency, ALoadThatFailedGivesItsReservationBack) {
  World world;
  auto id = world.residency->begin_load(world.ledger, kKey, 500_B);
  world.residency->abandon_load(world.ledger, *id);
  EXPECT_EQ(world.ledger.used(world.root), 0_B);
  EXPECT_EQ(world.residency->calibration().find(kKey), nullptr);
  const auto refused = world.residency->begin_load(world.ledger, kKey, 2000_B);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::over_capacity);
}

TEST(Residency, LoadsTeachWhatTheNextOfTheirKindIsReserved) {
  Ledger ledger;
  const SpaceId space = ledger.add_space("gpu0", 100'000_B);
  auto residency = Residency::create(ledger, ledger.root(space));
  ASSERT_TRUE(residency);
  for (int i = 0; i < 20; ++i) {
    auto id = residency->begin_load(ledger, kKey, 1000_B);
    ASSERT_TRUE(id);
    residency->end_load(ledger, *id, 1500_B);
    residency->unload(ledger, *id, 1500_B);
  }
  EXPECT_GE(residency->calibration().bound(kKey, 1000_B), 1500_B);
  EXPECT_GT(residency->calibration().bound({"other", "", ""}, 1000_B), 1299_B);
}

TEST(ResidencyDeathTest, BrokenContractsAbort) {
  World world;
  const LoadId load = world.load(100, 100, "load");
  EXPECT_DEATH(world.residency->end_load(world.ledger, load, 1_B), "a load ends once");
  EXPECT_DEATH(world.residency->abandon_load(world.ledger, load), "is unloaded");
  world.residency->unload(world.ledger, load, 100_B);
  EXPECT_DEATH(world.residency->unload(world.ledger, load, 100_B), "no such load");
}

// A device that knows what is on it: every load takes and every unload returns what chance says.
TEST(Residency, TheBooksAreTheDevicesWhateverHappens) {
#ifdef MAIS_LONG_TESTS
  constexpr std::uint64_t kSeeds = 2000;
#else
  constexpr std::uint64_t kSeeds = 40;
#endif
  int deficits = 0, repaid = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Random random(seed);
    Ledger ledger;
    const SpaceId space = ledger.add_space("gpu0", 1'000'000_B);
    const AccountId others = *ledger.add_account(ledger.root(space), {.name = "state"});
    Residency residency = *Residency::create(ledger, ledger.root(space));

    struct OnDevice {
      Bytes predicted{};
      Bytes held{};
      bool there = false;
    };
    std::map<LoadId, OnDevice> device;  // what the books must say of it
    Bytes residue{};
    std::vector<std::pair<ReservationId, Bytes>> state;
    for (int step = 0; step < 300; ++step) {
      const auto pick = [&](bool there) {
        std::vector<LoadId> ids;
        for (const auto& [id, load] : device) {
          if (load.there == there) ids.push_back(id);
        }
        return ids.empty() ? std::optional<LoadId>{}
                           : std::optional(ids[static_cast<std::size_t>(
                                 random.below(static_cast<std::int64_t>(ids.size())))]);
      };
      bool booked = false;
      switch (random.below(7)) {
        case 0:
        case 1: {
          const Bytes predicted(random.between(1, 300'000));
          const CalibrationKey key{std::to_string(random.below(1000)), "", ""};
          residency.repay(ledger);
          booked = true;
          const bool owing = residency.owed() > Bytes(0);
          const bool fits = residency.calibration().bound(key, predicted) <=
                            ledger.headroom(residency.loads_account());
          auto id = residency.begin_load(ledger, key, predicted);
          ASSERT_EQ(id.has_value(), fits && !owing);
          if (id) device[*id] = {.predicted = predicted};
          break;
        }
        case 2:
          if (const auto id = pick(false)) {
            OnDevice& load = device[*id];
            load.held = load.predicted * (0.5 + 0.01 * static_cast<double>(random.below(150)));
            load.there = true;
            booked = true;
            const auto loaded = residency.end_load(ledger, *id, load.held);
            deficits += loaded.owed > Bytes(0) ? 1 : 0;
          }
          break;
        case 3:
          if (const auto id = pick(true)) {
            const Bytes held = device[*id].held;
            const Bytes stays = random.one_in(2)
                                    ? held * (0.01 * static_cast<double>(random.below(20)))
                                    : -std::min(residue, Bytes(random.below(50'000)));
            const auto unloaded = residency.unload(ledger, *id, held - stays);
            ASSERT_EQ(unloaded.residue, stays);
            repaid += unloaded.repaid > Bytes(0) ? 1 : 0;
            residue += stays;
            booked = true;
            device.erase(*id);
          }
          break;
        case 4:
          if (const auto id = pick(false)) {
            residency.abandon_load(ledger, *id);
            booked = true;
            device.erase(*id);
          }
          break;
        case 5: {
          const Bytes bytes(random.below(200'000));
          if (const auto reserved = ledger.try_reserve(others, bytes)) {
            state.emplace_back(*reserved, bytes);
          }
          break;
        }
        case 6:
          if (!state.empty()) {
            ledger.release(state.back().first);
            state.pop_back();
          }
          break;
      }
      ASSERT_THAT(audit(ledger.snapshot()), IsEmpty()) << "seed " << seed << ", step " << step;
      Bytes truth = residue;
      for (const auto& [id, load] : device) truth += load.there ? load.held : *residency.held(id);
      const Bytes charged =
          ledger.used(residency.loads_account()) + ledger.used(residency.residue_account());
      ASSERT_EQ(truth, charged + residency.owed()) << "seed " << seed << ", step " << step;
      ASSERT_EQ(residency.residue(), residue);
      for (const auto& [reservation, bytes] : state) ASSERT_EQ(ledger.size(reservation), bytes);
      if (booked && residency.owed() > Bytes(0)) {
        // Whatever is free pays for what is owed at once.
        ASSERT_TRUE(ledger.headroom(residency.loads_account()) == Bytes(0))
            << "seed " << seed << ", step " << step;
      }
    }
    while (!device.empty()) {
      const auto [id, load] = *device.begin();
      if (load.there) {
        residency.unload(ledger, id, load.held);
      } else {
        residency.abandon_load(ledger, id);
      }
      device.erase(device.begin());
    }
    for (const auto& [reservation, bytes] : state) ledger.release(reservation);
    residency.measure_residue(ledger, Bytes(0));
    ASSERT_EQ(residency.owed(), Bytes(0));
    ASSERT_EQ(ledger.used(ledger.root(space)), Bytes(0));
  }
  EXPECT_GT(deficits, 40);  // the test is about them
  EXPECT_GT(repaid, 10);
}

}  // namespace
}  // namespace mais::core
