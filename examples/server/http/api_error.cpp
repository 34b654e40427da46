#include "api_error.hpp"

#include <utility>

#include <nlohmann/json.hpp>

namespace server {

namespace {

using mais::RefusalReason;

struct Meaning {
  int status;
  const char* type;
  const char* code;  // does not change when sentences do
};

constexpr const char* kWrong = "invalid_request_error";
constexpr const char* kLater = "rate_limit_error";

Meaning meaning_of(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::queue_full:
      return {429, kLater, "queue_full"};
    case RefusalReason::tenant_queue_full:
      return {429, kLater, "tenant_queue_full"};
    case RefusalReason::deadline_impossible:
      return {429, kLater, "deadline_impossible"};
    case RefusalReason::instance_lost:
      return {503, "server_error", "instance_lost"};
    case RefusalReason::unknown_model:
      return {404, kWrong, "unknown_model"};
    case RefusalReason::unknown_tenant:
      return {400, kWrong, "unknown_tenant"};
    case RefusalReason::can_never_fit:
      return {400, kWrong, "can_never_fit"};
    case RefusalReason::tenant_over_limit:
      return {400, kWrong, "tenant_over_limit"};
    case RefusalReason::invalid_request:
      break;
  }
  return {400, kWrong, "invalid_request"};
}

}  // namespace

ApiError bad_field(std::string field, const std::string& what) {
  return {.status = 400,
          .type = kWrong,
          .code = "invalid_value",
          .message = "'" + field + "' " + what,
          .param = std::move(field)};
}

ApiError error_of(const mais::RequestEnd& end) {
  using namespace mais::literals;
  if (end.kind == mais::EndKind::expired) {
    return {.status = 429,
            .type = kLater,
            .code = "expired",
            .message = "The request was not started in the time that it may wait.",
            .param = std::nullopt,
            .retry_after = 1s};
  }
  if (end.kind != mais::EndKind::refused) {
    return {.status = 503,
            .type = "server_error",
            .code = "shutting_down",
            .message = "The server is shutting down.",
            .param = std::nullopt,
            .retry_after = 1s};
  }
  if (!end.refusal) {
    return {.status = 500,
            .type = "server_error",
            .code = "out_of_memory",
            .message = "The server ran out of memory while it computed the request."};
  }
  const Meaning meaning = meaning_of(end.refusal->reason);
  ApiError error{.status = meaning.status,
                 .type = meaning.type,
                 .code = meaning.code,
                 .message = to_string(*end.refusal)};
  if (meaning.status == 429 || meaning.status == 503) {
    error.retry_after = end.refusal->retry_after.value_or(mais::Duration(1s));
  }
  return error;
}

std::string to_json(const ApiError& error) {
  nlohmann::ordered_json body;
  body["message"] = error.message;
  body["type"] = error.type;
  body["param"] = error.param ? nlohmann::ordered_json(*error.param) : nullptr;
  body["code"] = error.code;
  // Messages may quote what a client sent, which may be no UTF-8.
  return nlohmann::ordered_json{{"error", std::move(body)}}.dump(
      -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace server
