#include "mais/files/gguf_architecture.hpp"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "byte_source.hpp"
#include "config_fields.hpp"
#include "decoder_shape.hpp"

namespace mais::files {

namespace {

enum class Kind : std::uint8_t { decoder, mamba, mamba2, jamba, encoder, pair };

// What the metadata leaves to the code that runs the model.
struct GgufFamily {
  std::string_view name{};
  Kind kind = Kind::decoder;
  // Of each run of so many layers all but the last have the window; 1: all of them; 0: none.
  std::int64_t window_pattern = 0;
  bool gated = true;
  bool sinks = false;
};

constexpr std::array kFamilies = {
    GgufFamily{"bert", Kind::encoder, 0, false},
    GgufFamily{"bloom", Kind::decoder, 0, false},
    GgufFamily{"cohere2", Kind::decoder, 4},
    GgufFamily{"command-r"},
    GgufFamily{"deepseek"},
    GgufFamily{"deepseek2"},
    GgufFamily{"falcon", Kind::decoder, 0, false},
    GgufFamily{"gemma"},
    GgufFamily{"gemma2", Kind::decoder, 2},
    GgufFamily{"gemma3", Kind::decoder, 6},
    GgufFamily{"gpt-oss", Kind::decoder, 2, true, true},
    GgufFamily{"gpt2", Kind::decoder, 0, false},
    GgufFamily{"gptj", Kind::decoder, 0, false},
    GgufFamily{"gptneox", Kind::decoder, 0, false},
    GgufFamily{"granite"},
    GgufFamily{"granitemoe"},
    GgufFamily{"internlm2"},
    GgufFamily{"jamba", Kind::jamba},
    GgufFamily{"llama"},
    GgufFamily{"mamba", Kind::mamba},
    GgufFamily{"mamba2", Kind::mamba2},
    GgufFamily{"mpt", Kind::decoder, 0, false},
    GgufFamily{"nemotron", Kind::decoder, 0, false},
    GgufFamily{"nomic-bert", Kind::encoder},
    GgufFamily{"olmo2"},
    GgufFamily{"olmoe"},
    GgufFamily{"phi2", Kind::decoder, 0, false},
    GgufFamily{"phi3"},
    GgufFamily{"phimoe"},
    GgufFamily{"qwen2"},
    GgufFamily{"qwen2moe"},
    GgufFamily{"qwen2vl"},
    GgufFamily{"qwen3"},
    GgufFamily{"qwen3moe"},
    GgufFamily{"stablelm"},
    GgufFamily{"starcoder", Kind::decoder, 0, false},
    GgufFamily{"starcoder2", Kind::decoder, 0, false},
    GgufFamily{"t5", Kind::pair},
};

// Reads the keys below the name of the architecture. The first fault sticks.
class Keys {
 public:
  Keys(const ModelFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix) + ".") {}

  bool has(std::string_view key) const {
    return file_.metadata.count(prefix_ + std::string(key)) > 0;
  }
  std::int64_t get(std::string_view key, std::int64_t otherwise, std::int64_t most = kMostLength,
                   std::int64_t least = 0) {
    if (!has(key)) return otherwise;
    const std::optional<std::int64_t> value = file_.integer(prefix_ + std::string(key));
    if (value && *value >= least && *value <= most) return *value;
    refuse(key, (value ? "is " + std::to_string(*value) : std::string("is not one number")) +
                    "; a whole number from " + std::to_string(least) + " to " +
                    std::to_string(most) + " is needed");
    return otherwise;
  }
  std::int64_t need(std::string_view key, std::int64_t most = kMostLength) {
    if (!has(key)) refuse(key, "is missing; a whole number of 1 or more is needed");
    return get(key, 1, most, 1);
  }
  // One number for all layers, or a list with one for each.
  std::vector<std::int64_t> each(std::string_view key, std::size_t layers, std::int64_t otherwise,
                                 std::int64_t most) {
    const auto found = file_.metadata.find(prefix_ + std::string(key));
    const auto* list = found == file_.metadata.end()
                           ? nullptr
                           : std::get_if<std::vector<std::int64_t>>(&found->second);
    if (list == nullptr) return std::vector<std::int64_t>(layers, get(key, otherwise, most));
    if (list->size() != layers) {
      refuse(key, "has " + std::to_string(list->size()) + " entries; one for each of the " +
                      std::to_string(layers) + " layers is needed");
      return std::vector<std::int64_t>(layers, otherwise);
    }
    for (const std::int64_t value : *list) {
      if (value < 0 || value > most) {
        refuse(key,
               "has " + std::to_string(value) + "; 0 to " + std::to_string(most) + " is needed");
        return std::vector<std::int64_t>(layers, otherwise);
      }
    }
    return *list;
  }
  void refuse(std::string_view key, const std::string& problem) {
    if (error) return;
    error = fail(ErrorCode::parse_error,
                 file_.parts.front().path + ": " + prefix_ + std::string(key) + " " + problem)
                .value();
  }

  std::optional<Error> error;

