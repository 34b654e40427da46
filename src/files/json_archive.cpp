#include "files/json_archive.hpp"

#include <algorithm>

namespace mais::files {

namespace {

// The known key that an unknown one was probably meant to be: same letters but for two.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string shortened(const std::string& text) {
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

}  // namespace

std::string to_string(LocatedFaults faults, std::string_view origin) {
  std::stable_sort(faults.begin(), faults.end(),
                   [](const auto& a, const auto& b) { return a.line < b.line; });
  std::string text;
  for (const auto& [line, fault] : faults) {
    if (!text.empty()) text += '\n';
    text += std::string(origin) + ":" + std::to_string(line) + ": ";
    if (!fault.path.empty()) text += fault.path + ": ";
    text += fault.problem;
    if (!fault.remedy.empty()) text += "; " + fault.remedy;
  }
  return text;
}

JsonReader::JsonReader(const JsonNode& node, std::string path, LocatedFaults& faults)
    : node_(node), path_(std::move(path)), faults_(faults) {
  if (node.kind != JsonNode::Kind::object) {
    faults_.push_back(
        {node.line, {path_, "is " + std::string(kind_name(node.kind)), "give an object { ... }"}});
  }
}

JsonReader::~JsonReader() {
  for (const auto& [key, value] : node_.members) {
    if (asked_for_.contains(key)) continue;
    std::string known;
    std::string_view nearest;
    for (const std::string& name : asked_for_) {
      known += (known.empty() ? "" : ", ") + name;
      if (key.size() <= 60 && distance(key, name) <= 2) nearest = name;
    }
    faults_.push_back({value.line,
                       {child_path(shortened(key)), "is not known here",
                        nearest.empty() ? "known are " + known
                                        : "did you mean '" + std::string(nearest) + "'?"}});
  }
}

const JsonNode* JsonReader::take(std::string_view key) {
  asked_for_.emplace(key);
  return node_.find(key);
}

void JsonReader::note(std::string_view key, const JsonNode& node, Outcome wrong) {
  if (!wrong) return;
  faults_.push_back(
      {node.line,
       {child_path(std::string(key)), shortened(wrong->problem), std::move(wrong->remedy)}});
}

bool JsonReader::demand(std::string_view key) {
  if (take(key)) return true;
  if (node_.kind == JsonNode::Kind::object) {
    faults_.push_back({node_.line, {child_path(std::string(key)), "is missing", "give it"}});
  }
  return false;
}

const JsonNode* JsonReader::take_list(std::string_view key) {
  const JsonNode* node = take(key);
  if (node && node->kind != JsonNode::Kind::array) {
    note(key, *node, Wrong{"is " + std::string(kind_name(node->kind)), "give a list [ ... ]"});
    return nullptr;
  }
  return node;
}

bool JsonReader::find_name(std::string_view key, const std::vector<std::string>& names,
                           std::uint32_t& index) {
  const JsonNode* node = take(key);
  if (node == nullptr || node->kind == JsonNode::Kind::null) return false;
  if (node->kind == JsonNode::Kind::integer) {
    if (node->integer >= 0 && node->integer < static_cast<std::int64_t>(names.size())) {
      index = static_cast<std::uint32_t>(node->integer);
      return true;
    }
  } else if (const auto found = std::find(names.begin(), names.end(), node->text);
             node->kind == JsonNode::Kind::string && found != names.end()) {
    index = static_cast<std::uint32_t>(found - names.begin());
    return true;
  }
  std::string known;
  for (const std::string& name : names) known += (known.empty() ? "'" : ", '") + name + "'";
  note(key, *node,
       Wrong{node->kind == JsonNode::Kind::string ? "'" + node->text + "' is not declared"
                                                  : "names nothing that is declared",
             known.empty() ? "declare it first" : "declared are " + known});
  return false;
}

std::string JsonReader::child_path(const std::string& key) const {
  return path_.empty() ? key : path_ + "." + key;
}

std::string JsonReader::item_path(std::string_view key, std::size_t i) {
  return std::string(key) + "[" + std::to_string(i) + "]";
}

std::string text_of(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mais::files
