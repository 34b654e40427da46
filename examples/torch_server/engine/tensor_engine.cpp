#include "tensor_engine.hpp"

#include <chrono>
#include <exception>
#include <new>
#include <utility>

#include <c10/core/InferenceMode.h>

#include "tensor_memory.hpp"

namespace torch_server {

TensorEngine::TensorEngine(std::string name, const Shape& shape, Role role,
                           const EngineBudgets& budgets, std::unique_ptr<WeightSource> source,
                           std::optional<Token> end_of_text)
    : name_(std::move(name)),
      shape_(shape),
      role_(role),
      source_(std::move(source)),
      tokenizer_(std::make_shared<ByteTokenizer>(end_of_text)),
      weights_memory_(*budgets.weights),
      workspace_memory_(*budgets.workspace) {}

void TensorEngine::describe_model(const StepBytes& step) {
  info_.model = describe(name_, shape_, role_, weight_bytes(shape_, role_), step);
  info_.vocabulary = shape_.vocabulary;
  info_.weights_from = source_->describe();
}

mais::Result<void> TensorEngine::load() {
  if (loaded_) return {};
  auto loaded = load_whole();
  if (loaded) {
    loaded_ = true;
  } else {
    unload();
  }
  return loaded;
}

mais::Result<void> TensorEngine::load_whole() {
  const c10::InferenceMode inference;
  use_one_thread();
  try {
    const TensorScope scope(weights_memory_);
    auto read = load_weights(shape_, role_, *source_, workspace_memory_);
    if (!read) return tl::unexpected<mais::Error>(std::move(read.error()));
    weights_ = std::move(*read);
    const TensorScope inner(workspace_memory_);
    ladder_ = probe_tiles(weights_, shape_);
  } catch (const std::bad_alloc&) {
    return mais::fail(mais::ErrorCode::over_limit,
                      name_ + ": its budget has no room for its weights, of which " +
                          std::to_string(weights_memory_.use().used.count()) +
                          " bytes were taken, or for one tile of workspace");
  }
  // Loaded again it is the same: others may be reading it.
  if (auto remarks = describe_ladder(ladder_); remarks != info_.remarks) {
    info_.remarks = std::move(remarks);
  }
  return open_pages();
}

void TensorEngine::unload() {
  weights_ = {};
  close_pages();
  loaded_ = false;
}

void TensorEngine::run(const mais::core::Step& step, std::span<const SequenceView> sequences,
                       StepResult& result) {
  MAIS_EXPECTS(loaded_, "run() before load()");
  MAIS_EXPECTS(sequences.size() == step.entries.size(), "a view for each entry");
  check(step, sequences);
  const auto began = std::chrono::steady_clock::now();
  result.outcome = StepResult::Outcome::done;
  result.missing.reset();
  result.error.clear();
  result.emitted.assign(step.entries.size(), std::nullopt);
  result.embeddings.assign(step.entries.size() * static_cast<std::size_t>(info_.embedding_width),
                           0.0F);
  const TensorScope scope(workspace_memory_);
  const c10::InferenceMode inference;
  use_one_thread();
  try {
    compute(step, sequences, result);
  } catch (const std::bad_alloc&) {
    result.outcome = StepResult::Outcome::allocation_failed;
    if (const auto bytes = scope.refused()) {
      result.missing = mais::Bytes(static_cast<std::int64_t>(*bytes));
    }
  } catch (const std::exception& error) {
    result.outcome = StepResult::Outcome::broken;
    result.error = error.what();
  }
  result.took = std::chrono::steady_clock::now() - began;
}

}  // namespace torch_server