 private:
  const ModelFile& file_;
  std::string prefix_;
};

class Reading {
 public:
  Reading(const ModelFile& file, const GgufFamily& family)
      : file_(file), family_(family), keys_(file, file.architecture) {
    for (const TensorEntry& tensor : file.tensors) names_.insert(tensor.name);
  }

  Result<Architecture> run() {
    layers_ = static_cast<std::size_t>(keys_.need("block_count", kMostLayers));
    shape_.width = keys_.need("embedding_length");
    shape_.vocabulary = vocabulary();
    shape_.gated = family_.gated;
    shape_.sinks = family_.sinks;
    shape_.tied = !has_tensor("output.weight");
    shape_.plan.resize(layers_);
    if (family_.kind == Kind::mamba || family_.kind == Kind::mamba2) {
      read_mamba();
    } else {
      read_attention();
      read_feed_forward();
      read_windows();
      if (family_.kind == Kind::jamba) read_mamba();
    }
    finish();
    if (keys_.error) return tl::unexpected<Error>(*keys_.error);
    return std::move(architecture_);
  }

 private:
  bool has_tensor(std::string_view name) const { return names_.count(name) > 0; }

  std::int64_t vocabulary() {
    for (const TensorEntry& tensor : file_.tensors) {
      if (tensor.name == "token_embd.weight" && tensor.shape.size() == 2 &&
          tensor.shape.front() <= kMostLength) {
        return tensor.shape.front();
      }
    }
    const std::int64_t listed = file_.list_size("tokenizer.ggml.tokens").value_or(0);
    return std::min(keys_.get("vocab_size", listed), kMostLength);
  }

  void read_attention() {
    const auto heads = keys_.each("attention.head_count", layers_, 0, kMostHeads);
    shape_.heads = *std::max_element(heads.begin(), heads.end());
    if (shape_.heads < 1) {
      keys_.refuse("attention.head_count", "is missing or 0; 1 or more is needed");
      return;
    }
    const auto kv_heads = keys_.each("attention.head_count_kv", layers_, shape_.heads, kMostHeads);
    shape_.kv_heads = *std::max_element(kv_heads.begin(), kv_heads.end());
    const std::int64_t by_width = std::max<std::int64_t>(1, shape_.width / shape_.heads);
    shape_.key_size = keys_.get("attention.key_length", by_width, kMostHeads, 1);
    shape_.value_size = keys_.get("attention.value_length", by_width, kMostHeads, 1);
    for (std::size_t i = 0; i < layers_; ++i) {
      shape_.plan[i].heads = heads[i];
      shape_.plan[i].kv_heads = kv_heads[i];
      // A hybrid's layers without KV heads are its recurrent ones.
      if (family_.kind == Kind::jamba && kv_heads[i] == 0) shape_.plan[i].mixer = Mixer::mamba;
    }
    if (keys_.has("attention.kv_lora_rank")) read_latent();
  }

  void read_latent() {
    Latent latent{.q_rank = {}, .kv_rank = keys_.need("attention.kv_lora_rank")};
    if (const std::int64_t rank = keys_.get("attention.q_lora_rank", 0); rank > 0) {
      latent.q_rank = rank;
    }
    latent.rope = keys_.need("rope.dimension_count", kMostHeads);
    // Newer files give the sizes of heads before compression apart from those of the cache.
    const std::int64_t key = keys_.get("attention.key_length_mla", shape_.key_size, kMostHeads, 1);
    latent.value = keys_.get("attention.value_length_mla", shape_.value_size, kMostHeads, 1);
    latent.nope = key - latent.rope;
    if (latent.nope < 1) keys_.refuse("attention.key_length_mla", "is not above the rotary part");
    latent.nope = std::max<std::int64_t>(1, latent.nope);
    shape_.latent = latent;
  }

  void read_feed_forward() {
    const auto widths = keys_.each("feed_forward_length", layers_, 0, kMostLength);
    for (std::size_t i = 0; i < layers_; ++i) shape_.plan[i].feed_forward = widths[i];
    const std::int64_t count = keys_.get("expert_count", 0, kMostHeads);
    if (count == 0) return;
    const std::int64_t widest = *std::max_element(widths.begin(), widths.end());
    shape_.experts = {.count = count,
                      .used = keys_.get("expert_used_count", 1, count, 1),
                      .width = keys_.get("expert_feed_forward_length", widest)};
    const std::int64_t shared = keys_.get("expert_shared_count", 0, 256);
    shape_.experts.shared_width =
        keys_.get("expert_shared_feed_forward_length", shared * shape_.experts.width);
    const auto dense =
        static_cast<std::size_t>(keys_.get("leading_dense_block_count", 0, kMostLayers));
    for (std::size_t i = dense; i < layers_; ++i) {
      // Which layers have experts is best seen from their tensors.
      const std::string block = "blk." + std::to_string(i) + ".";
      shape_.plan[i].experts = file_.tensors.empty() || has_tensor(block + "ffn_gate_inp.weight");
    }
  }

