#include "journal_study.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <unordered_map>
#include <utility>
#include <variant>

#include "mais/reexecution.hpp"

namespace replay {

namespace {

using namespace mais;

// Follows observations and keeps the figures.
class Gatherer {
 public:
  Gatherer(JournalStudy& study, const core::Planner& planner) : study_(study), planner_(planner) {
    study_.peak_state.resize(study_.config.instances.size());
    study_.peak_leased.resize(study_.config.machine.spaces.size());
    leased_.resize(study_.config.machine.spaces.size());
    for (const Instance& instance : study_.config.instances) {
      study_.run.pool += instance.state;
      study_.run.host_pool += instance.host_state;
    }
    if (study_.config.instances.empty()) {
      for (const Space& space : study_.config.machine.spaces) study_.run.pool += space.capacity;
    }
  }

  void hear(const Observation& seen) {
    if (!begun_) begun_ = seen.now;
    now_ = std::max(now_, seen.now);
    if (const auto* const submit = std::get_if<core::event::Submit>(&seen.event)) {
      submitted(*submit, seen);
    } else if (const auto* const back = std::get_if<core::event::GiveBack>(&seen.event)) {
      given_back(back->request);
    } else if (const auto* const report = std::get_if<core::event::Report>(&seen.event)) {
      reported(report->report);
    }
    for (const core::Action& action : seen.actions) hear(action);
    if (!seen.step.entries.empty() || !seen.step.moves.empty()) began(seen.step);
    sample();
  }

  void finish() {
    sim::RunResult& run = study_.run;
    study_.lasted = begun_ ? now_ - *begun_ : Duration(0);
    run.makespan = study_.lasted;
    run.submitted = study_.sequences.submitted + study_.leases.submitted;
    run.finished = study_.sequences.finished + study_.leases.finished;
    run.refused = run.submitted - run.finished - study_.sequences.open() - study_.leases.open();
    run.unfinished = study_.sequences.open() + study_.leases.open();
    const auto part = [](auto a, auto b) {
      return b > 0 ? static_cast<double>(a) / static_cast<double>(b) : 0;
    };
    run.attainment = part(run.good, run.submitted);
    run.requests_per_second = to_seconds(study_.lasted) > 0
                                  ? static_cast<double>(run.submitted) / to_seconds(study_.lasted)
                                  : 0;
    run.kv_mean = study_.lasted > Duration(0)
                      ? held_over_time_ / to_seconds(study_.lasted) /
                            std::max(1.0, static_cast<double>(run.pool.count()))
                      : 0;
    run.kv_peak = part(peak_.count(), run.pool.count());
    run.busy = part(busy_.count(), study_.lasted.count());
    for (std::uint32_t i = 0; i < study_.config.instances.size(); ++i) {
      const core::InstanceLoad load = planner_.load(InstanceId(i));
      run.recomputed += Tokens(static_cast<std::int64_t>(load.recomputed_tokens));
      run.prompt += Tokens(static_cast<std::int64_t>(load.prompt_tokens));
      run.prefix_hits += Tokens(static_cast<std::int64_t>(load.prefix_hits));
    }
    run.prefix_hit_rate = part(run.prefix_hits.count(), run.prompt.count());
    for (auto* const list : {&run.ttft_seconds, &run.tpot_seconds, &run.ttft_over_bound}) {
      std::sort(list->begin(), list->end());
    }
    if (!run.ttft_over_bound.empty()) run.longest_wait = run.ttft_over_bound.back();
  }

 private:
  struct Live {
    Request request{};
    Time submitted{};
    bool leased = false;
    std::optional<Time> first{}, last{};  // tokens
    std::int64_t tokens = 0;
    std::uint64_t preemptions = 0;
  };

  Ends& ends_of(const Request& request) { return request.model ? study_.sequences : study_.leases; }

