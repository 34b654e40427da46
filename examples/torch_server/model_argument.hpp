// A model as a command line names it: NAME=random:SIZE or NAME=DIR.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine_maker.hpp"
#include "mais/result.hpp"
#include "shape.hpp"

namespace torch_server {

struct ModelArgument {
  std::string name{};
  Role role = Role::decoder;
  Shape shape{};
  std::string folder{};    // of config.json and safetensors files; empty: random weights
  std::uint64_t seed = 1;  // of random weights
};

// SIZE is a number of parameters (3M, 1.5G), met as closely as whole layers allow. DIR has a
// config.json. invalid_argument, or the errors of read_shape().
mais::Result<ModelArgument> parse_model(std::string_view text, Role role, std::uint64_t seed);
// What makes its engine, in the room of a server. Random weights mean nothing when they say that
// the text ends, so that their generations never end by themselves.
server::EngineMaker engine_maker(ModelArgument model);

// A decoder of about so many parameters, or the smallest there is.
Shape shape_of_size(std::int64_t parameters, Role role);

}  // namespace torch_server
