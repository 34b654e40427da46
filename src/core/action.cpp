#include "mais/core/action.hpp"

namespace mais::core {

namespace {

std::string_view verb(ActionKind kind) {
  switch (kind) {
    case ActionKind::accepted:
      return "accepted";
    case ActionKind::refused:
      return "refused";
    case ActionKind::expired:
      return "expired";
    case ActionKind::cancelled:
      return "cancelled";
    case ActionKind::finished:
      return "finished";
    case ActionKind::preempted:
      return "preempted";
    case ActionKind::requeued:
      return "requeued";
    case ActionKind::granted:
      return "granted";
  }
  return "unknown";
}

std::string_view words(RouteReason why) {
  switch (why) {
    case RouteReason::only_choice:
      return "the only choice";
    case RouteReason::shared_prefix:
      return "its prefix is there";
    case RouteReason::least_loaded:
      return "predicted to start it first";
    case RouteReason::only_fit:
      return "the others can never hold it";
  }
  return "unknown";
}

}  // namespace

std::string to_string(const Action& action) {
  std::string text(verb(action.kind));
  text += " request " + std::to_string(static_cast<std::uint64_t>(action.request));
  if (action.instance) text += " on instance " + std::to_string(action.instance->value());
  switch (action.kind) {
    case ActionKind::accepted:
      text += ", " + std::string(words(action.why));
      break;
    case ActionKind::refused:
      text += ": " + mais::to_string(action.refusal);
      break;
    case ActionKind::granted:
      text += ", " + std::to_string(action.bytes.count()) + " bytes of space " +
              std::to_string(action.space.value());
      break;
    case ActionKind::preempted:
      text += ", " + std::to_string(action.bytes.count()) + " bytes";
      break;
    default:
      break;
  }
  return text;
}

}  // namespace mais::core
