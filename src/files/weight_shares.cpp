#include "weight_shares.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace mais::files {

namespace {

// Products of two counts.
__extension__ using Wide = __int128;

// The number in "model.layers.17.mlp", "blk.17.", "h.17.", none elsewhere.
std::optional<std::size_t> layer_number(std::string_view name) {
  for (const std::string_view before : {"layers.", "layer.", "blk.", "h.", "blocks.", "block."}) {
    for (std::size_t at = name.find(before); at != std::string_view::npos;
         at = name.find(before, at + 1)) {
      if (at > 0 && name[at - 1] != '.') continue;
      const char* begin = name.data() + at + before.size();
      const char* end = name.data() + name.size();
      std::size_t number = 0;
      const auto [stop, error] = std::from_chars(begin, end, number);
      if (error == std::errc{} && stop != end && *stop == '.') return number;
    }
  }
  return std::nullopt;
}

bool has(std::string_view name, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return name.find(part) != std::string_view::npos;
  });
}

bool is_vision(std::string_view name) {
  return name.starts_with("v.") || name.starts_with("mm.") ||
         has(name, {"vision", "visual", "image_"});
}

// In the order of what decides: a norm of an attention part is a norm.
WeightRole role_of(std::string_view name) {
  if (has(name, {"projector", "merger", "pooler", "mm."})) return WeightRole::projector;
  if (has(name, {"norm", "ln_", "layer_norm", ".ln"})) return WeightRole::norm;
  if (has(name, {"embed_out", "lm_head"}) || name.starts_with("output.")) {
    return WeightRole::output;
  }
  if (has(name, {"embd", "embed", "wte", "wpe", "shared.weight"})) return WeightRole::embedding;
  if (has(name, {"gate_inp", ".gate.", "router", "e_score"})) return WeightRole::router;
  if (has(name, {"_exps", "experts."}) && !has(name, {"shared_expert"})) {
    return WeightRole::experts;
  }
  if (has(name, {"ssm", "mamba", "linear_attn", "mixer", "conv1d"})) return WeightRole::recurrent;
  if (has(name, {"attn", "attention", "q_proj", "k_proj", "v_proj"})) {
    return WeightRole::attention;
  }
  if (has(name, {"mlp", "ffn", "feed_forward", "fc1", "fc2", "dense", "shexp", "expert"})) {
    return WeightRole::feed_forward;
  }
  return WeightRole::other;
}

bool is_token_table(std::string_view name) {
  return has(name, {"token_embd.weight", "embed_tokens.weight", "wte.weight", "word_embeddings.",
                    "embed_in.weight", "shared.weight"});
}

}  // namespace

std::int64_t units_of_rank(std::int64_t units, int ranks, int rank) noexcept {
  if (units < ranks) return 1;
  return units / ranks + (rank < units % ranks ? 1 : 0);
}

Bytes share_of(Bytes bytes, std::int64_t part, std::int64_t whole) noexcept {
  if (part >= whole) return bytes;
  const Wide product = static_cast<Wide>(bytes.count()) * part;
  return Bytes(static_cast<std::int64_t>((product + whole - 1) / whole));
}

Bytes matrix_bytes(const Linear& linear, ElementType type) noexcept {
  // Rows lie along the side that is multiplied, or looked up as a whole.
  const bool table = linear.used == 0;
  const std::int64_t row = table ? linear.outputs : linear.inputs;
  const std::int64_t rows =
      detail::saturating_multiply(linear.copies, table ? linear.inputs : linear.outputs);
  if (is_block_quantised(type) && row % layout(type).block_elements != 0) {
    return bytes_of(ElementType::f16, row, rows);  // as llama.cpp does where blocks do not fit
  }
  return bytes_of(type, detail::saturating_multiply(row, rows));
}

RoleBytes layer_bytes(const Layer& layer, ElementType type, int ranks, int rank) noexcept {
  // Formats of blocks keep vectors in 32 bits.
  const ElementType vectors = is_block_quantised(type) ? ElementType::f32 : type;
  RoleBytes bytes{};
  for (const Linear& linear : layer.linears) {
    const Bytes all = matrix_bytes(linear, type);
    Bytes& role = bytes[static_cast<std::size_t>(linear.role)];
    role += linear.units > 0 ? share_of(all, units_of_rank(linear.units, ranks, rank), linear.units)
                             : all;
    role += bytes_of(vectors, linear.biases());
  }
  const WeightRole rest = layer.recurrence ? WeightRole::recurrent : WeightRole::norm;
  bytes[static_cast<std::size_t>(rest)] += bytes_of(vectors, layer.vectors);
  return bytes;
}

Bytes sum(const RoleBytes& bytes) noexcept {
  Bytes total;
  for (const Bytes part : bytes) total += part;
  return total;
}

TensorSums sum_tensors(const ModelFile& file, std::size_t layers, bool is_pair) {
  TensorSums sums;
  sums.layers.resize(layers);
  sums.experts.resize(layers);
  for (const TensorEntry& tensor : file.tensors) {
    const std::string_view name = tensor.name;
    const WeightRole role = role_of(name);
    sums.roles[static_cast<std::size_t>(role)] += tensor.bytes;
    const bool aside =
        is_vision(name) || (is_pair && has(name, {"encoder.", "enc."}) && !has(name, {"decoder."}));
    const std::optional<std::size_t> number = aside ? std::nullopt : layer_number(name);
    const bool inside = number && *number < layers;
    (inside ? sums.layers[*number] : sums.around) += tensor.bytes;
    if (inside && role == WeightRole::experts) sums.experts[*number] += tensor.bytes;
    if (!aside && is_token_table(name)) sums.embedding += tensor.bytes;
  }
  return sums;
}

}  // namespace mais::files
