// The command line of torch_server.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "http_server.hpp"
#include "mais/config.hpp"
#include "model_argument.hpp"
#include "model_set.hpp"

namespace torch_server {

struct Options {
  std::vector<ModelArgument> models{};
  ModelSetOptions set{};
  std::vector<mais::Tenant> tenants{};
  std::size_t max_queued = 256;
  std::optional<mais::Duration> give_up{};
  std::optional<std::string> journal{};
  bool library = true;
  HttpServerOptions http{};
  mais::Duration drain{};
};

using ExitStatus = int;

// Or the status to end with; what there is to say was said.
tl::expected<Options, ExitStatus> read_options(int argc, char** argv);

}  // namespace torch_server
