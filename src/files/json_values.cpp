#include "files/json_values.hpp"

#include <cmath>

#include "mais/files/unit_text.hpp"

namespace mais::files {

namespace {

Outcome expected(const JsonNode& node, std::string remedy) {
  return Wrong{"is " + std::string(kind_name(node.kind)), std::move(remedy)};
}

bool is_number(const JsonNode& node) {
  return node.kind == JsonNode::Kind::integer || node.kind == JsonNode::Kind::number;
}

// 16.06e9 is a whole number, 0.5 is not.
std::optional<std::int64_t> whole_of(const JsonNode& node) {
  if (node.kind == JsonNode::Kind::integer) return node.integer;
  if (node.kind == JsonNode::Kind::number && std::abs(node.number) <= 0x1p53 &&
      node.number == std::floor(node.number)) {
    return static_cast<std::int64_t>(node.number);
  }
  return std::nullopt;
}

template <class T>
Outcome read_text(const JsonNode& node, Result<T> (*parse)(std::string_view), T& value) {
  const Result<T> parsed = parse(node.text);
  if (!parsed) {
    const std::string& message = parsed.error().message;
    const auto split = message.find("; ");
    return Wrong{"is " + message.substr(0, split),
                 split == std::string::npos ? "" : message.substr(split + 2)};
  }
  value = *parsed;
  return {};
}

}  // namespace

Outcome read(const JsonNode& node, std::string& value) {
  if (node.kind != JsonNode::Kind::string) return expected(node, "give a text in quotes");
  value = node.text;
  return {};
}

Outcome read(const JsonNode& node, bool& value) {
  if (node.kind != JsonNode::Kind::boolean) return expected(node, "true or false");
  value = node.boolean;
  return {};
}

Outcome read(const JsonNode& node, double& value) {
  if (!is_number(node)) return expected(node, "give a number");
  value = node.number;
  return {};
}

Outcome read(const JsonNode& node, Bytes& value) {
  if (node.kind == JsonNode::Kind::string) return read_text(node, parse_bytes, value);
  const auto whole = whole_of(node);
  if (!whole) return expected(node, "a size is \"24 GiB\" or a whole number of bytes");
  value = Bytes(*whole);
  return {};
}

Outcome read(const JsonNode& node, Duration& value) {
  if (node.kind != JsonNode::Kind::string) {
    return expected(node, "a duration is a text with its unit, \"50 ms\"");
  }
  return read_text(node, parse_duration, value);
}

Outcome read(const JsonNode& node, BytesPerSecond& value) {
  if (node.kind == JsonNode::Kind::string) return read_text(node, parse_bandwidth, value);
  if (!is_number(node)) return expected(node, "a bandwidth is \"240 GB/s\" or bytes per second");
  value.value = node.number;
  return {};
}

Outcome read(const JsonNode& node, FlopsPerSecond& value) {
  if (node.kind == JsonNode::Kind::string) return read_text(node, parse_flops, value);
  if (!is_number(node)) return expected(node, "a rate is \"73 TFLOP/s\" or FLOP per second");
  value.value = node.number;
  return {};
}

Outcome read(const JsonNode& node, BytesPerToken& value) {
  Bytes bytes;
  if (Outcome wrong = read(node, bytes)) return wrong;
  value = BytesPerToken(bytes.count());
  return {};
}

Outcome read_whole(const JsonNode& node, std::int64_t low, std::int64_t high, std::int64_t& value) {
  const std::string remedy =
      high == detail::kCountMax
          ? "a whole number" + std::string(low >= 0 ? " of 0 or more" : "")
          : "a whole number between " + std::to_string(low) + " and " + std::to_string(high);
  if (!is_number(node)) return expected(node, remedy);
  const auto whole = whole_of(node);
  if (!whole) return Wrong{"is not a whole number", remedy};
  if (*whole < low || *whole > high) return Wrong{"is " + std::to_string(*whole), remedy};
  value = *whole;
  return {};
}

Outcome read_word(const JsonNode& node, std::span<const std::string_view> words,
                  std::size_t& index) {
  std::string choice;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (node.kind == JsonNode::Kind::string && node.text == words[i]) {
      index = i;
      return {};
    }
    choice += (choice.empty() ? "\"" : ", \"") + std::string(words[i]) + "\"";
  }
  if (node.kind != JsonNode::Kind::string) return expected(node, "one of " + choice);
  return Wrong{"is '" + node.text + "'", "one of " + choice};
}

Json write(Bytes value) {
  // Small and odd numbers read better plain.
  if (value.count() == 0 || value.count() % 1024 != 0) return value.count();
  return to_text(value);
}
Json write(Duration value) {
  return to_text(value);
}
Json write(BytesPerSecond value) {
  return value.value == 0 ? Json(0) : Json(to_text(value));
}
Json write(FlopsPerSecond value) {
  return value.value == 0 ? Json(0) : Json(to_text(value));
}
Json write(BytesPerToken value) {
  return write(Bytes(value.count()));
}

}  // namespace mais::files
