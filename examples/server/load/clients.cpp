#include "clients.hpp"

#include <atomic>
#include <chrono>
#include <httplib.h>
#include <mutex>
#include <random>
#include <sstream>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

namespace server_load {

namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// What one client asks for, drawn before anything is sent.
struct Drawn {
  std::size_t kind = 0;
  std::string prompt{};
  std::int64_t tokens = 0;
};

class Draw {
 public:
  Draw(const std::vector<Kind>& kinds, std::uint64_t seed) : kinds_(kinds), random_(seed) {}

  Drawn next() {
    double left = std::uniform_real_distribution<double>(0, 1)(random_);
    std::size_t kind = 0;
    while (kind + 1 < kinds_.size() && left >= kinds_[kind].share) left -= kinds_[kind++].share;
    const Kind& chosen = kinds_[kind];
    Drawn drawn{.kind = kind, .tokens = between(chosen.tokens_from, chosen.tokens_to)};
    const std::int64_t length = between(chosen.prompt_from, chosen.prompt_to);
    for (std::int64_t i = 0; i < length; ++i) {
      drawn.prompt.push_back(static_cast<char>('a' + between(0, 25)));
    }
    return drawn;
  }
  double gap(double rate) { return std::exponential_distribution<double>(rate)(random_); }

 private:
  std::int64_t between(std::int64_t from, std::int64_t to) {
    return std::uniform_int_distribution<std::int64_t>(from, to)(random_);
  }
  const std::vector<Kind>& kinds_;
  std::mt19937_64 random_;
};

// Reads the events of a stream, or an error's body.
class Reading {
 public:
  explicit Reading(Clock::time_point sent) : sent_(sent) {}

  void take(const char* data, std::size_t size) {
    text_.append(data, size);
    for (std::size_t end; (end = text_.find("\n\n")) != std::string::npos;) {
      event(text_.substr(0, end));
      text_.erase(0, end + 2);
    }
  }
  // `status` 0: the connection broke.
  void fill(Done& done, int status) const {
    done.ttft = first_;
    done.tokens = tokens_;
    if (tokens_ > 1) done.tpot = (last_ - first_) / static_cast<double>(tokens_ - 1);
    if (status == 200 && whole_ && error_.empty()) {
      done.outcome = Outcome::finished;
      return;
    }
    done.reason = error_.empty() ? code_of(text_) : error_;
    if (done.reason.empty()) done.reason = status == 0 ? "connection" : "cut";
    const bool says_why = done.reason != "out_of_memory" && done.reason != "internal_error";
    done.outcome =
        (status == 429 || status == 503) && says_why ? Outcome::refused : Outcome::failed;
  }

 private:
  static std::string code_of(const std::string& body) {
    const Json read = Json::parse(body, nullptr, false);
    if (!read.is_object() || !read.contains("error")) return {};
    return read["error"].value("code", std::string());
  }
  void event(const std::string& line) {
    constexpr std::string_view kData = "data: ";
    if (!line.starts_with(kData)) return;
    const std::string data = line.substr(kData.size());
    if (data == "[DONE]") {
      whole_ = true;
      return;
    }
    if (const std::string code = code_of(data); !code.empty()) {
      error_ = code;
      return;
    }
    const Json read = Json::parse(data, nullptr, false);
    if (!read.is_object()) return;
    if (read.contains("usage") && read["usage"].is_object()) {
      tokens_ = read["usage"].value("completion_tokens", std::int64_t{0});
      return;
    }
    last_ = seconds_since(sent_);
    if (first_ == 0) first_ = last_;
  }

  const Clock::time_point sent_;
  std::string text_, error_;
  bool whole_ = false;
  std::int64_t tokens_ = 0;
  double first_ = 0, last_ = 0;
};

Done ask(const Target& target, const Kind& kind, const Drawn& drawn, double at) {
  Done done{.kind = drawn.kind, .at = at};
  httplib::Client client(target.host, target.port);
  client.set_connection_timeout(30);
  client.set_read_timeout(120);
  httplib::Request request;
  request.method = "POST";
  request.path = "/v1/completions";
  request.set_header("Content-Type", "application/json");
  request.set_header("x-mais-tenant", kind.tenant);
  request.set_header("x-mais-class", kind.service_class);
  const auto goal = [&](const char* name, const std::optional<double>& milliseconds) {
    if (milliseconds) request.set_header(name, std::to_string(*milliseconds));
  };
  goal("x-slo-ttft-ms", kind.ttft_ms);
  goal("x-slo-tpot-ms", kind.tpot_ms);
  request.body = Json{{"model", kind.model},
                      {"prompt", drawn.prompt},
                      {"max_tokens", drawn.tokens},
                      {"stream", true},
                      {"stream_options", {{"include_usage", true}}}}
                     .dump();
  Reading reading(Clock::now());
  request.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
    reading.take(data, size);
    return true;
  };
  const auto result = client.send(request);
  reading.fill(done, result ? result->status : 0);
  return done;
}

