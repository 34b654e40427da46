// libFuzzer entry: clang only, built with MAIS_LONG_TESTS.
#include <cstddef>
#include <cstdint>

#include "model_file_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  mais::files::fuzz_onnx_model({reinterpret_cast<const char*>(data), size});
  return 0;
}
