#include "mais/core/audit.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "core/wording.hpp"
#include "mais/core/ledger_audit.hpp"

namespace mais::core {

namespace {

std::string number(std::int64_t n) {
  return std::to_string(n);
}

class Audit {
 public:
  Audit(const PlannerView& view, const Config& config) : view_(view), config_(config) {}

  std::vector<std::string> run() {
    check_shape();
    if (!faults_.empty()) return std::move(faults_);  // nothing could be looked up
    for (std::string& fault : audit(view_.ledger)) faults_.push_back("ledger: " + fault);
    for (const RequestView& request : view_.requests) check_request(request);
    for (std::uint32_t i = 0; i < view_.instances.size(); ++i) {
      check_pages(i);
      check_tier(i);
      check_step(i);
      check_instance_bytes(i);
      check_population(i);
    }
    check_leases();
    check_host_pages();
    check_counts();
    return std::move(faults_);
  }

 private:
  // --- Words ---

  void fault(std::initializer_list<std::string_view> words) { faults_.push_back(sentence(words)); }
  static std::string name(const RequestView& request) {
    return sentence({"request ", std::to_string(static_cast<std::uint64_t>(request.request))});
  }
  std::string name(std::uint32_t instance) const {
    return sentence({"instance \"", config_.instances[instance].name, "\""});
  }
  void expect_equal(std::string_view who, std::string_view what, std::int64_t said,
                    std::int64_t counted) {
    if (said == counted) return;
    fault({who, ": ", what, " is said to be ", number(said), ", but counts ", number(counted)});
  }

  // --- Looking things up ---

  bool iterates(std::uint32_t instance) const {
    return model(instance).batching == Batching::iteration;
  }
  const Model& model(std::uint32_t instance) const {
    return config_.models[config_.instances[instance].model.value()];
  }
  static bool on(const RequestView& request, std::uint32_t instance) {
    return request.instance && request.instance->value() == instance;
  }
  const RequestView* find(RequestId id) const {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second;
  }
  const AccountSnapshot* account(AccountId id) const {
    for (const AccountSnapshot& a : view_.ledger.accounts) {
      if (a.id == id) return &a;
    }
    return nullptr;
  }
  // In the order in which they were opened.
  std::vector<const AccountSnapshot*> children(AccountId parent) const {
    std::vector<const AccountSnapshot*> all;
    for (const AccountSnapshot& a : view_.ledger.accounts) {
      if (a.parent == parent) all.push_back(&a);
    }
    std::sort(all.begin(), all.end(), [](const AccountSnapshot* a, const AccountSnapshot* b) {
      return a->id.slot < b->id.slot;
    });
    return all;
  }
  const AccountSnapshot* sibling(AccountId of, std::string_view wanted) const {
    const AccountSnapshot* self = account(of);
    if (self == nullptr || !self->parent) return nullptr;
    for (const AccountSnapshot* a : children(*self->parent)) {
      if (a->name == wanted) return a;
    }
    return nullptr;
  }

  // --- Shape: what everything else relies on ---

  void check_shape() {
    if (view_.instances.size() != config_.instances.size()) {
      fault({"the view has ", std::to_string(view_.instances.size()), " instances, not ",
             std::to_string(config_.instances.size())});
    }
    for (const RequestView& request : view_.requests) {
      if (!by_id_.emplace(request.request, &request).second) {
        fault({name(request), ": is listed twice"});
      }
      if (request.tenant.value() >= config_.tenants.size()) fault({name(request), ": no tenant"});
      if (request.instance && request.instance->value() >= config_.instances.size()) {
        fault({name(request), ": no instance"});
      }
      if (!request.instance && request.space.value() >= config_.machine.spaces.size()) {
        fault({name(request), ": no space"});
      }
    }
  }

  // --- Requests ---

