// Architectures from the config.json that Hugging Face models carry, and adapters from their
// adapter_config.json.
//
// Field names and defaults are those of the `transformers` library's configuration classes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mais/files/architecture.hpp"
#include "mais/result.hpp"

namespace mais::files {

struct ConfigOptions {
  // An unknown model_type is read as a plain decoder where it has the fields of one; the result is
  // marked by its margin.
  bool guess = false;
};

// Errors: parse_error "origin:line: field: what is wrong; what would be right" (JSON above 1 MiB or
// nested too deep too); not_found for a model_type that is not known, with those that are.
// O(text + layers). Takes any bytes.
Result<Architecture> parse_hf_config(std::string_view json, std::string_view origin,
                                     const ConfigOptions& options = {});
// The same from a file; io_error and not_found too.
Result<Architecture> read_hf_config(const std::string& path, const ConfigOptions& options = {});

// Every model_type that is known, in alphabetical order.
const std::vector<std::string>& hf_model_types();

// The rank and targets of a LoRA adapter: "r" and "target_modules".
Result<LoraAdapter> parse_adapter_config(std::string_view json, std::string_view origin);

}  // namespace mais::files
