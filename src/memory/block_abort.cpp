#include "memory/block_abort.hpp"

#include <cstdio>

#include "mais/result.hpp"

namespace mais::memory {

void abort_block(std::uint32_t block, const char* what) {
  char message[160];
  std::snprintf(message, sizeof message, "block %u %s", block, what);
  mais::detail::broken_precondition("a block is used as it may be", message, __FILE__, __LINE__);
}

void abort_foreign(std::uint32_t block, std::uint32_t blocks) {
  char message[160];
  std::snprintf(message, sizeof message, "block %u is not one of this pool, which has 0 ... %u",
                block, blocks - 1);
  mais::detail::broken_precondition("a block is one of the pool", message, __FILE__, __LINE__);
}

}  // namespace mais::memory
