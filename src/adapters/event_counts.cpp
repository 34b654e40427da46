#include "adapters/event_counts.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "adapters/metric_families.hpp"

namespace mais::adapters {

namespace {

prometheus::Histogram::BucketBoundaries seconds_of(const std::vector<Duration>& bounds) {
  prometheus::Histogram::BucketBoundaries seconds;
  for (const Duration bound : bounds) seconds.push_back(to_seconds(bound));
  return seconds;
}

// A host's clock may jump back; the sum of a histogram may not.
void observe_time(prometheus::Histogram& histogram, Duration time) {
  histogram.Observe(to_seconds(std::max(time, Duration{})));
}

// Words of ours as one value.
std::string one_word(std::string_view words) {
  std::string text(words);
  std::replace(text.begin(), text.end(), ' ', '_');
  return text;
}

template <class Counters>
bool any(const Counters& counters) {
  return std::any_of(counters.begin(), counters.end(),
                     [](const prometheus::Counter& c) { return c.Value() != 0; });
}

}  // namespace

EventCounts::InstanceCounts::InstanceCounts(const prometheus::Histogram::BucketBoundaries& bounds)
    : seconds(bounds) {}

EventCounts::Latencies::Latencies(const PrometheusOptions& options)
    : first(seconds_of(options.ttft_bounds)),
      each(seconds_of(options.tpot_bounds)),
      whole(seconds_of(options.request_bounds)) {}

EventCounts::EventCounts(const Config& config, const PrometheusOptions& options)
    : config_(config), tenants_(config.tenants.size() + 1), granted_(config.machine.spaces.size()) {
  for (std::size_t i = 0; i < config.instances.size(); ++i) {
    instances_.emplace_back(seconds_of(options.step_bounds));
  }
  for (std::size_t i = 0; i < config.models.size() * kServiceClasses; ++i) {
    latencies_.emplace_back(options);
  }
}

std::size_t EventCounts::tenant_of(const Request& request) const {
  return std::min<std::size_t>(request.tenant.value(), config_.tenants.size());
}

void EventCounts::observe(const Observation& seen) {
  if (seen.number > number_ + 1) {
    missed_.Increment(static_cast<double>(seen.number - number_ - 1));
    // Their ends may have been among them: whoever is forgotten cannot pile up.
    requests_.clear();
    for (InstanceCounts& instance : instances_) instance.step.id.reset();
  }
  number_ = seen.number;
  std::visit([&](const auto& event) { take(seen, event); }, seen.event);
  for (const core::Action& action : seen.actions) take(seen, action);
}

void EventCounts::take(const Observation& seen, const core::event::Submit& event) {
  const Request& request = event.request;
  TenantCounts& tenant = tenants_[tenant_of(request)];
  const auto service_class = static_cast<std::size_t>(request.service_class);
  if (service_class < kServiceClasses) tenant.submitted[service_class].Increment();
  for (const core::Action& action : seen.actions) {
    // Others that end by this event are known already.
    const bool is_new =
        action.kind == core::ActionKind::accepted ||
        (action.kind == core::ActionKind::refused && !requests_.contains(action.request));
    if (!is_new) continue;
    Tracked& tracked = requests_[action.request];
    tracked = {.tenant = tenant_of(request), .submitted = seen.now};
    if (request.model && request.model->value() < config_.models.size() &&
        service_class < kServiceClasses) {
      tracked.latencies = &latencies_[request.model->value() * kServiceClasses + service_class];
      tracked.generates = config_.models[request.model->value()].batching == Batching::iteration;
    }
    break;
  }
}

void EventCounts::take(const Observation& seen, const core::event::NextStep& event) {
  if (seen.step.entries.empty() && seen.step.moves.empty()) return;
  StepUnderWay& step = instances_[event.instance.value()].step;
  step.id = seen.step.id;
  step.begun = seen.now;
  step.entries = seen.step.entries;  // into memory that is used again
}

void EventCounts::take(const Observation& seen, const core::event::Report& event) {
  const core::StepReport& report = event.report;
  for (InstanceCounts& instance : instances_) {
    if (instance.step.id != report.step) continue;
    if (report.outcome == core::StepReport::Outcome::done) {
      instance.done.Increment();
      observe_time(instance.seconds, report.took.value_or(seen.now - instance.step.begun));
      for (const core::StepEntry& entry : instance.step.entries) {
        instance.computed.Increment(static_cast<double>(entry.tokens.count()));
        if (entry.emits) emit(entry.request, seen.now, instance);
      }
    } else {
      instance.failed.Increment();
    }
    instance.step.id.reset();
    return;
  }
}

void EventCounts::emit(RequestId request, Time now, InstanceCounts& instance) {
  const auto found = requests_.find(request);
  if (found == requests_.end()) return;  // ended meanwhile
  Tracked& tracked = found->second;
  if (!tracked.generates) return;
  instance.generated.Increment();
  if (tracked.tokens++ == 0) {
    tracked.first = now;
    observe_time(tracked.latencies->first, now - tracked.submitted);
  }
  tracked.last = now;
}

void EventCounts::take(const Observation&, const core::event::InstanceLost& event) {
  instances_[event.instance.value()].up.Set(0);
  instances_[event.instance.value()].step.id.reset();
}

void EventCounts::take(const Observation&, const core::event::InstanceBack& event) {
  instances_[event.instance.value()].up.Set(1);
}

void EventCounts::take(const Observation& seen, const core::Action& action) {
  switch (action.kind) {
    case core::ActionKind::finished:
      return end(EndKind::finished, action, seen.now);
    case core::ActionKind::refused:
      return end(EndKind::refused, action, seen.now);
    case core::ActionKind::expired:
      return end(EndKind::expired, action, seen.now);
    case core::ActionKind::cancelled:
      return end(EndKind::cancelled, action, seen.now);
    case core::ActionKind::granted:
      return granted_[action.space.value()].Increment();
    case core::ActionKind::accepted:
    case core::ActionKind::preempted:
    case core::ActionKind::requeued:
      return;
  }
}

void EventCounts::end(EndKind kind, const core::Action& action, Time now) {
  Tracked tracked{.tenant = config_.tenants.size()};
  if (const auto found = requests_.find(action.request); found != requests_.end()) {
    tracked = found->second;
    requests_.erase(found);
  }
  TenantCounts& tenant = tenants_[tracked.tenant];
  tenant.ended[static_cast<std::size_t>(kind)].Increment();
  if (kind == EndKind::refused) {
    tenant.refused[static_cast<std::size_t>(action.refusal.reason)].Increment();
  }
  if (kind != EndKind::finished || tracked.latencies == nullptr) return;
  observe_time(tracked.latencies->whole, now - tracked.submitted);
  if (tracked.tokens > 1) {
    observe_time(tracked.latencies->each, (tracked.last - tracked.first) / (tracked.tokens - 1));
  }
}

void EventCounts::collect(std::vector<prometheus::MetricFamily>& out) const {
  auto submitted = counter_family("mais_requests_submitted_total", "Requests submitted.");
  auto ended = counter_family("mais_requests_ended_total", "Requests ended, by how.");
  auto refused = counter_family("mais_refusals_total", "Requests refused, by reason.");
  for (std::size_t i = 0; i < tenants_.size(); ++i) {
    const TenantCounts& tenant = tenants_[i];
    const bool is_named = i < config_.tenants.size();
    const auto labels = [&](std::string name, std::string value) {
      Labels made;
      if (is_named) made.push_back({"tenant", config_.tenants[i].name});
      made.push_back({std::move(name), std::move(value)});
      return made;
    };
    if (is_named || any(tenant.submitted)) {
      for (const ServiceClass c : kAllServiceClasses) {
        add_series(submitted, labels("class", std::string(to_string(c))),
                   tenant.submitted[static_cast<std::size_t>(c)].Collect());
      }
    }
    if (is_named || any(tenant.ended)) {
      for (std::size_t kind = 0; kind < kEnds; ++kind) {
        add_series(ended, labels("kind", std::string(to_string(static_cast<EndKind>(kind)))),
                   tenant.ended[kind].Collect());
      }
    }
    if (is_named || any(tenant.refused)) {
      for (std::size_t reason = 0; reason < kReasons; ++reason) {
        add_series(refused,
                   labels("reason", one_word(to_string(static_cast<RefusalReason>(reason)))),
                   tenant.refused[reason].Collect());
      }
    }
  }

  auto granted = counter_family("mais_leases_granted_total", "Leases granted.");
  for (std::size_t i = 0; i < granted_.size(); ++i) {
    add_series(granted, {{"space", config_.machine.spaces[i].name}}, granted_[i].Collect());
  }

  auto up = gauge_family("mais_instance_up", "1, or 0 while the instance is lost.");
  auto steps = counter_family("mais_steps_total", "Steps reported, by outcome.");
  auto seconds = histogram_family("mais_step_seconds", "Time that steps took.");
  auto computed = counter_family("mais_computed_tokens_total", "Tokens computed in steps.");
  auto generated = counter_family("mais_generated_tokens_total", "Tokens generated.");
  for (std::size_t i = 0; i < instances_.size(); ++i) {
    const InstanceCounts& instance = instances_[i];
    const std::string& name = config_.instances[i].name;
    add_series(up, {{"engine", name}}, instance.up.Collect());
    add_series(steps, {{"engine", name}, {"outcome", "done"}}, instance.done.Collect());
    add_series(steps, {{"engine", name}, {"outcome", "allocation_failed"}},
               instance.failed.Collect());
    add_series(seconds, {{"engine", name}}, instance.seconds.Collect());
    add_series(computed, {{"engine", name}}, instance.computed.Collect());
    add_series(generated, {{"engine", name}}, instance.generated.Collect());
  }

  auto first = histogram_family("mais_time_to_first_token_seconds",
                                "From submission to the first token, of requests that generate.");
  auto each = histogram_family("mais_time_per_output_token_seconds",
                               "Mean time per token after the first, of finished requests.");
  auto whole = histogram_family("mais_request_seconds",
                                "From submission to the end, of finished requests for a model.");
  for (std::size_t i = 0; i < latencies_.size(); ++i) {
    const Latencies& latencies = latencies_[i];
    const Model& model = config_.models[i / kServiceClasses];
    const Labels labels = {
        {"model", model.name},
        {"class", std::string(to_string(static_cast<ServiceClass>(i % kServiceClasses)))}};
    if (model.batching == Batching::iteration) {
      add_series(first, labels, latencies.first.Collect());
      add_series(each, labels, latencies.each.Collect());
    }
    add_series(whole, labels, latencies.whole.Collect());
  }

  auto missed = counter_family("mais_observations_missed_total",
                               "Observations that were dropped: what counters do not count.");
  add_series(missed, {}, missed_.Collect());

  for (auto* family : {&submitted, &ended, &refused, &granted, &up, &steps, &seconds, &computed,
                       &generated, &first, &each, &whole, &missed}) {
    out.push_back(std::move(*family));
  }
}

}  // namespace mais::adapters
