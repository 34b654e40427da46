#include "mais/files/operator_graph_csv.hpp"

#include <array>
#include <charconv>
#include <optional>
#include <unordered_set>

#include "files/trimmed.hpp"

namespace mais::files {

namespace {

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  while (true) {
    const std::size_t comma = line.find(',');
    fields.push_back(trimmed(line.substr(0, comma)));
    if (comma == std::string_view::npos) return fields;
    line.remove_prefix(comma + 1);
  }
}

}  // namespace

Result<BufferTable> parse_buffers_csv(std::string_view text, std::string_view name) {
  constexpr std::array<std::string_view, 4> kColumns = {"id", "lower", "upper", "size"};
  std::array<std::optional<std::size_t>, 4> column;
  BufferTable table;
  std::unordered_set<std::string> ids;
  bool header = true;
  std::size_t number = 0;
  const auto wrong = [&](const std::string& what) {
    return fail(ErrorCode::parse_error,
                std::string(name) + ":" + std::to_string(number) + ": " + what);
  };
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);  // byte order mark
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) continue;
    const std::vector<std::string_view> fields = fields_of(line);
    if (header) {
      header = false;
      for (std::size_t k = 0; k < kColumns.size(); ++k) {
        for (std::size_t f = 0; f < fields.size(); ++f) {
          if (fields[f] == kColumns[k]) column[k] = f;
        }
        if (!column[k]) {
          return wrong("the header has no column '" + std::string(kColumns[k]) +
                       "'; id, lower, upper and size are needed");
        }
      }
      continue;
    }
    std::array<std::int64_t, 4> value{};
    for (std::size_t k = 0; k < kColumns.size(); ++k) {
      if (*column[k] >= fields.size()) {
        return wrong("there are " + std::to_string(fields.size()) + " fields, and column '" +
                     std::string(kColumns[k]) + "' is missing");
      }
      const std::string_view field = fields[*column[k]];
      if (k == 0) continue;
      const auto [stop, fault] =
          std::from_chars(field.data(), field.data() + field.size(), value[k]);
      if (fault != std::errc() || stop != field.data() + field.size() || field.empty()) {
        return wrong(std::string(kColumns[k]) + " is '" + std::string(field.substr(0, 40)) +
                     "'; a whole number of 64 bits is needed");
      }
    }
    if (value[1] >= value[2]) {
      return wrong("lower is " + std::to_string(value[1]) + " and upper " +
                   std::to_string(value[2]) + "; lower must be below upper");
    }
    if (value[3] < 0) return wrong("size is " + std::to_string(value[3]) + "; 0 or more is needed");
    std::string id(fields[*column[0]]);
    if (!ids.insert(id).second) return wrong("id '" + id.substr(0, 40) + "' is there twice");
    table.ids.push_back(std::move(id));
    table.buffers.push_back({value[1], value[2], Bytes(value[3])});
  }
  if (header) {
    number = 1;
    return wrong("the file is empty; a header with id, lower, upper and size is needed");
  }
  return table;
}

std::string offsets_csv(const BufferTable& table, const graph::ArenaPlan& plan) {
  std::string text = "id,offset\n";
  for (std::size_t i = 0; i < table.ids.size(); ++i) {
    text += table.ids[i] + "," + std::to_string(plan.offsets[i].count()) + "\n";
  }
  return text;
}

}  // namespace mais::files