  void submitted(const core::event::Submit& submit, const Observation& seen) {
    ++ends_of(submit.request).submitted;
    // The planner names the request in what it says of it first.
    if (seen.actions.empty()) return;
    Live live{.request = submit.request, .submitted = seen.now};
    const auto& defaults =
        study_.config.queue.classes[static_cast<std::size_t>(submit.request.service_class)]
            .deadlines;
    Deadlines& own = live.request.deadlines;
    if (!own.ttft) own.ttft = defaults.ttft;
    if (!own.tpot) own.tpot = defaults.tpot;
    if (!own.completion) own.completion = defaults.completion;
    live_.insert_or_assign(seen.actions.front().request, std::move(live));
  }

  void given_back(RequestId request) {
    const auto found = live_.find(request);
    if (found == live_.end() || !found->second.leased) return;
    leased_[found->second.request.space->value()] -= found->second.request.bytes;
  }

  void began(const core::Step& step) {
    ++study_.run.steps;
    for (const core::StepEntry& entry : step.entries) study_.run.computed += entry.tokens;
    underway_.insert_or_assign(step.id, std::pair(now_, step));
  }

  void reported(const core::StepReport& report) {
    const auto found = underway_.find(report.step);
    if (found == underway_.end()) return;
    busy_ += now_ - found->second.first;
    if (report.outcome == core::StepReport::Outcome::allocation_failed) {
      ++study_.run.ooms;
    } else {
      for (const core::StepEntry& entry : found->second.second.entries) {
        const auto live = live_.find(entry.request);
        if (live == live_.end() || !entry.emits) continue;
        if (!live->second.first) live->second.first = now_;
        live->second.last = now_;
        ++live->second.tokens;
      }
    }
    underway_.erase(found);
  }

  void hear(const core::Action& action) {
    const auto found = live_.find(action.request);
    if (found == live_.end()) return;
    Live& live = found->second;
    Ends& ends = ends_of(live.request);
    switch (action.kind) {
      case core::ActionKind::accepted:
        return;
      case core::ActionKind::granted:
        ++study_.granted;
        live.leased = true;
        leased_[action.space.value()] += action.bytes;
        return;
      case core::ActionKind::requeued:
        ++study_.requeued;
        return;
      case core::ActionKind::preempted:
        ++study_.run.preemptions;
        study_.run.max_preemptions = std::max(study_.run.max_preemptions, ++live.preemptions);
        return;
      case core::ActionKind::refused:
        ++ends.refused;
        ++ends.reasons[action.refusal.reason];
        break;
      case core::ActionKind::expired:
        ++ends.expired;
        break;
      case core::ActionKind::cancelled:
        ++ends.cancelled;
        break;
      case core::ActionKind::finished:
        ++ends.finished;
        judge(live);
        break;
    }
    live_.erase(found);
  }

  void judge(const Live& live) {
    sim::RunResult& run = study_.run;
    const Deadlines& bounds = live.request.deadlines;
    bool good = !bounds.completion || now_ - live.submitted <= *bounds.completion;
    if (live.first) {
      const Duration ttft = *live.first - live.submitted;
      run.ttft_seconds.push_back(to_seconds(ttft));
      if (bounds.ttft && *bounds.ttft > Duration(0)) {
        run.ttft_over_bound.push_back(to_seconds(ttft) / to_seconds(*bounds.ttft));
        good = good && ttft <= *bounds.ttft;
      }
      if (live.tokens > 1) {
        const Duration tpot = (*live.last - *live.first) / (live.tokens - 1);
        run.tpot_seconds.push_back(to_seconds(tpot));
        good = good && (!bounds.tpot || tpot <= *bounds.tpot);
      }
    }
    run.good += good;
  }

  void sample() {
    sim::LoadSample load{};
    load.time = Time(now_ - *begun_);
    for (std::uint32_t i = 0; i < study_.peak_state.size(); ++i) {
      const core::InstanceLoad of = planner_.load(InstanceId(i));
      load.sequences += of.state_used;
      load.cached += of.state_cached;
      load.host += of.host_used;
      load.running += of.running;
      load.waiting += of.waiting;
      study_.peak_state[i] = std::max(study_.peak_state[i], of.state_used);
    }
    for (std::size_t i = 0; i < leased_.size(); ++i) {
      study_.peak_leased[i] = std::max(study_.peak_leased[i], leased_[i]);
      if (study_.peak_state.empty()) load.sequences += leased_[i];
    }
    if (study_.peak_state.empty()) {
      load.running = static_cast<std::size_t>(study_.granted - study_.leases.finished);
      load.waiting = static_cast<std::size_t>(study_.leases.open()) - load.running;
    }
    auto& course = study_.run.course;
    if (!course.empty()) {
      held_over_time_ +=
          static_cast<double>(last_.sequences.count()) * to_seconds(load.time - last_.time);
    }
    last_ = load;
    peak_ = std::max(peak_, load.sequences);
    keep(load);
  }

