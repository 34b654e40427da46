// What a client asks for: bodies and headers of OpenAI's interface, read and checked.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "api_error.hpp"
#include "backend.hpp"
#include "mais/config.hpp"
#include "mais/request.hpp"

namespace server {

enum class Endpoint : std::uint8_t { completions, chat, embeddings };

struct ApiCall {
  Endpoint endpoint = Endpoint::completions;
  const ServedModel* model = nullptr;
  std::vector<std::vector<Token>> prompts{};  // one answer for each; of a chat one
  std::int64_t max_tokens = 0;                // of each answer
  std::vector<std::string> stop{};            // texts that end an answer
  double temperature = 0;
  double top_p = 1;
  std::optional<std::uint64_t> seed{};  // none: any
  bool stream = false;
  bool include_usage = false;  // in a last event of a stream
  bool base64 = false;         // embeddings as OpenAI's packed floats
};

struct CallLimits {
  std::size_t max_prompts = 64;                 // in one body
  std::int64_t default_completion_tokens = 16;  // OpenAI's
  std::int64_t default_chat_tokens = 256;
};

// The temperature is 0 where none is given: greedy, so that the same call gets the same answer.
// Asking for what is not there (n > 1, logprobs, tools, echo, ...) is an error, so that
// nobody takes an answer for another; fields that nobody knows are ignored. max_tokens beyond what
// the longest context leaves is lowered to it by the planner; beyond the longest context it is an
// error. 400 with the field, 404 for a model that is not there.
tl::expected<ApiCall, ApiError> parse_call(Endpoint endpoint, std::string_view body,
                                           std::span<const ServedModel> models,
                                           const CallLimits& limits);

// The header's value, if there is one. Names are lower case.
using HeaderLookup = std::function<std::optional<std::string>(std::string_view)>;

// Sets tenant, class and deadlines from
//   x-mais-tenant                       a tenant's name, else 400
//   x-gateway-inference-fairness-id     a tenant's name, else it says nothing
//   authorization: Bearer <name>        a tenant's name, else 401; only where tenants are
//   configured x-mais-class                        realtime, streaming or batch x-slo-ttft-ms,
//   x-slo-tpot-ms        above 0, up to a day
// The first of the three that says something names the tenant; none: the first of the list.
std::optional<ApiError> apply_headers(const HeaderLookup& header,
                                      std::span<const mais::Tenant> tenants,
                                      mais::Request& request);

}  // namespace server
