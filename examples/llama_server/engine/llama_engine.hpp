// A decoder in llama.cpp, from a GGUF file. No name of llama.cpp is in this header.
//
// A page is so many cells of llama.cpp's cache, and no cell in particular (sequence_table.hpp).
// Cells are not shared by sequences and not copied to a host tier. All memory is taken by load():
// its accounts are charged first, by a rehearsal that allocates none of the buffers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine.hpp"
#include "forecast.hpp"
#include "mais/core/ledger.hpp"
#include "mais/shared_ledger.hpp"
#include "settings.hpp"

namespace llama_server {

// Accounts of one ledger, which outlives the engine.
struct LlamaBudgets {
  mais::SharedLedger* ledger = nullptr;
  mais::core::AccountId weights{}, state{}, workspace{};
};

struct LlamaOptions {
  std::string name{};
  Settings settings{};
  LlamaBudgets budgets{};
  mais::TokensPerBlock page{16};
};

// Counts of an engine, of its thread; those of cells are llama.cpp's own.
struct LlamaCounts {
  std::int64_t cells = 0;  // that there are
  std::int64_t cells_used = 0;
  std::int64_t cells_peak = 0;     // after any step
  std::uint64_t no_cells = 0;      // steps for which llama.cpp found no cells
  std::uint64_t tokens_again = 0;  // computed again because their cells were gone
};

class LlamaEngine : public torch_server::Engine {
 public:
  // Errors: those of forecast() and LoadedModel::load(); invalid_argument with all faults.
  static mais::Result<std::unique_ptr<LlamaEngine>> make(LlamaOptions options);

  virtual const Forecast& forecast() const = 0;
  virtual const MemoryPlan& plan() const = 0;
  virtual BufferSizes sizes() const = 0;  // as llama.cpp said them when it was loaded; 0 else
  virtual LlamaCounts counts() const = 0;
  // The request has ended: its cells are given back.
  virtual void forget(mais::RequestId request) = 0;
};

}  // namespace llama_server
