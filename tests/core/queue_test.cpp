#include "mais/core/queue.hpp"

#include <map>
#include <vector>

#include <gmock/gmock.h>

namespace mais::core {
namespace {

using namespace mais::literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr TenantId kAnn(0);
constexpr TenantId kBob(1);

Time at(Duration since_start) {
  return Time(since_start);
}
RequestId id(std::uint64_t value) {
  return static_cast<RequestId>(value);
}
std::uint64_t number(const QueuedRequest& request) {
  return static_cast<std::uint64_t>(request.id);
}

QueueConfig without_ageing() {
  QueueConfig config;
  for (ClassPolicy& policy : config.classes) policy.patience.reset();
  return config;
}

AdmissionQueue make_queue(const QueueConfig& config = without_ageing()) {
  AdmissionQueue queue(config);
  queue.set_tenant(kAnn);
  queue.set_tenant(kBob);
  return queue;
}

std::vector<std::uint64_t> drain(AdmissionQueue& queue) {
  std::vector<std::uint64_t> order;
  while (const auto next = queue.head()) order.push_back(number(queue.pop(*next)));
  return order;
}

std::vector<std::uint64_t> tell(AdmissionQueue& queue, Duration since_start) {
  std::vector<QueuedRequest> expired;
  queue.advance(at(since_start), expired);
  std::vector<std::uint64_t> ids;
  for (const QueuedRequest& request : expired) ids.push_back(number(request));
  return ids;
}

TEST(AdmissionQueue, WithinATenantDeadlineThenArrivalThenIdDecide) {
  AdmissionQueue queue = make_queue();
  ASSERT_TRUE(queue.push({.id = id(1), .arrival = at(1s)}));
  ASSERT_TRUE(queue.push({.id = id(5), .arrival = at(2s), .deadline = at(9s)}));
  ASSERT_TRUE(queue.push({.id = id(2), .arrival = at(3s), .deadline = at(7s)}));
  ASSERT_TRUE(queue.push({.id = id(4), .arrival = at(1s), .deadline = at(9s)}));
  ASSERT_TRUE(queue.push({.id = id(3), .arrival = at(2s), .deadline = at(9s)}));
  EXPECT_THAT(drain(queue), ElementsAre(2, 4, 3, 5, 1));
}

TEST(AdmissionQueue, ARankReplacesTheDeadlineAndCanChange) {
  AdmissionQueue queue = make_queue();
  const auto first = queue.push({.id = id(1), .deadline = at(1s), .rank = 30});
  ASSERT_TRUE(queue.push({.id = id(2), .deadline = at(9s), .rank = 20}));
  ASSERT_TRUE(queue.push({.id = id(3), .deadline = at(9s), .rank = 10}));
  EXPECT_TRUE(queue.rerank(*first, 15));
  EXPECT_THAT(drain(queue), ElementsAre(3, 1, 2));
  EXPECT_FALSE(queue.rerank(*first, 1));
}

TEST(AdmissionQueue, StrictClassesGoMostUrgentFirstAndLateOnesLast) {
  AdmissionQueue queue = make_queue();
  const auto demoted = queue.push({.id = id(1), .service_class = ServiceClass::realtime});
  ASSERT_TRUE(queue.push({.id = id(2), .service_class = ServiceClass::batch}));
  ASSERT_TRUE(queue.push({.id = id(3), .service_class = ServiceClass::streaming, .late = true}));
  ASSERT_TRUE(queue.push({.id = id(4), .service_class = ServiceClass::streaming}));
  ASSERT_TRUE(queue.push({.id = id(5), .service_class = ServiceClass::realtime}));
  ASSERT_TRUE(queue.set_late(*demoted, true));
  EXPECT_THAT(drain(queue), ElementsAre(5, 4, 2, 1, 3));
}

TEST(AdmissionQueue, CancelTakesARequestOutOnceAndItsHandleGoesStale) {
  AdmissionQueue queue = make_queue();
  const auto first = queue.push({.id = id(1)});
  EXPECT_TRUE(queue.cancel(*first));
  EXPECT_FALSE(queue.cancel(*first));
  const auto second = queue.push({.id = id(2)});
  EXPECT_FALSE(queue.cancel(*first));
  EXPECT_EQ(queue.find(*first), nullptr);
  EXPECT_EQ(number(*queue.find(*second)), 2u);
  EXPECT_THAT(drain(queue), ElementsAre(2));
}

TEST(AdmissionQueue, ExpiryDropsInOrderOfTimeWhatHasExpired) {
  AdmissionQueue queue = make_queue();
  ASSERT_TRUE(queue.push({.id = id(1), .expires = at(3s)}));
  ASSERT_TRUE(queue.push({.id = id(2), .expires = at(2s)}));
  ASSERT_TRUE(queue.push({.id = id(3)}));
  ASSERT_TRUE(queue.push({.id = id(4), .expires = at(4s)}));
  EXPECT_THAT(tell(queue, 1s), ElementsAre());
  EXPECT_THAT(tell(queue, 3s), ElementsAre(2, 1));
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_THAT(drain(queue), ElementsAre(3, 4));
}

TEST(AdmissionQueue, ABlockedHeadIsPassedAtMostMaxBypassTimes) {
  QueueConfig config = without_ageing();
  config.max_bypass = 3;
  AdmissionQueue queue = make_queue(config);
  ASSERT_TRUE(queue.push({.id = id(100), .rank = 0}));
  for (std::uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(queue.push({.id = id(i), .rank = 1}));
  const auto large = queue.head();
  queue.block(*large, 8_GiB);
  EXPECT_THAT(drain(queue), ElementsAre(0, 1, 2));
  EXPECT_EQ(queue.size(), 8u);
  EXPECT_EQ(queue.unblock(4_GiB), 0u);
  EXPECT_EQ(queue.head(), std::nullopt);
  EXPECT_EQ(queue.unblock(8_GiB), 1u);
  EXPECT_EQ(queue.head(), large);
  EXPECT_THAT(drain(queue), ElementsAre(100, 3, 4, 5, 6, 7, 8, 9));
}

TEST(AdmissionQueue, AMoreUrgentClassPassesABlockedOneFreely) {
  QueueConfig config = without_ageing();
  config.max_bypass = 0;
  AdmissionQueue queue = make_queue(config);
  ASSERT_TRUE(queue.push({.id = id(1), .service_class = ServiceClass::streaming}));
  ASSERT_TRUE(queue.push({.id = id(2), .service_class = ServiceClass::batch}));
  queue.block(*queue.head(), 1_GiB);
  EXPECT_EQ(queue.head(), std::nullopt);
  ASSERT_TRUE(queue.push({.id = id(3), .service_class = ServiceClass::realtime}));
  EXPECT_THAT(drain(queue), ElementsAre(3));
  queue.unblock();
  EXPECT_THAT(drain(queue), ElementsAre(1, 2));
}

TEST(AdmissionQueue, ABlockedOverdueRequestStopsMoreUrgentClassesToo) {
  QueueConfig config;
  config.max_bypass = 2;
  AdmissionQueue queue = make_queue(config);
  const auto batch = queue.push({.id = id(1), .service_class = ServiceClass::batch});
  queue.block(*batch, 1_GiB);
  tell(queue, 10min);
  for (std::uint64_t i = 2; i < 10; ++i) {
    ASSERT_TRUE(
        queue.push({.id = id(i), .service_class = ServiceClass::realtime, .arrival = at(10min)}));
  }
  EXPECT_THAT(drain(queue), ElementsAre(2, 3));
  queue.unblock();
  EXPECT_EQ(queue.head(), *batch);
}

TEST(AdmissionQueue, BoundsRefuseWithTheirNumbersAndAnEstimateOfTheWait) {
  QueueConfig config = without_ageing();
  config.max_queued = 4;
  config.classes[2].max_queued = 1;
  AdmissionQueue queue = make_queue(config);
  queue.set_tenant(kAnn, {.max_queued = 2});
  ASSERT_TRUE(queue.push({.id = id(1), .tenant = kAnn, .work = 300_tok}));
  ASSERT_TRUE(queue.push({.id = id(2), .tenant = kAnn, .work = 300_tok}));

  auto refused = queue.push({.id = id(3), .tenant = kAnn});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, QueueRefusal::Reason::tenant_full);
  EXPECT_EQ(refused.error().limit, 2u);
  EXPECT_EQ(refused.error().queued, 2u);
  EXPECT_EQ(refused.error().estimated_wait, std::nullopt);

  queue.set_service_rate(TokensPerSecond{100});
  refused = queue.push({.id = id(3), .tenant = kAnn});
  EXPECT_EQ(refused.error().estimated_wait, Duration(6s));
  EXPECT_THAT(to_string(refused.error()), HasSubstr("2 queued, at most 2"));
  EXPECT_THAT(to_string(refused.error()), HasSubstr("6.0 s"));

  ASSERT_TRUE(queue.push({.id = id(3), .tenant = kBob, .service_class = ServiceClass::batch}));
  refused = queue.push({.id = id(4), .tenant = kBob, .service_class = ServiceClass::batch});
  EXPECT_EQ(refused.error().reason, QueueRefusal::Reason::class_full);
  ASSERT_TRUE(queue.push({.id = id(4), .tenant = kBob}));
  refused = queue.push({.id = id(5), .tenant = kBob});
  EXPECT_EQ(refused.error().reason, QueueRefusal::Reason::queue_full);
  EXPECT_EQ(refused.error().limit, 4u);
  refused = queue.push({.id = id(5), .tenant = TenantId(2)});
  EXPECT_EQ(refused.error().reason, QueueRefusal::Reason::unknown_tenant);
  EXPECT_EQ(queue.size(), 4u);

  queue.readmit({.id = id(1), .tenant = kAnn});
  EXPECT_EQ(queue.size(kAnn), 3u);
}

TEST(AdmissionQueue, IdlenessEarnsNoCredit) {
  AdmissionQueue queue = make_queue();
  std::uint64_t next = 0;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(queue.push({.id = id(next++), .tenant = kAnn, .work = 10_tok}));
  }
  for (int i = 0; i < 500; ++i) queue.pop(*queue.head());
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(queue.push({.id = id(next++), .tenant = kBob, .work = 10_tok}));
  }
  std::map<std::uint32_t, int> taken;
  for (int i = 0; i < 100; ++i) ++taken[queue.pop(*queue.head()).tenant.value()];
  EXPECT_EQ(taken[0], 50);
  EXPECT_EQ(taken[1], 50);
}

