// OpenAI's interface over a backend: routes, replies, streams.
//
//   POST /v1/completions, /v1/chat/completions   also as server-sent events (stream: true)
//   POST /v1/embeddings
//   GET  /v1/models, /v1/models/<name>, /health, /metrics
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api_call.hpp"
#include "backend.hpp"
#include "http_exchange.hpp"
#include "mais/config.hpp"

namespace server {

struct ApiOptions {
  std::vector<mais::Tenant> tenants{};  // of the configuration, at least one
  CallLimits limits{};
  // How often a call that waits looks whether its client is still there.
  std::chrono::milliseconds look{50};
};

// Threads: every member from any thread.
class Api {
 public:
  // The backend outlives it and every reply.
  Api(Backend& backend, ApiOptions options);

  // A reply that needs no body: of a GET, or an error by path, method or headers. None: the call
  // wants its body to be read, then answer().
  std::optional<HttpReply> answer_at_once(const HttpCall& call);
  // Waits for the backend; until the client is gone.
  HttpReply answer(const HttpCall& call, const HttpClient& client);

  // From now on calls get 503, and /health says so. What runs goes on.
  void drain() { draining_ = true; }
  // Calls that wait for the backend, streams included.
  std::int64_t under_way() const { return under_way_; }

 private:
  class Serving;

  HttpReply health() const;
  HttpReply models() const;
  HttpReply model(const std::string& name) const;
  HttpReply metrics();
  HttpReply generate(const ApiCall& call, const mais::Request& request, const HttpClient& client);
  HttpReply embed(const ApiCall& call, const mais::Request& request, const HttpClient& client);
  HttpReply counted(HttpReply reply);

  Backend& backend_;
  const ApiOptions options_;
  const std::int64_t created_;  // seconds since 1970
  std::atomic<bool> draining_{false};
  std::atomic<std::int64_t> under_way_{0};
  std::atomic<std::uint64_t> last_id_{0};
  std::atomic<std::uint64_t> abandoned_{0};  // their client was gone
  std::mutex mutex_;                         // guards what follows
  std::map<int, std::uint64_t> replies_;     // by status
};

}  // namespace server
