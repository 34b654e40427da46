#include "mais/adapters/spdlog_observer.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <spdlog/spdlog.h>

#include "mais/result.hpp"

namespace mais::adapters {

namespace {

enum class Kind : std::uint8_t {
  accepted,
  granted,
  given_back,
  preempted,
  requeued,
  finished,
  refused,
  expired,
  cancelled,
  step,
  report,
  allocation_failed,
  instance_lost,
  instance_back,
  memory_measured,
  limit_changed,
  tenant_limit_changed,
  moves_measured,
  missed,
};
constexpr std::size_t kKinds = static_cast<std::size_t>(Kind::missed) + 1;

struct Style {
  std::string_view name;
  spdlog::level::level_enum level;
};
constexpr std::array<Style, kKinds> kStyles = {{{"accepted", spdlog::level::info},
                                                {"granted", spdlog::level::info},
                                                {"given_back", spdlog::level::info},
                                                {"preempted", spdlog::level::warn},
                                                {"requeued", spdlog::level::warn},
                                                {"finished", spdlog::level::info},
                                                {"refused", spdlog::level::warn},
                                                {"expired", spdlog::level::warn},
                                                {"cancelled", spdlog::level::info},
                                                {"step", spdlog::level::debug},
                                                {"report", spdlog::level::debug},
                                                {"allocation_failed", spdlog::level::warn},
                                                {"instance_lost", spdlog::level::warn},
                                                {"instance_back", spdlog::level::info},
                                                {"memory_measured", spdlog::level::info},
                                                {"limit_changed", spdlog::level::info},
                                                {"tenant_limit_changed", spdlog::level::info},
                                                {"moves_measured", spdlog::level::debug},
                                                {"missed", spdlog::level::warn}}};

Kind kind_of(core::ActionKind kind) {
  switch (kind) {
    case core::ActionKind::accepted:
      return Kind::accepted;
    case core::ActionKind::refused:
      return Kind::refused;
    case core::ActionKind::expired:
      return Kind::expired;
    case core::ActionKind::cancelled:
      return Kind::cancelled;
    case core::ActionKind::finished:
      return Kind::finished;
    case core::ActionKind::preempted:
      return Kind::preempted;
    case core::ActionKind::requeued:
      return Kind::requeued;
    case core::ActionKind::granted:
      return Kind::granted;
  }
  return Kind::missed;
}

// A name as a value: plain where it is, else in quotes, so that no name makes up a pair or a line.
std::string value_of(const std::string& name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.:/").find(c) != std::string_view::npos;
  };
  if (!name.empty() && std::all_of(name.begin(), name.end(), plain)) return name;
  std::string text = "\"";
  for (const char c : name) {
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      text += c;
    }
  }
  return text + '"';
}

// Words of ours as one value.
std::string one_word(std::string_view words) {
  std::string text(words);
  std::replace(text.begin(), text.end(), ' ', '_');
  return text;
}

// A name by its position; the number itself where the host named none such.
template <class Named, class Which>
std::string name_in(const std::vector<Named>& list, Which id) {
  if (id.value() >= list.size()) return std::to_string(id.value());
  return value_of(list[id.value()].name);
}

std::uint64_t number(RequestId request) {
  return static_cast<std::uint64_t>(request);
}

}  // namespace

class SpdlogObserver::Lines {
 public:
  Lines(std::shared_ptr<spdlog::logger> logger, SpdlogOptions options)
      : logger_(std::move(logger)), options_(options) {}
  ~Lines() { say_suppressed(); }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  void begin(const Config& config) { config_ = config; }

  void observe(const Observation& seen) {
    now_ = seen.now;
    const auto second = std::chrono::floor<std::chrono::seconds>(now_.time_since_epoch());
    if (second != second_) {
      say_suppressed();
      written_.fill(0);
      second_ = second;
    }
    if (seen.number > number_ + 1) line(Kind::missed, "count={}", seen.number - number_ - 1);
    number_ = seen.number;
    std::visit([&](const auto& event) { say(event); }, seen.event);
    if (options_.steps && !(seen.step.entries.empty() && seen.step.moves.empty())) say(seen.step);
    for (const core::Action& action : seen.actions) say(action, seen.event);
  }

 private:
  template <class... Values>
  void line(Kind kind, fmt::format_string<Values...> format, Values&&... values) {
    const auto at = static_cast<std::size_t>(kind);
    const Style& style = kStyles[at];
    if (!logger_->should_log(style.level)) return;
    if (written_[at] >= options_.lines_per_second) {
      ++suppressed_[at];
      return;
    }
    ++written_[at];
    logger_->log(style.level, "event={} t={:.6f} {}", style.name, to_seconds(now_),
                 fmt::format(format, std::forward<Values>(values)...));
  }

  void say_suppressed() {
    for (std::size_t at = 0; at < kKinds; ++at) {
      if (suppressed_[at] == 0) continue;
      logger_->log(spdlog::level::warn, "event=suppressed t={:.6f} of={} count={}",
                   to_seconds(now_), kStyles[at].name, std::exchange(suppressed_[at], 0));
    }
  }