TEST(AdmissionQueue, LeavingAndComingBackLosesNoDebt) {
  AdmissionQueue queue = make_queue();
  ASSERT_TRUE(queue.push({.id = id(1), .tenant = kAnn}));
  for (std::uint64_t i = 10; i < 20; ++i) {
    ASSERT_TRUE(queue.push({.id = id(i), .tenant = kBob, .work = 10_tok}));
  }
  EXPECT_EQ(number(queue.pop(*queue.head())), 1u);
  queue.serve(kAnn, ServiceClass::streaming, 55_tok);  // it runs on after it left the queue
  ASSERT_TRUE(queue.push({.id = id(2), .tenant = kAnn}));
  EXPECT_THAT(drain(queue), ElementsAre(10, 11, 12, 13, 14, 15, 2, 16, 17, 18, 19));
}

TEST(AdmissionQueue, WeightedClassesShareTheService) {
  QueueConfig config = without_ageing();
  config.order = ClassOrder::weighted;
  config.classes[0].weight = 3;
  config.classes[2].weight = 1;
  AdmissionQueue queue = make_queue(config);
  for (std::uint64_t i = 0; i < 400; ++i) {
    ASSERT_TRUE(
        queue.push({.id = id(2 * i), .service_class = ServiceClass::realtime, .work = 7_tok}));
    ASSERT_TRUE(
        queue.push({.id = id(2 * i + 1), .service_class = ServiceClass::batch, .work = 7_tok}));
  }
  int realtime = 0;
  for (int i = 0; i < 400; ++i) {
    realtime += queue.pop(*queue.head()).service_class == ServiceClass::realtime;
  }
  EXPECT_EQ(realtime, 300);
}

