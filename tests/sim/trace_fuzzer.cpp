// libFuzzer entry: clang only, built with MAIS_LONG_TESTS. Run it with a folder of traces.
#include <cstddef>
#include <cstdint>

#include "trace_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  mais::sim::fuzz_trace_parsers({reinterpret_cast<const char*>(data), size});
  return 0;
}
