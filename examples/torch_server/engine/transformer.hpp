// The weights of a transformer as LibTorch tensors, and what is computed with them, tile by tile:
// every product and every element-wise kernel sees a number of rows out of one TileLadder.
//
// Matrices are kept as [inputs, outputs], the way in which products of few rows are fastest and
// agree with products of many (docs/torch_engines.md).
#pragma once

#include <concepts>
#include <cstdint>
#include <memory_resource>
#include <vector>

#include <ATen/core/Tensor.h>

#include "shape.hpp"
#include "tiles.hpp"
#include "weights.hpp"

namespace torch_server {

constexpr std::int64_t kLargestTile = 128;

struct LayerWeights {
  at::Tensor input_norm;  // [hidden]
  at::Tensor qkv;         // [hidden, qkv_width]
  at::Tensor output;      // [query_width, hidden]
  at::Tensor feed_norm;   // [hidden]
  at::Tensor gate_up;     // [hidden, 2 x feed_forward]
  at::Tensor down;        // [feed_forward, hidden]
};

struct TransformerWeights {
  at::Tensor embedding;  // [vocabulary, hidden]; undefined when tied
  std::vector<LayerWeights> layers;
  at::Tensor norm;  // [hidden]
  at::Tensor head;  // [hidden, vocabulary]; undefined for encoders
};

// Fills tensors from the current TensorScope; `scratch` holds a few rows at a time. Throws
// std::bad_alloc.
mais::Result<TransformerWeights> load_weights(const Shape& shape, Role role, WeightSource& source,
                                              std::pmr::memory_resource& scratch);
// Bytes that they take from a scope's resource.
std::int64_t weight_bytes(const Shape& shape, Role role);

// Room for one tile, taken from the current scope.
class TileBuffers {
 public:
  TileBuffers(const Shape& shape, std::int64_t rows);
  static std::int64_t bytes(const Shape& shape, std::int64_t rows);

  at::Tensor normed;   // [rows, hidden]
  at::Tensor delta;    // [rows, hidden]
  at::Tensor means;    // [rows, 1]
  at::Tensor qkv;      // [rows, qkv_width]
  at::Tensor mixed;    // [rows, query_width]: what attention gives
  at::Tensor gate_up;  // [rows, 2 x feed_forward]
  at::Tensor active;   // [rows, feed_forward]
};

// The embedding of a token, `hidden` floats.
void embed(const TransformerWeights& weights, const Shape& shape, std::int64_t token, float* out);

// buffers.normed <- RMS norm of x, a tile [rows, hidden] (Zhang and Sennrich, 2019).
void normalise(const at::Tensor& x, const at::Tensor& weight, double epsilon, TileBuffers& buffers);
// buffers.qkv <- queries, keys and values of x, before rotation.
void project(const at::Tensor& x, const LayerWeights& layer, double epsilon, TileBuffers& buffers);
// x <- x + output(buffers.mixed), then x + feed_forward(x) (SwiGLU; Shazeer, 2020).
void finish_layer(const at::Tensor& x, const LayerWeights& layer, double epsilon,
                  TileBuffers& buffers);
// logits <- head(norm(x)), for a tile.
void score(const at::Tensor& x, const TransformerWeights& weights, double epsilon,
           TileBuffers& buffers, at::Tensor& logits);

template <std::integral Index>
float* row_of(const at::Tensor& matrix, Index row) {
  return matrix.data_ptr<float>() + static_cast<std::int64_t>(row) * matrix.size(1);
}

// Finds the ladder of tiles whose arithmetic is the same, by running them: a row must give the same
// bits at every place of every tile. Which additions a product makes in which order does not depend
// on the numbers, so random numbers with full mantissas show every difference. Of the ladders that
// agree the one with the largest tile is taken, then the one with the smallest quantum; single rows
// always agree with themselves. Takes its tensors from the current scope.
TileLadder probe_tiles(const TransformerWeights& weights, const Shape& shape);

// Limits LibTorch and the BLAS below it to one thread each in the calling thread: instances run
// beside each other, and a product that is cut for threads is cut by its size.
void use_one_thread();

}  // namespace torch_server
