#include "mais/sim/simulator.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "mais/sim/step_cost.hpp"
#include "sim/course.hpp"
#include "sim/recount.hpp"

namespace mais::sim {

namespace {

using RealClock = std::chrono::steady_clock;

// Guards against a scheduler that goes round in circles.
constexpr std::uint64_t kStepsWithoutToken = 1'000'000;
constexpr std::uint64_t kWakesWithoutStep = 1'000'000;

double quantile(std::vector<float>& values, double q) {
  if (values.empty()) return 0;
  const auto rank = static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return static_cast<double>(values[static_cast<std::size_t>(rank)]);
}

class Run {
 public:
  Run(const Trace& trace, const Scenario& scenario, Subject& subject, const RunOptions& options)
      : trace_(trace),
        scenario_(scenario),
        subject_(subject),
        options_(options),
        recount_(trace, scenario, options.max_new),
        judged_bad_(trace.requests.size(), false),
        good_(trace.requests.size(), false) {
    for (const Instance& instance : scenario.config.instances) {
      Worker& worker = workers_.emplace_back();
      worker.device = device_of(scenario.config, instance);
      result_.host_pool += instance.host_tier ? instance.host_state : Bytes(0);
    }
    arrivals_.reserve(trace.requests.size());
    bounds_.reserve(trace.requests.size());
    for (const TraceRequest& request : trace.requests) {
      const double since_start =
          to_seconds(request.arrival - trace.requests.front().arrival) / options.rate;
      arrivals_.push_back(options.offline ? Time{} : Time(from_seconds(since_start)));
      // Judged by the first instance: all are alike in the evaluation.
      bounds_.push_back(workers_.front().device.ttft_bound(request.prompt));
    }
    due_.resize(trace.requests.size());
    std::iota(due_.begin(), due_.end(), std::size_t{0});
    std::sort(due_.begin(), due_.end(), [&](std::size_t a, std::size_t b) {
      return arrivals_[a] + bounds_[a] < arrivals_[b] + bounds_[b];
    });
    const Duration span = arrivals_.empty() ? Duration{} : arrivals_.back().time_since_epoch();
    course_.emplace(options.course_points,
                    std::max<Duration>(span / static_cast<std::int64_t>(options.course_points + 1),
                                       std::chrono::milliseconds(100)));
  }

  Result<RunResult> run() {
    while (recount_.ended() < recount_.size()) {
      const Time next = next_event();
      if (next == Time::max()) break;  // nothing will ever happen again
      pass_time(next);
      for (std::size_t i = 0; i < workers_.size(); ++i) {
        if (workers_[i].busy && workers_[i].until <= now_) {
          if (auto done = complete(workers_[i]); !done) return tl::unexpected(done.error());
        }
      }
      if (auto submitted = submit_arrived(); !submitted) return tl::unexpected(submitted.error());
      if (const auto timer = subject_.next_timer(); timer && *timer <= now_) {
        out_.clear();
        subject_.tick(now_, out_);
        if (auto applied = apply(); !applied) return tl::unexpected(applied.error());
      }
      for (std::size_t i = 0; i < workers_.size(); ++i) {
        if (workers_[i].busy) continue;
        if (auto started = start(i); !started) return tl::unexpected(started.error());
      }
      judge_overdue();
      if (hopeless()) {
        result_.stopped_early = true;
        break;
      }
    }
    finish();
    return std::move(result_);
  }

 private:
  struct Worker {
    SimulatedDevice device;
    bool busy = false;
    Time until{};
    Duration took{};
    std::optional<Time> wake{};
    core::Step step;
    float decide_us = 0;
  };

  Time next_event() const {
    Time next = next_arrival_ < arrivals_.size() ? arrivals_[next_arrival_] : Time::max();
    bool all_idle = true;
    for (const Worker& worker : workers_) {
      if (worker.busy) {
        all_idle = false;
        next = std::min(next, worker.until);
      } else if (worker.wake) {
        next = std::min(next, *worker.wake);
      }
    }
    if (all_idle) {
      if (const auto timer = subject_.next_timer()) next = std::min(next, *timer);
    }
    return next;
  }

  void pass_time(Time next) {
    next = std::max(next, now_);
    const double passed = to_seconds(next - now_);
    held_seconds_ += static_cast<double>(recount_.held().count()) * passed;
    for (const Worker& worker : workers_) busy_seconds_ += worker.busy ? passed : 0;
    now_ = next;
  }

  tl::expected<void, Error> apply() {
    ended_.clear();
    if (auto applied = recount_.apply(out_.list, ended_); !applied) return applied;
    for (const std::size_t index : ended_) {
      const Sequence& sequence = recount_.sequence(index);
      if (sequence.generated < sequence.output) bad(index);
      last_end_ = now_;
    }
    if (!ended_.empty()) steps_without_token_ = 0;
    return {};
  }

