#include "forecast.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "mais/files/model_folder.hpp"

namespace llama_server {

namespace {

using mais::Bytes;

// Largest figures of any layer.
struct Widest {
  std::int64_t input = 0;  // of a matrix, of all experts that a token meets
  std::int64_t heads = 0;  // of queries
  std::int64_t query = 0;  // all heads together
  std::int64_t head = 0;
  std::int64_t cell = 0;    // numbers that a layer keeps for a token
  std::int64_t mixing = 0;  // numbers that live while a layer attends, for a token of the step
  bool windows = false;     // some layers see less than all
};

Widest widest_of(const mais::files::Tower& tower) {
  Widest widest;
  for (const mais::files::Layer& layer : tower.layers) {
    std::int64_t given = 0, taken = 0;
    for (const mais::files::Linear& linear : layer.linears) {
      widest.input = std::max(widest.input, linear.inputs * std::max<std::int64_t>(1, linear.used));
      if (linear.role != mais::files::WeightRole::attention) continue;
      given += linear.outputs;
      taken = std::max(taken, linear.inputs);
    }
    if (!layer.attention) continue;
    const mais::files::Attention& attention = *layer.attention;
    widest.mixing = std::max(widest.mixing, given + taken + 3 * tower.width);
    widest.head = std::max({widest.head, attention.key_size, attention.value_size});
    widest.heads = std::max(widest.heads, attention.heads);
    widest.query = std::max(widest.query, attention.heads * attention.value_size);
    widest.cell =
        std::max(widest.cell, attention.kv_heads * (attention.key_size + attention.value_size));
    widest.windows |= attention.window.has_value();
  }
  return widest;
}

// llama.cpp makes room for a step of equally many tokens of each sequence.
std::int64_t room_tokens(const Settings& settings) {
  const std::int64_t sequences = settings.sequences;
  return (settings.step_tokens.count() + sequences - 1) / sequences * sequences;
}

// What grows with the number of cells: which token of a step sees which, once more for windows, in
// 16 bits where attention is fused, else in 32; then the scores, too. Fused attention takes keys
// and values in 16 bits: a copy of a layer's where they are kept in 32.
struct CellBytes {
  Bytes masks{}, scores{}, copies{};
  Bytes sum() const { return masks + scores + copies; }
};

CellBytes cell_bytes(const Widest& widest, const Settings& settings) {
  const std::int64_t pairs = room_tokens(settings) * settings.cells;
  const std::int64_t masks = widest.windows ? 2 : 1;
  if (!settings.fused_attention) {
    return {.masks = Bytes(4 * masks * pairs), .scores = Bytes(4 * widest.heads * pairs)};
  }
  const bool copied = settings.kv_type == mais::files::ElementType::f32;
  return {.masks = Bytes(2 * masks * pairs),
          .copies = Bytes(copied ? 2 * widest.cell * settings.cells : 0)};
}

// As ggml's allocator places a step's values: those of the widest layer, or of one that attends
// with its scores, or the logits, in the same place. Queries that are wider than the model leave a
// gap.
Bytes compute_bytes(const mais::files::Footprint& footprint,
                    const mais::files::Architecture& architecture, const Widest& widest,
                    const Settings& settings) {
  const std::int64_t width = architecture.main_tower()->width;
  const std::int64_t tokens = room_tokens(settings);
  constexpr std::int64_t kNumbers = 128;  // positions, indices
  const Bytes gap =
      Bytes((4 * std::max<std::int64_t>(0, widest.query - width) + kNumbers) * tokens);
  const CellBytes cells = cell_bytes(widest, settings);
  const Bytes feeding = footprint.model.workspace.per_token * mais::Tokens(tokens) + gap;
  const Bytes mixing = Bytes(4 * widest.mixing * tokens) + gap + cells.scores + cells.copies;
  const Bytes logits = Bytes(4 * settings.sequences * (architecture.vocabulary + 2 * width));
  // Quantised keys and values are turned first, each by a matrix that is an input.
  const bool turned = is_block_quantised(settings.kv_type);
  const Bytes turns = Bytes(turned ? 2 * 4 * widest.head * widest.head : 0);
  return std::max({feeding, mixing, logits}) + cells.masks + turns;
}

}  // namespace

mais::Result<Forecast> forecast(const Settings& settings) {
  auto disk = mais::files::open_model(settings.path);
  if (!disk) return tl::unexpected<mais::Error>(std::move(disk.error()));
  if (!disk->file || disk->file->format != mais::files::ModelFormat::gguf) {
    return mais::fail(mais::ErrorCode::invalid_argument, settings.path + ": is no GGUF file");
  }
  Forecast result;
  auto footprint = mais::files::footprint(disk->architecture,
                                          {.kv_type = settings.kv_type,
                                           .activation_type = mais::files::ElementType::f32,
                                           .windows = false,
                                           .library_workspace = Bytes(0)},
                                          &*disk->file);
  if (!footprint) return tl::unexpected<mais::Error>(std::move(footprint.error()));
  const mais::Model& model = footprint->model;
  mais::BytesPerToken per_token{};
  for (const mais::StateGroup& group : model.state) {
    if (group.fixed > Bytes(0)) {
      return mais::fail(mais::ErrorCode::unavailable,
                        settings.path + ": has " + group.name +
                            "; only decoders whose state is a cell for each token are served");
    }
    per_token = per_token + group.per_token;
  }
  result.weights = footprint->weights;
  result.state = per_token * mais::Tokens(settings.cells);
  const Widest widest = widest_of(*disk->architecture.main_tower());
  result.masks = cell_bytes(widest, settings).sum();
  result.compute = compute_bytes(*footprint, disk->architecture, widest, settings);
  result.output = Bytes(4 * settings.sequences * disk->architecture.vocabulary);
  // Rows of a step in the type that weights are multiplied in, at most 32 bits.
  result.conversions = Bytes(4 * widest.input * settings.step_tokens.count());
  result.padding = Bytes(64 * static_cast<std::int64_t>(disk->file->tensors.size()));
  result.footprint = std::move(*footprint);
  return result;
}

MemoryPlan plan_memory(const Forecast& forecast, const LoadedModel& rehearsal,
                       const Settings& settings) {
  const Bookkeeping& heap = rehearsal.bookkeeping();
  const BufferSizes& said = rehearsal.sizes();
  // Of a cell: its position and whose it is.
  const Bytes cells = Bytes(64 * settings.cells);
  // What steps leave in the heap beside conversions: lists of the batch, plans of the graph.
  constexpr Bytes kLists = Bytes(2 << 20);
  return {.weights = forecast.weights + forecast.padding + heap.model,
          .state = std::max(forecast.state, at_most(said.state)) + forecast.masks + cells,
          .workspace = std::max(Bytes(0), at_most(said.compute) - forecast.masks) +
                       std::max(forecast.output, heap.context - cells) + forecast.conversions +
                       kLists};
}

}  // namespace llama_server
