#include "probe/host_text.hpp"

#include <algorithm>
#include <cmath>

#include "probe/text_lines.hpp"

namespace mais::probing {

namespace {

constexpr std::int64_t kMaxKilobytes = detail::kCountMax / 1024;
constexpr std::int64_t kNoLimit = std::int64_t{1} << 62;
constexpr int kMaxIndex = 65'535;
constexpr int kCapIpcLock = 14;  // linux/capability.h

bool not_negative(std::string_view text, std::int64_t& value) {
  return to_number(text, value) && value >= 0;
}

// "16384 kB" or "16384": bytes, or a plain count.
bool amount(std::string_view text, std::int64_t& value) {
  const std::string_view number = take_word(text);
  const std::string_view unit = trimmed(text);
  if (!not_negative(number, value)) return false;
  if (unit.empty()) return true;
  if (unit != "kB" || value > kMaxKilobytes) return false;
  value *= 1024;
  return true;
}

}  // namespace

std::optional<std::int64_t> Counters::find(std::string_view name) const {
  for (const auto& [key, value] : list) {
    if (key == name) return value;
  }
  return std::nullopt;
}

Result<Counters> parse_meminfo(std::string_view text, std::string_view origin) {
  Counters counters;
  counters.list.reserve(64);
  LineWalk lines(text);
  for (std::string_view line; lines.next(line);) {
    if (trimmed(line).empty()) continue;
    if (line.starts_with("Node ")) {
      line.remove_prefix(5);
      std::int64_t node = 0;
      if (const auto word = take_word(line); !not_negative(word, node)) {
        return bad_line(origin, lines.number(), shown(word) + " is not the number of a node");
      }
    }
    if (line.find(':') == std::string_view::npos) {
      return bad_line(origin, lines.number(),
                      shown(line) + " has no colon; a line is \"MemFree:  1024 kB\"");
    }
    const std::string_view name = trimmed(take_until(line, ':'));
    std::int64_t value = 0;
    if (!amount(line, value)) {
      return bad_line(origin, lines.number(),
                      shown(name) + " is " + shown(trimmed(line)) + "; a value is \"1024 kB\"");
    }
    counters.list.emplace_back(name, value);
  }
  for (const std::string_view demanded : {"MemTotal", "MemFree"}) {
    if (!counters.find(demanded)) {
      return bad_line(origin, lines.number(), std::string(demanded) + " is missing");
    }
  }
  return counters;
}

Result<Counters> parse_counters(std::string_view text, std::string_view origin) {
  Counters counters;
  counters.list.reserve(64);
  LineWalk lines(text);
  for (std::string_view line; lines.next(line);) {
    const std::string_view name = take_word(line);
    if (name.empty()) continue;
    std::int64_t value = 0;
    if (!not_negative(trimmed(line), value)) {
      return bad_line(origin, lines.number(),
                      shown(name) + " is " + shown(trimmed(line)) + "; a line is \"name number\"");
    }
    counters.list.emplace_back(name, value);
  }
  return counters;
}

Result<std::optional<Bytes>> parse_limit(std::string_view text, std::string_view origin) {
  const std::string_view word = trimmed(text);
  if (word == "max") return std::optional<Bytes>();
  std::uint64_t value = 0;
  if (!to_number(word, value)) {
    return bad_line(origin, 1, shown(word) + " is not a limit; it is a number of bytes, or max");
  }
  if (value >= static_cast<std::uint64_t>(kNoLimit)) return std::optional<Bytes>();
  return std::optional<Bytes>(Bytes(static_cast<std::int64_t>(value)));
}

Result<Pressure> parse_pressure(std::string_view text, std::string_view origin) {
  Pressure pressure;
  bool some = false;
  LineWalk lines(text);
  for (std::string_view line; lines.next(line);) {
    const std::string_view kind = take_word(line);
    if (kind.empty()) continue;
    if (kind != "some" && kind != "full") {
      return bad_line(origin, lines.number(),
                      shown(kind) + " is neither some nor full, of which pressure has a line each");
    }
    some |= kind == "some";
    for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
      const std::string_view whole = word;
      const std::string_view key = take_until(word, '=');
      double value = 0;
      std::uint64_t total = 0;
      const bool good = key == "total" ? to_number(word, total)
                                       : to_number(word, value) && value >= 0 && value <= 100;
      if (!good) {
        return bad_line(origin, lines.number(),
                        shown(whole) + " is not a figure such as avg10=0.31, in percent");
      }
      const bool is_some = kind == "some";
      if (key == "avg10") (is_some ? pressure.some_10s : pressure.full_10s) = value / 100;
      if (key == "avg60") (is_some ? pressure.some_60s : pressure.full_60s) = value / 100;
      if (key == "total" && is_some) {
        const std::uint64_t most = static_cast<std::uint64_t>(detail::kCountMax) / 1000;
        pressure.some_total = Duration(static_cast<std::int64_t>(std::min(total, most)) * 1000);
      }
    }
  }
  if (!some) return bad_line(origin, lines.number(), "there is no line that begins with some");
  return pressure;
}