  tl::expected<void, Error> submit_arrived() {
    while (next_arrival_ < arrivals_.size() && arrivals_[next_arrival_] <= now_) {
      const std::size_t index = next_arrival_++;
      const TraceRequest& traced = trace_.requests[index];
      request_.model = scenario_.config.instances.front().model;
      request_.tenant = traced.tenant;
      request_.prompt = traced.prompt;
      request_.max_new = options_.max_new;
      request_.tag = index;
      if (scenario_.config.prefix_block > Tokens(0)) {
        const auto prefix = trace_.prefix_of(traced);
        request_.prefix.assign(prefix.begin(), prefix.end());
      }
      if (!options_.offline) {
        request_.deadlines = {.ttft = bounds_[index], .tpot = scenario_.tpot, .completion = {}};
      }
      out_.clear();
      const RequestId id = subject_.submit(arrivals_[index], request_, out_);
      recount_.submitted(index, id);
      ++result_.submitted;
      if (auto applied = apply(); !applied) return applied;
    }
    return {};
  }

  tl::expected<void, Error> start(std::size_t i) {
    Worker& worker = workers_[i];
    out_.clear();
    const auto before = RealClock::now();
    const bool has_step =
        subject_.next_step(now_, InstanceId(static_cast<std::uint32_t>(i)), out_, worker.step);
    worker.decide_us = microseconds_since(before);
    if (auto applied = apply(); !applied) return applied;
    worker.wake.reset();
    if (!has_step) {
      if (out_.wake_at) {
        worker.wake = std::max(*out_.wake_at, saturating_add(now_, Duration(1)));
        if (++wakes_without_step_ > kWakesWithoutStep) {
          return stuck("asked to be woken a million times and did nothing");
        }
      }
      return {};
    }
    wakes_without_step_ = 0;
    if (++steps_without_token_ > kStepsWithoutToken) {
      return stuck("ran a million steps without a token or an end");
    }
    const Result<Recount::Start> begun = recount_.begin(now_, worker.step);
    if (!begun) return tl::unexpected(begun.error());
    // A step of moves alone ends when they are on their way.
    const bool computes = !worker.step.entries.empty();
    worker.took = computes ? worker.device.step(begun->work) : Duration::zero();
    worker.busy = true;
    worker.until = computes ? saturating_add(begun->ready, worker.took) : now_;
    const Bytes held = recount_.held();
    peak_ = std::max(peak_, held);
    if (course_->due(now_, held)) sample(held);
    return {};
  }

  tl::expected<void, Error> complete(Worker& worker) {
    worker.busy = false;
    report_.step = worker.step.id;
    report_.took = worker.took;
    report_.finished.clear();
    first_.clear();
    last_.clear();
    recount_.end(now_, worker.step, report_.finished, first_, last_);
    if (!first_.empty() || !last_.empty()) steps_without_token_ = 0;
    for (const std::size_t index : first_) judge_first(index);
    for (const std::size_t index : last_) judge_last(index);
    out_.clear();
    const auto before = RealClock::now();
    subject_.report(now_, report_, out_);
    step_us_.push_back(worker.decide_us + microseconds_since(before));
    if (options_.progress && step_us_.size() % 1024 == 0) {
      options_.progress(static_cast<double>(recount_.ended()) /
                        static_cast<double>(recount_.size()));
    }
    return apply();
  }

  static float microseconds_since(RealClock::time_point before) {
    return std::chrono::duration<float, std::micro>(RealClock::now() - before).count();
  }

  tl::unexpected<Error> stuck(const std::string& what) const {
    return fail(ErrorCode::invalid_argument,
                "the scheduler makes no progress: it " + what + ", " +
                    std::to_string(recount_.size() - recount_.ended()) + " requests unfinished");
  }

  void bad(std::size_t index) {
    if (!judged_bad_[index]) ++bad_;
    judged_bad_[index] = true;
  }
  void judge_first(std::size_t index) {
    const Duration ttft = recount_.sequence(index).first_token - arrivals_[index];
    if (ttft > bounds_[index]) bad(index);
  }
  void judge_last(std::size_t index) {
    const Sequence& sequence = recount_.sequence(index);
    const Duration ttft = sequence.first_token - arrivals_[index];
    result_.ttft_seconds.push_back(to_seconds(ttft));
    result_.ttft_over_bound.push_back(to_seconds(ttft) / to_seconds(bounds_[index]));
    if (sequence.output > 1) {
      const Duration streamed = sequence.last_token - sequence.first_token;
      result_.tpot_seconds.push_back(to_seconds(streamed) /
                                     static_cast<double>(sequence.output - 1));
      if (scenario_.tpot && streamed > *scenario_.tpot * (sequence.output - 1)) bad(index);
    }
    ++completed_;
    if (judged_bad_[index]) return;
    ++result_.good;
    good_[index] = true;
  }
  // Requests whose first token is overdue are bad, even if they wait for ever.
  void judge_overdue() {
    if (options_.offline) return;
    while (next_due_ < due_.size()) {
      const std::size_t index = due_[next_due_];
      if (arrivals_[index] + bounds_[index] >= now_) break;
      if (recount_.sequence(index).generated == 0) bad(index);
      ++next_due_;
    }
  }
  bool hopeless() const {
    if (!options_.stop_below) return false;
    const auto all = static_cast<double>(recount_.size());
    return (all - static_cast<double>(bad_)) / all < *options_.stop_below;
  }