  void read_windows() {
    const std::int64_t window = keys_.get("attention.sliding_window", 0, kMostTokens);
    if (window == 0) return;
    const std::string key = "attention.sliding_window_pattern";
    if (keys_.has(key) && file_.list_size(file_.architecture + "." + key)) {
      const auto slides = keys_.each(key, layers_, 0, 1);
      for (std::size_t i = 0; i < layers_; ++i) {
        if (slides[i] != 0) shape_.plan[i].window = Tokens(window);
      }
      return;
    }
    const auto pattern =
        static_cast<std::size_t>(keys_.get(key, family_.window_pattern, kMostLayers));
    if (pattern == 0) {
      architecture_.notes.push_back("the file states a window of " + std::to_string(window) +
                                    " tokens, which llama.cpp does not use for " +
                                    file_.architecture + ": every layer keeps all tokens");
      return;
    }
    for (std::size_t i = 0; i < layers_; ++i) {
      if (pattern == 1 || (i + 1) % pattern != 0) shape_.plan[i].window = Tokens(window);
    }
  }

  void read_mamba() {
    shape_.ssm.inner = keys_.need("ssm.inner_size");
    shape_.ssm.state = keys_.need("ssm.state_size");
    shape_.ssm.conv = keys_.need("ssm.conv_kernel", 1024);
    if (family_.kind == Kind::mamba2) {
      shape_.ssm.heads = keys_.need("ssm.time_step_rank", kMostHeads);
      shape_.ssm.groups = keys_.get("ssm.group_count", 1, kMostHeads, 1);
    } else {
      shape_.ssm.time_rank = keys_.need("ssm.time_step_rank");
    }
    if (family_.kind == Kind::jamba) return;
    shape_.norms = 1;
    shape_.mlp_in_ssm = false;
    const Mixer mixer = family_.kind == Kind::mamba ? Mixer::mamba : Mixer::mamba2;
    for (LayerPlan& plan : shape_.plan) plan.mixer = mixer;
  }

  void finish() {
    if (keys_.error) return;
    architecture_.family = file_.architecture;
    architecture_.name = shown(file_.text("general.name").value_or(""));
    architecture_.vocabulary = shape_.vocabulary;
    architecture_.tied = shape_.tied;
    if (const std::int64_t context = keys_.get("context_length", 0, kMostTokens); context > 0) {
      architecture_.max_context = Tokens(context);
    }
    if (family_.kind == Kind::encoder) {
      architecture_.batching = Batching::request;
      architecture_.tied = shape_.cached = shape_.output = false;
      architecture_.towers.push_back(make_tower(shape_, "encoder"));
      return;
    }
    if (family_.kind != Kind::pair) {
      architecture_.towers.push_back(make_tower(shape_, "decoder"));
      return;
    }
    DecoderShape encoder = shape_;
    encoder.cached = encoder.output = false;
    shape_.embeds = false;
    shape_.plan.resize(static_cast<std::size_t>(
        keys_.get("decoder_block_count", static_cast<std::int64_t>(layers_), kMostLayers, 1)));
    architecture_.towers.push_back(make_tower(encoder, "encoder"));
    architecture_.towers.push_back(make_tower(shape_, "decoder"));
    architecture_.encoder_context = architecture_.max_context.value_or(Tokens(512));
    for (Layer& layer : architecture_.towers.back().layers) {
      add_cross_attention(layer, shape_, encoder.width);
    }
  }

  const ModelFile& file_;
  const GgufFamily& family_;
  Keys keys_;
  std::unordered_set<std::string_view> names_;  // of the tensors
  std::size_t layers_ = 0;
  DecoderShape shape_;
  Architecture architecture_;
};

}  // namespace

std::vector<std::string> gguf_architectures() {
  std::vector<std::string> names;
  for (const GgufFamily& family : kFamilies) names.emplace_back(family.name);
  return names;
}

Result<Architecture> gguf_architecture(const ModelFile& file, const ConfigOptions& options) {
  const std::string path = file.parts.empty() ? "model" : file.parts.front().path;
  if (file.architecture.empty()) {
    return fail(ErrorCode::parse_error,
                path + ": general.architecture is missing; it names the family (\"llama\")");
  }
  const auto* family =
      std::find_if(kFamilies.begin(), kFamilies.end(),
                   [&](const GgufFamily& known) { return known.name == file.architecture; });
  if (family != kFamilies.end()) return Reading(file, *family).run();
  if (!options.guess) {
    std::string known;
    for (const GgufFamily& each : kFamilies) {
      known += (known.empty() ? "" : ", ") + std::string(each.name);
    }
    return fail(ErrorCode::not_found, path + ": the architecture '" + shown(file.architecture) +
                                          "' is not known; known are " + known);
  }
  constexpr GgufFamily kPlain{"llama"};
  Result<Architecture> guess = Reading(file, kPlain).run();
  if (!guess) return guess;
  guess->margin = kGuessMargin;
  guess->notes.push_back("GUESS: the architecture '" + shown(file.architecture) +
                         "' is not known; read as if it were 'llama', give or take 25 %");
  return guess;
}

}  // namespace mais::files
