#include "shape_config.hpp"

#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

namespace torch_server {

namespace {

using Json = nlohmann::json;

// Reads fields and collects every fault, as mais::Config does.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  // What is missing is `otherwise`, and a fault without one.
  std::int64_t integer(const char* name, std::optional<std::int64_t> otherwise = {}) {
    return get(name, otherwise, &Json::is_number_integer, "a whole number");
  }
  double number(const char* name, double otherwise) {
    return get<double>(name, otherwise, &Json::is_number, "a number");
  }
  bool flag(const char* name) { return get<bool>(name, false, &Json::is_boolean, "true or false"); }
  std::string text(const char* name, std::string otherwise) {
    return get<std::string>(name, std::move(otherwise), &Json::is_string, "a text");
  }
  void require(bool right, const char* name, const char* remedy) {
    if (right) return;
    const Json* value = find(name);
    faults_.push_back({name, value == nullptr ? "is missing" : "is " + shown(*value), remedy});
  }
  bool has(const char* name) const { return find(name) != nullptr; }
  std::vector<mais::Fault>& faults() { return faults_; }

 private:
  template <class T>
  T get(const char* name, std::optional<T> otherwise, bool (Json::*is)() const noexcept,
        const char* remedy) {
    const Json* value = find(name);
    if (value == nullptr && otherwise) return *otherwise;
    if (value != nullptr && (value->*is)()) return value->get<T>();
    faults_.push_back({name, value == nullptr ? "is missing" : "is " + shown(*value), remedy});
    return otherwise.value_or(T{});
  }
  const Json* find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  static std::string shown(const Json& value) {
    std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
    if (text.size() > 60) text = text.substr(0, 57) + "...";
    return text;
  }
  const Json& object_;
  std::vector<mais::Fault> faults_;
};

}  // namespace

mais::Result<Shape> parse_shape(std::string_view json, std::string_view origin) {
  const Json parsed = Json::parse(json, nullptr, false);
  if (!parsed.is_object()) {
    return mais::fail(mais::ErrorCode::parse_error,
                      std::string(origin) + ": is not a JSON object; a config.json is");
  }
  Fields fields(parsed);
  Shape shape;
  const std::string type = fields.text("model_type", "");
  fields.require(type == "llama" || type == "mistral", "model_type", "llama or mistral");
  shape.vocabulary = fields.integer("vocab_size");
  shape.hidden = fields.integer("hidden_size");
  shape.layers = fields.integer("num_hidden_layers");
  shape.heads = fields.integer("num_attention_heads");
  shape.kv_heads = fields.integer("num_key_value_heads", shape.heads);
  shape.head_width = fields.integer("head_dim", shape.heads > 0 ? shape.hidden / shape.heads : 0);
  shape.feed_forward = fields.integer("intermediate_size");
  shape.max_context = fields.integer("max_position_embeddings");
  shape.rope_theta = fields.number("rope_theta", 10000);
  shape.norm_epsilon = fields.number("rms_norm_eps", 1e-6);
  shape.tied = fields.flag("tie_word_embeddings");
  fields.require(!fields.flag("attention_bias"), "attention_bias",
                 "false: biases are not computed");
  fields.require(!fields.flag("mlp_bias"), "mlp_bias", "false: biases are not computed");
  fields.require(!fields.has("rope_scaling"), "rope_scaling", "null: angles are not scaled");
  fields.require(!fields.has("sliding_window"), "sliding_window", "null: there are no windows");
  fields.require(fields.text("hidden_act", "silu") == "silu", "hidden_act", "silu");
  std::vector<mais::Fault> faults = std::move(fields.faults());
  if (faults.empty()) faults = validate(shape);
  if (!faults.empty()) {
    return mais::fail(mais::ErrorCode::invalid_argument,
                      std::string(origin) + ": " + to_string(faults));
  }
  return shape;
}

mais::Result<Shape> read_shape(const std::string& path) {
  constexpr std::size_t kMost = 1 << 20;
  std::ifstream stream(path, std::ios::binary);
  std::string text(kMost, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad() || (stream.gcount() == 0 && !stream.eof())) {
    return mais::fail(mais::ErrorCode::io_error, path + ": cannot be read");
  }
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() == kMost) {
    return mais::fail(mais::ErrorCode::parse_error, path + ": is longer than 1 MiB");
  }
  return parse_shape(text, path);
}

}  // namespace torch_server