  void check_request(const RequestView& request) {
    const std::string who = name(request);
    if (request.phase == RequestPhase::ended && !request.in_step) {
      fault({who, ": has ended, is in no step, and is still here"});
    }
    if (request.phase == RequestPhase::waiting || request.phase == RequestPhase::leased) {
      if (!request.blocks.empty() || request.state != Bytes(0) || request.computed != Tokens(0)) {
        fault({who, ": has no place, but holds ", std::to_string(request.blocks.size()), " pages, ",
               number(request.state.count()), " B and ", number(request.computed.count()),
               " tokens"});
      }
      if (request.in_step) fault({who, ": is in a step without a place"});
    }
    const bool leased = request.phase == RequestPhase::leased;
    if (leased != (request.leased > Bytes(0)) || (leased && request.instance)) {
      fault({who, ": holds ", number(request.leased.count()), " B of a lease in the wrong phase"});
    }
    if (request.preemptions_without_progress > request.preemptions ||
        request.preemptions_without_progress > kMostPreemptionsWithoutProgress) {
      fault({who, ": preempted ", std::to_string(request.preemptions_without_progress),
             " times without progress, of ", std::to_string(request.preemptions)});
    }
    if (!request.instance || !iterates(request.instance->value())) {
      if (!request.blocks.empty() || request.state != Bytes(0)) {
        fault({who, ": holds state, which its kind has none of"});
      }
      return;
    }
    check_sequence(request, who);
  }

  void check_sequence(const RequestView& request, const std::string& who) {
    const std::uint32_t instance = request.instance->value();
    const std::int64_t page = config_.instances[instance].block.count();
    const std::int64_t length = request.prompt.count() + request.generated.count();
    const auto held = static_cast<std::int64_t>(request.blocks.size()) * page;
    if (request.computed.count() > held) {
      fault({who, ": ", number(request.computed.count()),
             " tokens are computed, but its pages hold ", number(held)});
    }
    if (request.generated < Tokens(0) || request.generated >= request.max_new ||
        request.computed.count() >= length) {
      fault({who, ": has generated ", number(request.generated.count()), " of ",
             number(request.max_new.count()), " tokens and computed ",
             number(request.computed.count()), " of ", number(length), ", and goes on"});
    }
    if (request.phase == RequestPhase::running && request.blocks.empty()) {
      fault({who, ": runs without a page"});
    }
    // Own pages come after the shared ones, which the cache is charged for.
    const auto& cached = view_.instances[instance].cached;
    const auto shared =
        std::count_if(request.blocks.begin(), request.blocks.end(), [&](std::uint32_t block) {
          return std::any_of(cached.begin(), cached.end(),
                             [&](const CachedBlockView& c) { return c.block == block; });
        });
    const std::int64_t own = static_cast<std::int64_t>(request.blocks.size()) - shared;
    expect_equal(
        who, "its state", request.state.count(),
        model(instance).state_bytes(Tokens(own * page), config_.instances[instance].block).count());
  }

  // --- Pages ---

  void check_pages(std::uint32_t i) {
    const InstanceView& instance = view_.instances[i];
    if (model(i).page_bytes(config_.instances[i].block) == Bytes(0)) return;  // pages have no ids
    struct Page {
      std::uint32_t free = 0, cached = 0, users = 0, holders = 0;
    };
    std::vector<Page> pages(instance.pages);
    const std::string who = name(i);
    const auto page = [&](std::uint32_t id) -> Page* {
      if (id < pages.size()) return &pages[id];
      fault({who, ": page ", std::to_string(id), " lies beyond the pool of ",
             std::to_string(instance.pages)});
      return nullptr;
    };
    for (const std::uint32_t id : instance.free_pages) {
      if (Page* p = page(id)) ++p->free;
    }
    for (const CachedBlockView& cached : instance.cached) {
      if (Page* p = page(cached.block)) {
        ++p->cached;
        p->users += cached.users;
      }
    }
    for (const RequestView& request : view_.requests) {
      if (!on(request, i)) continue;
      std::set<std::uint32_t> table;
      for (const std::uint32_t id : request.blocks) {
        if (!table.insert(id).second) {
          fault({name(request), ": page ", std::to_string(id), " is twice in its block table"});
        } else if (Page* p = page(id)) {
          ++p->holders;
        }
      }
    }
    for (std::uint32_t id = 0; id < pages.size(); ++id) {
      const Page& p = pages[id];
      const std::string which = sentence({who, ": page ", std::to_string(id)});
      if (p.free + p.cached + p.holders == 0) fault({which, " is lost: nobody has it"});
      if (p.free > 1 || p.cached > 1) fault({which, " is listed twice"});
      if (p.free > 0 && p.cached + p.holders > 0) fault({which, " is free and in use"});
      if (p.cached == 0 && p.holders > 1) {
        fault({which, " belongs to ", std::to_string(p.holders), " sequences"});
      }
      if (p.cached == 1 && p.users != p.holders) {
        fault({which, " counts ", std::to_string(p.users), " users, but ",
               std::to_string(p.holders), " sequences hold it"});
      }
    }
  }

