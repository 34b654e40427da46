// Random sequences of everything that can happen to the admission queue, answered by the real one
// and by a naive model side by side. A failure prints a shrunk sequence and the seed;
// RC_PARAMS="seed=..." runs one again.
#include <iostream>
#include <rapidcheck.h>

#include <gtest/gtest.h>

#include "core/naive_queue.hpp"
#include "mais/core/queue.hpp"

namespace mais::core {
namespace {

#ifdef MAIS_LONG_TESTS
constexpr int kSequences = 100'000;
#else
constexpr int kSequences = 2'000;
#endif

using Key = NaiveQueue::Key;

Time at(std::int64_t ticks) {
  return Time(Duration(ticks));
}

struct Op {
  enum class Kind {
    push,
    readmit,
    cancel,
    rerank,
    set_late,
    take_head,
    take_any,
    block_head,
    block_any,
    unblock,
    unblock_all,
    serve,
    advance
  };
  Kind kind = Kind::push;
  std::uint8_t which = 0;  // a request, a tenant
  std::uint8_t service_class = 0;
  std::int8_t amount = 0;
  std::uint8_t extra = 0;
};

void showValue(const Op& op, std::ostream& out) {
  static constexpr std::array<const char*, 13> kNames = {
      "push",       "readmit",   "cancel",  "rerank",      "set_late", "take_head", "take_any",
      "block_head", "block_any", "unblock", "unblock_all", "serve",    "advance"};
  out << kNames[static_cast<std::size_t>(op.kind)] << '(' << int{op.which} << ", "
      << int{op.service_class} << ", " << int{op.amount} << ", " << int{op.extra} << ')';
}

rc::Gen<Op> any_op() {
  using Kind = Op::Kind;
  return rc::gen::build<Op>(
      rc::gen::set(&Op::kind, rc::gen::weightedElement<Kind>({{10, Kind::push},
                                                              {1, Kind::readmit},
                                                              {2, Kind::cancel},
                                                              {2, Kind::rerank},
                                                              {2, Kind::set_late},
                                                              {8, Kind::take_head},
                                                              {1, Kind::take_any},
                                                              {6, Kind::block_head},
                                                              {1, Kind::block_any},
                                                              {2, Kind::unblock},
                                                              {1, Kind::unblock_all},
                                                              {2, Kind::serve},
                                                              {5, Kind::advance}})),
      rc::gen::set(&Op::which, rc::gen::inRange<std::uint8_t>(0, 16)),
      rc::gen::set(&Op::service_class, rc::gen::inRange<std::uint8_t>(0, 3)),
      rc::gen::set(&Op::amount, rc::gen::inRange<std::int8_t>(-4, 12)),
      rc::gen::set(&Op::extra, rc::gen::inRange<std::uint8_t>(0, 64)));
}

struct World {
  QueueConfig config;
  std::vector<TenantPolicy> tenants;
};

// rapidcheck's own show for a drawn world.
void showValue(const World& world, std::ostream& out) {
  out << (world.config.order == ClassOrder::strict ? "strict" : "weighted") << ", max_queued "
      << world.config.max_queued << ", overdue_every " << world.config.overdue_every
      << ", max_bypass " << world.config.max_bypass << ", patience";
  for (const ClassPolicy& policy : world.config.classes) {
    out << ' ' << (policy.patience ? policy.patience->count() : -1);
  }
  out << ", tenants";
  for (const TenantPolicy& policy : world.tenants) out << ' ' << policy.weight;
}

rc::Gen<World> any_world() {
  return rc::gen::exec([] {
    World world;
    const auto pick = [](int end) { return *rc::gen::resize(100, rc::gen::inRange(0, end)); };
    world.config.order = pick(3) == 0 ? ClassOrder::weighted : ClassOrder::strict;
    world.config.max_queued = pick(2) == 0 ? 12 : 1000;
    world.config.overdue_every = static_cast<std::uint32_t>(1 + pick(3));
    world.config.max_bypass =
        std::array<std::uint32_t, 4>{0, 1, 2, 5}[static_cast<std::size_t>(pick(4))];
    for (ClassPolicy& policy : world.config.classes) {
      policy.weight = std::array<double, 3>{1, 3, 0.5}[static_cast<std::size_t>(pick(3))];
      policy.patience = Duration(std::array<int, 3>{4, 10, 30}[static_cast<std::size_t>(pick(3))]);
      if (pick(3) == 0) policy.patience.reset();
      if (pick(4) == 0) policy.max_queued = 4;
    }
    world.tenants.resize(static_cast<std::size_t>(1 + pick(4)));
    for (TenantPolicy& policy : world.tenants) {
      policy.weight = std::array<double, 3>{1, 3, 0.3}[static_cast<std::size_t>(pick(3))];
      if (pick(4) == 0) policy.max_queued = 5;
    }
    return world;
  });
}

class Trial {
 public:
  explicit Trial(const World& world)
      : queue_(world.config), model_(world.config, world.tenants), tenants_(world.tenants.size()) {
    for (std::size_t i = 0; i < tenants_; ++i) {
      queue_.set_tenant(TenantId(static_cast<std::uint32_t>(i)), world.tenants[i]);
    }
  }

