// The command line of a server program.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "http_server.hpp"
#include "mais/config.hpp"
#include "model_set.hpp"
#include "serve.hpp"

namespace server {

struct Options {
  std::vector<EngineMaker> models{};
  ModelSetOptions set{};
  std::vector<mais::Tenant> tenants{};
  std::size_t max_queued = 256;
  std::optional<mais::Duration> give_up{};
  std::optional<std::string> journal{};
  std::optional<mais::ModelId> gateway_model{};
  bool library = true;
  HttpServerOptions http{};
  mais::Duration drain{};
};

using ExitStatus = int;

// Or the status to end with; what there is to say was said.
tl::expected<Options, ExitStatus> read_options(const Program& program, int argc, char** argv);

}  // namespace server