  void check_host_pages() {
    std::set<std::pair<std::uint32_t, std::uint32_t>> seen;
    for (const RequestView& request : view_.requests) {
      if (!request.host_blocks.empty() && !request.instance) {
        fault({name(request), ": has pages of the host tier, but no instance"});
        continue;
      }
      for (const std::uint32_t block : request.host_blocks) {
        if (!seen.emplace(request.instance->value(), block).second) {
          fault({name(request), ": host page ", std::to_string(block), " has two owners"});
        }
      }
    }
  }

  // Each page of a tier is free or kept, once, and what is kept is charged.
  void check_tier(std::uint32_t i) {
    const InstanceView& instance = view_.instances[i];
    const std::string who = sentence({name(i), ", host tier"});
    std::vector<std::uint32_t> owners(instance.host_pages, 0);
    for (const auto* list : {&instance.host_free_pages, &instance.host_cached}) {
      for (const std::uint32_t id : *list) {
        if (id < owners.size()) {
          ++owners[id];
        } else {
          fault({who, ": page ", std::to_string(id), " lies beyond its ",
                 std::to_string(instance.host_pages)});
        }
      }
    }
    for (std::uint32_t id = 0; id < owners.size(); ++id) {
      if (owners[id] == 1) continue;
      fault(
          {who, ": page ", std::to_string(id), owners[id] == 0 ? " is lost" : " is listed twice"});
    }
    if (!instance.host_account) {
      if (instance.host_pages > 0) fault({who, ": has pages and no account"});
      return;
    }
    const AccountSnapshot* charged = account(*instance.host_account);
    if (charged == nullptr || charged->space != config_.instances[i].host_tier) {
      fault({who, ": its account is not in the ledger's tree of its space"});
      return;
    }
    const Bytes page = model(i).page_bytes(config_.instances[i].block);
    expect_equal(who, "bytes charged", charged->used.count(),
                 (page * static_cast<std::int64_t>(instance.host_cached.size())).count());
  }

  // --- Steps ---

  void check_step(std::uint32_t i) {
    const InstanceView& instance = view_.instances[i];
    const std::string who = name(i);
    std::set<RequestId> in_step;
    if (instance.step) {
      if (instance.step->instance.value() != i) fault({who, ": its step is another's"});
      if (!steps_.insert(instance.step->id).second) fault({who, ": its step is named twice"});
      if (instance.step->entries.empty() && instance.step->moves.empty()) {
        fault({who, ": its step is empty"});
      }
      for (const StepEntry& entry : instance.step->entries) {
        const RequestView* request = find(entry.request);
        if (request == nullptr || !on(*request, i)) {
          fault({who, ": its step has a request that is not there"});
          continue;
        }
        if (!in_step.insert(entry.request).second) fault({name(*request), ": is twice in a step"});
        if (iterates(i)) check_entry(entry, *request);
      }
    }
    for (const RequestView& request : view_.requests) {
      if (!on(request, i) || request.in_step == in_step.contains(request.request)) continue;
      fault({name(request), request.in_step ? ": is marked as in a step that it is not in"
                                            : ": is in a step, but not marked so"});
    }
  }

  void check_entry(const StepEntry& entry, const RequestView& request) {
    const std::string who = name(request);
    const std::int64_t end = entry.context.count() + entry.tokens.count();
    const std::int64_t length = request.prompt.count() + request.generated.count();
    const std::int64_t held = static_cast<std::int64_t>(request.blocks.size()) *
                              config_.instances[request.instance->value()].block.count();
    expect_equal(who, "its context in the step", entry.context.count(), request.computed.count());
    if (entry.tokens < Tokens(1) || end > length || end > held) {
      fault({who, ": computes up to token ", number(end), " of ", number(length),
             " in a step, and its pages hold ", number(held)});
    }
    if (entry.emits != (end == length)) {
      fault({who, ": emits a token at the wrong end of its prompt"});
    }
  }

  // --- Bytes ---

