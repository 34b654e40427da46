// Compiled with AVX2; called only where the machine has it.
#include "attention_kernel.hpp"

namespace torch_server {

void attend_avx2(const PageLayout& layout, std::int64_t layer, std::int64_t heads,
                 const Attended& attended, const float* query, float* scratch, float* out) {
  attend_all(layout, layer, heads, attended, query, scratch, out);
}

}  // namespace torch_server
