#include "mais/files/config_json.hpp"

#include "files/describe.hpp"

namespace mais::files {

namespace {
const auto kDescribeConfig = [](auto& archive, Config& config) { describe(archive, config); };
}

Result<Config> parse_config(std::string_view json, std::string_view origin) {
  return read_document<Config>(json, origin, kDescribeConfig,
                               [](const Config& config) { return validate(config); });
}

std::string to_json(const Config& config) {
  return write_document(config, kDescribeConfig);
}

}  // namespace mais::files
