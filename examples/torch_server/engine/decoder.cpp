#include <algorithm>
#include <utility>

#include <ATen/core/ivalue.h>  // clang needs it whole before ATen/ops
#include <ATen/ops/empty.h>

#include "attention.hpp"
#include "page_store.hpp"
#include "tensor_engine.hpp"
#include "tensor_memory.hpp"
#include "transformer_engine.hpp"

namespace torch_server {

namespace {

// A token that a step computes.
struct Row {
  std::size_t entry = 0;
  std::int64_t position = 0;
};

class Decoder final : public TensorEngine {
 public:
  Decoder(DecoderOptions options, std::unique_ptr<WeightSource> source)
      : TensorEngine(options.name, options.shape, Role::decoder, options.budgets, std::move(source),
                     options.end_of_text),
        options_(std::move(options)),
        layout_{.layers = shape_.layers,
                .kv_heads = shape_.kv_heads,
                .head_width = shape_.head_width,
                .tokens = options_.page.count()} {
    describe_model(step_bytes());
    info_.page = options_.page;
    info_.pages = options_.pages;
    info_.maps_pages_ahead = options_.map_pages_ahead;
    info_.guaranteed_pages = options_.map_pages_ahead ? options_.pages : 0;
    info_.host_pages = options_.host_pages;
  }

  bool move(const mais::core::StateMove& move) override {
    const bool out = move.kind == mais::core::StateMove::Kind::out;
    if (!out && !pool_.back(std::span(&move.block, 1))) return false;
    std::byte* page = pool_.page(move.block);
    std::byte* host = host_.page(move.host_block);
    std::memcpy(out ? host : page, out ? page : host, layout_.bytes());
    return true;
  }

  mais::Bytes trim(std::span<const std::uint32_t> free_pages) override {
    return pool_.unback(free_pages);
  }

  std::span<const std::byte> page(std::uint32_t id) const override {
    return {pool_.page(id), layout_.bytes()};
  }

  EngineMemory memory() const override {
    return {.weights = weights_use(),
            .state = pool_.use(),
            .host_state = host_.use(),
            .workspace = workspace_use()};
  }

 private:
  // What one step takes, in the order of Room: the bound that compute() keeps.
  StepBytes step_bytes() const {
    const auto bytes = [](std::int64_t floats) {
      return floats * static_cast<std::int64_t>(sizeof(float));
    };
    StepBytes step;
    step.fixed = TileBuffers::bytes(shape_, kLargestTile) +
                 tensor_bytes(kLargestTile * shape_.vocabulary) +
                 tensor_bytes(scratch_floats(layout_, shape_.max_context)) +
                 // Rows of padding and of rounding, of what grows with the batch.
                 2 * tensor_bytes(kLargestTile * shape_.hidden) + tensor_bytes(shape_.head_width);
    step.per_token = bytes(shape_.hidden + shape_.head_width);
    step.per_sequence = bytes(shape_.hidden);
    return step;
  }

  // All that a step allocates, before it writes anything.
  struct Room {
    Room(const Shape& shape, const PageLayout& layout, const TileLadder& ladder, std::int64_t rows,
         std::int64_t emitting, std::int64_t longest, std::int64_t tile)
        : x(at::empty({ladder.padded(rows), shape.hidden})),
          angles(at::empty({rows, shape.head_width})),
          last(at::empty({ladder.padded(emitting), shape.hidden})),
          scratch(at::empty({scratch_floats(layout, longest)})),
          buffers(shape, tile),
          logits(at::empty({std::min(tile, ladder.padded(emitting)), shape.vocabulary})) {}
    at::Tensor x;        // what flows from layer to layer
    at::Tensor angles;   // cosines, then sines, of each row's position
    at::Tensor last;     // rows that emit
    at::Tensor scratch;  // of attention
    TileBuffers buffers;
    at::Tensor logits;
  };

