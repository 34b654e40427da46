#include "config_fields.hpp"

#include "byte_source.hpp"

namespace mais::files {

const JsonNode* ConfigFields::find(std::string_view key) const {
  const JsonNode* found = node_.find(key);
  return found == nullptr || found->kind == JsonNode::Kind::null ? nullptr : found;
}

bool ConfigFields::has(std::string_view key) const {
  return find(key) != nullptr;
}

bool ConfigFields::has_number(std::string_view key) const {
  const JsonNode* found = find(key);
  return found != nullptr && found->kind == JsonNode::Kind::integer;
}

void ConfigFields::refuse(std::string_view key, const std::string& problem) {
  if (log_.error) return;
  const JsonNode* found = node_.find(key);
  const std::int32_t line = found == nullptr ? node_.line : found->line;
  log_.error = fail(ErrorCode::parse_error, log_.origin + ":" + std::to_string(line) + ": " +
                                                path_ + std::string(key) + ": " + problem)
                   .value();
}

std::int64_t ConfigFields::need(std::string_view key, std::int64_t most, std::int64_t least) {
  if (!has(key)) {
    refuse(key, "is missing; a whole number from " + std::to_string(least) + " on is needed");
    return least;
  }
  return get(key, least, most, least);
}

std::int64_t ConfigFields::get(std::string_view key, std::int64_t otherwise, std::int64_t most,
                               std::int64_t least) {
  const JsonNode* found = find(key);
  if (found == nullptr) return otherwise;
  if (found->kind != JsonNode::Kind::integer || found->integer < least || found->integer > most) {
    refuse(key, "is " +
                    (found->kind == JsonNode::Kind::integer ? std::to_string(found->integer)
                                                            : std::string(kind_name(found->kind))) +
                    "; a whole number from " + std::to_string(least) + " to " +
                    std::to_string(most) + " is needed");
    return otherwise;
  }
  return found->integer;
}

std::int64_t ConfigFields::usually(std::string_view key, std::int64_t otherwise, std::int64_t most,
                                   std::int64_t least) {
  if (!has(key)) {
    note(path_ + std::string(key) + " is not in the configuration: " + std::to_string(otherwise) +
         ", the default of the family");
  }
  return get(key, otherwise, most, least);
}

std::optional<std::int64_t> ConfigFields::maybe(std::string_view key, std::int64_t most,
                                                std::int64_t least) {
  if (!has(key)) return std::nullopt;
  return get(key, least, most, least);
}

bool ConfigFields::flag(std::string_view key, bool otherwise) {
  const JsonNode* found = find(key);
  if (found == nullptr) return otherwise;
  if (found->kind != JsonNode::Kind::boolean) {
    refuse(key, "is " + std::string(kind_name(found->kind)) + "; true or false is needed");
    return otherwise;
  }
  return found->boolean;
}

double ConfigFields::real(std::string_view key, double otherwise) {
  const JsonNode* found = find(key);
  if (found == nullptr) return otherwise;
  if (found->kind != JsonNode::Kind::integer && found->kind != JsonNode::Kind::number) {
    refuse(key, "is " + std::string(kind_name(found->kind)) + "; a number is needed");
    return otherwise;
  }
  return found->number;
}

std::string ConfigFields::text(std::string_view key, std::string_view otherwise) {
  const JsonNode* found = find(key);
  if (found == nullptr) return std::string(otherwise);
  if (found->kind != JsonNode::Kind::string) {
    refuse(key, "is " + std::string(kind_name(found->kind)) + "; a text is needed");
    return std::string(otherwise);
  }
  return found->text;
}

std::vector<std::string> ConfigFields::texts(std::string_view key) {
  std::vector<std::string> list;
  const JsonNode* found = find(key);
  if (found == nullptr) return list;
  for (const JsonNode& item : found->items) {
    if (item.kind == JsonNode::Kind::string) list.push_back(item.text);
  }
  if (found->kind != JsonNode::Kind::array || list.size() != found->items.size()) {
    refuse(key, "a list of texts is needed");
  }
  return list;
}

std::vector<std::int64_t> ConfigFields::numbers(std::string_view key) {
  std::vector<std::int64_t> list;
  const JsonNode* found = find(key);
  if (found == nullptr) return list;
  for (const JsonNode& item : found->items) {
    if (item.kind == JsonNode::Kind::integer) list.push_back(item.integer);
  }
  if (found->kind != JsonNode::Kind::array || list.size() != found->items.size()) {
    refuse(key, "a list of whole numbers is needed");
  }
  return list;
}

ConfigFields ConfigFields::object(std::string_view key) const {
  static const JsonNode empty{.kind = JsonNode::Kind::object};
  const JsonNode* found = find(key);
  const bool there = found != nullptr && found->kind == JsonNode::Kind::object;
  return ConfigFields(there ? *found : empty, log_, path_ + std::string(key) + ".");
}

}  // namespace mais::files