TEST(AdmissionQueue, OverdueRequestsGetOneTakeInSoMany) {
  QueueConfig config;
  config.overdue_every = 4;
  AdmissionQueue queue = make_queue(config);
  const auto old = queue.push({.id = id(1), .service_class = ServiceClass::batch});
  const auto young = queue.push(
      {.id = id(2), .service_class = ServiceClass::batch, .arrival = at(1s), .rank = -1});
  EXPECT_THAT(tell(queue, 9min + 59s), ElementsAre());
  for (std::uint64_t i = 10; i < 20; ++i) {
    ASSERT_TRUE(queue.push(
        {.id = id(i), .service_class = ServiceClass::realtime, .arrival = at(9min + 59s)}));
  }
  EXPECT_EQ(queue.wait_bound(*old), 4u * (1 + 2));
  EXPECT_EQ(queue.wait_bound(*young), 4u * (2 + 3));
  tell(queue, 10min);
  EXPECT_THAT(drain(queue), ElementsAre(10, 11, 12, 1, 13, 14, 15, 16, 17, 18, 19, 2));
}

TEST(AdmissionQueue, LookAheadNamesTheNextInOrder) {
  AdmissionQueue queue = make_queue();
  for (std::uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(queue.push({.id = id(i), .rank = static_cast<std::int64_t>(i * 37 % 100)}));
  }
  std::vector<QueueHandle> ahead(10);
  ASSERT_EQ(queue.look_ahead(ahead), 10u);
  for (const QueueHandle expected : ahead) {
    EXPECT_EQ(queue.head(), expected);
    queue.pop(expected);
  }
}

TEST(AdmissionQueueDeathTest, AStaleHandleCannotBeTaken) {
  AdmissionQueue queue = make_queue();
  const auto taken = queue.push({.id = id(1)});
  queue.pop(*taken);
  EXPECT_DEATH(queue.pop(*taken), "the handle names no queued request");
}

}  // namespace
}  // namespace mais::core
