#include "mais/model.hpp"

#include <algorithm>

namespace mais {

Bytes Model::state_bytes(Tokens length, TokensPerBlock page) const noexcept {
  if (length <= Tokens(0)) return Bytes(0);
  Bytes total;
  for (const StateGroup& group : state) {
    // A window that does not start on a page boundary covers one page more.
    Tokens kept = length;
    if (group.window && length > *group.window) {
      kept = std::min(length, *group.window + Tokens(page.count() - 1));
    }
    const Tokens held(detail::saturating_multiply(blocks_for(kept, page).count(), page.count()));
    total += group.fixed + group.per_token * held;
  }
  return total;
}

Bytes Model::page_bytes(TokensPerBlock page) const noexcept {
  Bytes total;
  for (const StateGroup& group : state) {
    if (!group.window) total += group.per_token * Tokens(page.count());
  }
  return total;
}

bool Model::prefix_shareable() const noexcept {
  return !state.empty() && std::all_of(state.begin(), state.end(), [](const StateGroup& group) {
    return !group.window && group.fixed == Bytes(0);
  });
}

std::string_view to_string(Batching batching) noexcept {
  return batching == Batching::iteration ? "iteration" : "request";
}

namespace {

void check_not_negative(std::int64_t value, std::string path, std::vector<Fault>& faults) {
  if (value < 0) {
    faults.push_back({std::move(path), "is " + std::to_string(value), "0 or more"});
  }
}

void check_cost(double value, std::string path, std::vector<Fault>& faults) {
  if (!(value >= 0) || value > 1e300) {
    faults.push_back({std::move(path), "is not a finite number of 0 or more", "FLOP"});
  }
}

}  // namespace

std::vector<Fault> validate(const Model& model) {
  std::vector<Fault> faults;
  if (model.name.empty()) faults.push_back({"name", "is empty", "give the model a name"});
  check_not_negative(model.weights.count(), "weights", faults);
  for (std::size_t i = 0; i < model.state.size(); ++i) {
    const StateGroup& group = model.state[i];
    const std::string path = "state[" + std::to_string(i) + "].";
    check_not_negative(group.per_token.count(), path + "per_token", faults);
    check_not_negative(group.fixed.count(), path + "fixed", faults);
    if (group.window && *group.window <= Tokens(0)) {
      faults.push_back({path + "window", "is not above 0", "leave it out for full attention"});
    }
  }
  check_not_negative(model.workspace.fixed.count(), "workspace.fixed", faults);
  check_not_negative(model.workspace.per_token.count(), "workspace.per_token", faults);
  check_not_negative(model.workspace.per_sequence.count(), "workspace.per_sequence", faults);
  check_not_negative(model.workspace.per_context_token.count(), "workspace.per_context_token",
                     faults);
  check_cost(model.cost.flops_per_token, "cost.flops_per_token", faults);
  check_cost(model.cost.attention_flops_per_pair, "cost.attention_flops_per_pair", faults);
  check_not_negative(model.cost.weights_read.count(), "cost.weights_read", faults);
  check_not_negative(model.cost.state_read.count(), "cost.state_read", faults);
  check_not_negative(model.cost.overhead.count(), "cost.overhead", faults);
  if (model.max_context && *model.max_context <= Tokens(0)) {
    faults.push_back({"max_context", "is not above 0", "leave it out where there is no bound"});
  }
  if (!model.shape_buckets.empty() &&
      (model.shape_buckets.front() <= Tokens(0) ||
       !std::is_sorted(model.shape_buckets.begin(), model.shape_buckets.end()))) {
    faults.push_back(
        {"shape_buckets", "are not lengths above 0 in rising order", "for example [32, 64, 128]"});
  }
  return faults;
}

}  // namespace mais
