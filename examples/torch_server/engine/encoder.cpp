#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/core/ivalue.h>  // clang needs it whole before ATen/ops
#include <ATen/ops/empty.h>

#include "attention.hpp"
#include "tensor_engine.hpp"
#include "tensor_memory.hpp"
#include "transformer_engine.hpp"

namespace torch_server {

namespace {

constexpr std::int64_t kPageTokens = 16;  // of keys and values within a step

std::int64_t pages_for(std::int64_t tokens) {
  return (tokens + kPageTokens - 1) / kPageTokens;
}

// The layers of a decoder, but every token attends to all of its text; the embedding is the mean of
// the last layer's normalised rows, scaled to length 1. Texts are padded to Step::padded rows;
// nobody attends to padding and it does not count in the mean.
class Encoder final : public TensorEngine {
 public:
  Encoder(EncoderOptions options, std::unique_ptr<WeightSource> source)
      : TensorEngine(std::move(options.name), options.shape, Role::encoder, options.budgets,
                     std::move(source)),
        layout_{.layers = 1,
                .kv_heads = shape_.kv_heads,
                .head_width = shape_.head_width,
                .tokens = kPageTokens} {
    describe_model(step_bytes());
    info_.model.shape_buckets = std::move(options.buckets);
    info_.embedding_width = shape_.hidden;
  }

  bool move(const mais::core::StateMove&) override {
    MAIS_EXPECTS(false, "an encoder keeps no state that could be moved");
    return false;
  }
  mais::Bytes trim(std::span<const std::uint32_t>) override { return mais::Bytes(0); }
  std::span<const std::byte> page(std::uint32_t) const override {
    MAIS_EXPECTS(false, "an encoder keeps no pages");
    return {};
  }

  EngineMemory memory() const override {
    return {.weights = weights_use(), .state = {}, .host_state = {}, .workspace = workspace_use()};
  }

 private:
  // All that a step allocates; step_bytes() is its bound.
  struct Room {
    Room(const Shape& shape, const PageLayout& layout, const TileLadder& ladder, std::int64_t texts,
         std::int64_t padded, std::int64_t tile)
        : x(at::empty({ladder.padded(texts * padded), shape.hidden})),
          queries(at::empty({texts * padded, shape.query_width()})),
          cache(at::empty({texts * pages_for(padded), layout.floats()})),
          angles(at::empty({padded, shape.head_width})),
          scratch(at::empty({scratch_floats(layout, padded)})),
          buffers(shape, tile) {}
    at::Tensor x;
    at::Tensor queries;  // of one layer, rotated
    at::Tensor cache;    // keys and values of one layer
    at::Tensor angles;   // of each position
    at::Tensor scratch;
    TileBuffers buffers;
  };

  StepBytes step_bytes() const {
    constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
    StepBytes step;
    step.fixed = TileBuffers::bytes(shape_, kLargestTile) +
                 tensor_bytes(kLargestTile * shape_.hidden) +  // rows of padding of the ladder
                 tensor_bytes(scratch_floats(layout_, kPageTokens)) + 4 * tensor_bytes(1);
    step.per_token =
        kFloat * (shape_.hidden + shape_.query_width() + 2 * shape_.kv_width() + shape_.head_width +
                  scratch_floats(layout_, kPageTokens) / kPageTokens);
    step.per_sequence = kFloat * layout_.floats();  // the rest of its last page
    return step;
  }

  void check(const mais::core::Step& step, std::span<const SequenceView> sequences) const override {
    for (const SequenceView& view : sequences) {
      const auto length = static_cast<std::int64_t>(view.tokens.size());
      MAIS_EXPECTS(length >= 1 && length <= step.padded.count(),
                   "a text is empty or longer than what its batch is padded to");
      for (const Token token : view.tokens) {
        MAIS_EXPECTS(token >= 0 && token < shape_.vocabulary, "a token is not in the vocabulary");
      }
    }
  }

  void compute(const mais::core::Step& step, std::span<const SequenceView> sequences,
               StepResult& result) override {
    const std::int64_t padded = step.padded.count();
    const auto texts = static_cast<std::int64_t>(sequences.size());
    if (texts == 0) return;
    ladder_.cut(texts * padded, tiles_);
    Room room(shape_, layout_, ladder_, texts, padded, tiles_.front().rows);
    lay_out(padded, sequences, room);
    for (const LayerWeights& layer : weights_.layers) {
      for (const Tile& tile : tiles_) {
        project(room.x.narrow(0, tile.first, tile.rows), layer, shape_.norm_epsilon, room.buffers);
        keep_tile(tile, padded, room);
      }
      for (const Tile& tile : tiles_) {
        attend_tile(tile, padded, room);
        finish_layer(room.x.narrow(0, tile.first, tile.rows), layer, shape_.norm_epsilon,
                     room.buffers);
      }
    }
    pool(padded, room, result);
  }

