// Refusals and faults are values: Result<T> holds a T, or an Error that says what was wrong, by how
// much, and what would help. Broken preconditions abort with file and line in every build.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

namespace mais {

enum class ErrorCode : std::uint8_t {
  invalid_argument,  // the input itself is wrong; see the message for where
  not_found,         // a name or id that nobody declared
  already_exists,
  over_limit,     // an account would rise above its limit
  over_capacity,  // a space or an unmet guarantee leaves too little
  deferred,       // accepted, takes effect when enough was given back
  unavailable,    // an optional part is off, a device is gone
  parse_error,    // text or a file; the message carries file and line
  io_error,
};

std::string_view to_string(ErrorCode code) noexcept;

struct Error {
  ErrorCode code = ErrorCode::invalid_argument;
  std::string message{};                    // a full sentence for a person
  std::optional<std::int64_t> asked{};      // in the unit the message names
  std::optional<std::int64_t> available{};  // likewise
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message), std::nullopt, std::nullopt});
}

// One fault of a configuration: where (`instances[0].state`), what, and what would be right.
struct Fault {
  std::string path{};
  std::string problem{};
  std::string remedy{};
};

// "path: problem; remedy", one line each.
std::string to_string(const std::vector<Fault>& faults);

namespace detail {
[[noreturn]] void broken_precondition(const char* condition, const char* message, const char* file,
                                      int line);
}  // namespace detail

}  // namespace mais

// Aborts with the message when a caller broke the contract. On in every build.
#define MAIS_EXPECTS(condition, message) \
  ((condition) ? static_cast<void>(0)    \
               : ::mais::detail::broken_precondition(#condition, message, __FILE__, __LINE__))
