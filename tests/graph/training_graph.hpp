// A training step of a deep residual network at operator level: activations live from the forward
// to the backward pass, gradients and temporaries a few steps only. Ten operators a layer.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "mais/graph/operator_graph.hpp"

namespace mais::graph {

inline OperatorGraph training_graph(std::size_t layers, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  GraphBuilder builder;
  builder.space({"gpu", Bytes(512)});
  const auto make = [&](std::int64_t bytes, bool keep = false) {
    return builder.tensor({.name = "t", .size = Bytes(bytes), .keep = keep});
  };
  const auto op = [&](std::vector<TensorId> in, std::vector<TensorId> out, std::int64_t work = 0) {
    Operator each{.name = "op", .inputs = std::move(in), .outputs = std::move(out)};
    if (work > 0) each.workspace.push_back({Bytes(work)});
    builder.op(std::move(each));
  };
  struct Layer {
    TensorId in, conv, norm, statistics, relu;
    std::int64_t size;
  };
  std::vector<Layer> made;
  std::int64_t size = 64 << 10;
  TensorId last = make(size);
  for (std::size_t i = 0; i < layers; ++i) {
    if (i % (layers / 4 + 1) == 0 && i > 0) size /= 2;
    const std::int64_t vary = size + static_cast<std::int64_t>(random() % 64) * 512;
    Layer layer{last, make(vary), make(vary), make(1024), make(vary), vary};
    op({last}, {layer.conv}, static_cast<std::int64_t>(random() % 8) * 4096);
    op({layer.conv}, {layer.statistics});
    op({layer.conv, layer.statistics}, {layer.norm});
    op({layer.norm}, {layer.relu});
    made.push_back(layer);
    last = layer.relu;
  }
  TensorId gradient = make(size);
  op({last}, {gradient});
  for (std::size_t i = layers; i-- > 0;) {
    const Layer& layer = made[i];
    const TensorId relu = make(layer.size);
    const TensorId norm = make(layer.size);
    const TensorId weight = make(4096);
    const TensorId input = make(layer.size);
    const TensorId update = make(512, false);
    op({gradient, layer.norm}, {relu});
    op({relu, layer.conv, layer.statistics}, {norm});
    op({norm, layer.in}, {weight}, static_cast<std::int64_t>(random() % 8) * 4096);
    op({weight}, {update});
    op({norm}, {input}, static_cast<std::int64_t>(random() % 8) * 4096);
    gradient = make(layer.size);
    op({input}, {gradient});
  }
  return builder.build().value();
}

}  // namespace mais::graph
