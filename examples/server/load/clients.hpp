// Clients of three tenants that ask a running server for streams, and what became of each request.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace server_load {

// A kind of request.
struct Kind {
  std::string tenant{};
  std::string model{};
  std::string service_class{};
  double share = 0;              // of all requests
  std::int64_t prompt_from = 0;  // bytes
  std::int64_t prompt_to = 0;
  std::int64_t tokens_from = 0;  // to generate
  std::int64_t tokens_to = 0;
  std::optional<double> ttft_ms{}, tpot_ms{};  // its goals, sent with it
};

// Two models, three tenants: people who wait for every token, people who read along, and work that
// nobody waits for.
std::vector<Kind> demonstration_kinds();

enum class Outcome : std::uint8_t {
  finished,
  refused,  // with a reason: 429, or 503
  failed,   // anything else: an error of the server, a connection that broke
};

struct Done {
  std::size_t kind = 0;
  double at = 0;  // seconds since the beginning when it was sent
  Outcome outcome = Outcome::failed;
  std::string reason{};  // of a refusal or a failure
  std::int64_t tokens = 0;
  double ttft = 0;  // seconds
  double tpot = 0;  // seconds, mean after the first token
  bool in_time(const Kind& goals) const;
};

struct Sample {
  double at = 0;         // seconds since the beginning
  double used = 0;       // bytes that engines hold
  double under_way = 0;  // calls
};

struct Run {
  std::string label{};
  double rate = 0;     // requests sent in a second
  double seconds = 0;  // for which they were sent
  std::vector<Done> done{};
  std::vector<Sample> samples{};
  double cap = 0;           // bytes
  double peak = 0;          // bytes
  double failed_steps = 0;  // allocation failures
};

struct Target {
  std::string host = "127.0.0.1";
  int port = 0;
};

// Sends requests at `rate`, whatever becomes of them (Poisson arrivals, drawn from `seed`), for so
// long, and waits until all have ended.
Run open_loop(const Target& target, const std::vector<Kind>& kinds, double rate, double seconds,
              std::uint64_t seed);
// `clients` that each send the next request when the last has ended: the rate that the server
// carries, in finished requests per second.
double carried(const Target& target, const std::vector<Kind>& kinds, std::size_t clients,
               double seconds, std::uint64_t seed);

}  // namespace server_load