  mais::Result<void> open_pages() override {
    const auto bytes = static_cast<std::int64_t>(layout_.bytes());
    const EngineBudgets& budgets = options_.budgets;
    auto opened = pool_.open(budgets.state_source, budgets.ledger, budgets.state,
                             {.page_bytes = bytes,
                              .pages = options_.pages,
                              .ahead = options_.map_pages_ahead,
                              .slab = options_.slab});
    if (!opened) return opened;
    return host_.open(
        budgets.host_source, budgets.ledger, budgets.host_state,
        {.page_bytes = bytes, .pages = options_.host_pages, .ahead = true, .slab = options_.slab});
  }
  void close_pages() override {
    pool_.close();
    host_.close();
  }

  void check(const mais::core::Step& step, std::span<const SequenceView> sequences) const override {
    server::expect_fitting(step, sequences, options_.page);
    for (const mais::core::StepEntry& entry : step.entries) {
      MAIS_EXPECTS((entry.context + entry.tokens).count() <= shape_.max_context,
                   "an entry is beyond the longest context");
    }
  }

  // Every page that is written has memory; those that are only read were written before.
  void compute(const mais::core::Step& step, std::span<const SequenceView> sequences,
               StepResult& result) override {
    list_rows(step, sequences);
    if (rows_.empty()) return;
    if (!pool_.back(written_)) {
      result.outcome = StepResult::Outcome::allocation_failed;
      result.missing = pool_.slab_size();
      return;
    }
    find_pages(step, sequences);
    const auto rows = static_cast<std::int64_t>(rows_.size());
    ladder_.cut(rows, tiles_);
    Room room(shape_, layout_, ladder_, rows, static_cast<std::int64_t>(emitting_.size()), longest_,
              tiles_.front().rows);
    fill(sequences, room);
    for (std::int64_t layer = 0; layer < shape_.layers; ++layer) {
      const LayerWeights& weights = weights_.layers[static_cast<std::size_t>(layer)];
      for (const Tile& tile : tiles_) {
        const at::Tensor x = room.x.narrow(0, tile.first, tile.rows);
        project(x, weights, shape_.norm_epsilon, room.buffers);
        attend_tile(layer, tile, room);
        finish_layer(x, weights, shape_.norm_epsilon, room.buffers);
      }
    }
    emit(sequences, room, result);
  }

  void list_rows(const mais::core::Step& step, std::span<const SequenceView> sequences) {
    rows_.clear();
    emitting_.clear();
    written_.clear();
    longest_ = 0;
    for (std::size_t i = 0; i < step.entries.size(); ++i) {
      const mais::core::StepEntry& entry = step.entries[i];
      const std::int64_t first = entry.context.count();
      const std::int64_t end = first + entry.tokens.count();
      for (std::int64_t at = first; at < end; ++at) rows_.push_back({i, at});
      if (entry.emits) emitting_.push_back(rows_.size() - 1);
      longest_ = std::max(longest_, end);
      for (std::int64_t page = first / layout_.tokens; page * layout_.tokens < end; ++page) {
        written_.push_back(sequences[i].pages[static_cast<std::size_t>(page)]);
      }
    }
  }

  void find_pages(const mais::core::Step& step, std::span<const SequenceView> sequences) {
    pages_.clear();
    first_page_.clear();
    for (std::size_t i = 0; i < step.entries.size(); ++i) {
      const std::int64_t end = (step.entries[i].context + step.entries[i].tokens).count();
      first_page_.push_back(pages_.size());
      for (std::int64_t page = 0; page * layout_.tokens < end; ++page) {
        pages_.push_back(reinterpret_cast<float*>(
            pool_.page(sequences[i].pages[static_cast<std::size_t>(page)])));
      }
    }
    first_page_.push_back(pages_.size());
  }

  std::span<float* const> pages_of(const Row& row) const {
    return {pages_.data() + first_page_[row.entry],
            first_page_[row.entry + 1] - first_page_[row.entry]};
  }

  void fill(std::span<const SequenceView> sequences, Room& room) const {
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const Row& row = rows_[i];
      const Token token = sequences[row.entry].tokens[static_cast<std::size_t>(row.position)];
      MAIS_EXPECTS(token >= 0 && token < shape_.vocabulary, "a token is not in the vocabulary");
      embed(weights_, shape_, token, row_of(room.x, i));
      float* angles = row_of(room.angles, i);
      rotary_angles(row.position, shape_.head_width, shape_.rope_theta, angles,
                    angles + shape_.head_width / 2);
    }
    const auto rows = static_cast<std::int64_t>(rows_.size());
    room.x.narrow(0, rows, room.x.size(0) - rows).zero_();
  }

