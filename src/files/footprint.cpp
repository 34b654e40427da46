#include "mais/files/footprint.hpp"

#include <algorithm>
#include <cmath>

#include "layer_state.hpp"
#include "weight_shares.hpp"

namespace mais::files {

namespace {

using detail::saturating_add;
using detail::saturating_multiply;

constexpr int kMostDevices = 4096;

// What the state of one layer adds to the groups.
class StateSums {
 public:
  void add(const StateGroup& more) {
    for (StateGroup& group : groups) {
      if (group.name != more.name || group.window != more.window) continue;
      group.per_token = group.per_token + more.per_token;
      group.fixed += more.fixed;
      return;
    }
    groups.push_back(more);
  }
  std::vector<StateGroup> groups;
};

class Estimate {
 public:
  Estimate(const Architecture& architecture, const FootprintOptions& options, const ModelFile* file)
      : architecture_(architecture), options_(options), file_(file) {}

  Result<Footprint> run() {
    if (auto fine = check(); !fine) return tl::unexpected<Error>(fine.error());
    main_ = architecture_.main_tower();
    type_ = options_.weight_type.value_or(architecture_.type);
    result_.margin = architecture_.margin;
    result_.exact = file_ != nullptr;
    if (auto fine = weigh(); !fine) return tl::unexpected<Error>(fine.error());
    if (auto fine = weigh_adapters(); !fine) return tl::unexpected<Error>(fine.error());
    make_shards();
    make_model();
    list_assumptions();
    return std::move(result_);
  }

 private:
  Result<void> check() const {
    const Tower* main = architecture_.main_tower();
    const auto wrong = [](std::string problem) {
      return fail(ErrorCode::invalid_argument, std::move(problem));
    };
    if (main == nullptr || main->layers.empty()) return wrong("the architecture has no layers");
    const int ranks = options_.tensor_parallel, stages = options_.pipeline_parallel;
    if (ranks < 1 || stages < 1 || ranks > kMostDevices || stages > kMostDevices ||
        ranks * stages > kMostDevices) {
      return wrong("tensor and pipeline parallelism are 1 or more, and together at most 4096");
    }
    if (static_cast<std::size_t>(stages) > main->layers.size()) {
      return wrong(std::to_string(stages) + " pipeline stages are more than the " +
                   std::to_string(main->layers.size()) + " layers");
    }
    if (file_ != nullptr && options_.weight_type) {
      return wrong("the files say what type each tensor has; a weight type is for a model without");
    }
    const std::int64_t block = layout(options_.kv_type).block_elements;
    for (const Layer& layer : main->layers) {
      if (!layer.attention || !layer.attention->cached) continue;
      const Attention& attention = *layer.attention;
      const bool latent = attention.kind == AttentionKind::latent;
      const std::int64_t size =
          latent ? attention.latent_size + attention.rope_size : attention.key_size;
      if (size % block != 0 || (!latent && attention.value_size % block != 0)) {
        return wrong("state of type " + std::string(to_string(options_.kv_type)) +
                     " comes in blocks of " + std::to_string(block) + ", which a head of " +
                     std::to_string(size) + " does not fill; take another type");
      }
    }
    return {};
  }

  Result<void> weigh() {
    for (const Layer& layer : main_->layers) {
      formula_layers_.push_back(sum(layer_bytes(layer, type_, 1, 0)));
    }
    for (const Tower& tower : architecture_.towers) {
      add_roles(layer_bytes(tower.around, type_, 1, 0), true);
      for (const Layer& layer : tower.layers) {
        add_roles(layer_bytes(layer, type_, 1, 0), &tower != main_);
      }
    }
    formula_around_ = result_.around;
    result_.parameters = architecture_.parameters();
    if (!architecture_.tied) {
      for (const Linear& linear : main_->around.linears) {
        if (linear.used == 0) table_ += matrix_bytes(linear, type_);
      }
    }
    if (file_ == nullptr) {
      result_.layers = formula_layers_;
    } else if (auto fine = weigh_tensors(); !fine) {
      return fine;
    }
    for (const Bytes layer : result_.layers) result_.weights += layer;
    result_.weights += result_.around;
    result_.load = file_ == nullptr ? result_.weights : file_->file_bytes();
    return {};
  }

