#include "mais/request.hpp"

namespace mais {

std::string_view to_string(RefusalReason reason) noexcept {
  switch (reason) {
    case RefusalReason::invalid_request:
      return "invalid request";
    case RefusalReason::unknown_model:
      return "unknown model";
    case RefusalReason::unknown_tenant:
      return "unknown tenant";
    case RefusalReason::can_never_fit:
      return "can never fit";
    case RefusalReason::queue_full:
      return "queue full";
    case RefusalReason::tenant_queue_full:
      return "tenant queue full";
    case RefusalReason::tenant_over_limit:
      return "tenant over its limit";
    case RefusalReason::deadline_impossible:
      return "deadline impossible";
    case RefusalReason::instance_lost:
      return "instance lost";
  }
  return "unknown";
}

std::string to_string(const Refusal& refusal) {
  const std::string asked = std::to_string(refusal.asked);
  const std::string available = std::to_string(refusal.available);
  const auto milliseconds = [](std::int64_t ns) { return std::to_string(ns / 1'000'000) + " ms"; };
  std::string text;
  switch (refusal.reason) {
    case RefusalReason::invalid_request:
      text =
          "A field of the request is out of range: prompt and max_new are 1 or more for a model, "
          "bytes above 0 for a lease.";
      break;
    case RefusalReason::unknown_model:
      text = "No instance runs model " + asked + "; " + available + " models are declared.";
      break;
    case RefusalReason::unknown_tenant:
      text = "Tenant " + asked + " was not declared; there are " + available + ".";
      break;
    case RefusalReason::can_never_fit:
      text = "It needs " + asked + " bytes at its largest and at most " + available +
             " bytes can ever be free; shorten the prompt or max_new.";
      break;
    case RefusalReason::queue_full:
      text = "The queue holds " + asked + " requests, its bound is " + available + ".";
      break;
    case RefusalReason::tenant_queue_full:
      text = "The tenant has " + asked + " requests waiting, its bound is " + available + ".";
      break;
    case RefusalReason::tenant_over_limit:
      text = "It needs " + asked + " bytes at its largest and the tenant's limit is " + available +
             " bytes.";
      break;
    case RefusalReason::deadline_impossible:
      text = "Alone on the machine it would take " + milliseconds(refusal.asked) +
             "; the deadline allows " + milliseconds(refusal.available) + ".";
      break;
    case RefusalReason::instance_lost:
      text = "The instance that could run it is gone.";
      break;
  }
  if (refusal.retry_after) {
    text += " Try again in about " + milliseconds(refusal.retry_after->count()) + ".";
  }
  return text;
}

}  // namespace mais
