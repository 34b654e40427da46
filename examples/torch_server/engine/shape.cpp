#include "shape.hpp"

#include <string>

namespace torch_server {

namespace {

void require(std::vector<mais::Fault>& faults, bool right, std::string path, std::int64_t is,
             std::string remedy) {
  if (!right) faults.push_back({std::move(path), "is " + std::to_string(is), std::move(remedy)});
}

}  // namespace

std::vector<mais::Fault> validate(const Shape& shape) {
  std::vector<mais::Fault> faults;
  constexpr std::int64_t kMost = std::int64_t{1} << 20;
  const auto sized = [&](const char* path, std::int64_t value, std::int64_t multiple) {
    require(faults, value >= multiple && value <= kMost && value % multiple == 0, path, value,
            "a multiple of " + std::to_string(multiple) + " up to " + std::to_string(kMost));
  };
  sized("vocab_size", shape.vocabulary, 16);
  sized("hidden_size", shape.hidden, 16);
  sized("intermediate_size", shape.feed_forward, 16);
  sized("head_dim", shape.head_width, 16);
  sized("num_hidden_layers", shape.layers, 1);
  sized("num_attention_heads", shape.heads, 1);
  sized("num_key_value_heads", shape.kv_heads, 1);
  sized("max_position_embeddings", shape.max_context, 1);
  if (faults.empty()) {
    require(faults, shape.heads % shape.kv_heads == 0, "num_key_value_heads", shape.kv_heads,
            "a divisor of num_attention_heads, " + std::to_string(shape.heads));
  }
  if (!(shape.rope_theta > 1)) faults.push_back({"rope_theta", "is not above 1", "10000"});
  if (!(shape.norm_epsilon > 0)) faults.push_back({"rms_norm_eps", "is not above 0", "1e-5"});
  return faults;
}

std::int64_t layer_parameters(const Shape& shape) {
  const std::int64_t attention = shape.hidden * (shape.qkv_width() + shape.query_width());
  return attention + 3 * shape.hidden * shape.feed_forward + 2 * shape.hidden;
}

std::int64_t parameters(const Shape& shape, Role role) {
  const std::int64_t matrices = role == Role::decoder && !shape.tied ? 2 : 1;
  return shape.layers * layer_parameters(shape) + matrices * shape.vocabulary * shape.hidden +
         shape.hidden;
}

mais::Bytes state_per_token(const Shape& shape) {
  return mais::Bytes(2 * shape.layers * shape.kv_width() *
                     static_cast<std::int64_t>(sizeof(float)));
}

}  // namespace torch_server
