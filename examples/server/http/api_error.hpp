// What a client is told when it gets nothing: a status of HTTP and an error in OpenAI's form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "host.hpp"
#include "mais/units.hpp"

namespace server {

struct ApiError {
  int status = 400;
  std::string type{};                  // OpenAI's: "invalid_request_error", "rate_limit_error", ...
  std::string code{};                  // for programs; of a refusal its RefusalReason: "queue_full"
  std::string message{};               // for people
  std::optional<std::string> param{};  // the field or header at fault
  std::optional<mais::Duration> retry_after{};
};

// 400: a field or a header is wrong. The message says what would be right.
ApiError bad_field(std::string field, const std::string& what);
// What a request's end means to its client, unless it finished. Refusals that waiting may cure are
// 429 with a time to wait; those that are for ever are 400; a server that goes away or has lost its
// engine is 503; one that ran out of memory (see backend.hpp) is 500.
ApiError error_of(const mais::RequestEnd& end);

// {"error": {"message", "type", "param", "code"}}
std::string to_json(const ApiError& error);

}  // namespace server