double metric(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + " ")) return std::stod(line.substr(name.size() + 1));
  }
  return 0;
}

std::string metrics_of(httplib::Client& client) {
  const auto reply = client.Get("/metrics");
  return reply && reply->status == 200 ? reply->body : std::string();
}

}  // namespace

std::vector<Kind> demonstration_kinds() {
  return {{.tenant = "people",
           .model = "chat",
           .service_class = "realtime",
           .share = 0.3,
           .prompt_from = 40,
           .prompt_to = 160,
           .tokens_from = 10,
           .tokens_to = 30,
           .ttft_ms = 2000,
           .tpot_ms = 250},
          {.tenant = "readers",
           .model = "chat",
           .service_class = "streaming",
           .share = 0.35,
           .prompt_from = 400,
           .prompt_to = 900,
           .tokens_from = 60,
           .tokens_to = 200,
           .ttft_ms = 10000,
           .tpot_ms = 1000},
          {.tenant = "reports",
           .model = "writer",
           .service_class = "batch",
           .share = 0.35,
           .prompt_from = 400,
           .prompt_to = 1200,
           .tokens_from = 100,
           .tokens_to = 400}};
}

bool Done::in_time(const Kind& goals) const {
  return outcome == Outcome::finished && (!goals.ttft_ms || ttft * 1e3 <= *goals.ttft_ms) &&
         (!goals.tpot_ms || tpot * 1e3 <= *goals.tpot_ms);
}

Run open_loop(const Target& target, const std::vector<Kind>& kinds, double rate, double seconds,
              std::uint64_t seed) {
  Run run{.rate = rate, .seconds = seconds};
  Draw draw(kinds, seed);
  std::mutex mutex;
  std::atomic<bool> over{false};
  const auto begin = Clock::now();
  std::thread watches([&] {
    httplib::Client client(target.host, target.port);
    client.set_keep_alive(true);
    while (!over) {
      const std::string text = metrics_of(client);
      if (!text.empty()) {
        run.samples.push_back({.at = seconds_since(begin),
                               .used = metric(text, "server_memory_used_bytes"),
                               .under_way = metric(text, "server_http_under_way")});
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    const std::string text = metrics_of(client);
    run.cap = metric(text, "server_memory_cap_bytes");
    run.peak = metric(text, "server_memory_peak_bytes");
    run.failed_steps = metric(text, "server_failed_steps_total");
  });
  std::vector<std::thread> clients;
  for (double at = draw.gap(rate); at < seconds; at += draw.gap(rate)) {
    std::this_thread::sleep_until(
        begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(at)));
    clients.emplace_back([&, at, drawn = draw.next()] {
      Done done = ask(target, kinds[drawn.kind], drawn, at);
      const std::scoped_lock lock(mutex);
      run.done.push_back(std::move(done));
    });
  }
  for (auto& client : clients) client.join();
  over = true;
  watches.join();
  return run;
}

double carried(const Target& target, const std::vector<Kind>& kinds, std::size_t count,
               double seconds, std::uint64_t seed) {
  std::atomic<std::int64_t> finished{0};
  std::vector<std::thread> clients;
  const auto begin = Clock::now();
  for (std::size_t i = 0; i < count; ++i) {
    clients.emplace_back([&, i] {
      Draw draw(kinds, seed + i);
      while (seconds_since(begin) < seconds) {
        const Drawn drawn = draw.next();
        if (ask(target, kinds[drawn.kind], drawn, 0).outcome == Outcome::finished) ++finished;
      }
    });
  }
  for (auto& client : clients) client.join();
  return static_cast<double>(finished) / seconds_since(begin);
}

}  // namespace server_load
