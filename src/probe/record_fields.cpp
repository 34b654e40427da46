#include "probe/record_fields.hpp"

namespace mais::probing {

std::string as_text(double value) {
  char buffer[64];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  return std::string(buffer, error == std::errc{} ? end : buffer);
}

namespace {

std::size_t depth_of(std::string_view text) {
  const std::size_t depth = text.find_first_not_of(' ');
  return depth == std::string_view::npos ? text.size() : depth;
}

}  // namespace

FieldReader::FieldReader(std::vector<Line> lines, std::string_view origin,
                         std::optional<Error>& fault)
    : origin_(origin), fault_(fault) {
  std::size_t depth = 0;
  for (const Line& line : lines) {
    if (trimmed(line.text).empty()) continue;
    if (entries_.empty()) depth = depth_of(line.text);
    if (!entries_.empty() && depth_of(line.text) > depth) {
      entries_.back().inner.push_back(line);
      continue;
    }
    std::string_view rest = line.text;
    const std::string_view name = take_word(rest);
    entries_.push_back({line.number, name, trimmed(rest), {}, false});
  }
}

FieldReader::~FieldReader() {
  for (const Entry& entry : entries_) {
    if (entry.taken || fault_) continue;
    fault_ = bad_line(origin_, entry.number,
                      shown(entry.name) + " is not known here, or stands here twice")
                 .value();
  }
}

bool FieldReader::has(std::string_view name) const {
  for (const Entry& entry : entries_) {
    if (!entry.taken && entry.name == name) return true;
  }
  return false;
}

const FieldReader::Entry* FieldReader::take(std::string_view name) {
  for (Entry& entry : entries_) {
    if (entry.taken || entry.name != name) continue;
    entry.taken = true;
    return &entry;
  }
  return nullptr;
}

void FieldReader::refuse(const Entry& entry) {
  if (fault_) return;
  fault_ = bad_line(origin_, entry.number,
                    std::string(entry.name) + " cannot be " +
                        (entry.inner.empty() ? shown(entry.value) : "a list"))
               .value();
}

}  // namespace mais::probing