  void check_instance_bytes(std::uint32_t i) {
    const InstanceView& instance = view_.instances[i];
    const std::string who = name(i);
    const AccountSnapshot* state = account(instance.state_account);
    const AccountSnapshot* weights = sibling(instance.state_account, "weights");
    const AccountSnapshot* workspace = sibling(instance.state_account, "workspace");
    if (state == nullptr || weights == nullptr || workspace == nullptr) {
      fault({who, ": its accounts are not in the ledger"});
      return;
    }
    const Bytes scratch = instance.step ? instance.step->workspace : Bytes(0);
    expect_equal(who, "workspace charged", workspace->used.count(), scratch.count());
    if (scratch > config_.instances[i].workspace) {
      fault({who, ": a step uses ", number(scratch.count()), " B of workspace, of ",
             number(config_.instances[i].workspace.count())});
    }
    expect_equal(who, "weights charged", weights->used.count(),
                 instance.lost ? 0 : model(i).weights.count());
    expect_equal(who, "the limit of its state", instance.state_limit.count(),
                 state->limit.value_or(Bytes(-1)).count());
    if (instance.state_limit > config_.instances[i].state) {
      fault({who, ": its state may grow above what was configured"});
    }

    const auto below = children(instance.state_account);
    if (below.size() != config_.tenants.size() + 1) {
      fault({who, ": its state has ", std::to_string(below.size()), " accounts"});
      return;
    }
    std::vector<std::int64_t> charged(config_.tenants.size(), 0);
    for (const RequestView& request : view_.requests) {
      if (on(request, i)) charged[request.tenant.value()] += request.state.count();
    }
    for (std::size_t t = 0; t < charged.size(); ++t) {
      expect_equal(sentence({who, ", tenant \"", config_.tenants[t].name, "\""}), "state charged",
                   below[t]->used.count(), charged[t]);
    }
    const Bytes page = model(i).page_bytes(config_.instances[i].block);
    expect_equal(who, "prefix cache charged", below.back()->used.count(),
                 (page * static_cast<std::int64_t>(instance.cached.size())).count());
    if (iterates(i)) {
      expect_equal(who, "bytes of a page", instance.page_bytes.count(), page.count());
    }
  }

  void check_leases() {
    for (std::uint32_t s = 0; s < config_.machine.spaces.size(); ++s) {
      const AccountSnapshot* desk = nullptr;  // opened after all instances
      for (const AccountSnapshot& a : view_.ledger.accounts) {
        if (a.space != SpaceId(s) || a.parent || desk != nullptr) continue;
        for (const AccountSnapshot* child : children(a.id)) {
          if (child->name == "leases") desk = child;
        }
      }
      const std::string who = sentence({"leases of \"", config_.machine.spaces[s].name, "\""});
      const auto below =
          desk == nullptr ? std::vector<const AccountSnapshot*>{} : children(desk->id);
      if (below.size() != config_.tenants.size()) {
        fault({who, ": have ", std::to_string(below.size()), " accounts"});
        continue;
      }
      std::vector<std::int64_t> held(config_.tenants.size(), 0);
      for (const RequestView& request : view_.requests) {
        if (request.phase == RequestPhase::leased && request.space == SpaceId(s)) {
          held[request.tenant.value()] += request.leased.count();
        }
      }
      for (std::size_t t = 0; t < held.size(); ++t) {
        expect_equal(sentence({who, ", tenant \"", config_.tenants[t].name, "\""}), "bytes charged",
                     below[t]->used.count(), held[t]);
      }
    }
  }

  // --- Who is there ---

  void check_population(std::uint32_t i) {
    const InstanceView& instance = view_.instances[i];
    std::int64_t waiting = 0, placed = 0;
    for (const RequestView& request : view_.requests) {
      if (!on(request, i)) continue;
      ++(request.phase == RequestPhase::waiting ? waiting : placed);
    }
    expect_equal(name(i), "the length of its queue", static_cast<std::int64_t>(instance.waiting),
                 waiting);
    if (instance.lost && (waiting + placed > 0 || instance.step || !instance.cached.empty() ||
                          instance.free_pages.size() != instance.pages)) {
      fault({name(i), ": is lost and still has requests, a step or pages"});
    }
  }

  void check_counts() {
    std::uint64_t present = 0;
    for (const RequestView& request : view_.requests) {
      if (request.phase != RequestPhase::ended) ++present;
    }
    const std::uint64_t ended = view_.finished + view_.refused + view_.expired + view_.cancelled;
    if (view_.submitted != ended + present) {
      fault({std::to_string(view_.submitted), " requests were submitted, but ",
             std::to_string(ended), " have ended and ", std::to_string(present), " are present"});
    }
  }

  const PlannerView& view_;
  const Config& config_;
  std::map<RequestId, const RequestView*> by_id_;
  std::set<StepId> steps_;
  std::vector<std::string> faults_;
};

}  // namespace

std::vector<std::string> audit(const PlannerView& view, const Config& config) {
  return Audit(view, config).run();
}

}  // namespace mais::core
