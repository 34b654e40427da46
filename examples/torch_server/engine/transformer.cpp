#include "transformer.hpp"

#include <algorithm>
#include <cstring>
#include <dlfcn.h>
#include <string>

#include <ATen/Parallel.h>
#include <ATen/core/ivalue.h>  // clang needs it whole before ATen/ops
#include <ATen/ops/empty.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/silu.h>

#include "tensor_memory.hpp"

namespace torch_server {

namespace {

constexpr std::int64_t kRowsAtOnce = 64;  // read while a matrix is turned over

at::Tensor rows_of(const at::Tensor& buffer, const at::Tensor& x) {
  return buffer.narrow(0, 0, x.size(0));
}

class Loader {
 public:
  Loader(WeightSource& source, std::pmr::memory_resource& scratch)
      : source_(source), rows_(&scratch) {}

  mais::Result<void> vector(const std::string& name, std::int64_t size, at::Tensor& out) {
    out = at::empty({size});
    return source_.read(name, 1, size, 0, {out.data_ptr<float>(), static_cast<std::size_t>(size)});
  }
  mais::Result<void> as_it_is(const std::string& name, std::int64_t rows, std::int64_t columns,
                              at::Tensor& out) {
    out = at::empty({rows, columns});
    return source_.read(name, rows, columns, 0,
                        {out.data_ptr<float>(), static_cast<std::size_t>(rows * columns)});
  }
  // Writes the matrix [outputs, inputs] as [inputs, outputs] to columns `first` ... of `out`.
  mais::Result<void> turned(const std::string& name, std::int64_t outputs, std::int64_t inputs,
                            std::int64_t first, at::Tensor& out) {
    rows_.resize(static_cast<std::size_t>(std::min(kRowsAtOnce, outputs) * inputs));
    const std::int64_t width = out.size(1);
    for (std::int64_t row = 0; row < outputs; row += kRowsAtOnce) {
      const std::int64_t count = std::min(kRowsAtOnce, outputs - row);
      const auto read = source_.read(name, outputs, inputs, row,
                                     {rows_.data(), static_cast<std::size_t>(count * inputs)});
      if (!read) return read;
      for (std::int64_t i = 0; i < inputs; ++i) {
        float* to = out.data_ptr<float>() + i * width + first + row;
        for (std::int64_t r = 0; r < count; ++r) {
          to[r] = rows_[static_cast<std::size_t>(r * inputs + i)];
        }
      }
    }
    return {};
  }

