// What the planner promises about one request at a time: refusals, memory policies, shared prefixes
// and routing.
#include "mais/core/planner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/small_world.hpp"
#include "mais/core/audit.hpp"
#include "mais/core/ledger.hpp"

namespace mais::core {
namespace {

using ::testing::IsEmpty;

// Ends with books and engine content.
void expect_right(const Table& table) {
  EXPECT_THAT(table.host.breaches(), IsEmpty());
  EXPECT_THAT(audit(table.planner.view(), *table.config), IsEmpty());
}

Refusal refusal_of(Table& table, const Request& request) {
  const RequestId id = table.submit(request);
  const Action* said = table.said(id);
  if (said == nullptr || said->kind != ActionKind::refused) {
    ADD_FAILURE() << "it was not refused";
    return {};
  }
  EXPECT_NE(to_string(said->refusal), "");
  return said->refusal;
}

void expect_refusal(Table& table, const Request& request, RefusalReason reason, std::int64_t asked,
                    std::int64_t available) {
  const Refusal refusal = refusal_of(table, request);
  EXPECT_EQ(to_string(refusal.reason), to_string(reason));
  EXPECT_EQ(refusal.asked, asked);
  EXPECT_EQ(refusal.available, available);
  expect_right(table);
}

TEST(PlannerRefuses, AWrongConfigurationWithAllItsFaults) {
  Config config = small_world(Policy::projected());
  config.tenants[1].weight = 0;
  config.instances[0].state = 8_B;  // less than tenant a is guaranteed
  const auto planner = Planner::create(config);
  ASSERT_FALSE(planner);
  EXPECT_EQ(planner.error().code, ErrorCode::invalid_argument);
  EXPECT_NE(planner.error().message.find("tenants[1].weight"), std::string::npos);
  EXPECT_NE(planner.error().message.find("instances[0].state"), std::string::npos);
}

TEST(PlannerRefuses, PrefixBlocksThatAreNotWholePages) {
  Config config = small_world(Policy::projected());
  config.prefix_block = 3_tok;
  const auto planner = Planner::create(config);
  ASSERT_FALSE(planner);
  EXPECT_NE(planner.error().message.find("instances[0].block"), std::string::npos);
}

TEST(PlannerRefuses, UnknownModelsAndTenants) {
  Table table(small_world(Policy::projected()));
  Request request = prompt_of(2, 2);
  request.model = ModelId(9);
  expect_refusal(table, request, RefusalReason::unknown_model, 9, 1);
  expect_refusal(table, prompt_of(2, 2, 7), RefusalReason::unknown_tenant, 7, 2);
}

TEST(PlannerRefuses, RequestsForNothing) {
  Table table(small_world(Policy::projected()));
  expect_refusal(table, prompt_of(0, 2), RefusalReason::invalid_request, 0, 0);
  expect_refusal(table, prompt_of(2, 0), RefusalReason::invalid_request, 0, 0);
  expect_refusal(table, lease_of(0_B), RefusalReason::invalid_request, 0, 0);
  Request nowhere = lease_of(8_B);
  nowhere.space = SpaceId(4);
  expect_refusal(table, nowhere, RefusalReason::invalid_request, 0, 0);
}

TEST(PlannerRefuses, WhatCanNeverFit) {
  // With eviction the prompt and one token must fit; without, all that may be generated.
  Table optimistic(small_world(Policy::optimistic()));
  expect_refusal(optimistic, prompt_of(12, 1), RefusalReason::can_never_fit, 56, 40);
  Table no_evict(small_world(Policy::no_evict()));
  expect_refusal(no_evict, prompt_of(6, 10), RefusalReason::can_never_fit, 64, 40);
  // A lease may have what is promised to no instance.
  expect_refusal(no_evict, lease_of(31_B), RefusalReason::can_never_fit, 31, 30);
}

TEST(PlannerRefuses, WhatOutgrowsThePoolAloneThoughAPartOfItIsAPrefix) {
  for (const bool prefix : {false, true}) {
    Table table(small_world(Policy::optimistic()));  // ten tokens of state
    Request request = prompt_of(5, 100);
    if (prefix) request.prefix = {7};
    const RequestId id = table.submit(request);
    for (int i = 0; i < 10 && table.turn(); ++i) {
    }
    ASSERT_NE(table.said(id), nullptr);
    EXPECT_EQ(table.said(id)->kind, ActionKind::refused);
    EXPECT_EQ(table.said(id)->refusal.asked, 48);
    EXPECT_EQ(table.said(id)->refusal.available, 40);
    EXPECT_TRUE(table.host.live().empty());
  }
}

TEST(PlannerRefuses, FirmMemoryThatIsGuaranteedToAnother) {
  Config config = small_world(Policy::no_evict());
  config.tenants[1].limit.reset();
  Table table(config);
  expect_refusal(table, prompt_of(4, 4, 1), RefusalReason::can_never_fit, 32, 24);
}

TEST(PlannerRefuses, MoreThanATenantMayHave) {
  Table table(small_world(Policy::optimistic()));
  expect_refusal(table, prompt_of(6, 1, 1), RefusalReason::tenant_over_limit, 32, 24);
  expect_refusal(table, lease_of(25_B, 1), RefusalReason::tenant_over_limit, 25, 24);
}

TEST(PlannerRefuses, WhatAFullQueueDoesNotTake) {
  Config config = small_world(Policy::projected());
  config.queue.max_queued = 2;
  Table table(config);
  table.submit(prompt_of(2, 2));
  table.submit(prompt_of(2, 2));
  expect_refusal(table, prompt_of(2, 2), RefusalReason::queue_full, 2, 2);
  EXPECT_TRUE(refusal_of(table, prompt_of(2, 2)).retry_after);
}

TEST(PlannerRefuses, WhatATenantsQueueDoesNotTake) {
  Config config = small_world(Policy::projected());
  config.tenants[1].max_queued = 1;
  Table table(config);
  table.submit(prompt_of(2, 2, 1));
  expect_refusal(table, prompt_of(2, 2, 1), RefusalReason::tenant_queue_full, 1, 1);
}

TEST(PlannerRefuses, MoreRequestsThanItMayHold) {
  Config config = small_world(Policy::projected());
  config.max_requests = 1;
  Table table(config);
  table.submit(prompt_of(2, 2));
  expect_refusal(table, prompt_of(2, 2), RefusalReason::queue_full, 1, 1);
}

TEST(PlannerRefuses, DeadlinesThatEvenAnIdleMachineMisses) {
  Config config = small_world(Policy::projected());
  config.policy.learn_costs = false;  // they are what they are
  Table table(config);
  Request request = prompt_of(4, 2);
  request.deadlines.ttft = 3ms;  // a millisecond a token
  expect_refusal(table, request, RefusalReason::deadline_impossible, 4'000'000, 3'000'000);
}

TEST(PlannerRefuses, OnlyWhatIsFarFromPossibleBeforeCostsAreMeasured) {
  Table table(small_world(Policy::projected()));
  Request request = prompt_of(4, 2);
  request.deadlines.ttft = 3ms;
  table.submit(request);
  EXPECT_EQ(table.out.list.at(0).kind, ActionKind::accepted);
  request.deadlines.ttft = 1ms;
  expect_refusal(table, request, RefusalReason::deadline_impossible, 4'000'000, 1'000'000);
}

TEST(PlannerRefuses, WhoseOnlyInstanceIsLost) {
  Table table(small_world(Policy::projected()));
  table.tell([&](Planner& p) { p.instance_lost(table.now, InstanceId(0), table.out); });
  expect_refusal(table, prompt_of(2, 2), RefusalReason::instance_lost, 0, 0);
}

// --- Memory policies ----------------------------------------------------------------------------

void serve_all(Table& table) {
  for (int i = 0; i < 2000 && !table.host.live().empty(); ++i) {
    table.now += 1ms;
    for (std::uint32_t k = 0; k < table.config->instances.size(); ++k) table.turn(k);
  }
  EXPECT_THAT(table.host.live(), IsEmpty());
  expect_right(table);
}

TEST(PlannerMemory, NoEvictNeverPreempts) {
  Table table(small_world(Policy::no_evict()));
  for (int i = 0; i < 6; ++i) table.submit(prompt_of(2, 6));
  serve_all(table);
  EXPECT_EQ(table.host.count(ActionKind::preempted), 0U);
  EXPECT_EQ(table.host.count(ActionKind::finished), 6U);
}

TEST(PlannerMemory, OptimisticPreemptsWhenThePoolIsFullAndStillFinishesAll) {
  Table table(small_world(Policy::optimistic()));
  for (int i = 0; i < 6; ++i) table.submit(prompt_of(2, 6));
  serve_all(table);
  EXPECT_GT(table.host.count(ActionKind::preempted), 0U);
  EXPECT_EQ(table.host.count(ActionKind::finished), 6U);
}

TEST(PlannerMemory, WhatStartedInTimeDoesNotExpireWhenItIsPreempted) {
  Table table(small_world(Policy::optimistic()));
  for (int i = 0; i < 4; ++i) {
    Request request = prompt_of(1, 7);
    request.give_up = 2ms;
    table.submit(request);
  }
  serve_all(table);
  EXPECT_GT(table.host.count(ActionKind::preempted), 0U);
  EXPECT_EQ(table.host.count(ActionKind::expired), 0U);
  EXPECT_EQ(table.host.count(ActionKind::finished), 4U);
}

TEST(PlannerMemory, ProjectedWithoutHistoryReservesAsNoEvictDoes) {
  Table table(small_world(Policy::projected(), 40));
  for (int i = 0; i < 12; ++i) table.submit(prompt_of(2, 17));
  serve_all(table);
  EXPECT_EQ(table.host.count(ActionKind::preempted), 0U);
}

TEST(PlannerMemory, APreemptedSequenceBeginsItsBlockTableAnew) {
  Table table(small_world(Policy::optimistic()));
  table.submit(prompt_of(2, 8));
  table.submit(prompt_of(2, 8));
  bool restarted = false;
  for (int i = 0; i < 40 && !table.host.live().empty(); ++i) {
    if (!table.next()) break;
    for (const StepEntry& entry : table.step.entries) {
      if (entry.restarts && i > 1) {
        restarted = true;
        EXPECT_EQ(entry.first_block + entry.block_count, table.step.blocks.size());
      }
    }
    table.done();
  }
  EXPECT_TRUE(restarted);
  expect_right(table);
}

TEST(PlannerMemory, ARecurrentModelTakesNoMoreHoweverMuchItMayGenerate) {
  Config config = small_world(Policy::no_evict());
  config.models[0].state = {{.name = "state", .fixed = 10_B}};
  Table table(config);
  const RequestId id = table.submit(prompt_of(2, std::int64_t{1} << 50));
  ASSERT_TRUE(table.next());
  EXPECT_LE(table.look(id)->blocks.size(), 2U);
  EXPECT_EQ(table.look(id)->state, 10_B);
  table.done();
  expect_right(table);
}

// --- Prefixes -----------------------------------------------------------------------------------

TEST(PlannerPrefixes, BlocksAreSharedAndCountedOnce) {
  Table table(small_world(Policy::optimistic()));
  Request request = prompt_of(4, 4);
  request.prefix = {7, 8};
  const RequestId first = table.submit(request);
  ASSERT_TRUE(table.turn());
  const RequestId second = table.submit(request);
  ASSERT_TRUE(table.next());
  ASSERT_EQ(table.step.entries.size(), 2U);
  // The last block is computed again: a prompt's last token is what its output comes from.
  EXPECT_EQ(table.step.entries[1].request, second);
  EXPECT_EQ(table.step.entries[1].context, 2_tok);
  const PlannerView view = table.planner.view();
  EXPECT_EQ(view.instances[0].cached.size(), 2U);
  EXPECT_EQ(view.instances[0].cached[0].users, 2U);
  EXPECT_EQ(table.look(first)->blocks[0], table.look(second)->blocks[0]);
  EXPECT_EQ(table.planner.load(InstanceId(0)).prefix_hits, 2U);
  table.done();
  serve_all(table);
}

TEST(PlannerPrefixes, AreKeptAfterTheirUsersAndGoWhenPagesAreWanted) {
  Table table(small_world(Policy::optimistic()));
  Request request = prompt_of(4, 1);
  request.prefix = {7, 8};
  table.submit(request);
  table.turn();
  EXPECT_EQ(table.planner.load(InstanceId(0)).state_cached, 16_B);
  EXPECT_EQ(table.planner.load(InstanceId(0)).state_used, 0_B);
  table.submit(prompt_of(9, 1));  // needs all five pages
  serve_all(table);
  EXPECT_EQ(table.planner.load(InstanceId(0)).state_cached, 0_B);
}

// --- Routing ------------------------------------------------------------------------------------

Config two_instances(std::int64_t pages_of_second = 5) {
  Config config = small_world(Policy::optimistic());
  config.machine.spaces.push_back(config.machine.spaces[0]);
  config.machine.spaces[1].name = "gpu1";
  config.machine.devices.push_back(config.machine.devices[0]);
  config.machine.devices[1].name = "gpu1";
  config.machine.devices[1].space = SpaceId(1);
  config.instances.push_back(config.instances[0]);
  config.instances[1].name = "two";
  config.instances[1].device = DeviceId(1);
  config.instances[1].state = 8_B * pages_of_second;
  return config;
}

void expect_route(Table& table, const Request& request, std::uint32_t where, RouteReason why) {
  const RequestId id = table.submit(request);
  const Action* said = table.said(id);
  ASSERT_NE(said, nullptr);
  ASSERT_EQ(said->kind, ActionKind::accepted);
  EXPECT_EQ(said->instance, InstanceId(where));
  EXPECT_EQ(said->why, why);
}

TEST(PlannerRoutes, ToTheOnlyInstanceThereIs) {
  Table table(small_world(Policy::optimistic()));
  expect_route(table, prompt_of(2, 2), 0, RouteReason::only_choice);
}

TEST(PlannerRoutes, ToTheLeastLoaded) {
  Table table(two_instances());
  expect_route(table, prompt_of(4, 2), 0, RouteReason::least_loaded);
  expect_route(table, prompt_of(2, 2), 1, RouteReason::least_loaded);
  expect_route(table, prompt_of(2, 2), 1, RouteReason::least_loaded);
}

TEST(PlannerRoutes, ToTheOnlyOneThatFits) {
  Table table(two_instances(2));
  expect_route(table, prompt_of(6, 2), 0, RouteReason::only_fit);
}

TEST(PlannerRoutes, ToWhereItsPrefixIs) {
  Table table(two_instances());
  Request other = prompt_of(6, 1);
  expect_route(table, other, 0, RouteReason::least_loaded);
  Request request = prompt_of(5, 1);
  request.prefix = {7, 8};
  expect_route(table, request, 1, RouteReason::least_loaded);
  serve_all(table);
  expect_route(table, request, 1, RouteReason::shared_prefix);
  serve_all(table);
}

TEST(PlannerRoutes, AnIdleInstanceTakesOverWhatWaitsElsewhere) {
  Table table(two_instances());
  table.tell([&](Planner& p) { p.instance_lost(table.now, InstanceId(1), table.out); });
  for (int i = 0; i < 6; ++i) table.submit(prompt_of(4, 2));
  table.tell([&](Planner& p) { p.instance_back(table.now, InstanceId(1), table.out); });
  EXPECT_TRUE(table.planner.has_work(InstanceId(1)));
  ASSERT_TRUE(table.next(1));
  EXPECT_GT(table.host.count(ActionKind::requeued), 0U);
  table.done(1);
  serve_all(table);
}

}  // namespace
}  // namespace mais::core