  void step(const Op& op) {
    using Kind = Op::Kind;
    switch (op.kind) {
      case Kind::push:
        return push(op);
      case Kind::readmit: {
        const QueuedRequest request = draw(op);
        if (request.tenant.value() >= tenants_) return;
        handles_[++last_id_] = queue_.readmit(request);
        return model_.add(request);
      }
      case Kind::serve: {
        const TenantId tenant(static_cast<std::uint32_t>(op.which % tenants_));
        const auto service_class = kAllServiceClasses[op.service_class];
        queue_.serve(tenant, service_class, Tokens(op.amount));
        return model_.serve(tenant, service_class, op.amount);
      }
      case Kind::advance: {
        now_ += op.amount;
        std::vector<QueuedRequest> expired;
        queue_.advance(at(now_), expired);
        std::vector<Key> ids;
        for (const QueuedRequest& request : expired) ids.push_back(NaiveQueue::key(request));
        RC_ASSERT(ids == model_.advance(now_));
        return;
      }
      case Kind::unblock:
        RC_ASSERT(queue_.unblock(Bytes(op.amount)) == model_.unblock(op.amount));
        return;
      case Kind::unblock_all:
        RC_ASSERT(queue_.unblock() == model_.unblock(1000));
        return;
      default:
        return step_on_one(op);
    }
  }

  void check() {
    const auto expected = model_.look_ahead();
    const auto head = queue_.head();
    RC_ASSERT(head.has_value() == !expected.empty());
    if (head) RC_ASSERT(id(*head) == expected.front());

    std::array<QueueHandle, AdmissionQueue::kMostAhead> ahead;
    const std::size_t count = queue_.look_ahead(ahead);
    RC_ASSERT(count == std::min(expected.size(), ahead.size()));
    for (std::size_t i = 0; i < count; ++i) RC_ASSERT(id(ahead[i]) == expected[i]);

    RC_ASSERT(queue_.size() == model_.items().size());
    std::size_t visited = 0;
    queue_.for_each([&](QueueHandle handle, const QueuedRequest& request) {
      ++visited;
      RC_ASSERT(handles_.at(NaiveQueue::key(request)) == handle);
      RC_ASSERT(request.rank == model_.items().at(NaiveQueue::key(request)).request.rank);
    });
    RC_ASSERT(visited == queue_.size());
    std::size_t blocked = 0;
    std::map<std::pair<std::uint32_t, ServiceClass>, std::pair<std::size_t, std::int64_t>> sums;
    for (const auto& [key, item] : model_.items()) {
      const bool parked = item.state == NaiveRequest::State::parked;
      RC_ASSERT(queue_.is_blocked(handles_.at(key)) == parked);
      blocked += parked ? 1 : 0;
      auto& [n, work] = sums[{item.request.tenant.value(), item.request.service_class}];
      ++n;
      work += item.request.work.count();
    }
    RC_ASSERT(queue_.blocked() == blocked);
    for (std::uint32_t t = 0; t < tenants_; ++t) {
      std::size_t of_tenant = 0;
      for (const ServiceClass c : kAllServiceClasses) {
        const auto [n, work] = sums[{t, c}];
        RC_ASSERT(queue_.size(TenantId(t), c) == n);
        RC_ASSERT(queue_.work(TenantId(t), c) == Tokens(work));
        of_tenant += n;
      }
      RC_ASSERT(queue_.size(TenantId(t)) == of_tenant);
    }
    for (const ServiceClass c : kAllServiceClasses) {
      std::size_t n = 0;
      Tokens work;
      for (std::uint32_t t = 0; t < tenants_; ++t) {
        n += queue_.size(TenantId(t), c);
        work += queue_.work(TenantId(t), c);
      }
      RC_ASSERT(queue_.size(c) == n);
      RC_ASSERT(queue_.work(c) == work);
    }
  }

