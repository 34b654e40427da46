#include "mais/core/layered_model.hpp"

#include <algorithm>

namespace mais::core {

namespace {

// Products of two counts.
__extension__ using Wide = __int128;

class Check {
 public:
  void expect(bool fine, const std::string& path, const char* problem, const char* remedy) {
    if (!fine) faults.push_back({path, problem, remedy});
  }
  void bytes(const CutBytes& part, const std::string& path) {
    expect(part.bytes >= Bytes(0), path + ".bytes", "is negative", "give 0 or more");
    expect(part.units >= 0, path + ".units", "is negative",
           "give the number of parts it can be cut into, 0 for none");
  }
  void rate(double value, const std::string& path) {
    expect(value >= 0 && value <= 1e30, path, "is no amount of work", "give FLOPs, 0 or more");
  }
  std::vector<Fault> faults;
};

}  // namespace

Bytes CutBytes::of_rank(int ranks) const noexcept {
  if (units <= 0 || ranks <= 1) return bytes;
  const std::int64_t most = std::max<std::int64_t>(1, (units + ranks - 1) / ranks);
  const Wide product = static_cast<Wide>(bytes.count()) * most;
  return Bytes(static_cast<std::int64_t>((product + units - 1) / units));
}

Bytes ModelLayer::weight_bytes() const noexcept {
  Bytes sum = table.bytes + aside;
  for (const CutBytes& part : weights) sum += part.bytes;
  return sum;
}

std::vector<Fault> validate(const LayeredModel& model) {
  Check check;
  check.expect(!model.layers.empty(), "model.layers", "is empty", "give one layer or more");
  check.expect(model.activation >= BytesPerToken(0), "model.activation", "is negative",
               "give the bytes of a token between layers");
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const ModelLayer& layer = model.layers[i];
    const std::string path = "model.layers[" + std::to_string(i) + "]";
    for (std::size_t k = 0; k < layer.weights.size(); ++k) {
      check.bytes(layer.weights[k], path + ".weights[" + std::to_string(k) + "]");
    }
    check.bytes(layer.table, path + ".table");
    check.bytes(layer.experts, path + ".experts");
    check.expect(layer.aside >= Bytes(0), path + ".aside", "is negative", "give 0 or more");
    check.expect(layer.expert_share > 0 && layer.expert_share <= 1, path + ".expert_share",
                 "is not in (0, 1]", "give experts of a token / experts");
    check.rate(layer.flops_per_token, path + ".flops_per_token");
    check.rate(layer.expert_flops_per_token, path + ".expert_flops_per_token");
    check.rate(layer.flops_per_pair, path + ".flops_per_pair");
    check.expect(layer.all_reduces >= 0, path + ".all_reduces", "is negative", "give 0 or more");
    check.expect(layer.state_units >= 0, path + ".state_units", "is negative",
                 "give the number of parts it can be cut into, 0 for none");
    for (std::size_t k = 0; k < layer.state.size(); ++k) {
      const StateGroup& group = layer.state[k];
      check.expect(group.per_token >= BytesPerToken(0) && group.fixed >= Bytes(0) &&
                       (!group.window || *group.window > Tokens(0)),
                   path + ".state[" + std::to_string(k) + "]", "has a negative size",
                   "give bytes of 0 or more, and a window of a token or more");
    }
  }
  return check.faults;
}

}  // namespace mais::core
