#include "mais/adapters/prometheus_metrics.hpp"

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <set>
#include <utility>

#include <prometheus/check_names.h>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include "adapters/event_counts.hpp"
#include "adapters/load_samples.hpp"

namespace mais::adapters {

namespace {

std::vector<Fault> faults_of(const PrometheusOptions& options) {
  std::vector<Fault> faults;
  std::set<std::string> taken;
  const GatewayNames& names = options.gateway;
  const auto metric = [&](const std::string& path, const std::string& name) {
    if (name.empty()) return;
    const std::string called = "'" + name + "'";
    if (!prometheus::CheckMetricName(name)) {
      faults.push_back({path, called + " is no name of a metric", "[a-zA-Z_:][a-zA-Z0-9_:]*"});
    }
    if (name.starts_with("mais_")) {
      faults.push_back({path, called + " begins as our own metrics do", "leave out 'mais_'"});
    }
    if (!taken.insert(name).second) {
      faults.push_back({path, called + " is used twice", "one name for each metric"});
    }
  };
  metric("gateway.waiting", names.waiting);
  metric("gateway.running", names.running);
  metric("gateway.kv_utilization", names.kv_utilization);
  metric("gateway.cache_info", names.cache_info);
  const auto label = [&](const std::string& path, const std::string& name) {
    if (prometheus::CheckLabelName(name)) return;
    faults.push_back({path, "'" + name + "' is no name of a label", "[a-zA-Z_][a-zA-Z0-9_]*"});
  };
  label("gateway.block_size_label", names.block_size_label);
  label("gateway.block_count_label", names.block_count_label);
  if (names.block_size_label == names.block_count_label) {
    faults.push_back({"gateway.block_count_label", "is block_size_label, too", "two names"});
  }
  const auto bounds = [&](const std::string& path, const std::vector<Duration>& list) {
    Duration before{};
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[i] <= before) {
        faults.push_back({path + "[" + std::to_string(i) + "]",
                          i == 0 ? "is not above 0" : "is not above the one before",
                          "bounds above 0 that rise"});
      }
      before = list[i];
    }
  };
  bounds("step_bounds", options.step_bounds);
  bounds("ttft_bounds", options.ttft_bounds);
  bounds("tpot_bounds", options.tpot_bounds);
  bounds("request_bounds", options.request_bounds);
  return faults;
}

}  // namespace

// The scheduler that gauges are read from, while there is one. Reading runs the scheduler's
// callbacks, which may scrape in turn, so no mutex is held meanwhile.
class PrometheusMetrics::Watch::Source {
 public:
  void open(Scheduler& scheduler) {
    std::vector<KvShape> shapes = kv_shapes(scheduler);
    const std::lock_guard lock(mutex_);
    MAIS_EXPECTS(scheduler_ == nullptr, "metrics watch one scheduler at a time");
    scheduler_ = &scheduler;
    shapes_ = std::move(shapes);
  }
  void close() noexcept {
    std::unique_lock lock(mutex_);
    scheduler_ = nullptr;
    left_.wait(lock, [&] { return readers_ == 0; });
  }
  // Calls read(scheduler, shapes) if there is a scheduler.
  template <class Read>
  void read(Read read) {
    Scheduler* scheduler = nullptr;
    std::vector<KvShape> shapes;
    {
      const std::lock_guard lock(mutex_);
      if (scheduler_ == nullptr) return;
      scheduler = scheduler_;
      shapes = shapes_;
      ++readers_;
    }
    const Reader leaves(*this);
    read(*scheduler, shapes);
  }

 private:
  struct Reader {
    explicit Reader(Source& source) : source_(source) {}
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader() {
      const std::lock_guard lock(source_.mutex_);
      if (--source_.readers_ == 0) source_.left_.notify_all();
    }
    Source& source_;
  };

  std::mutex mutex_;
  std::condition_variable left_;
  Scheduler* scheduler_ = nullptr;
  std::size_t readers_ = 0;
  std::vector<KvShape> shapes_;
};

class PrometheusMetrics::State final : public prometheus::Collectable {
 public:
  explicit State(PrometheusOptions options) : options_(std::move(options)) {}

  void begin(const Config& config) {
    MAIS_EXPECTS(!options_.gateway_model || options_.gateway_model->value() < config.models.size(),
                 "gateway_model is a model of the configuration");
    auto begun = std::make_unique<Begun>(config, options_);
    const std::lock_guard lock(mutex_);
    MAIS_EXPECTS(begun_ == nullptr, "metrics are an observer of one scheduler");
    begun_ = std::move(begun);
  }
  void observe(const Observation& seen) { begun()->counts.observe(seen); }

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families;
    Begun* const begun = this->begun();
    if (begun == nullptr) return families;
    source_->read([&](Scheduler& scheduler, const std::vector<KvShape>& shapes) {
      LoadSample sample{.accounts = scheduler.accounts()};
      for (std::size_t i = 0; i < begun->config.instances.size(); ++i) {
        sample.loads.push_back(scheduler.load(InstanceId(static_cast<std::uint32_t>(i))));
        sample.up.push_back(begun->counts.up(i));
      }
      collect_gateway(begun->config, shapes, sample, options_, families);
      collect_loads(begun->config, shapes, sample, families);
      collect_accounts(begun->config, sample, families);
    });
    begun->counts.collect(families);
    return families;
  }

  const std::shared_ptr<Watch::Source>& source() const { return source_; }

 private:
  struct Begun {
    Begun(const Config& of, const PrometheusOptions& options) : config(of), counts(of, options) {}
    const Config config;
    EventCounts counts;
  };
  // Set once, and there until the end.
  Begun* begun() const {
    const std::lock_guard lock(mutex_);
    return begun_.get();
  }

  const PrometheusOptions options_;
  const std::shared_ptr<Watch::Source> source_ = std::make_shared<Watch::Source>();
  mutable std::mutex mutex_;
  std::unique_ptr<Begun> begun_;
};

Result<std::shared_ptr<PrometheusMetrics>> PrometheusMetrics::create(PrometheusOptions options) {
  if (const auto faults = faults_of(options); !faults.empty()) {
    return fail(ErrorCode::invalid_argument, to_string(faults));
  }
  return std::shared_ptr<PrometheusMetrics>(new PrometheusMetrics(std::move(options)));
}

PrometheusMetrics::PrometheusMetrics(PrometheusOptions options)
    : state_(std::make_shared<State>(std::move(options))) {}

PrometheusMetrics::~PrometheusMetrics() = default;

void PrometheusMetrics::begin(const Config& config) {
  state_->begin(config);
}

void PrometheusMetrics::observe(const Observation& seen) {
  state_->observe(seen);
}

std::string PrometheusMetrics::text() const {
  return prometheus::TextSerializer().Serialize(state_->Collect());
}

std::shared_ptr<prometheus::Collectable> PrometheusMetrics::collectable() const {
  return state_;
}

PrometheusMetrics::Watch PrometheusMetrics::watch(Scheduler& scheduler) {
  state_->source()->open(scheduler);
  return Watch(state_->source());
}

PrometheusMetrics::Watch::Watch(std::shared_ptr<Source> source) noexcept
    : source_(std::move(source)) {}
PrometheusMetrics::Watch::Watch(Watch&& other) noexcept = default;
PrometheusMetrics::Watch& PrometheusMetrics::Watch::operator=(Watch&& other) noexcept {
  if (this == &other) return *this;
  if (source_) source_->close();
  source_ = std::move(other.source_);
  return *this;
}
PrometheusMetrics::Watch::~Watch() {
  if (source_) source_->close();
}

}  // namespace mais::adapters
