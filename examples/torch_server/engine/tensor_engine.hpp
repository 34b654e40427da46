// What the engines on LibTorch have in common: weights and tiles, budgets and their failures.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engine_names.hpp"
#include "metered_resource.hpp"
#include "transformer.hpp"
#include "transformer_model.hpp"
#include "weights.hpp"

namespace torch_server {

class TensorEngine : public Engine {
 public:
  const EngineInfo& info() const override { return info_; }
  std::shared_ptr<const Tokenizer> tokenizer() const final { return tokenizer_; }
  mais::Result<void> load() final;
  void unload() final;
  void run(const mais::core::Step& step, std::span<const SequenceView> sequences,
           StepResult& result) final;

 protected:
  // `end_of_text`: what a generation ends with by itself.
  TensorEngine(std::string name, const Shape& shape, Role role, const EngineBudgets& budgets,
               std::unique_ptr<WeightSource> source, std::optional<Token> end_of_text = {});

  // Aborts for views that do not fit their entries.
  virtual void check(const mais::core::Step& step,
                     std::span<const SequenceView> sequences) const = 0;
  // Every tensor that it makes is taken from the budget of workspace; std::bad_alloc passes through
  // and must leave nothing half-done. May set `outcome` itself.
  virtual void compute(const mais::core::Step& step, std::span<const SequenceView> sequences,
                       StepResult& result) = 0;
  // After the weights; what fails takes nothing.
  virtual mais::Result<void> open_pages() { return {}; }
  virtual void close_pages() {}

  // To be called once by the constructor of the engine.
  void describe_model(const StepBytes& step);
  EngineMemory::Use weights_use() const { return weights_memory_.use(); }
  EngineMemory::Use workspace_use() const { return workspace_memory_.use(); }

  const std::string name_;
  const Shape shape_;
  EngineInfo info_;

 private:
  mais::Result<void> load_whole();

  const Role role_;
  std::unique_ptr<WeightSource> source_;
  const std::shared_ptr<const Tokenizer> tokenizer_;
  server::MeteredResource weights_memory_, workspace_memory_;  // outlive the tensors below
  bool loaded_ = false;

 protected:
  TransformerWeights weights_;
  TileLadder ladder_;
};

}  // namespace torch_server
