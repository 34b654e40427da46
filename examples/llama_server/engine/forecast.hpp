// What a GGUF model takes in llama.cpp: first from the file alone, then from a rehearsal.
#pragma once

#include "loaded_model.hpp"
#include "mais/files/footprint.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"
#include "settings.hpp"

namespace llama_server {

// By mais::files, without llama.cpp.
struct Forecast {
  mais::files::Footprint footprint{};
  mais::Bytes weights{};      // exact
  mais::Bytes state{};        // of all cells, exact
  mais::Bytes compute{};      // of the largest step: a bound, see docs/llama_server.md
  mais::Bytes output{};       // logits, exact
  mais::Bytes conversions{};  // rows that a product wants in another type: a bound
  mais::Bytes padding{};      // of tensors in a buffer: a bound
};

// The errors of the readers; unavailable where the model keeps state that is no cell for each
// token.
mais::Result<Forecast> forecast(const Settings& settings);

// Bounds of what `Extent::whole` takes, by account. They are charged before anything is taken.
struct MemoryPlan {
  mais::Bytes weights{};
  mais::Bytes state{};
  mais::Bytes workspace{};  // compute buffer, logits, graphs, conversions
  mais::Bytes total() const { return weights + state + workspace; }
};

MemoryPlan plan_memory(const Forecast& forecast, const LoadedModel& rehearsal);

}  // namespace llama_server
