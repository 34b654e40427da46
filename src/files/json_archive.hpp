// One description of a struct's fields serves both directions: describe(archive, value) names each
// field once, a JsonReader fills it in, a JsonWriter writes it out. So nothing can be written that
// is not read back.
//
// A reader collects every fault (unknown key, wrong type, missing field) with its path and line,
// and leaves the field as it was.
#pragma once

#include <concepts>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "files/json_document.hpp"
#include "files/json_values.hpp"

namespace mais::files {

struct LocatedFault {
  std::int32_t line = 0;
  Fault fault;
};
using LocatedFaults = std::vector<LocatedFault>;

// "origin:line: path: problem; remedy", one line each, by line.
std::string to_string(LocatedFaults faults, std::string_view origin);

class JsonReader {
 public:
  static constexpr bool kReads = true;

  // `path` is empty for the root. Both must outlive the reader.
  JsonReader(const JsonNode& node, std::string path, LocatedFaults& faults);
  // Reports the keys nobody asked for.
  ~JsonReader();
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  // Keeps the default when the key is missing.
  template <class T>
  void field(std::string_view key, T& value) {
    if (const JsonNode* node = take(key)) note(key, *node, read(*node, value));
  }
  template <class T>
  void required(std::string_view key, T& value) {
    if (demand(key)) field(key, value);
  }
  // null stands for none.
  template <class T>
  void field(std::string_view key, std::optional<T>& value) {
    const JsonNode* node = take(key);
    if (node == nullptr) return;
    if (node->kind == JsonNode::Kind::null) {
      value.reset();
      return;
    }
    T read_value{};
    Outcome wrong = read(*node, read_value);
    if (!wrong) value = read_value;
    note(key, *node, std::move(wrong));
  }
  // A name out of a list that was read before, or a position in it.
  template <class Tag>
  void reference(std::string_view key, Id<Tag>& id, const std::vector<std::string>& names) {
    if (!demand(key)) return;
    std::uint32_t index = 0;
    if (find_name(key, names, index)) id = Id<Tag>(index);
  }
  template <class Tag>
  void reference(std::string_view key, std::optional<Id<Tag>>& id,
                 const std::vector<std::string>& names) {
    std::uint32_t index = 0;
    if (find_name(key, names, index)) id = Id<Tag>(index);
  }
  // Lists of values, and of objects that `describe(item_reader, item)` reads.
  template <class T>
  void values(std::string_view key, std::vector<T>& list) {
    const JsonNode* node = take_list(key);
    if (node == nullptr) return;
    list.clear();
    for (std::size_t i = 0; i < node->items.size(); ++i) {
      T value{};
      note(item_path(key, i), node->items[i], read(node->items[i], value));
      list.push_back(value);
    }
  }
  template <class T, class Describe>
  void list(std::string_view key, std::vector<T>& list, const Describe& describe_item) {
    const JsonNode* node = take_list(key);
    if (node == nullptr) return;
    list.clear();
    for (std::size_t i = 0; i < node->items.size(); ++i) {
      JsonReader item(node->items[i], child_path(item_path(key, i)), faults_);
      describe_item(item, list.emplace_back());
    }
  }
  template <class T, class Describe>
  void object(std::string_view key, T& value, const Describe& describe_value) {
    if (const JsonNode* node = take(key)) {
      JsonReader inner(*node, child_path(std::string(key)), faults_);
      describe_value(inner, value);
    }
  }

  // For fields that may stand in two forms: the node of the key, or null; counts as asked for.
  const JsonNode* take(std::string_view key);
  void note(std::string_view key, const JsonNode& node, Outcome wrong);

 private:
  bool demand(std::string_view key);
  const JsonNode* take_list(std::string_view key);
  bool find_name(std::string_view key, const std::vector<std::string>& names, std::uint32_t& index);
  std::string child_path(const std::string& key) const;
  static std::string item_path(std::string_view key, std::size_t i);

  const JsonNode& node_;
  const std::string path_;
  LocatedFaults& faults_;
  std::set<std::string, std::less<>> asked_for_;
};

class JsonWriter {
 public:
  static constexpr bool kReads = false;

  template <class T>
  void field(std::string_view key, const T& value) {
    json_[std::string(key)] = write(value);
  }
  template <class T>
  void required(std::string_view key, const T& value) {
    field(key, value);
  }
  // None is written as null: the default of the field may be something else.
  template <class T>
  void field(std::string_view key, const std::optional<T>& value) {
    json_[std::string(key)] = value ? write(*value) : Json(nullptr);
  }
  template <class Tag>
  void reference(std::string_view key, const Id<Tag>& id, const std::vector<std::string>& names) {
    json_[std::string(key)] =
        id.value() < names.size() ? Json(names[id.value()]) : Json(id.value());
  }
  template <class Tag>
  void reference(std::string_view key, const std::optional<Id<Tag>>& id,
                 const std::vector<std::string>& names) {
    if (id) reference(key, *id, names);
  }
  template <class T>
  void values(std::string_view key, const std::vector<T>& list) {
    Json array = Json::array();
    for (const T& value : list) array.push_back(write(value));
    json_[std::string(key)] = std::move(array);
  }
  template <class T, class Describe>
  void list(std::string_view key, std::vector<T>& list, const Describe& describe_item) {
    Json array = Json::array();
    for (T& value : list) {
      JsonWriter item;
      describe_item(item, value);
      array.push_back(std::move(item).take());
    }
    json_[std::string(key)] = std::move(array);
  }
  template <class T, class Describe>
  void object(std::string_view key, T& value, const Describe& describe_value) {
    JsonWriter inner;
    describe_value(inner, value);
    json_[std::string(key)] = std::move(inner).take();
  }

  Json take() && { return std::move(json_); }

 private:
  Json json_ = Json::object();
};

template <class A>
concept Archive = std::same_as<A, JsonReader> || std::same_as<A, JsonWriter>;

// Reads a document with one description, then asks `check` for faults of the value as a whole.
template <class T, class Describe, class Check>
Result<T> read_document(std::string_view json, std::string_view origin, const Describe& describe,
                        const Check& check) {
  const Result<JsonNode> root = parse_json(json, origin);
  if (!root) return tl::unexpected<Error>(root.error());
  LocatedFaults faults;
  T value{};
  {
    JsonReader reader(*root, "", faults);
    describe(reader, value);
  }
  if (faults.empty()) {
    for (Fault& fault : check(value)) {
      const std::int32_t line = line_of(*root, fault.path);
      faults.push_back({line, std::move(fault)});
    }
  }
  if (!faults.empty()) {
    return fail(ErrorCode::parse_error, to_string(std::move(faults), origin));
  }
  return value;
}

// Indented JSON with a line feed at the end. Names that are not UTF-8 are written with U+FFFD.
std::string text_of(const Json& json);

template <class T, class Describe>
std::string write_document(T value, const Describe& describe) {
  JsonWriter writer;
  describe(writer, value);
  return text_of(std::move(writer).take());
}

}  // namespace mais::files
