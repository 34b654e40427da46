#include "model_argument.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "safetensors_weights.hpp"
#include "shape_config.hpp"
#include "transformer_engine.hpp"

namespace torch_server {

namespace {

// A number of parameters: "800K", "25M", "1.5G".
mais::Result<std::int64_t> parse_size(std::string_view text) {
  double value = 0;
  const auto [at, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(at, static_cast<std::size_t>(text.data() + text.size() - at));
  const double factor = unit.empty() ? 1 : unit == "K" ? 1e3 : unit == "M" ? 1e6 : 1e9;
  const bool known = unit.empty() || unit == "K" || unit == "M" || unit == "G";
  constexpr double kMost = 4e9;
  if (fault == std::errc() && known && value * factor >= 1 && value * factor <= kMost) {
    return std::llround(value * factor);
  }
  return mais::fail(mais::ErrorCode::invalid_argument,
                    "'" + std::string(text) +
                        "' is no number of parameters up to 4G: it would be 800K, 25M or 1.5G");
}

mais::Result<std::unique_ptr<WeightSource>> weights_of(const ModelArgument& model) {
  if (model.folder.empty()) return random_weights(model.seed);
  return safetensors_weights(model.folder);
}

}  // namespace

Shape shape_of_size(std::int64_t wanted, Role role) {
  Shape best;
  for (std::int64_t heads = 2; heads <= 64; heads += 2) {
    Shape shape{.vocabulary = ByteTokenizer::kVocabulary,
                .hidden = heads * 32,
                .layers = 1,
                .heads = heads,
                .kv_heads = heads / 2,
                .head_width = 32,
                .feed_forward = heads * 96,
                .max_context = 2048};
    // As deep as models of that width are, then as many layers as come closest.
    const std::int64_t each = layer_parameters(shape);
    const std::int64_t rest = parameters(shape, role) - each;
    shape.layers = std::max<std::int64_t>(1, (wanted - rest + each / 2) / each);
    if (best.layers == 0) best = shape;
    const std::int64_t usual = std::max<std::int64_t>(2, heads / 2);
    if (shape.layers < usual) break;
    best = shape;
  }
  return best;
}

mais::Result<ModelArgument> parse_model(std::string_view text, Role role, std::uint64_t seed) {
  const auto equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos || equals + 1 == text.size()) {
    return mais::fail(mais::ErrorCode::invalid_argument,
                      "'" + std::string(text) + "' is no NAME=random:SIZE or NAME=DIR");
  }
  ModelArgument model{.name = std::string(text.substr(0, equals)), .role = role, .seed = seed};
  const std::string_view from = text.substr(equals + 1);
  constexpr std::string_view kRandom = "random:";
  if (from.starts_with(kRandom)) {
    const auto size = parse_size(from.substr(kRandom.size()));
    if (!size) return tl::unexpected<mais::Error>(size.error());
    model.shape = shape_of_size(*size, role);
    return model;
  }
  model.folder = std::string(from);
  auto shape = read_shape(model.folder + "/config.json");
  if (!shape) return tl::unexpected<mais::Error>(std::move(shape.error()));
  if (shape->vocabulary <= ByteTokenizer::kEndOfTurn) {
    return mais::fail(mais::ErrorCode::invalid_argument,
                      model.name + ": vocab_size is " + std::to_string(shape->vocabulary) +
                          "; bytes and marks need " +
                          std::to_string(ByteTokenizer::kEndOfTurn + 1) + " at least");
  }
  model.shape = *shape;
  return model;
}

server::EngineMaker engine_maker(ModelArgument model) {
  std::string name = model.name;
  return {.name = std::move(name),
          .make = [model = std::move(model)](
                      const server::EngineRoom& room) -> mais::Result<std::unique_ptr<Engine>> {
            auto weights = weights_of(model);
            if (!weights) return tl::unexpected<mais::Error>(std::move(weights.error()));
            if (model.role == Role::encoder) {
              return make_encoder(
                  {.name = model.name, .shape = model.shape, .budgets = room.budgets},
                  std::move(*weights));
            }
            std::optional<Token> end_of_text;
            if (!model.folder.empty()) end_of_text = ByteTokenizer::kEndOfText;
            return make_decoder({.name = model.name,
                                 .shape = model.shape,
                                 .budgets = room.budgets,
                                 .page = room.page,
                                 .pages = room.pages,
                                 .map_pages_ahead = false,
                                 .slab = state_per_token(model.shape) * room.page.count(),
                                 .end_of_text = end_of_text},
                                std::move(*weights));
          }};
}

}  // namespace torch_server
