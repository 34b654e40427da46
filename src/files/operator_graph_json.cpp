#include "mais/files/operator_graph_json.hpp"

#include <algorithm>
#include <initializer_list>
#include <map>

#include <nlohmann/json.hpp>

#include "mais/graph/shape.hpp"

namespace mais::files {

namespace {

using nlohmann::json;

// The first fault met; later reads give defaults and change nothing.
class Reader {
 public:
  explicit Reader(std::string name) : name_(std::move(name)) {}

  void wrong(const std::string& path, const std::string& what) {
    if (!error_)
      error_ = Error{ErrorCode::invalid_argument, name_ + ": " + path + ": " + what, {}, {}};
  }
  const std::optional<Error>& error() const { return error_; }

  void known(const json& object, const std::string& path, std::initializer_list<const char*> keys) {
    if (!object.is_object()) return wrong(path, "an object is needed");
    for (auto it = object.begin(); it != object.end(); ++it) {
      const std::string& key = it.key();  // clang 14 captures no structured binding
      if (std::none_of(keys.begin(), keys.end(), [&](const char* k) { return key == k; })) {
        wrong(path, "unknown field '" + key.substr(0, 40) + "'");
      }
    }
  }
  std::string text(const json& object, const char* key, const std::string& path) {
    const auto it = object.find(key);
    if (it == object.end()) return {};
    if (it->is_string()) return it->get<std::string>();
    wrong(path + "." + key, "a string is needed");
    return {};
  }
  std::optional<std::int64_t> number(const json& value, const std::string& path) {
    if (value.is_number_integer() &&
        !(value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX)) {
      return value.get<std::int64_t>();
    }
    wrong(path, "a whole number is needed");
    return std::nullopt;
  }
  std::int64_t number_or(const json& object, const char* key, const std::string& path,
                         std::int64_t otherwise) {
    const auto it = object.find(key);
    return it == object.end() ? otherwise : number(*it, path + "." + key).value_or(otherwise);
  }
  const json& list(const json& object, const char* key, const std::string& path) {
    static const json none = json::array();
    const auto it = object.find(key);
    if (it == object.end()) return none;
    if (it->is_array()) return *it;
    wrong(path + "." + key, "a list is needed");
    return none;
  }
  std::uint32_t named(const json& value, const std::map<std::string, std::uint32_t>& names,
                      const std::string& path) {
    if (!value.is_string()) {
      wrong(path, "a name is needed");
      return 0;
    }
    const auto it = names.find(value.get<std::string>());
    if (it != names.end()) return it->second;
    wrong(path, "nobody declared '" + value.get<std::string>().substr(0, 40) + "'");
    return 0;
  }

