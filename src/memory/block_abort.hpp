// Misuse of a block ends the process with a message that names the block.
#pragma once

#include <cstdint>

namespace mais::memory {

// "block 17 was given back twice".
[[noreturn]] void abort_block(std::uint32_t block, const char* what);
// "block 5000 is not one of this pool, which has 0 ... 4095".
[[noreturn]] void abort_foreign(std::uint32_t block, std::uint32_t blocks);

}  // namespace mais::memory
