#include "mais/files/architecture.hpp"

#include <algorithm>
#include <map>

namespace mais::files {

namespace {

using detail::saturating_add;
using detail::saturating_multiply;

// Calls see(layer) for each layer and for what lies around each tower.
template <class See>
void for_each_layer(const Architecture& architecture, See see) {
  for (const Tower& tower : architecture.towers) {
    see(tower.around);
    for (const Layer& layer : tower.layers) see(layer);
  }
}

// Calls see(role, parameters) for every group of parameters once.
template <class See>
void for_each_group(const Layer& layer, See see) {
  for (const Linear& linear : layer.linears) {
    see(linear.role, saturating_add(linear.matrix(), linear.biases()));
  }
  see(layer.recurrence ? WeightRole::recurrent : WeightRole::norm, layer.vectors);
}

}  // namespace

std::string_view to_string(WeightRole role) noexcept {
  constexpr std::array<std::string_view, kWeightRoles> kNames = {
      "embedding", "attention", "recurrent", "feed-forward", "experts",
      "router",    "norms",     "output",    "projector",    "other"};
  return kNames[static_cast<std::size_t>(role)];
}

std::int64_t Linear::matrix() const noexcept {
  return saturating_multiply(copies, saturating_multiply(inputs, outputs));
}

std::int64_t Linear::biases() const noexcept {
  return bias ? saturating_multiply(copies, outputs) : 0;
}

std::int64_t Architecture::parameters() const noexcept {
  std::int64_t sum = 0;
  for_each_layer(*this, [&](const Layer& layer) {
    for_each_group(layer, [&](WeightRole, std::int64_t n) { sum = saturating_add(sum, n); });
  });
  return sum;
}

std::int64_t Architecture::parameters(WeightRole role) const noexcept {
  std::int64_t sum = 0;
  for_each_layer(*this, [&](const Layer& layer) {
    for_each_group(layer, [&](WeightRole of, std::int64_t n) {
      if (of == role) sum = saturating_add(sum, n);
    });
  });
  return sum;
}

std::int64_t Architecture::active_parameters() const noexcept {
  std::int64_t sum = 0;
  const Tower* main = main_tower();
  if (main == nullptr) return 0;
  const auto add = [&](const Layer& layer) {
    for (const Linear& linear : layer.linears) {
      sum = saturating_add(
          sum,
          saturating_multiply(linear.used, saturating_multiply(linear.inputs, linear.outputs)));
    }
  };
  add(main->around);
  for (const Layer& layer : main->layers) add(layer);
  if (tied) sum = saturating_add(sum, saturating_multiply(vocabulary, main->width));
  return sum;
}

const Tower* Architecture::main_tower() const noexcept {
  for (const Tower& tower : towers) {
    if (tower.generates) return &tower;
  }
  return towers.empty() ? nullptr : &towers.back();
}

Result<std::int64_t> lora_parameters(const Architecture& architecture, const LoraAdapter& adapter) {
  if (adapter.rank < 1 || adapter.rank > 65'536) {
    return fail(ErrorCode::invalid_argument,
                "an adapter has rank " + std::to_string(adapter.rank) + "; 1 to 65536 is needed");
  }
  std::int64_t sum = 0;
  std::map<std::string, bool> found;
  for (const std::string& target : adapter.targets) found[target] = false;
  for_each_layer(architecture, [&](const Layer& layer) {
    // Matrices of one name are one matrix in the checkpoint (a fused qkv_proj): one inner side.
    std::map<std::string, std::pair<std::int64_t, std::int64_t>> sides;
    for (const Linear& linear : layer.linears) {
      const auto target = found.find(linear.name.substr(linear.name.rfind('.') + 1));
      if (adapter.targets.empty() ? linear.role != WeightRole::attention : target == found.end()) {
        continue;
      }
      if (target != found.end()) target->second = true;
      auto& [inner, outer] = sides[linear.name];
      inner = saturating_multiply(linear.copies, linear.inputs);
      outer = saturating_add(outer, saturating_multiply(linear.copies, linear.outputs));
    }
    for (const auto& [name, side] : sides) {
      sum = saturating_add(
          sum, saturating_multiply(adapter.rank, saturating_add(side.first, side.second)));
    }
  });
  for (const auto& [target, known] : found) {
    if (known) continue;
    return fail(ErrorCode::not_found, "the adapter targets '" + target + "', but no matrix of " +
                                          architecture.family + " has that name");
  }
  return sum;
}

}  // namespace mais::files
