// libFuzzer entry: clang only, built with MAIS_LONG_TESTS. Run it with a folder of graphs, CSV
// files and, where mais::onnx is built, models.
#include <cstddef>
#include <cstdint>

#include "operator_graph_fuzz.hpp"
#ifdef MAIS_HAS_ONNX
#include "mais/files/operator_graph_onnx.hpp"
#endif

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  mais::files::fuzz_graph_files(bytes);
#ifdef MAIS_HAS_ONNX
  const auto graph =
      mais::files::parse_operator_graph_onnx(bytes, "fuzz", {.bounds = {{"N", {4}}}});
  if (mais::files::is_read(graph)) mais::files::plan_it(*graph);
#endif
  return 0;
}
