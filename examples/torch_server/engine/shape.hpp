// The sizes of a transformer that these engines run: RMS normalisation, rotary positions, grouped-
// query attention, gated feed-forward (SwiGLU), no biases. The names of fields and tensors are
// those of the Llama family's config.json and weights.
#pragma once

#include <cstdint>
#include <vector>

#include "mais/result.hpp"
#include "mais/units.hpp"

namespace torch_server {

struct Shape {
  std::int64_t vocabulary = 0;  // rows of the embedding; a multiple of 16
  std::int64_t hidden = 0;      // a multiple of 16
  std::int64_t layers = 0;
  std::int64_t heads = 0;         // of queries
  std::int64_t kv_heads = 0;      // divides `heads`
  std::int64_t head_width = 0;    // a multiple of 16
  std::int64_t feed_forward = 0;  // a multiple of 16
  std::int64_t max_context = 0;   // tokens of prompt and output
  double rope_theta = 10000;
  double norm_epsilon = 1e-5;
  bool tied = false;  // the output matrix is the embedding

  std::int64_t query_width() const { return heads * head_width; }
  std::int64_t kv_width() const { return kv_heads * head_width; }
  std::int64_t qkv_width() const { return query_width() + 2 * kv_width(); }
  bool operator==(const Shape&) const = default;
};

enum class Role : std::uint8_t { decoder, encoder };

// Every fault, with the field and what would be right.
std::vector<mais::Fault> validate(const Shape& shape);

// Numbers of the weights of one layer, and of all; an encoder has no output matrix.
std::int64_t layer_parameters(const Shape& shape);
std::int64_t parameters(const Shape& shape, Role role);

// What mais::Model asks for. Keys and values of one token in all layers, in bytes.
mais::Bytes state_per_token(const Shape& shape);

}  // namespace torch_server
