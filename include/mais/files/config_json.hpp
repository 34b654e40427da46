// A whole configuration as JSON that a person can write: machine, models, instances, tenants,
// queue, policy. The fields are those of mais::Config; instances name their model, device and host
// tier; whatever is left out keeps its default; null stands for none.
//
//   { "machine": { ... }, "models": [ ... ],
//     "instances": [ { "name": "chat", "model": "llama3-8b", "device": "gpu0",
//                      "state": "4 GiB" } ],
//     "queue": { "classes": { "streaming": { "deadlines": { "tpot": "150 ms" } } } },
//     "policy": { "memory": "projected" } }
#pragma once

#include <string>
#include <string_view>

#include "mais/config.hpp"
#include "mais/result.hpp"

namespace mais::files {

// Reads and validates. Errors as parse_machine(). O(text). Any thread.
Result<Config> parse_config(std::string_view json, std::string_view origin);

// JSON that parse_config() reads back as the same configuration.
std::string to_json(const Config& config);

}  // namespace mais::files