  // As many points as a plot can show, the peaks of what lies between them.
  void keep(const sim::LoadSample& load) {
    constexpr std::size_t kMost = 4096;
    auto& course = study_.run.course;
    if (left_ > 0) {
      merge(course.back(), load);
      --left_;
      return;
    }
    if (course.size() == kMost) {
      for (std::size_t i = 0; i < kMost / 2; ++i) {
        course[i] = course[2 * i];
        merge(course[i], course[2 * i + 1]);
      }
      course.resize(kMost / 2);
      stride_ *= 2;
    }
    course.push_back(load);
    left_ = stride_ - 1;
  }
  static void merge(sim::LoadSample& into, const sim::LoadSample& other) {
    into.sequences = std::max(into.sequences, other.sequences);
    into.cached = std::max(into.cached, other.cached);
    into.host = std::max(into.host, other.host);
    into.running = std::max(into.running, other.running);
    into.waiting = std::max(into.waiting, other.waiting);
  }

  JournalStudy& study_;
  const core::Planner& planner_;
  std::optional<Time> begun_;
  Time now_ = Time::min();
  std::unordered_map<RequestId, Live> live_;
  std::unordered_map<core::StepId, std::pair<Time, core::Step>> underway_;
  std::vector<Bytes> leased_;
  sim::LoadSample last_{};
  Bytes peak_{};
  Duration busy_{};
  double held_over_time_ = 0;
  std::size_t stride_ = 1, left_ = 0;
};

[[gnu::format(printf, 1, 2)]] std::string formatted(const char* format, ...) {
  char text[256];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  return text;
}

std::string size(Bytes bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes.count());
  int unit = 0;
  for (; value >= 1024 && unit < 4; ++unit) value /= 1024;
  return formatted("%.4g %s", value, units[unit]);
}

void row(std::string& text, const char* what, std::uint64_t sequences, std::uint64_t leases) {
  text += formatted("  %-22s %12llu %12llu\n", what, static_cast<unsigned long long>(sequences),
                    static_cast<unsigned long long>(leases));
}

std::string ends_table(const JournalStudy& study) {
  const Ends& a = study.sequences;
  const Ends& b = study.leases;
  std::string text = formatted("  %-22s %12s %12s\n", "", "sequences", "leases");
  row(text, "submitted", a.submitted, b.submitted);
  row(text, "finished", a.finished, b.finished);
  row(text, "refused", a.refused, b.refused);
  for (std::size_t i = 0; i <= static_cast<std::size_t>(RefusalReason::instance_lost); ++i) {
    const auto reason = static_cast<RefusalReason>(i);
    const auto of = [&](const Ends& ends) {
      const auto found = ends.reasons.find(reason);
      return found == ends.reasons.end() ? 0 : found->second;
    };
    if (of(a) + of(b) == 0) continue;
    row(text, ("  " + std::string(to_string(reason))).c_str(), of(a), of(b));
  }
  row(text, "expired", a.expired, b.expired);
  row(text, "cancelled", a.cancelled, b.cancelled);
  row(text, "open at the end", a.open(), b.open());
  return text;
}

std::string memory_table(const JournalStudy& study) {
  std::string text;
  for (std::size_t i = 0; i < study.peak_state.size(); ++i) {
    const Instance& instance = study.config.instances[i];
    text += "  state of " + instance.name + ": at most " + size(study.peak_state[i]) + " of " +
            size(instance.state) + "\n";
  }
  for (std::size_t i = 0; i < study.peak_leased.size(); ++i) {
    if (study.peak_leased[i] == Bytes(0)) continue;
    const Space& space = study.config.machine.spaces[i];
    text += "  leases of " + space.name + ": at most " + size(study.peak_leased[i]) + " of " +
            size(space.capacity) + "\n";
  }
  const auto& course = study.run.course;
  if (course.empty()) return text;
  text +=
      formatted("\n  %10s %12s %12s %9s %9s\n", "until", "held", "cached", "running", "waiting");
  constexpr int kRows = 12;
  std::size_t next = 0;
  sim::LoadSample last = course.front();
  for (int i = 1; i <= kRows; ++i) {  // the peaks of each twelfth of the time
    const Time until = course.front().time + study.lasted * i / kRows;
    sim::LoadSample peak = last;
    for (bool first = true; next < course.size() && course[next].time <= until; ++next) {
      if (std::exchange(first, false)) peak = course[next];
      last = course[next];
      peak.sequences = std::max(peak.sequences, last.sequences);
      peak.cached = std::max(peak.cached, last.cached);
      peak.running = std::max(peak.running, last.running);
      peak.waiting = std::max(peak.waiting, last.waiting);
    }
    text += formatted("  %8.3f s %12s %12s %9zu %9zu\n", to_seconds(until),
                      size(peak.sequences).c_str(), size(peak.cached).c_str(), peak.running,
                      peak.waiting);
  }
  return text;
}

}  // namespace

