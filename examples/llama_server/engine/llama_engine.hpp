// A decoder in llama.cpp, from a GGUF file. No name of llama.cpp is in this header.
//
// A page is so many cells of llama.cpp's cache, and none in particular (sequence_table.hpp). Cells
// are not shared by sequences and not copied to a host tier. All memory is taken by load(), and its
// accounts are charged before: a rehearsal, which allocates none of the buffers, said how much.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "budgets.hpp"
#include "engine_names.hpp"
#include "forecast.hpp"
#include "settings.hpp"

namespace llama_server {

struct LlamaOptions {
  std::string name{};
  Settings settings{};
  server::EngineBudgets budgets{};  // its accounts; engines of llama.cpp allocate themselves
  mais::TokensPerBlock page{16};
  std::optional<mais::Tokens> max_context{};  // of a request; none: what the model was trained for
};

// Counts of an engine; those of cells are llama.cpp's own, as of the last step or forget().
struct LlamaCounts {
  std::int64_t cells = 0;  // that there are
  std::int64_t cells_used = 0;
  std::int64_t cells_peak = 0;     // after any step
  std::uint64_t no_cells = 0;      // steps for which llama.cpp found no cells
  std::uint64_t tokens_again = 0;  // computed again because their cells were gone
};

class LlamaEngine : public Engine {
 public:
  // Errors: those of forecast() and LoadedModel::load(); invalid_argument with all faults.
  static mais::Result<std::unique_ptr<LlamaEngine>> make(LlamaOptions options);

  virtual const Forecast& forecast() const = 0;
  virtual const MemoryPlan& plan() const = 0;
  virtual BufferSizes sizes() const = 0;  // as llama.cpp said them when it was loaded; 0 else
  virtual LlamaCounts counts() const = 0;
};

}  // namespace llama_server