 private:
  WeightSource& source_;
  std::pmr::vector<float> rows_;
};

mais::Result<void> load_layer(Loader& loader, const Shape& shape, std::int64_t index,
                              LayerWeights& layer) {
  const std::string at = "model.layers." + std::to_string(index) + ".";
  layer.qkv = at::empty({shape.hidden, shape.qkv_width()});
  layer.output = at::empty({shape.query_width(), shape.hidden});
  layer.gate_up = at::empty({shape.hidden, 2 * shape.feed_forward});
  layer.down = at::empty({shape.feed_forward, shape.hidden});
  const std::int64_t q = shape.query_width();
  const std::int64_t kv = shape.kv_width();
  const std::int64_t d = shape.hidden;
  const std::int64_t f = shape.feed_forward;
  return loader.vector(at + "input_layernorm.weight", d, layer.input_norm)
      .and_then([&] { return loader.turned(at + "self_attn.q_proj.weight", q, d, 0, layer.qkv); })
      .and_then([&] { return loader.turned(at + "self_attn.k_proj.weight", kv, d, q, layer.qkv); })
      .and_then(
          [&] { return loader.turned(at + "self_attn.v_proj.weight", kv, d, q + kv, layer.qkv); })
      .and_then(
          [&] { return loader.turned(at + "self_attn.o_proj.weight", d, q, 0, layer.output); })
      .and_then(
          [&] { return loader.vector(at + "post_attention_layernorm.weight", d, layer.feed_norm); })
      .and_then([&] { return loader.turned(at + "mlp.gate_proj.weight", f, d, 0, layer.gate_up); })
      .and_then([&] { return loader.turned(at + "mlp.up_proj.weight", f, d, f, layer.gate_up); })
      .and_then([&] { return loader.turned(at + "mlp.down_proj.weight", d, f, 0, layer.down); });
}

}  // namespace

mais::Result<TransformerWeights> load_weights(const Shape& shape, Role role, WeightSource& source,
                                              std::pmr::memory_resource& scratch) {
  TransformerWeights weights;
  Loader loader(source, scratch);
  mais::Result<void> read{};
  const bool turned = role == Role::decoder;
  if (!turned || !shape.tied) {
    read = loader.as_it_is("model.embed_tokens.weight", shape.vocabulary, shape.hidden,
                           weights.embedding);
  }
  if (read && turned) {
    weights.head = at::empty({shape.hidden, shape.vocabulary});
    read = loader.turned(shape.tied ? "model.embed_tokens.weight" : "lm_head.weight",
                         shape.vocabulary, shape.hidden, 0, weights.head);
  }
  weights.layers.resize(static_cast<std::size_t>(shape.layers));
  for (std::int64_t i = 0; i < shape.layers && read; ++i) {
    read = load_layer(loader, shape, i, weights.layers[static_cast<std::size_t>(i)]);
  }
  if (read) read = loader.vector("model.norm.weight", shape.hidden, weights.norm);
  if (!read) return tl::unexpected<mais::Error>(std::move(read.error()));
  return weights;
}

std::int64_t weight_bytes(const Shape& shape, Role role) {
  const std::int64_t layer = 2 * tensor_bytes(shape.hidden) +
                             tensor_bytes(shape.hidden * shape.qkv_width()) +
                             tensor_bytes(shape.query_width() * shape.hidden) +
                             tensor_bytes(2 * shape.hidden * shape.feed_forward) +
                             tensor_bytes(shape.feed_forward * shape.hidden);
  const std::int64_t matrices = role == Role::decoder && !shape.tied ? 2 : 1;
  return shape.layers * layer + matrices * tensor_bytes(shape.vocabulary * shape.hidden) +
         tensor_bytes(shape.hidden);
}

TileBuffers::TileBuffers(const Shape& shape, std::int64_t rows)
    : normed(at::empty({rows, shape.hidden})),
      delta(at::empty({rows, shape.hidden})),
      means(at::empty({rows, 1})),
      qkv(at::empty({rows, shape.qkv_width()})),
      mixed(at::empty({rows, shape.query_width()})),
      gate_up(at::empty({rows, 2 * shape.feed_forward})),
      active(at::empty({rows, shape.feed_forward})) {}

std::int64_t TileBuffers::bytes(const Shape& shape, std::int64_t rows) {
  return 2 * tensor_bytes(rows * shape.hidden) + tensor_bytes(rows) +
         tensor_bytes(rows * shape.qkv_width()) + tensor_bytes(rows * shape.query_width()) +
         tensor_bytes(rows * 2 * shape.feed_forward) + tensor_bytes(rows * shape.feed_forward);
}

void embed(const TransformerWeights& weights, const Shape& shape, std::int64_t token, float* out) {
  if (weights.embedding.defined()) {
    std::copy_n(weights.embedding.data_ptr<float>() + token * shape.hidden, shape.hidden, out);
    return;
  }
  const float* column = weights.head.data_ptr<float>() + token;
  for (std::int64_t i = 0; i < shape.hidden; ++i) out[i] = column[i * shape.vocabulary];
}

void normalise(const at::Tensor& x, const at::Tensor& weight, double epsilon,
               TileBuffers& buffers) {
  at::Tensor normed = rows_of(buffers.normed, x);
  at::Tensor means = rows_of(buffers.means, x);
  at::mul_out(normed, x, x);
  at::mean_out(means, normed, {1}, true);
  means.add_(epsilon).rsqrt_();
  at::mul_out(normed, x, means);
  normed.mul_(weight);
}

void project(const at::Tensor& x, const LayerWeights& layer, double epsilon, TileBuffers& buffers) {
  normalise(x, layer.input_norm, epsilon, buffers);
  at::Tensor qkv = rows_of(buffers.qkv, x);
  at::mm_out(qkv, rows_of(buffers.normed, x), layer.qkv);
}

void finish_layer(const at::Tensor& x, const LayerWeights& layer, double epsilon,
                  TileBuffers& buffers) {
  at::Tensor delta = rows_of(buffers.delta, x);
  at::mm_out(delta, rows_of(buffers.mixed, x), layer.output);
  x.add_(delta);
  normalise(x, layer.feed_norm, epsilon, buffers);
  at::Tensor gate_up = rows_of(buffers.gate_up, x);
  at::mm_out(gate_up, rows_of(buffers.normed, x), layer.gate_up);
  at::Tensor active = rows_of(buffers.active, x);
  const std::int64_t width = active.size(1);
  at::silu_out(active, gate_up.narrow(1, 0, width));
  active.mul_(gate_up.narrow(1, width, width));
  at::mm_out(delta, active, layer.down);
  x.add_(delta);
}

void score(const at::Tensor& x, const TransformerWeights& weights, double epsilon,
           TileBuffers& buffers, at::Tensor& logits) {
  normalise(x, weights.norm, epsilon, buffers);
  at::Tensor out = rows_of(logits, x);
  at::mm_out(out, rows_of(buffers.normed, x), weights.head);
}

namespace {

// What one row gives in a tile of so many equal ones; empty when their places differ.
std::vector<float> row_in_tile(const TransformerWeights& weights, const Shape& shape,
                               const std::vector<float>& row, std::int64_t rows) {
  TileBuffers buffers(shape, rows);
  at::Tensor x = at::empty({rows, shape.hidden});
  at::Tensor logits = at::empty({rows, weights.head.defined() ? shape.vocabulary : 1});
  const auto fill = [&](at::Tensor& tensor) {
    for (std::int64_t r = 0; r < rows; ++r) {
      std::copy_n(row.begin(), tensor.size(1), tensor.data_ptr<float>() + r * tensor.size(1));
    }
  };
  std::vector<float> result;
  bool equal = true;
  const auto take = [&](const at::Tensor& tensor) {
    const float* first = tensor.data_ptr<float>();
    const auto width = static_cast<std::size_t>(tensor.size(1));
    for (std::int64_t r = 1; r < rows; ++r) {
      equal &= std::memcmp(first, first + r * tensor.size(1), width * sizeof(float)) == 0;
    }
    result.insert(result.end(), first, first + width);
  };
  fill(x);
  fill(buffers.mixed);
  project(x, weights.layers.front(), shape.norm_epsilon, buffers);
  take(buffers.qkv);
  finish_layer(x, weights.layers.front(), shape.norm_epsilon, buffers);
  take(x);
  if (weights.head.defined()) {
    score(x, weights, shape.norm_epsilon, buffers, logits);
    take(logits);
  }
  if (!equal) result.clear();
  return result;
}

}  // namespace

TileLadder probe_tiles(const TransformerWeights& weights, const Shape& shape) {
  std::vector<float> row(static_cast<std::size_t>(std::max(shape.hidden, shape.query_width())));
  std::uint64_t bits = 1;
  for (float& value : row) {  // Knuth's MMIX generator: any full mantissas will do
    bits = bits * 6364136223846793005ULL + 1442695040888963407ULL;
    value = static_cast<float>(static_cast<double>(bits >> 32) * 0x1p-31 - 1);
  }
  std::vector<std::vector<float>> given;  // by tiles of 1, 2, 4, ...
  for (std::int64_t rows = 1; rows <= kLargestTile; rows *= 2) {
    given.push_back(row_in_tile(weights, shape, row, rows));
  }
  TileLadder best(1, 1);
  for (std::size_t quantum = 0; quantum < given.size(); ++quantum) {
    if (given[quantum].empty()) continue;
    std::size_t largest = quantum;
    while (largest + 1 < given.size() && given[largest + 1] == given[quantum]) ++largest;
    const TileLadder ladder(std::int64_t{1} << quantum, std::int64_t{1} << largest);
    if (ladder.largest() > best.largest()) best = ladder;
  }
  return best;
}

void use_one_thread() {
  at::set_num_threads(1);
  static const bool done = [] {
    using Set = void (*)(int);
    // OpenBLAS, when it is the BLAS; others are left as they are.
    if (auto* set = reinterpret_cast<Set>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) set(1);
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace torch_server