  void add_roles(const RoleBytes& bytes, bool around) {
    for (std::size_t i = 0; i < kWeightRoles; ++i) result_.roles[i] += bytes[i];
    if (around) result_.around += sum(bytes);
  }

  Result<void> weigh_tensors() {
    TensorSums sums = sum_tensors(*file_, main_->layers.size(),
                                  architecture_.towers.size() > 1 && architecture_.encoder_context);
    const auto empty = std::find(sums.layers.begin(), sums.layers.end(), Bytes(0));
    if (empty != sums.layers.end()) {
      return fail(ErrorCode::invalid_argument,
                  "the files have no tensor of layer " +
                      std::to_string(empty - sums.layers.begin()) + ", but " +
                      architecture_.family + " is said to have " +
                      std::to_string(sums.layers.size()) +
                      " layers; a file is missing, or it is another model's configuration");
    }
    result_.layers = std::move(sums.layers);
    result_.around = sums.around;
    result_.roles = sums.roles;
    result_.parameters = file_->parameters();
    table_ = architecture_.tied ? Bytes(0) : sums.embedding;
    return {};
  }

  Result<void> weigh_adapters() {
    if (!options_.adapter) return {};
    const Result<std::int64_t> each = lora_parameters(architecture_, *options_.adapter);
    if (!each) return tl::unexpected<Error>(each.error());
    result_.adapters = bytes_of(options_.adapter->type, *each, std::max(0, options_.adapters));
    result_.weights += result_.adapters;
    return {};
  }

  // A shard's part of bytes that the formula gives, or of those that are in the files instead.
  static Bytes scaled(Bytes part, Bytes formula, Bytes in_files) {
    if (formula.count() <= 0) return in_files;
    return share_of(in_files, part.count(), formula.count());
  }

  void make_shards() {
    const int ranks = options_.tensor_parallel, stages = options_.pipeline_parallel;
    const std::size_t layers = main_->layers.size();
    const auto count = static_cast<std::size_t>(stages);
    // Layers that do not divide go to the stages before the last, which has the output too.
    std::vector<std::size_t> of_stage(count, layers / count);
    for (std::size_t extra = layers % count, i = count - 1; extra > 0; --extra) ++of_stage[--i];
    std::size_t first = 0;
    for (int stage = 0; stage < stages; ++stage) {
      const std::size_t last = first + of_stage[static_cast<std::size_t>(stage)];
      for (int rank = 0; rank < ranks; ++rank) {
        Shard shard{.tensor_rank = rank, .stage = stage, .first_layer = first, .last_layer = last};
        StateSums state;
        for (std::size_t i = first; i < last; ++i) {
          const Bytes part = sum(layer_bytes(main_->layers[i], type_, ranks, rank));
          shard.weights += scaled(part, formula_layers_[i], result_.layers[i]);
          for (const StateGroup& group :
               state_of_layer(architecture_, main_->layers[i], options_, ranks, rank)) {
            state.add(group);
          }
        }
        shard.weights += around_of(stage, rank);
        shard.weights += share_of(result_.adapters, 1, stages);
        shard.state = std::move(state.groups);
        result_.shards.push_back(std::move(shard));
      }
      first = last;
    }
  }

  // Embeddings and other towers are the first stage's, the output the last's; a tied table is
  // both's.
  Bytes around_of(int stage, int rank) const {
    const int ranks = options_.tensor_parallel;
    const bool first = stage == 0, last = stage == options_.pipeline_parallel - 1;
    Bytes part;
    for (const Tower& tower : architecture_.towers) {
      for (const Linear& linear : tower.around.linears) {
        Layer alone;
        alone.linears.push_back(linear);
        const bool output = linear.role == WeightRole::output;
        const bool tied = architecture_.tied && linear.used == 0 && linear.units > 0;
        if (output ? last : first || (tied && last)) {
          part += sum(layer_bytes(alone, type_, ranks, rank));
        }
      }
      if (first || last) {
        Layer alone;
        alone.vectors = tower.around.vectors;
        part += sum(layer_bytes(alone, type_, ranks, rank));
      }
      if (&tower == main_ || !first) continue;
      for (const Layer& layer : tower.layers) part += sum(layer_bytes(layer, type_, ranks, rank));
    }
    return scaled(std::min(part, formula_around_), formula_around_, result_.around);
  }

