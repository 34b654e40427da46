// A model and its context in llama.cpp, on the CPU, and the memory that they take. The one place
// that calls llama.cpp to load something.
#pragma once

#include <memory>

#include "buffer_log.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"
#include "settings.hpp"

struct llama_context;
struct llama_model;

namespace llama_server {

enum class Extent : std::uint8_t {
  whole,       // weights, cache, compute buffers
  rehearsal,   // all the metadata, no large buffer: says what `whole` would take
  vocabulary,  // the words alone
};

// What llama.cpp takes from the heap beside the buffers that it reports: graphs, metadata, words.
// Measured by the allocator's own count over the process, so that it is right while no other thread
// allocates; glibc's allocator only, else 0.
struct Bookkeeping {
  mais::Bytes model{};
  mais::Bytes context{};  // the output buffer is in it
};

class LoadedModel {
 public:
  // not_found: no such file; parse_error: llama.cpp does not load it, with what it says;
  // unavailable: it is of a kind that has no cache of cells (recurrent, hybrid, encoders), or the
  // log of this llama.cpp says nothing of buffers. Nothing is held then.
  static mais::Result<LoadedModel> load(const Settings& settings, Extent extent);

  llama_model* model() const { return model_.get(); }
  llama_context* context() const { return context_.get(); }  // null: only the vocabulary is there
  const BufferSizes& sizes() const { return sizes_; }
  const Bookkeeping& bookkeeping() const { return bookkeeping_; }

 private:
  struct Free {
    void operator()(llama_model* model) const noexcept;
    void operator()(llama_context* context) const noexcept;
  };
  LoadedModel() = default;

  std::unique_ptr<llama_model, Free> model_;  // outlives its context
  std::unique_ptr<llama_context, Free> context_;
  BufferSizes sizes_;
  Bookkeeping bookkeeping_;
};

// Of all its tensors, as llama.cpp counts them; a rehearsal has no buffer of weights.
mais::Bytes tensor_bytes(const LoadedModel& loaded);

// Bytes that the process has from the heap now; 0 where the allocator does not say.
mais::Bytes heap_in_use() noexcept;

}  // namespace llama_server
