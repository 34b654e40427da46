// What serves requests behind the HTTP interface: the host on the library, or the plain loop that
// the demonstration compares it with.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host.hpp"
#include "mais/result.hpp"

namespace server {

struct ServedModel {
  std::string name{};
  mais::ModelId id{};
  bool embeds = false;           // an encoder: embeddings; else generations
  std::int64_t max_context = 0;  // tokens of prompt and output
  std::int64_t vocabulary = 0;
  std::shared_ptr<const Tokenizer> tokenizer{};  // not null
};

// Threads: every member from any thread.
class Backend {
 public:
  virtual ~Backend() = default;

  // Does not change.
  virtual const std::vector<ServedModel>& models() const = 0;
  // As Host::submit() and Host::cancel(). A request that ended as `refused` without a Refusal
  // failed because an allocation did.
  virtual mais::Result<mais::RequestId> submit(Job job, Callbacks callbacks) = 0;
  virtual void cancel(mais::RequestId request) = 0;
  // Metrics in Prometheus' text format.
  virtual std::string metrics() = 0;

 protected:
  Backend() = default;
  Backend(const Backend&) = default;
  Backend& operator=(const Backend&) = default;
};

}  // namespace server
