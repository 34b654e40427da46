// libFuzzer entry: clang only, built with MAIS_LONG_TESTS.
#include <cstddef>
#include <cstdint>

#include "probe_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  mais::probing::fuzz_record({reinterpret_cast<const char*>(data), size});
  return 0;
}