  void lay_out(std::int64_t padded, std::span<const SequenceView> sequences, Room& room) {
    room.x.zero_();
    lengths_.clear();
    pages_.clear();
    for (std::size_t text = 0; text < sequences.size(); ++text) {
      const auto first = static_cast<std::int64_t>(text) * padded;
      const std::span<const Token> tokens = sequences[text].tokens;
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        embed(weights_, shape_, tokens[i], row_of(room.x, first + static_cast<std::int64_t>(i)));
      }
      lengths_.push_back(static_cast<std::int64_t>(tokens.size()));
    }
    for (std::int64_t page = 0; page < room.cache.size(0); ++page) {
      pages_.push_back(row_of(room.cache, page));
    }
    for (std::int64_t position = 0; position < padded; ++position) {
      float* angles = row_of(room.angles, position);
      rotary_angles(position, shape_.head_width, shape_.rope_theta, angles,
                    angles + shape_.head_width / 2);
    }
  }

  // True for rows that are a token of some text.
  bool real(std::int64_t row, std::int64_t padded) const {
    const auto text = static_cast<std::size_t>(row / padded);
    return text < lengths_.size() && row % padded < lengths_[text];
  }
  std::span<float* const> pages_of(std::int64_t text, std::int64_t padded) const {
    const auto each = static_cast<std::size_t>(pages_for(padded));
    return {pages_.data() + static_cast<std::size_t>(text) * each, each};
  }

  void keep_tile(const Tile& tile, std::int64_t padded, Room& room) const {
    for (std::int64_t i = 0; i < tile.rows; ++i) {
      const std::int64_t row = tile.first + i;
      if (!real(row, padded)) continue;
      const std::int64_t position = row % padded;
      float* query = row_of(room.buffers.qkv, i);
      const float* key = query + shape_.query_width();
      const float* cosines = row_of(room.angles, position);
      for (std::int64_t head = 0; head < shape_.heads + shape_.kv_heads; ++head) {
        rotate(query + head * shape_.head_width, shape_.head_width, cosines,
               cosines + shape_.head_width / 2);
      }
      std::copy_n(query, shape_.query_width(), row_of(room.queries, row));
      float* page =
          pages_of(row / padded, padded)[static_cast<std::size_t>(position / kPageTokens)];
      store_token(layout_, page, 0, position % kPageTokens, key, key + shape_.kv_width());
    }
  }

  void attend_tile(const Tile& tile, std::int64_t padded, Room& room) const {
    for (std::int64_t i = 0; i < tile.rows; ++i) {
      const std::int64_t row = tile.first + i;
      float* out = row_of(room.buffers.mixed, i);
      if (!real(row, padded)) {
        std::fill_n(out, shape_.query_width(), 0.0F);
        continue;
      }
      const std::int64_t text = row / padded;
      attend(layout_, 0, shape_.heads,
             {.pages = pages_of(text, padded).data(),
              .keys = lengths_[static_cast<std::size_t>(text)]},
             row_of(room.queries, row), room.scratch.data_ptr<float>(), out);
    }
  }

  void pool(std::int64_t padded, Room& room, StepResult& result) const {
    const auto width = static_cast<std::size_t>(shape_.hidden);
    for (const Tile& tile : tiles_) {
      normalise(room.x.narrow(0, tile.first, tile.rows), weights_.norm, shape_.norm_epsilon,
                room.buffers);
      for (std::int64_t i = 0; i < tile.rows; ++i) {
        const std::int64_t row = tile.first + i;
        if (!real(row, padded)) continue;
        float* sum = result.embeddings.data() + static_cast<std::size_t>(row / padded) * width;
        const float* from = row_of(room.buffers.normed, i);
        for (std::size_t k = 0; k < width; ++k) sum[k] += from[k];
      }
    }
    for (std::size_t text = 0; text < lengths_.size(); ++text) {
      float* embedding = result.embeddings.data() + text * width;
      double squares = 0;
      for (std::size_t k = 0; k < width; ++k) squares += double{embedding[k]} * embedding[k];
      const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
      for (std::size_t k = 0; k < width; ++k) {
        embedding[k] = static_cast<float>(embedding[k] * scale);
      }
    }
  }

  PageLayout layout_;

  // Of the step, kept for their room.
  std::vector<std::int64_t> lengths_;
  std::vector<float*> pages_;
  std::vector<Tile> tiles_;
};

}  // namespace

mais::Result<std::unique_ptr<Engine>> make_encoder(EncoderOptions options,
                                                   std::unique_ptr<WeightSource> source) {
  std::vector<mais::Fault> faults = validate(options.shape);
  if (options.buckets.empty()) {
    for (std::int64_t length = 16; length < options.shape.max_context; length *= 2) {
      options.buckets.push_back(mais::Tokens(length));
    }
    options.buckets.push_back(mais::Tokens(options.shape.max_context));
  }
  if (!std::is_sorted(options.buckets.begin(), options.buckets.end()) ||
      options.buckets.front() < mais::Tokens(1) ||
      options.buckets.back() > mais::Tokens(options.shape.max_context)) {
    faults.push_back({"buckets", "do not rise from 1 to the longest context",
                      "rising lengths up to " + std::to_string(options.shape.max_context)});
  }
  if (!faults.empty()) return mais::fail(mais::ErrorCode::invalid_argument, to_string(faults));
  return std::make_unique<Encoder>(std::move(options), std::move(source));
}

}  // namespace torch_server
