// Attention that reads keys and values where they lie, page by page.
//
// Every query is computed alone, in an order that its position alone decides: the same bits come
// out whatever else is in the batch, however the prompt was cut, and wherever the pages lie.
#pragma once

#include <cstddef>
#include <cstdint>

namespace torch_server {

// What a page holds, for each layer and key-value head: keys as [head_width][tokens], so that the
// products with all tokens of a page are made at once, then values as [tokens][head_width].
struct PageLayout {
  std::int64_t layers = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_width = 0;  // a multiple of 16
  std::int64_t tokens = 0;      // a multiple of 8

  std::int64_t head_floats() const { return head_width * tokens; }
  std::int64_t floats() const { return 2 * layers * kv_heads * head_floats(); }
  std::size_t bytes() const { return static_cast<std::size_t>(floats()) * sizeof(float); }
  // From the start of a page.
  std::int64_t keys(std::int64_t layer, std::int64_t head) const {
    return (2 * layer * kv_heads + head) * head_floats();
  }
  std::int64_t values(std::int64_t layer, std::int64_t head) const {
    return ((2 * layer + 1) * kv_heads + head) * head_floats();
  }
};

// Rotates pairs (i, i + width / 2) of a head by the angles of a position (Su et al., RoFormer,
// 2021; pairs as in the Llama family): `cosines` and `sines` hold width / 2 numbers each.
void rotate(float* head, std::int64_t width, const float* cosines, const float* sines);
void rotary_angles(std::int64_t position, std::int64_t width, double theta, float* cosines,
                   float* sines);

// Writes key and value (kv_heads x head_width each) of one token to its place in a page.
void store_token(const PageLayout& layout, float* page, std::int64_t layer, std::int64_t slot,
                 const float* key, const float* value);

// What one query attends to: the first `keys` tokens (>= 1) of a block table.
struct Attended {
  float* const* pages = nullptr;  // as many as hold `keys` tokens, or more
  std::int64_t keys = 0;
};

// All give the same bits.
enum class Instructions : std::uint8_t {
  best,      // that the machine has
  baseline,  // that every machine has
};

// softmax(q k / sqrt(head_width)) v for all heads of one query, `heads` a multiple of kv_heads.
// `query` and `out` are heads x head_width floats; `scratch` has scratch_floats() floats.
void attend(const PageLayout& layout, std::int64_t layer, std::int64_t heads,
            const Attended& attended, const float* query, float* scratch, float* out,
            Instructions instructions = Instructions::best);
// For contexts of up to `keys` tokens.
std::int64_t scratch_floats(const PageLayout& layout, std::int64_t keys);

}  // namespace torch_server
