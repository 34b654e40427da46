// Greedy generation by llama.cpp alone: a context of its own, one sequence, the prompt at once,
// then one token a step. Of the settings it takes what changes the numbers.
#pragma once

#include <algorithm>
#include <limits>
#include <llama.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "buffer_log.hpp"
#include "settings.hpp"

namespace llama_server {

class PlainGeneration {
 public:
  explicit PlainGeneration(const Settings& settings) : settings_(settings) {
    const BufferLog quiet;
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = 0;
    model_.reset(llama_model_load_from_file(settings.path.c_str(), params));
    if (!model_) throw std::runtime_error("llama.cpp does not load " + settings.path);
  }

  std::vector<std::int32_t> operator()(std::vector<std::int32_t> prompt, std::size_t new_tokens) {
    const BufferLog quiet;
    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = static_cast<std::uint32_t>(prompt.size() + new_tokens);
    params.n_threads = params.n_threads_batch = 1;
    params.type_k = params.type_v =
        settings_.kv_type == mais::files::ElementType::f32 ? GGML_TYPE_F32 : GGML_TYPE_F16;
    if (!settings_.fused_attention) params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    const std::unique_ptr<llama_context, decltype(&llama_free)> context(
        llama_init_from_model(model_.get(), params), llama_free);
    std::vector<std::int32_t> emitted;
    while (emitted.size() < new_tokens) {
      const auto batch =
          llama_batch_get_one(prompt.data(), static_cast<std::int32_t>(prompt.size()));
      if (llama_decode(context.get(), batch) != 0) throw std::runtime_error("llama_decode");
      emitted.push_back(best(llama_get_logits_ith(context.get(), -1)));
      prompt = {emitted.back()};
    }
    return emitted;
  }

  // By how much the likeliest token was ahead of the next one, at least: sums in another order must
  // differ by less for the tokens to be the same.
  float narrowest() const { return narrowest_; }
  const llama_vocab* vocab() const { return llama_model_get_vocab(model_.get()); }

 private:
  std::int32_t best(const float* logits) {
    const float* const end = logits + llama_vocab_n_tokens(vocab());
    const float* const best = std::max_element(logits, end);
    for (const float* other = logits; other != end; ++other) {
      if (other != best) narrowest_ = std::min(narrowest_, *best - *other);
    }
    return static_cast<std::int32_t>(best - logits);
  }

  const Settings settings_;
  std::unique_ptr<llama_model, decltype(&llama_model_free)> model_{nullptr, llama_model_free};
  float narrowest_ = std::numeric_limits<float>::max();
};

}  // namespace llama_server
