// Counts heap allocations of the whole program by replacing operator new. Linked into a benchmark,
// never into a library.
#pragma once

#include <cstdint>

namespace mais::bench {

// Allocations since the program began, by all threads.
std::int64_t allocations() noexcept;

}  // namespace mais::bench
