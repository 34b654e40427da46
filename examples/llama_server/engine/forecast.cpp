#include "forecast.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "mais/files/model_folder.hpp"

namespace llama_server {

namespace {

using mais::Bytes;

// Rows of a step in the type that a matrix of weights is multiplied in, at most 4 bytes an element.
Bytes conversion_bound(const mais::files::Architecture& architecture, mais::Tokens tokens) {
  std::int64_t widest = 0;
  for (const auto& layer : architecture.main_tower()->layers) {
    for (const auto& linear : layer.linears) {
      widest = std::max(widest, linear.inputs * std::max<std::int64_t>(1, linear.used));
    }
  }
  return Bytes(4 * widest * tokens.count());
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
  // The mask says of each token of the step which cells it sees: 32 bits, and 16 for the attention
  // that is fused.
  const Bytes mask = Bytes(6 * settings.cells * settings.step_tokens.count());
  result.compute =
      model.workspace.bytes(settings.step_tokens, settings.step_sequences, mais::Tokens(0)) + mask;
  result.conversions = conversion_bound(disk->architecture, settings.step_tokens);
  result.padding = Bytes(64 * static_cast<std::int64_t>(disk->file->tensors.size()));
  result.footprint = std::move(*footprint);
  return result;
}

MemoryPlan plan_memory(const Forecast& forecast, const LoadedModel& rehearsal) {
  const Bookkeeping& heap = rehearsal.bookkeeping();
  const BufferSizes& said = rehearsal.sizes();
  // What steps leave in the heap beside conversions: lists of the batch, plans of the graph.
  constexpr Bytes kLists = Bytes(2 << 20);
  return {.weights = forecast.weights + forecast.padding + heap.model,
          .state = std::max(forecast.state, at_most(said.state)),
          .workspace = at_most(said.compute) + heap.context + forecast.conversions + kLists};
}

}  // namespace llama_server