  // What the actions of an event do not say.
  void say(const core::event::GiveBack& event) {
    line(Kind::given_back, "request={}", number(event.request));
  }
  void say(const core::event::Report& event) {
    const core::StepReport& report = event.report;
    const auto step = static_cast<std::uint64_t>(report.step);
    if (report.outcome == core::StepReport::Outcome::allocation_failed) {
      line(Kind::allocation_failed, "step={} missing={}", step,
           report.missing ? std::to_string(report.missing->count()) : "unknown");
    } else if (options_.steps) {
      line(Kind::report, "step={} took_ms={}", step,
           report.took ? fmt::format("{:.3f}", to_seconds(*report.took) * 1e3) : "unknown");
    }
  }
  void say(const core::event::InstanceLost& event) {
    line(Kind::instance_lost, "instance={}", name_in(config_.instances, event.instance));
  }
  void say(const core::event::InstanceBack& event) {
    line(Kind::instance_back, "instance={}", name_in(config_.instances, event.instance));
  }
  void say(const core::event::MemoryMeasured& event) {
    line(Kind::memory_measured, "space={} foreign={}", name_in(config_.machine.spaces, event.space),
         event.foreign.count());
  }
  void say(const core::event::LimitChanged& event) {
    line(Kind::limit_changed, "instance={} state={}", name_in(config_.instances, event.instance),
         event.state.count());
  }
  void say(const core::event::TenantLimitChanged& event) {
    line(Kind::tenant_limit_changed, "tenant={} limit={}", name_in(config_.tenants, event.tenant),
         event.limit ? std::to_string(event.limit->count()) : "none");
  }
  void say(const core::event::MovesMeasured& event) {
    line(Kind::moves_measured, "instance={} direction={} pages={} took_ms={:.3f}",
         name_in(config_.instances, event.instance),
         event.kind == core::StateMove::Kind::out ? "out" : "in", event.pages,
         to_seconds(event.took) * 1e3);
  }
  template <class Event>
  void say(const Event&) {}

  void say(const core::Step& step) {
    std::int64_t tokens = 0;
    for (const core::StepEntry& entry : step.entries) tokens += entry.tokens.count();
    line(Kind::step, "step={} instance={} sequences={} tokens={} moves={} predicted_ms={:.3f}",
         static_cast<std::uint64_t>(step.id), name_in(config_.instances, step.instance),
         step.entries.size(), tokens, step.moves.size(), to_seconds(step.predicted) * 1e3);
  }

  void say(const core::Action& action, const core::Event& event) {
    const Kind kind = kind_of(action.kind);
    switch (action.kind) {
      case core::ActionKind::accepted:
        say_accepted(action, std::get_if<core::event::Submit>(&event));
        break;
      case core::ActionKind::granted:
        line(kind, "request={} tag={} space={} bytes={}", number(action.request), action.tag,
             name_in(config_.machine.spaces, action.space), action.bytes.count());
        break;
      case core::ActionKind::refused:
        line(kind, "request={} tag={} reason={} asked={} available={} retry_after_ms={}",
             number(action.request), action.tag, one_word(to_string(action.refusal.reason)),
             action.refusal.asked, action.refusal.available,
             action.refusal.retry_after
                 ? fmt::format("{:.3f}", to_seconds(*action.refusal.retry_after) * 1e3)
                 : "unknown");
        break;
      case core::ActionKind::preempted:
        line(kind, "request={} tag={} instance={} bytes={}", number(action.request), action.tag,
             action.instance ? name_in(config_.instances, *action.instance) : "none",
             action.bytes.count());
        break;
      default:
        line(kind, "request={} tag={}", number(action.request), action.tag);
    }
  }

  void say_accepted(const core::Action& action, const core::event::Submit* submit) {
    if (submit == nullptr) return line(Kind::accepted, "request={}", number(action.request));
    const Request& request = submit->request;
    if (request.model) {
      line(Kind::accepted, "request={} tag={} tenant={} class={} model={} prompt={} max_new={}",
           number(action.request), action.tag, name_in(config_.tenants, request.tenant),
           to_string(request.service_class), name_in(config_.models, *request.model),
           request.prompt.count(), request.max_new.count());
    } else {
      line(Kind::accepted, "request={} tag={} tenant={} class={} bytes={}", number(action.request),
           action.tag, name_in(config_.tenants, request.tenant), to_string(request.service_class),
           request.bytes.count());
    }
  }

  const std::shared_ptr<spdlog::logger> logger_;
  const SpdlogOptions options_;
  Config config_;
  Time now_{};
  std::chrono::seconds second_{};
  std::uint64_t number_ = 0;
  std::array<std::uint32_t, kKinds> written_{};  // in this second
  std::array<std::uint64_t, kKinds> suppressed_{};
};

SpdlogObserver::SpdlogObserver(std::shared_ptr<spdlog::logger> logger, SpdlogOptions options) {
  MAIS_EXPECTS(logger != nullptr, "a log needs a logger");
  lines_ = std::make_unique<Lines>(std::move(logger), options);
}

SpdlogObserver::~SpdlogObserver() = default;

void SpdlogObserver::begin(const Config& config) {
  lines_->begin(config);
}

void SpdlogObserver::observe(const Observation& seen) {
  lines_->observe(seen);
}

}  // namespace mais::adapters
