// One expression, given on the compiler's command line; see compile_fail.cmake.
#include <chrono>
#include <tuple>

#include "mais/config.hpp"

namespace mais {

[[maybe_unused]] const auto kValue = MAIS_EXPRESSION;

}  // namespace mais