Result<std::vector<int>> parse_index_list(std::string_view text, std::string_view origin) {
  std::vector<int> indices;
  std::string_view rest = trimmed(text);
  while (!rest.empty()) {
    std::string_view range = take_until(rest, ',');
    const std::string_view whole = range;
    const std::string_view first_text = take_until(range, '-');
    int first = 0, last = 0;
    bool good = to_number(first_text, first) && first >= 0 && first <= kMaxIndex;
    last = first;
    if (good && whole.size() > first_text.size()) {
      good = to_number(range, last) && last >= first && last <= kMaxIndex;
    }
    if (!good || (!indices.empty() && first <= indices.back())) {
      return bad_line(origin, 1, shown(whole) + " is not a range in a rising list such as 0-3,8");
    }
    for (int i = first; i <= last; ++i) indices.push_back(i);
  }
  return indices;
}

Result<std::vector<Membership>> parse_membership(std::string_view text, std::string_view origin) {
  std::vector<Membership> list;
  LineWalk lines(text);
  for (std::string_view line; lines.next(line);) {
    if (line.empty()) continue;
    const std::string_view whole = line;
    std::int64_t number = 0;
    const bool numbered = not_negative(take_until(line, ':'), number);
    const bool has_path = line.find(':') != std::string_view::npos;
    std::string_view controllers = take_until(line, ':');
    if (!numbered || !has_path || !line.starts_with('/')) {
      return bad_line(origin, lines.number(),
                      shown(whole) + " is not number:controllers:/path of a cgroup");
    }
    Membership& entry = list.emplace_back();
    entry.path = line;
    while (!controllers.empty()) entry.controllers.emplace_back(take_until(controllers, ','));
  }
  return list;
}

namespace {

// mountinfo writes blanks and backslashes as \040.
std::string unescaped(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octal = [&](std::size_t at) { return text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && i + 3 < text.size() && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      const int code = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
      result += static_cast<char>(code);
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
}

}  // namespace

Result<std::vector<CgroupMount>> parse_mounts(std::string_view text, std::string_view origin) {
  std::vector<CgroupMount> mounts;
  LineWalk lines(text);
  for (std::string_view line; lines.next(line);) {
    // 35 31 0:32 /root /mount/point options optional... - type source super-options
    if (line.empty()) continue;
    std::string_view fields = line;
    for (int skipped = 0; skipped < 3; ++skipped) take_word(fields);
    const std::string_view root = take_word(fields);
    const std::string_view point = take_word(fields);
    const std::size_t dash = fields.find(" - ");
    if (!root.starts_with('/') && !root.empty() && dash != std::string_view::npos) {
      continue;  // a root that is no path: nsfs and the like
    }
    if (dash == std::string_view::npos || !point.starts_with('/')) {
      return bad_line(origin, lines.number(), shown(line) + " is not a line of mountinfo");
    }
    fields.remove_prefix(dash + 3);
    const std::string_view type = take_word(fields);
    if (type != "cgroup" && type != "cgroup2") continue;
    take_word(fields);  // the source
    std::string_view options = take_word(fields);
    CgroupMount& mount = mounts.emplace_back();
    mount.v2 = type == "cgroup2";
    mount.root = unescaped(root);
    mount.point = unescaped(point);
    while (!options.empty()) mount.memory |= take_until(options, ',') == "memory" && !mount.v2;
  }
  return mounts;
}

Result<ProcessLimits> parse_process_limits(std::string_view text, std::string_view origin) {
  ProcessLimits limits;
  LineWalk lines(text);
  for (std::string_view line; lines.next(line);) {
    std::optional<Bytes>* limit = nullptr;
    for (const auto& [name, target] :
         {std::pair{std::string_view("Max locked memory"), &limits.locked},
          {std::string_view("Max address space"), &limits.address},
          {std::string_view("Max data size"), &limits.data}}) {
      if (!line.starts_with(name)) continue;
      line.remove_prefix(name.size());
      limit = target;
    }
    if (limit == nullptr) continue;
    const std::string_view soft = take_word(line);
    if (soft == "unlimited") continue;
    std::int64_t value = 0;
    if (!not_negative(soft, value)) {
      return bad_line(origin, lines.number(),
                      shown(soft) + " is not a limit; it is a number of bytes, or unlimited");
    }
    *limit = Bytes(value);
  }
  return limits;
}

Result<ProcessStatus> parse_process_status(std::string_view text, std::string_view origin) {
  ProcessStatus status;
  LineWalk lines(text);
  for (std::string_view line; lines.next(line);) {
    const std::string_view name = take_until(line, ':');
    Bytes* target = name == "VmSize"   ? &status.address
                    : name == "VmData" ? &status.data
                    : name == "VmRSS"  ? &status.resident
                    : name == "VmLck"  ? &status.locked
                                       : nullptr;
    if (target != nullptr) {
      std::int64_t value = 0;
      if (!amount(line, value)) {
        return bad_line(origin, lines.number(),
                        std::string(name) + " is " + shown(trimmed(line)) + "; it is \"1024 kB\"");
      }
      *target = Bytes(value);
    } else if (name == "CapEff") {
      std::uint64_t capabilities = 0;
      const std::string_view hex = trimmed(line);
      const auto [end, error] =
          std::from_chars(hex.data(), hex.data() + hex.size(), capabilities, 16);
      if (error != std::errc{} || end != hex.data() + hex.size()) {
        return bad_line(origin, lines.number(), "CapEff is " + shown(hex) + "; it is hexadecimal");
      }
      status.may_lock_all = (capabilities >> kCapIpcLock & 1) != 0;
    } else if (name == "Mems_allowed_list") {
      auto nodes = parse_index_list(line, origin);
      if (!nodes) return bad_line(origin, lines.number(), shown(trimmed(line)) + " is no list");
      status.allowed_nodes = *std::move(nodes);
    }
  }
  return status;
}

}  // namespace mais::probing
