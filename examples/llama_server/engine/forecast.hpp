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
  mais::Bytes state{};        // keys and values of all cells, exact
  mais::Bytes compute{};      // the buffer of the largest step: a bound, see docs/llama_server.md
  mais::Bytes masks{};        // of it, what grows with the cells
  mais::Bytes output{};       // logits, exact
  mais::Bytes conversions{};  // rows that a product wants in another type: a bound
  mais::Bytes padding{};      // of tensors in a buffer: a bound
};

// The errors of the readers; unavailable where the model keeps state that is no cell for each
// token.
mais::Result<Forecast> forecast(const Settings& settings);

// Bounds of what `Extent::whole` takes, by account. They are charged before anything is taken.
// Whatever grows with the number of cells is in `state`, so that the rest is the same for any.
struct MemoryPlan {
  mais::Bytes weights{};    // with words and metadata
  mais::Bytes state{};      // cells: keys, values, masks, who has which
  mais::Bytes workspace{};  // compute buffer, logits, graphs, conversions
  mais::Bytes total() const { return weights + state + workspace; }
};

MemoryPlan plan_memory(const Forecast& forecast, const LoadedModel& rehearsal,
                       const Settings& settings);

}  // namespace llama_server
