#include "transformer_model.hpp"

namespace torch_server {

mais::Model describe(const std::string& name, const Shape& shape, Role role,
                     std::int64_t weight_bytes, const StepBytes& step) {
  using namespace mais::literals;
  mais::Model model;
  model.name = name;
  model.weights = mais::Bytes(weight_bytes);
  model.workspace = {.fixed = mais::Bytes(step.fixed),
                     .per_token = mais::BytesPerToken(step.per_token),
                     .per_sequence = mais::Bytes(step.per_sequence)};
  const bool decoder = role == Role::decoder;
  model.batching = decoder ? mais::Batching::iteration : mais::Batching::request;
  model.max_context = mais::Tokens(shape.max_context);
  if (decoder) {
    model.state = {{.name = "kv", .per_token = state_per_token(shape) / 1_tok}};
  }
  // Each weight of a matrix is multiplied and added once for each token.
  const std::int64_t head = decoder ? shape.vocabulary * shape.hidden : 0;
  const auto active = static_cast<double>(shape.layers * layer_parameters(shape) + head);
  model.cost = {
      .flops_per_token = 2 * active,
      .attention_flops_per_pair = static_cast<double>(4 * shape.layers * shape.query_width()),
      .weights_read = mais::Bytes(static_cast<std::int64_t>(4 * active)),
      .state_read = state_per_token(shape) / 1_tok,
      .overhead = 500us,
  };
  return model;
}

}  // namespace torch_server