  void make_model() {
    Model& model = result_.model;
    model.name = architecture_.name.empty() ? architecture_.family : architecture_.name;
    model.batching = architecture_.batching;
    model.max_context = architecture_.max_context;
    for (const Shard& shard : result_.shards) {
      model.weights = std::max(model.weights, shard.weights);
      for (const StateGroup& group : shard.state) widen(model.state, group);
    }
    make_workspace(model.workspace);
    make_cost(model.cost);
  }

  static void widen(std::vector<StateGroup>& groups, const StateGroup& with) {
    for (StateGroup& group : groups) {
      if (group.name != with.name) continue;
      group.per_token = std::max(group.per_token, with.per_token);
      group.fixed = std::max(group.fixed, with.fixed);
      return;
    }
    groups.push_back(with);
  }

  // A token's live values in the widest layer: residual, normed input, result, and what one half of
  // the layer computes (all of it at once): what its matrices give, and what goes into the last of
  // them, the heads' result or the gated product. Attention is fused: no scores are kept.
  void make_workspace(Workspace& workspace) const {
    struct Half {
      std::int64_t given = 0, widest_input = 0;
    };
    std::int64_t widest = 0;
    for (const Tower& tower : architecture_.towers) {
      for (const Layer& layer : tower.layers) {
        Half mixing, feeding;
        for (const Linear& linear : layer.linears) {
          const bool mixes =
              linear.role == WeightRole::attention || linear.role == WeightRole::recurrent;
          Half& half = mixes ? mixing : feeding;
          half.given = saturating_add(half.given, saturating_multiply(linear.used, linear.outputs));
          half.widest_input =
              std::max(half.widest_input, saturating_multiply(linear.used, linear.inputs));
        }
        for (const Half& half : {mixing, feeding}) {
          widest = std::max(widest, saturating_add(saturating_add(half.given, half.widest_input),
                                                   3 * tower.width));
        }
      }
    }
    workspace.fixed = options_.library_workspace;
    workspace.per_token = BytesPerToken(bytes_of(options_.activation_type, widest).count());
    // Logits and probabilities of the last token, in 32 bits.
    if (main_->generates)
      workspace.per_sequence = bytes_of(ElementType::f32, 2, architecture_.vocabulary);
  }

  void make_cost(StepCost& cost) {
    const double devices =
        static_cast<double>(options_.tensor_parallel) * options_.pipeline_parallel;
    double pair = 0, experts = 0, used = 0;
    for (const Layer& layer : main_->layers) {
      if (layer.attention) {
        const Attention& attention = *layer.attention;
        pair += 2.0 * static_cast<double>(attention.heads) *
                static_cast<double>(attention.key_size + attention.value_size);
      }
      for (const Linear& linear : layer.linears) {
        if (linear.role != WeightRole::experts) continue;
        experts += static_cast<double>(linear.copies);
        used += static_cast<double>(linear.used);
      }
    }
    cost.flops_per_token = 2.0 * static_cast<double>(architecture_.active_parameters()) / devices;
    cost.attention_flops_per_pair = pair / devices;
    cost.overhead = options_.step_overhead;
    const Bytes read = result_.weights - result_.adapters - table_;
    cost.weights_read =
        Bytes(static_cast<std::int64_t>(static_cast<double>(read.count()) / devices));
    for (const StateGroup& group : result_.model.state) {
      cost.state_read = cost.state_read + group.per_token;
    }
    result_.experts = result_.roles[static_cast<std::size_t>(WeightRole::experts)] * (1 / devices);
    result_.common_read = cost.weights_read - result_.experts;
    result_.expert_share = experts > 0 ? used / experts : 1;
  }