  void sample(Bytes held) {
    LoadSample sample{.time = now_,
                      .sequences = held,
                      .cached = {},
                      .host = {},
                      .running = recount_.holding(),
                      .waiting = next_arrival_ - recount_.ended() - recount_.holding()};
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      const core::InstanceLoad load = subject_.load(InstanceId(static_cast<std::uint32_t>(i)));
      sample.cached += load.state_cached;
      sample.host += load.host_used;
    }
    course_->add(sample);
  }

  void finish() {
    recount_.book(result_);
    result_.rate = options_.offline ? 0 : options_.rate;
    result_.requests_per_second = options_.offline ? 0 : options_.rate * mean_rate(trace_);
    if (!result_.stopped_early) result_.unfinished = recount_.size() - recount_.ended();
    const auto all = static_cast<double>(recount_.size());
    result_.good_requests = std::move(good_);
    result_.attainment = recount_.size() > 0 ? static_cast<double>(result_.good) / all : 0;
    if (result_.stopped_early) {
      result_.attainment = (all - static_cast<double>(bad_)) / all;  // it cannot be more
    }
    if (result_.prompt > Tokens(0)) {
      result_.prefix_hit_rate = static_cast<double>(result_.prefix_hits.count()) /
                                static_cast<double>(result_.prompt.count());
    }
    result_.makespan = last_end_.time_since_epoch();
    const double span = to_seconds(now_);
    const auto pool = static_cast<double>(result_.pool.count());
    if (span > 0) {
      result_.kv_mean = held_seconds_ / (pool * span);
      result_.busy = busy_seconds_ / (span * static_cast<double>(workers_.size()));
    }
    result_.kv_peak = static_cast<double>(peak_.count()) / pool;
    if (options_.offline && workers_.size() == 1) {
      result_.makespan_bound =
          workers_.front().device.offline_bound(trace_, pool_tokens(scenario_));
      if (result_.unfinished == 0 && result_.makespan_bound > Duration::zero()) {
        result_.makespan_ratio = to_seconds(result_.makespan) / to_seconds(result_.makespan_bound);
      }
    }
    std::sort(result_.ttft_over_bound.begin(), result_.ttft_over_bound.end());
    std::sort(result_.ttft_seconds.begin(), result_.ttft_seconds.end());
    std::sort(result_.tpot_seconds.begin(), result_.tpot_seconds.end());
    if (!result_.ttft_over_bound.empty()) result_.longest_wait = result_.ttft_over_bound.back();
    result_.step_us_p50 = quantile(step_us_, 0.50);
    result_.step_us_p99 = quantile(step_us_, 0.99);
    if (!workers_.empty()) sample(recount_.held());
    result_.course = course_->take();
  }

  const Trace& trace_;
  const Scenario& scenario_;
  Subject& subject_;
  const RunOptions& options_;
  Recount recount_;
  std::vector<Worker> workers_;
  std::vector<Time> arrivals_;
  std::vector<Duration> bounds_;  // of TTFT
  std::vector<std::size_t> due_;  // requests by the time their first token is due
  std::size_t next_due_ = 0;
  std::size_t next_arrival_ = 0;
  Time now_{};
  Time last_end_{};
  Bytes peak_;
  double held_seconds_ = 0;  // bytes x seconds
  double busy_seconds_ = 0;
  std::vector<bool> judged_bad_;
  std::vector<bool> good_;
  std::size_t bad_ = 0;
  std::size_t completed_ = 0;
  std::uint64_t steps_without_token_ = 0;
  std::uint64_t wakes_without_step_ = 0;
  std::vector<float> step_us_;
  std::optional<Course> course_;
  RunResult result_;
  // Reused at every step.
  core::Actions out_;
  core::StepReport report_;
  Request request_;
  std::vector<std::size_t> ended_, first_, last_;
};

}  // namespace

Result<RunResult> simulate(const Trace& trace, const Scenario& scenario, Subject& subject,
                           const RunOptions& options) {
  if (!(options.rate > 0) || options.rate > 1e12) {
    return fail(ErrorCode::invalid_argument, "the rate multiplier must be above 0");
  }
  if (options.max_new < Tokens(1)) {
    return fail(ErrorCode::invalid_argument, "max_new must be at least 1 token");
  }
  if (trace.requests.empty()) {
    return fail(ErrorCode::invalid_argument, "there is no request to replay");
  }
  if (scenario.config.instances.empty()) {
    return fail(ErrorCode::invalid_argument, "there is no instance to replay on");
  }
  return Run(trace, scenario, subject, options).run();
}

}  // namespace mais::sim