 private:
  std::string name_;
  std::optional<Error> error_;
};

using Names = std::map<std::string, std::uint32_t>;

graph::DimensionBounds read_bounds(Reader& reader, const json& root) {
  graph::DimensionBounds bounds;
  const auto it = root.find("bounds");
  if (it == root.end()) return bounds;
  if (!it->is_object()) {
    reader.wrong("bounds", "an object is needed");
    return bounds;
  }
  for (const auto& [name, value] : it->items()) {
    const std::string path = "bounds." + name.substr(0, 40);
    graph::DimensionBound bound;
    if (value.is_object()) {
      reader.known(value, path, {"most", "buckets"});
      bound.most = reader.number_or(value, "most", path, 0);
      for (const json& bucket : reader.list(value, "buckets", path)) {
        bound.buckets.push_back(reader.number(bucket, path + ".buckets").value_or(0));
      }
      if (!std::is_sorted(bound.buckets.begin(), bound.buckets.end())) {
        reader.wrong(path + ".buckets", "must ascend");
      }
    } else {
      bound.most = reader.number(value, path).value_or(0);
    }
    bounds[name] = bound;
  }
  return bounds;
}

void read_tensor(Reader& reader, const json& value, const std::string& path, const Names& spaces,
                 const Names& tensors, const graph::DimensionBounds& bounds,
                 graph::GraphBuilder& builder) {
  reader.known(value, path, {"name", "size", "shape", "element", "space", "view_of", "keep"});
  graph::Tensor tensor{.name = reader.text(value, "name", path)};
  if (value.contains("size")) {
    if (const auto size = reader.number(value["size"], path + ".size")) tensor.size = Bytes(*size);
  } else if (value.contains("shape")) {
    std::vector<graph::Dimension> shape;
    for (const json& dimension : reader.list(value, "shape", path)) {
      if (dimension.is_string()) {
        shape.emplace_back(dimension.get<std::string>());
      } else {
        shape.emplace_back(reader.number(dimension, path + ".shape").value_or(0));
      }
    }
    const std::int64_t element = reader.number_or(value, "element", path, 4);
    if (element < 1) reader.wrong(path + ".element", "1 byte or more is needed");
    const Result<Bytes> bytes = graph::bytes_at_most(shape, Bytes(element), bounds);
    if (bytes) {
      tensor.size = *bytes;
    } else {
      reader.wrong(path + ".shape", bytes.error().message);
    }
  }
  if (value.contains("space")) {
    tensor.space = SpaceId(reader.named(value["space"], spaces, path + ".space"));
  }
  if (value.contains("view_of")) {
    tensor.view_of = graph::TensorId(reader.named(value["view_of"], tensors, path + ".view_of"));
  }
  if (value.contains("keep")) {
    if (!value["keep"].is_boolean()) return reader.wrong(path + ".keep", "true or false is needed");
    tensor.keep = value["keep"].get<bool>();
  }
  builder.tensor(std::move(tensor));
}

void read_operator(Reader& reader, const json& value, const std::string& path, const Names& spaces,
                   const Names& tensors, const Names& operators, graph::GraphBuilder& builder) {
  reader.known(value, path,
               {"name", "inputs", "outputs", "after", "workspace", "in_place", "seconds"});
  graph::Operator op{.name = reader.text(value, "name", path)};
  const auto tensor = [&](const json& each, const char* field) {
    return graph::TensorId(reader.named(each, tensors, path + "." + field));
  };
  for (const json& each : reader.list(value, "inputs", path)) {
    op.inputs.push_back(tensor(each, "inputs"));
  }
  for (const json& each : reader.list(value, "outputs", path)) {
    op.outputs.push_back(tensor(each, "outputs"));
  }
  for (const json& each : reader.list(value, "after", path)) {
    op.after.emplace_back(reader.named(each, operators, path + ".after"));
  }
  if (value.contains("workspace") && value["workspace"].is_number()) {
    op.workspace.push_back({Bytes(reader.number_or(value, "workspace", path, 0))});
  } else {
    for (const json& each : reader.list(value, "workspace", path)) {
      reader.known(each, path + ".workspace", {"size", "space"});
      if (!each.is_object()) continue;
      graph::Workspace work{Bytes(reader.number_or(each, "size", path + ".workspace", 0))};
      if (each.contains("space")) {
        work.space = SpaceId(reader.named(each["space"], spaces, path + ".workspace.space"));
      }
      op.workspace.push_back(work);
    }
  }
  for (const json& each : reader.list(value, "in_place", path)) {
    if (!each.is_array() || each.size() != 2) {
      reader.wrong(path + ".in_place", "pairs [input, output] are needed");
      continue;
    }
    op.in_place.push_back({tensor(each[0], "in_place"), tensor(each[1], "in_place")});
  }
  if (value.contains("seconds")) {
    if (!value["seconds"].is_number() || value["seconds"].get<double>() < 0) {
      reader.wrong(path + ".seconds", "a number of 0 or more is needed");
    } else {
      op.time = from_seconds(value["seconds"].get<double>());
    }
  }
  builder.op(std::move(op));
}

Names names_of(Reader& reader, const json& list, const char* field) {
  Names names;
  std::uint32_t index = 0;
  for (const json& each : list) {
    const std::string path = std::string(field) + "[" + std::to_string(index) + "]";
    if (!each.is_object() || !each.contains("name") || !each["name"].is_string()) {
      reader.wrong(path, "an object with a name is needed");
    } else if (!names.emplace(each["name"].get<std::string>(), index).second) {
      reader.wrong(path + ".name", "it is there twice");
    }
    ++index;
  }
  return names;
}

}  // namespace

Result<graph::OperatorGraph> parse_operator_graph_json(std::string_view text,
                                                       std::string_view name) {
  // Deep nesting would overflow the parser's stack of values; a graph needs five levels.
  constexpr int kDeepest = 32;
  bool deep = false;
  const json root = json::parse(
      text,
      [&deep](int depth, json::parse_event_t, json&) {
        deep = deep || depth > kDeepest;
        return !deep;
      },
      false);
  if (root.is_discarded() || deep) {
    std::string where;
    try {
      const json again = json::parse(
          text, [](int depth, json::parse_event_t, json&) { return depth <= kDeepest; });
    } catch (const json::parse_error& fault) {
      where = " near byte " + std::to_string(fault.byte);
    } catch (const json::out_of_range&) {
      where = "; a number in it is out of range";
    }
    return fail(ErrorCode::parse_error,
                std::string(name) + ": this is not JSON, or is nested too deeply" + where);
  }
  Reader reader{std::string(name)};
  reader.known(root, "top level", {"spaces", "bounds", "tensors", "operators"});
  if (reader.error()) return tl::unexpected<Error>(*reader.error());

  const json& spaces = reader.list(root, "spaces", "");
  const json& tensors = reader.list(root, "tensors", "");
  const json& operators = reader.list(root, "operators", "");
  const Names space_names = names_of(reader, spaces, "spaces");
  const Names tensor_names = names_of(reader, tensors, "tensors");
  const Names operator_names = names_of(reader, operators, "operators");
  const graph::DimensionBounds bounds = read_bounds(reader, root);
  if (reader.error()) return tl::unexpected<Error>(*reader.error());

  graph::GraphBuilder builder;
  const auto path = [](const char* field, std::size_t i) {
    return std::string(field) + "[" + std::to_string(i) + "]";
  };
  for (std::size_t i = 0; i < spaces.size(); ++i) {
    reader.known(spaces[i], path("spaces", i), {"name", "alignment", "weight"});
    builder.space({reader.text(spaces[i], "name", path("spaces", i)),
                   Bytes(reader.number_or(spaces[i], "alignment", path("spaces", i), 64)),
                   reader.number_or(spaces[i], "weight", path("spaces", i), 1)});
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    read_tensor(reader, tensors[i], path("tensors", i), space_names, tensor_names, bounds, builder);
  }
  for (std::size_t i = 0; i < operators.size(); ++i) {
    read_operator(reader, operators[i], path("operators", i), space_names, tensor_names,
                  operator_names, builder);
  }
  if (reader.error()) return tl::unexpected<Error>(*reader.error());
  Result<graph::OperatorGraph> graph = builder.build();
  if (!graph) graph.error().message = std::string(name) + ": " + graph.error().message;
  return graph;
}

}  // namespace mais::files
