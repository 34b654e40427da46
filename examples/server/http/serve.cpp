#include "serve.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include <sys/resource.h>

#include "api.hpp"
#include "host_backend.hpp"
#include "http_server.hpp"
#include "mais/journal.hpp"
#include "options.hpp"
#include "plain_backend.hpp"

namespace server {

namespace {

constexpr int kCannotStart = 1;

// The log. Threads: any.
class Log {
 public:
  explicit Log(std::string program) : program_(std::move(program)) {}
  void operator()(const std::string& line) {
    const std::scoped_lock lock(mutex_);
    std::cerr << program_ << ": " << line << std::endl;
  }

 private:
  const std::string program_;
  std::mutex mutex_;
};

// Blocked in every thread, so that the main thread may wait for them.
sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

mais::Config config_of(const Options& options) {
  mais::Config config;
  config.tenants = options.tenants;
  config.queue.max_queued = options.max_queued;
  // What nobody waits for leaves room in the queue for those who do.
  const auto bound = [&](mais::ServiceClass which, std::size_t most) {
    config.queue.classes[static_cast<std::size_t>(which)].max_queued =
        std::max<std::size_t>(1, most);
  };
  bound(mais::ServiceClass::streaming, options.max_queued / 2);
  bound(mais::ServiceClass::batch, options.max_queued / 3);
  return config;
}

mais::Result<std::unique_ptr<HostBackend>> start_host(ModelSet& models, const Options& options,
                                                      Log& say,
                                                      std::shared_ptr<mais::Journal>& journal) {
  HostBackendOptions host{.config = config_of(options),
                          .host = {.log = std::ref(say)},
                          .give_up = options.give_up,
                          .gateway_model = options.gateway_model};
  if (options.journal) {
    // Every record reaches the operating system at once: a killed server loses none.
    auto made =
        mais::Journal::create(*options.journal, {.buffer = mais::Bytes(0), .replace = true});
    if (!made) return tl::unexpected<mais::Error>(std::move(made.error()));
    journal = *made;
    host.host.scheduler.observers.push_back(journal);
  }
  if (const std::string missing = SchedulerMetrics::missing(); !missing.empty()) say(missing);
  return HostBackend::start(models, std::move(host));
}

HttpReply fault(int status) {
  ApiError error{.status = status,
                 .type = "invalid_request_error",
                 .code = "bad_request",
                 .message = "The request is no HTTP that can be read."};
  if (status == 408) {
    error.code = "request_timeout";
    error.message = "The request was not there in whole in the time that there is for it.";
  } else if (status == 413) {
    error.code = "body_too_large";
    error.message = "The body is larger than this server takes.";
  } else if (status == 414) {
    error.code = "uri_too_long";
    error.message = "The path is too long.";
  } else if (status >= 500) {
    error.type = "server_error";
    error.code = "internal_error";
    error.message = "The server made a mistake.";
  }
  return {.status = status, .body = to_json(error)};
}

// Until a signal says so; then until what runs has ended, or may not go on.
void listen(HttpServer& server, Api& api, mais::Duration drain, Log& say) {
  say("listening on port " + std::to_string(server.port()));
  const sigset_t signals = ending_signals();
  int signal = 0;
  sigwait(&signals, &signal);
  api.drain();
  say("takes no more requests; " + std::to_string(api.under_way()) + " are under way");
  const auto until = std::chrono::steady_clock::now() + drain;
  constexpr timespec kLook{.tv_sec = 0, .tv_nsec = 20'000'000};
  while (api.under_way() > 0 && std::chrono::steady_clock::now() < until) {
    if (sigtimedwait(&signals, nullptr, &kLook) > 0) break;  // asked again
  }
}

int run(const Options& options, Log& say) {
  auto models = ModelSet::make(options.models, options.set);
  if (!models) {
    say(models.error().message);
    return kCannotStart;
  }
  std::unique_ptr<HostBackend> host;
  std::unique_ptr<PlainBackend> plain;
  std::shared_ptr<mais::Journal> journal;
  if (options.library) {
    auto started = start_host(**models, options, say, journal);
    if (!started) {
      say(started.error().message);
      return kCannotStart;
    }
    host = std::move(*started);
  } else {
    auto started = PlainBackend::start(**models);
    if (!started) {
      say(started.error().message);
      return kCannotStart;
    }
    plain = std::move(*started);
    say("without the library: every request is admitted when it comes");
  }
  Backend& backend = host ? static_cast<Backend&>(*host) : *plain;
  Api api(backend, {.tenants = options.tenants});
  auto server = HttpServer::start(
      options.http, {.at_once = [&](const HttpCall& call) { return api.answer_at_once(call); },
                     .answer = [&](const HttpCall& call,
                                   const HttpClient& client) { return api.answer(call, client); },
                     .fault = fault});
  if (!server) {
    say(server.error().message);
    return kCannotStart;
  }
  listen(**server, api, options.drain, say);
  // What is left ends as cancelled, and its clients hear so before the port closes.
  if (host) host->host().stop();
  if (plain) plain->stop();
  (*server)->stop();
  if (journal) {
    if (auto closed = journal->close(); !closed) say("journal: " + closed.error().message);
  }
  say("ended");
  return 0;
}

}  // namespace

int serve(const Program& program, int argc, char** argv) {
  auto options = read_options(program, argc, argv);
  if (!options) return options.error();
  std::signal(SIGPIPE, SIG_IGN);
  // Connections are bounded here, and not by how many files a shell lets a process open.
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  const sigset_t signals = ending_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Log say(program.name);
  return run(*options, say);
}

}  // namespace server