  void list_assumptions() {
    std::vector<std::string>& list = result_.assumptions;
    const auto add = [&](std::string text) { list.push_back(std::move(text)); };
    for (const std::string& note : architecture_.notes) add(note);
    if (file_ == nullptr) {
      add("weights: every parameter in " + std::string(to_string(type_)) +
          (is_block_quantised(type_) ? ", vectors in f32" : "") +
          "; exact once the files are there");
    }
    if (!result_.model.state.empty()) {
      add("state: " + std::string(to_string(options_.kv_type)) + " for keys and values");
    }
    bool windowed = false, recurrent = false;
    for (const Layer& layer : main_->layers) {
      windowed |= layer.attention && layer.attention->cached && layer.attention->window;
      recurrent |= layer.recurrence.has_value();
    }
    if (windowed) {
      add(options_.windows ? "windows: the engine frees what lies behind a layer's window"
                           : "windows: the engine keeps what lies behind them");
    }
    if (recurrent) add("recurrent state in 32 bits, the convolutions' in activations' type");
    add("workspace: activations of one layer in " +
        std::string(to_string(options_.activation_type)) + ", logits in f32, fused attention, " +
        std::to_string(options_.library_workspace.count() >> 20) + " MiB for libraries");
    add("not counted: the device's context and the engine's own graphs (0.3 to 1 GiB as a rule)");
    if (result_.expert_share < 1) add("experts: all are resident; routing is even");
    if (options_.tensor_parallel > 1) {
      add("tensor parallel: matrices are cut by heads and columns, uneven remainders on the first "
          "devices; norms, biases and fewer KV heads than devices are repeated");
    }
    if (options_.pipeline_parallel > 1) {
      add("pipeline: layers that do not divide go to the stages before the last");
    }
    if (options_.adapter) {
      add(std::to_string(options_.adapters) + " adapters of rank " +
          std::to_string(options_.adapter->rank) + " are resident");
    }
  }

  const Architecture& architecture_;
  const FootprintOptions& options_;
  const ModelFile* file_;
  const Tower* main_ = nullptr;
  ElementType type_ = ElementType::f16;
  std::vector<Bytes> formula_layers_;
  Bytes formula_around_;
  Bytes table_;  // looked up in, not read as a whole
  Footprint result_;
};

}  // namespace

Bytes Footprint::weights_read(double tokens) const noexcept {
  const double missed = std::pow(1 - expert_share, std::max(1.0, tokens));
  return common_read + experts * (1 - missed);
}

Result<Footprint> footprint(const Architecture& architecture, const FootprintOptions& options,
                            const ModelFile* file) {
  return Estimate(architecture, options, file).run();
}

Bytes bytes_needed(const Model& model, std::int64_t sequences, Tokens context, Tokens step_tokens,
                   TokensPerBlock page) noexcept {
  const Tokens all(saturating_multiply(context.count(), sequences));
  const Tokens step =
      model.batching == Batching::request ? all : std::max(step_tokens, Tokens(sequences));
  return model.weights + model.state_bytes(context, page) * sequences +
         model.workspace.bytes(step, sequences, all);
}

std::optional<Tokens> largest_context(const Model& model, Bytes memory, std::int64_t sequences,
                                      Tokens most, Tokens step_tokens,
                                      TokensPerBlock page) noexcept {
  const auto fits = [&](std::int64_t length) {
    return bytes_needed(model, sequences, Tokens(length), step_tokens, page) <= memory;
  };
  if (most < Tokens(1) || !fits(1)) return std::nullopt;
  std::int64_t low = 1, high = most.count();  // low fits
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2 + (high - low) % 2;
    if (fits(middle)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return Tokens(low);
}

std::int64_t largest_concurrency(const Model& model, Bytes memory, Tokens context,
                                 Tokens step_tokens, TokensPerBlock page) noexcept {
  std::int64_t low = 0, high = std::int64_t{1} << 32;
  while (low < high) {
    const std::int64_t middle = low + (high - low + 1) / 2;
    if (bytes_needed(model, middle, context, step_tokens, page) <= memory) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace mais::files