  // Writes keys and values of the tile to their pages, then lets every row of it attend to all
  // before it. Earlier rows of a sequence are in the same tile or in an earlier one.
  void attend_tile(std::int64_t layer, const Tile& tile, Room& room) const {
    const auto first = static_cast<std::size_t>(tile.first);
    const std::size_t end = std::min(rows_.size(), first + static_cast<std::size_t>(tile.rows));
    for (std::size_t i = first; i < end; ++i) {
      float* query = row_of(room.buffers.qkv, i - first);
      float* key = query + shape_.query_width();
      const float* cosines = row_of(room.angles, i);
      const float* sines = cosines + shape_.head_width / 2;
      for (std::int64_t head = 0; head < shape_.heads + shape_.kv_heads; ++head) {
        rotate(query + head * shape_.head_width, shape_.head_width, cosines, sines);
      }
      const std::int64_t position = rows_[i].position;
      float* page = pages_of(rows_[i])[static_cast<std::size_t>(position / layout_.tokens)];
      store_token(layout_, page, layer, position % layout_.tokens, key, key + shape_.kv_width());
    }
    for (std::size_t i = first; i < end; ++i) {
      attend(layout_, layer, shape_.heads,
             {.pages = pages_of(rows_[i]).data(), .keys = rows_[i].position + 1},
             row_of(room.buffers.qkv, i - first), room.scratch.data_ptr<float>(),
             row_of(room.buffers.mixed, i - first));
    }
    const auto real = static_cast<std::int64_t>(end - first);
    room.buffers.mixed.narrow(0, real, tile.rows - real).zero_();
  }

  void emit(std::span<const SequenceView> sequences, Room& room, StepResult& result) {
    const auto count = static_cast<std::int64_t>(emitting_.size());
    for (std::size_t i = 0; i < emitting_.size(); ++i) {
      std::copy_n(row_of(room.x, emitting_[i]), shape_.hidden, row_of(room.last, i));
    }
    room.last.narrow(0, count, room.last.size(0) - count).zero_();
    ladder_.cut(count, tiles_);
    for (const Tile& tile : tiles_) {
      score(room.last.narrow(0, tile.first, tile.rows), weights_, shape_.norm_epsilon, room.buffers,
            room.logits);
      for (std::int64_t i = tile.first; i < std::min(count, tile.first + tile.rows); ++i) {
        const float* logits = row_of(room.logits, static_cast<std::size_t>(i - tile.first));
        const Row& row = rows_[emitting_[static_cast<std::size_t>(i)]];
        result.emitted[row.entry] =
            sampler_.choose({logits, static_cast<std::size_t>(shape_.vocabulary)},
                            sequences[row.entry].sampling, row.position + 1);
      }
    }
  }

  DecoderOptions options_;
  PageLayout layout_;
  server::PageStore pool_, host_;

  // Of the step, kept for their room.
  std::vector<Row> rows_;
  std::vector<std::size_t> emitting_;   // rows
  std::vector<std::uint32_t> written_;  // pages
  std::vector<float*> pages_;           // of all entries, one after another
  std::vector<std::size_t> first_page_;
  std::int64_t longest_ = 0;
  std::vector<Tile> tiles_;
  server::Sampler sampler_;
};

}  // namespace

mais::Result<std::unique_ptr<Engine>> make_decoder(DecoderOptions options,
                                                   std::unique_ptr<WeightSource> source) {
  std::vector<mais::Fault> faults = validate(options.shape);
  const std::int64_t page = options.page.count();
  if (page < 8 || page % 8 != 0) {
    faults.push_back({"page", "is " + std::to_string(page) + " tokens", "a multiple of 8"});
  }
  if (options.pages < 1) faults.push_back({"pages", "is below 1", "pages for one sequence"});
  if (options.host_pages < 0) faults.push_back({"host_pages", "is negative", "0 or more"});
  if (!faults.empty()) return mais::fail(mais::ErrorCode::invalid_argument, to_string(faults));
  return std::make_unique<Decoder>(std::move(options), std::move(source));
}

}  // namespace torch_server
