#include "mais/files/layers_of.hpp"

#include <algorithm>

#include "layer_state.hpp"
#include "weight_shares.hpp"

namespace mais::files {

namespace {

using core::CutBytes;
using core::ModelLayer;

Layer of_one(const Linear& linear) {
  Layer layer;
  layer.linears.push_back(linear);
  return layer;
}

void add(std::vector<CutBytes>& parts, Bytes bytes, std::int64_t units) {
  if (bytes <= Bytes(0)) return;
  for (CutBytes& part : parts) {
    if (part.units == units) return void(part.bytes += bytes);
  }
  parts.push_back({bytes, units});
}

double flops(const Linear& linear) {
  return 2.0 * static_cast<double>(linear.used) * static_cast<double>(linear.inputs) *
         static_cast<double>(linear.outputs);
}

Bytes sum_of(const std::vector<CutBytes>& parts) {
  Bytes sum;
  for (const CutBytes& part : parts) sum += part.bytes;
  return sum;
}

// The same proportions, with another sum.
void scale(std::vector<CutBytes>& parts, Bytes sum) {
  const Bytes now = sum_of(parts);
  if (now <= Bytes(0)) {
    parts = {{sum, 0}};
    return;
  }
  Bytes left = sum;
  for (std::size_t i = parts.size(); i-- > 1;) {
    parts[i].bytes = std::min(left, share_of(sum, parts[i].bytes.count(), now.count()));
    left -= parts[i].bytes;
  }
  parts[0].bytes = left;
}

class LayerList {
 public:
  LayerList(const Architecture& architecture, const FootprintOptions& options,
            const ModelFile* file)
      : architecture_(architecture), options_(options), file_(file) {
    options_.tensor_parallel = options_.pipeline_parallel = 1;
  }

  Result<core::LayeredModel> run() {
    const Result<Footprint> print = footprint(architecture_, options_, file_);
    if (!print) return tl::unexpected<Error>(print.error());
    if (print->model.batching == Batching::request) {
      return fail(ErrorCode::invalid_argument,
                  architecture_.family +
                      " answers a whole batch at once; splits are for models that generate");
    }
    main_ = architecture_.main_tower();
    type_ = options_.weight_type.value_or(architecture_.type);
    if (file_ != nullptr) {
      sums_ = sum_tensors(*file_, main_->layers.size(),
                          architecture_.towers.size() > 1 && architecture_.encoder_context);
    }
    core::LayeredModel model;
    model.name = print->model.name;
    model.tied = architecture_.tied;
    model.workspace = print->model.workspace;
    model.activation = BytesPerToken(bytes_of(options_.activation_type, main_->width).count());
    model.overhead = options_.step_overhead;
    ModelLayer first{.name = "embedding"}, last{.name = "output"};
    around(*print, first, last);
    model.layers.push_back(std::move(first));
    for (std::size_t i = 0; i < main_->layers.size(); ++i) {
      model.layers.push_back(inner(i, print->layers[i]));
    }
    model.layers.push_back(std::move(last));
    share_adapters(print->adapters, model.layers);
    return model;
  }

 private:
  ModelLayer inner(std::size_t index, Bytes bytes) const {
    const Layer& from = main_->layers[index];
    ModelLayer layer{.name = "layer " + std::to_string(index)};
    std::int64_t expert_units = 0, copies = 0, used = 0, recurrent_units = 0;
    Bytes experts;
    for (const Linear& linear : from.linears) {
      const Bytes all = sum(layer_bytes(of_one(linear), type_, 1, 0));
      if (linear.role == WeightRole::experts) {
        experts += all;
        expert_units = std::max(expert_units, linear.units);
        copies += linear.copies, used += linear.used;
        layer.expert_flops_per_token += flops(linear);
        continue;
      }
      if (linear.role == WeightRole::recurrent) {
        recurrent_units = std::max(recurrent_units, linear.units);
      }
      const Bytes biases = bytes_of(vector_type(), linear.biases());
      add(layer.weights, all - biases, linear.units);
      add(layer.weights, biases, 0);
      layer.flops_per_token += flops(linear);
    }
    add(layer.weights, bytes_of(vector_type(), from.vectors), 0);
    if (file_ != nullptr) {
      // Experts that no tensor's name tells are taken in proportion.
      if (sums_.experts[index] > Bytes(0)) {
        experts = sums_.experts[index];
      } else {
        const Bytes formula = experts + sum_of(layer.weights);
        experts = share_of(bytes, experts.count(), std::max<std::int64_t>(1, formula.count()));
      }
      scale(layer.weights, bytes - experts);
    }
    layer.experts = {experts, expert_units};
    if (copies > 0 && used > 0) {
      layer.expert_share = std::min(1.0, static_cast<double>(used) / static_cast<double>(copies));
    }
    layer.state = state_of_layer(architecture_, from, options_, 1, 0);
    if (from.attention) {
      const Attention& attention = *from.attention;
      layer.state_units = attention.kind == AttentionKind::latent ? 0 : attention.kv_heads;
      layer.flops_per_pair = 2.0 * static_cast<double>(attention.heads) *
                             static_cast<double>(attention.key_size + attention.value_size);
    } else if (from.recurrence) {
      layer.state_units = recurrent_units;
    }
    layer.all_reduces = 2;
    return layer;
  }

  ElementType vector_type() const { return is_block_quantised(type_) ? ElementType::f32 : type_; }

  // The token table, the output, and all else around the layers.
  void around(const Footprint& print, ModelLayer& first, ModelLayer& last) const {
    const auto index = static_cast<std::size_t>(WeightRole::output);
    Bytes table, output;
    for (const Linear& linear : main_->around.linears) {
      const Bytes all = sum(layer_bytes(of_one(linear), type_, 1, 0));
      if (linear.role == WeightRole::output) {
        output += all;
        last.flops_per_token += flops(linear);
        last.weights = {{Bytes(0), linear.units}};
      } else if (linear.used == 0 && linear.units > 0) {
        table += all;
        first.table.units = linear.units;
      }
    }
    if (file_ != nullptr) table = sums_.embedding, output = sums_.roles[index];
    const Bytes rest = print.around - table - output;
    first.table.bytes = table;
    first.aside = std::max(Bytes(0), rest);
    if (rest < Bytes(0)) first.table.bytes += rest;
    if (architecture_.tied) {
      output += first.table.bytes;
      last.flops_per_token +=
          2.0 * static_cast<double>(architecture_.vocabulary) * static_cast<double>(main_->width);
      last.weights = {{Bytes(0), first.table.units}};
    }
    if (last.weights.empty()) last.weights.push_back({});
    last.weights[0].bytes = output;
    last.all_reduces = 1;
  }

  static void share_adapters(Bytes adapters, std::vector<ModelLayer>& layers) {
    const auto inside = static_cast<std::int64_t>(layers.size()) - 2;
    Bytes left = adapters;
    for (std::int64_t i = 1; i <= inside; ++i) {
      const Bytes part = i == inside ? left : adapters / inside;
      add(layers[static_cast<std::size_t>(i)].weights, part, 0);
      left -= part;
    }
  }

  const Architecture& architecture_;
  FootprintOptions options_;
  const ModelFile* file_;
  const Tower* main_ = nullptr;
  ElementType type_ = ElementType::f16;
  TensorSums sums_{};
};

}  // namespace

Result<core::LayeredModel> layers_of(const Architecture& architecture,
                                     const FootprintOptions& options, const ModelFile* file) {
  return LayerList(architecture, options, file).run();
}

}  // namespace mais::files