Result<JournalStudy> study_journal(const std::string& path) {
  Result<JournalReader> reader = JournalReader::open(path);
  if (!reader) return tl::unexpected<Error>(std::move(reader.error()));
  Result<Reexecution> again = Reexecution::of(reader->config());
  if (!again) {
    again.error().message = path + ": " + again.error().message;
    return tl::unexpected<Error>(std::move(again.error()));
  }
  JournalStudy study{.name = path, .config = reader->config()};
  Gatherer gatherer(study, again->planner());
  Observation seen;
  while (reader->next(seen)) {
    study.difference = again->follow(seen);
    if (study.difference) break;
    gatherer.hear(seen);
  }
  gatherer.finish();
  if (!study.difference) study.end = reader->end();
  return study;
}

std::string to_text(const JournalStudy& study) {
  const sim::RunResult& run = study.run;
  std::string text =
      "Journal " + study.name + ": " + formatted("%.3f s\n", to_seconds(study.lasted));
  if (study.difference) {
    text += "Executed again: DIFFERENT. " + *study.difference + "\n";
  } else {
    text += "Executed again: every decision is the same, bit for bit.\n" + study.end.message + "\n";
  }
  text += "\nRequests\n" + ends_table(study) + "\nSteps\n";
  text += formatted("  %llu steps, %llu failed allocations, %lld tokens computed\n",
                    static_cast<unsigned long long>(run.steps),
                    static_cast<unsigned long long>(run.ooms),
                    static_cast<long long>(run.computed.count()));
  text += formatted(
      "  %llu preemptions, %lld tokens computed again, %llu requests moved from a lost "
      "instance\n",
      static_cast<unsigned long long>(run.preemptions),
      static_cast<long long>(run.recomputed.count()),
      static_cast<unsigned long long>(study.requeued));
  const auto quantile = [](const std::vector<double>& sorted, double q) {
    return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))] * 1e3;
  };
  if (!run.ttft_seconds.empty()) {
    text += formatted("  time to first token: median %.3g ms, 99th percentile %.3g ms\n",
                      quantile(run.ttft_seconds, 0.5), quantile(run.ttft_seconds, 0.99));
  }
  if (!run.tpot_seconds.empty()) {
    text += formatted("  time per output token: median %.3g ms, 99th percentile %.3g ms\n",
                      quantile(run.tpot_seconds, 0.5), quantile(run.tpot_seconds, 0.99));
  }
  return text + "\nMemory\n" + memory_table(study);
}

sim::Report report_of(const JournalStudy& study, const std::string& command) {
  sim::Report report{
      .trace = study.name,
      .recorded = true,
      .machine = study.config.machine.name.empty() ? "its machine" : study.config.machine.name,
      .command = command,
      .requests = study.run.submitted,
      .policies = {}};
  report.policies.push_back(
      {.policy = std::string(to_string(study.config.policy.memory)), .run = study.run});
  return report;
}

}  // namespace replay
