#include "mais/result.hpp"

#include <cstdio>
#include <cstdlib>

namespace mais {

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid argument";
    case ErrorCode::not_found:
      return "not found";
    case ErrorCode::already_exists:
      return "already exists";
    case ErrorCode::over_limit:
      return "over limit";
    case ErrorCode::over_capacity:
      return "over capacity";
    case ErrorCode::deferred:
      return "deferred";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::parse_error:
      return "parse error";
    case ErrorCode::io_error:
      return "i/o error";
  }
  return "unknown";
}

std::string to_string(const std::vector<Fault>& faults) {
  std::string text;
  for (const Fault& fault : faults) {
    text += fault.path + ": " + fault.problem;
    if (!fault.remedy.empty()) text += "; " + fault.remedy;
    text += '\n';
  }
  return text;
}

namespace detail {

void broken_precondition(const char* condition, const char* message, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: mais: %s (broken precondition: %s)\n", file, line, message,
               condition);
  std::abort();
}

}  // namespace detail
}  // namespace mais
