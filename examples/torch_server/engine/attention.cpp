#include "attention.hpp"

#include <algorithm>
#include <cmath>

#include "attention_kernel.hpp"

namespace torch_server {

#if defined(MAIS_ATTENTION_AVX2)
void attend_avx2(const PageLayout& layout, std::int64_t layer, std::int64_t heads,
                 const Attended& attended, const float* query, float* scratch, float* out);
#endif

void rotate(float* head, std::int64_t width, const float* cosines, const float* sines) {
  const std::int64_t half = width / 2;
  for (std::int64_t i = 0; i < half; ++i) {
    const float a = head[i];
    const float b = head[half + i];
    head[i] = a * cosines[i] - b * sines[i];
    head[half + i] = b * cosines[i] + a * sines[i];
  }
}

void rotary_angles(std::int64_t position, std::int64_t width, double theta, float* cosines,
                   float* sines) {
  for (std::int64_t i = 0; i < width / 2; ++i) {
    const double part = static_cast<double>(2 * i) / static_cast<double>(width);
    const double angle = static_cast<double>(position) * std::pow(theta, -part);
    cosines[i] = static_cast<float>(std::cos(angle));
    sines[i] = static_cast<float>(std::sin(angle));
  }
}

void store_token(const PageLayout& layout, float* page, std::int64_t layer, std::int64_t slot,
                 const float* key, const float* value) {
  for (std::int64_t head = 0; head < layout.kv_heads; ++head) {
    float* keys = page + layout.keys(layer, head) + slot;
    for (std::int64_t i = 0; i < layout.head_width; ++i) {
      keys[i * layout.tokens] = key[head * layout.head_width + i];
    }
    std::copy_n(value + head * layout.head_width, layout.head_width,
                page + layout.values(layer, head) + slot * layout.head_width);
  }
}

std::int64_t scratch_floats(const PageLayout& layout, std::int64_t keys) {
  constexpr std::int64_t kMostHeads = 4;  // that are computed at once
  return kMostHeads * ((keys + layout.tokens - 1) / layout.tokens * layout.tokens);
}

void attend(const PageLayout& layout, std::int64_t layer, std::int64_t heads,
            const Attended& attended, const float* query, float* scratch, float* out,
            Instructions instructions) {
#if defined(MAIS_ATTENTION_AVX2)
  static const bool avx2 = __builtin_cpu_supports("avx2") != 0;
  if (avx2 && instructions == Instructions::best) {
    attend_avx2(layout, layer, heads, attended, query, scratch, out);
    return;
  }
#endif
  static_cast<void>(instructions);
  attend_all(layout, layer, heads, attended, query, scratch, out);
}

}  // namespace torch_server
