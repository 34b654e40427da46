#include "mais/files/hf_config.hpp"

#include <algorithm>

#include "byte_source.hpp"
#include "hf_families.hpp"

namespace mais::files {

namespace {

constexpr std::size_t kMostConfig = 1 << 20;  // bytes; as a tree they are some fifty times as many

// Python writes infinite and undefined numbers as words that JSON does not have; nothing here reads
// them. Outside of texts only.
std::string without_python_numbers(std::string_view text) {
  std::string json(text);
  bool in_text = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (in_text && json[i] == '\\') {
      ++i;
    } else if (json[i] == '"') {
      in_text = !in_text;
    } else if (!in_text) {
      for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
        if (json.compare(i, word.size(), word) == 0) {
          json.replace(i, word.size(), "null" + std::string(word.size() - 3, ' '), 0, word.size());
        }
      }
    }
  }
  return json;
}

Result<JsonNode> parse_object(std::string_view json, std::string_view origin) {
  if (json.size() > kMostConfig) {
    return fail(ErrorCode::parse_error, std::string(origin) + ": has " +
                                            std::to_string(json.size()) +
                                            " bytes; a configuration has at most 1 MiB");
  }
  Result<JsonNode> root = parse_json(without_python_numbers(json), origin);
  if (root && root->kind != JsonNode::Kind::object) {
    return fail(ErrorCode::parse_error, std::string(origin) + ":1: is " +
                                            std::string(kind_name(root->kind)) +
                                            "; a configuration is an object");
  }
  return root;
}

Result<std::string> read_text(const std::string& path) {
  auto source = FileSource::open(path);
  if (!source) return tl::unexpected<Error>(source.error());
  // One byte more than is taken: parse_object() says that it is too large.
  const std::uint64_t most = kMostConfig + 1;
  ByteReader reader(**source, 0, std::min<std::uint64_t>((*source)->size(), most));
  std::string text = reader.text(reader.remaining(), "the configuration");
  if (reader.failed()) return tl::unexpected<Error>(reader.error());
  return text;
}

// Every family.
std::vector<HfFamily> all_families() {
  std::vector<HfFamily> all;
  for (const auto list :
       {hf_decoders(), hf_gpt(), hf_hybrids(), hf_encoders(), hf_vision(), hf_llama4()}) {
    all.insert(all.end(), list.begin(), list.end());
  }
  std::sort(all.begin(), all.end(),
            [](const HfFamily& a, const HfFamily& b) { return a.model_type < b.model_type; });
  return all;
}

const std::vector<HfFamily>& families() {
  static const std::vector<HfFamily> all = all_families();
  return all;
}

bool looks_like_decoder(const ConfigFields& fields) {
  for (const char* key : {"hidden_size", "num_hidden_layers", "num_attention_heads",
                          "intermediate_size", "vocab_size"}) {
    if (!fields.has_number(key)) return false;
  }
  return true;
}

tl::unexpected<Error> unknown(std::string_view origin, const std::string& type) {
  std::string known;
  for (const std::string& name : hf_model_types()) known += (known.empty() ? "" : ", ") + name;
  return fail(ErrorCode::not_found, std::string(origin) + ": the model_type '" + shown(type) +
                                        "' is not known; known are " + known);
}

}  // namespace

const HfFamily* find_hf_family(std::string_view model_type) {
  for (const HfFamily& family : families()) {
    if (family.model_type == model_type) return &family;
  }
  return nullptr;
}

const std::vector<std::string>& hf_model_types() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const HfFamily& family : families()) all.emplace_back(family.model_type);
    return all;
  }();
  return names;
}

Result<Architecture> parse_hf_config(std::string_view json, std::string_view origin,
                                     const ConfigOptions& options) {
  const Result<JsonNode> root = parse_object(json, origin);
  if (!root) return tl::unexpected<Error>(root.error());
  ConfigLog log;
  log.origin = std::string(origin);
  ConfigFields fields(*root, log);
  const std::string type = fields.text("model_type");
  if (!log.error && type.empty()) {
    fields.refuse("model_type", "is missing; the name of a family (\"llama\") is needed");
  }
  if (log.error) return tl::unexpected<Error>(*log.error);

  Architecture architecture;
  architecture.family = shown(type);
  architecture.name = shown(fields.text("_name_or_path"));
  const HfFamily* family = find_hf_family(type);
  if (family == nullptr) {
    if (!options.guess || !looks_like_decoder(fields)) return unknown(origin, type);
    family = find_hf_family("llama");
    architecture.margin = kGuessMargin;
    fields.note("GUESS: the model_type '" + shown(type) +
                "' is not known; read as if it were 'llama', give or take 25 %");
  }
  family->build(fields, architecture);
  const std::string type_name = fields.text("torch_dtype", fields.text("dtype", "float32"));
  if (const auto stored = element_type_named(type_name)) architecture.type = *stored;
  if (!fields.has("torch_dtype") && !fields.has("dtype")) {
    fields.note("the configuration does not say in what type weights are: 32 bits, the default");
  }
  if (fields.has("quantization_config")) {
    fields.note(
        "weights are quantised (" +
        shown(fields.object("quantization_config").text("quant_method", "in a way not named")) +
        "); without their files they are counted in " + std::string(to_string(architecture.type)) +
        ", which is more");
  }
  if (log.error) return tl::unexpected<Error>(*log.error);
  architecture.notes = std::move(log.notes);
  return architecture;
}

Result<Architecture> read_hf_config(const std::string& path, const ConfigOptions& options) {
  const Result<std::string> text = read_text(path);
  if (!text) return tl::unexpected<Error>(text.error());
  return parse_hf_config(*text, path, options);
}

Result<LoraAdapter> parse_adapter_config(std::string_view json, std::string_view origin) {
  const Result<JsonNode> root = parse_object(json, origin);
  if (!root) return tl::unexpected<Error>(root.error());
  ConfigLog log;
  log.origin = std::string(origin);
  ConfigFields fields(*root, log);
  LoraAdapter adapter;
  adapter.rank = fields.need("r", kMostHeads);
  adapter.targets = fields.texts("target_modules");
  if (log.error) return tl::unexpected<Error>(*log.error);
  return adapter;
}

}  // namespace mais::files