  // A copy is a queue of its own: draining it leaves this one as it was.
  void drain_a_copy() {
    AdmissionQueue copy = queue_;
    NaiveQueue model = model_;
    copy.unblock();
    model.unblock(1000);
    while (const auto head = copy.head()) {
      RC_ASSERT(NaiveQueue::key(*copy.find(*head)) == *model.head());
      copy.pop(*head);
      model.pop(*model.head());
    }
    RC_ASSERT(copy.empty());
    check();
  }

 private:
  Key id(QueueHandle handle) const { return NaiveQueue::key(*queue_.find(handle)); }

  QueuedRequest draw(const Op& op) const {
    QueuedRequest request;
    request.id = static_cast<RequestId>(last_id_ + 1);
    request.tenant = TenantId(static_cast<std::uint32_t>(op.which % (tenants_ + (op.which == 15))));
    request.service_class = kAllServiceClasses[op.service_class];
    request.late = op.extra % 8 == 7;
    request.arrival = at(now_ - op.extra / 16);
    if (op.extra % 4 == 1) request.rank = op.amount / 2;
    if (op.extra % 4 == 2) request.deadline = at(now_ + op.amount);
    if (op.extra % 5 == 3) request.expires = at(now_ + 2 * op.amount);
    request.work = Tokens(op.which % 7);
    return request;
  }

  void push(const Op& op) {
    const QueuedRequest request = draw(op);
    const auto expected = model_.refusal(request);
    const auto pushed = queue_.push(request);
    RC_ASSERT(pushed.has_value() == !expected.has_value());
    if (expected) {
      RC_ASSERT(pushed.error().reason == *expected);
      return;
    }
    handles_[++last_id_] = *pushed;
    model_.add(request);
  }

  void step_on_one(const Op& op) {
    using Kind = Op::Kind;
    if (last_id_ == 0) return;
    Key key = 1 + (op.which * 5u + op.extra) % last_id_;
    if (op.kind == Kind::take_head || op.kind == Kind::block_head) {
      const auto head = queue_.head();
      if (!head) return;
      key = id(*head);
    }
    const QueueHandle handle = handles_.at(key);
    const bool there = model_.items().contains(key);
    RC_ASSERT((queue_.find(handle) != nullptr) == there);
    switch (op.kind) {
      case Kind::cancel:
        RC_ASSERT(queue_.cancel(handle) == there);
        if (there) model_.remove(key);
        return;
      case Kind::rerank:
        RC_ASSERT(queue_.rerank(handle, op.amount / 2) == there);
        if (there) model_.rerank(key, op.amount / 2);
        return;
      case Kind::set_late:
        RC_ASSERT(queue_.set_late(handle, op.amount > 3) == there);
        if (there) model_.set_late(key, op.amount > 3);
        return;
      case Kind::take_head:
      case Kind::take_any:
        if (!there) return;
        RC_ASSERT(NaiveQueue::key(queue_.pop(handle)) == key);
        model_.pop(key);
        return;
      case Kind::block_head:
      case Kind::block_any:
        if (!there) return;
        queue_.block(handle, Bytes(op.amount));
        model_.block(key, op.amount);
        return;
      default:
        return;
    }
  }

  AdmissionQueue queue_;
  NaiveQueue model_;
  std::size_t tenants_;
  std::map<Key, QueueHandle> handles_;  // also of those that are gone
  Key last_id_ = 0;
  std::int64_t now_ = 0;
};

TEST(AdmissionQueueProperty, AgreesWithTheNaiveModelOnRandomSequences) {
  rc::detail::TestMetadata metadata;
  metadata.id = "queue";
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  params.maxSuccess = kSequences;
  const auto result = rc::detail::checkTestable(
      [] {
        const auto world = *any_world();
        const auto ops = *rc::gen::resize(60, rc::gen::container<std::vector<Op>>(any_op()));
        Trial trial(world);
        for (const Op& op : ops) {
          trial.step(op);
          trial.check();
        }
        trial.drain_a_copy();
      },
      metadata, params);
  rc::detail::printResultMessage(result, std::cerr);
  EXPECT_TRUE(result.is<rc::detail::SuccessResult>()) << "seed " << params.seed;
}

}  // namespace
}  // namespace mais::core
