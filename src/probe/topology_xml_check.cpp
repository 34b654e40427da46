#include "probe/topology_xml_check.hpp"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "probe/text_lines.hpp"

namespace mais::probing {

namespace {

constexpr std::size_t kMostWords = 256;  // 8,192 processors or nodes
constexpr std::size_t kMostDepth = 64;
constexpr std::uint64_t kMostIndex = kMostWords * 32 - 1;

// Bits, lowest word first.
using Bits = std::vector<std::uint32_t>;

bool part_of(const Bits& part, const Bits& whole) {
  for (std::size_t i = 0; i < part.size(); ++i) {
    if ((part[i] & ~(i < whole.size() ? whole[i] : 0)) != 0) return false;
  }
  return true;
}
bool overlap(const Bits& a, const Bits& b) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if ((a[i] & b[i]) != 0) return true;
  }
  return false;
}
bool empty(const Bits& bits) {
  return std::all_of(bits.begin(), bits.end(), [](std::uint32_t word) { return word == 0; });
}
bool only(const Bits& bits, std::uint64_t index) {
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (bits[i] != (i == index / 32 ? 1U << (index % 32) : 0)) return false;
  }
  return index / 32 < bits.size();
}
void join(Bits& bits, const Bits& more) {
  bits.resize(std::max(bits.size(), more.size()));
  for (std::size_t i = 0; i < more.size(); ++i) bits[i] |= more[i];
}

// "0x00000003,0x0000000f": highest word first.
bool read_bits(std::string_view text, Bits& bits) {
  bits.clear();
  while (!text.empty()) {
    std::string_view word = take_until(text, ',');
    std::uint32_t value = 0;
    if (!word.empty()) {
      if (!word.starts_with("0x") || word.size() < 3 || word.size() > 10) return false;
      word.remove_prefix(2);
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, 16);
      if (error != std::errc{} || end != word.data() + word.size()) return false;
    }
    bits.push_back(value);
    if (bits.size() > kMostWords) return false;
  }
  std::reverse(bits.begin(), bits.end());
  return !bits.empty();
}

constexpr std::string_view kNormal[] = {"Machine",  "Package",  "Die",     "Core",    "PU",
                                        "L1Cache",  "L2Cache",  "L3Cache", "L4Cache", "L5Cache",
                                        "L1iCache", "L2iCache", "L3iCache"};
constexpr std::string_view kMemory[] = {"NUMANode"};
constexpr std::string_view kWithoutSets[] = {"Bridge", "PCIDev", "OSDev", "Misc"};

template <std::size_t N>
bool among(std::string_view word, const std::string_view (&list)[N]) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

struct Tag {
  std::string_view name;
  std::vector<std::pair<std::string_view, std::string_view>> attributes;
  std::optional<std::string_view> find(std::string_view key) const {
    for (const auto& [name_of, value] : attributes) {
      if (name_of == key) return value;
    }
    return std::nullopt;
  }
};

struct Object {
  std::string_view type;
  bool has_sets = false;
  Bits cpus, all_cpus, nodes, all_nodes;
  Bits taken;  // processors of its ordinary children so far
};

class Check {
 public:
  Check(std::string_view xml, std::string_view origin) : xml_(xml), origin_(origin) {}

  std::optional<Error> run() {
    while (!fault_ && next_tag()) {
    }
    if (!fault_ && !open_.empty()) {
      fail_with("the text ends inside <" + std::string(open_.back()) + ">");
    }
    if (!fault_ && (units_ == 0 || nodes_ == 0)) {
      fail_with("there is no processing unit (PU), or no NUMANode; a topology has both");
    }
    return std::move(fault_);
  }

 private:
  void fail_with(const std::string& what) {
    if (!fault_) fault_ = bad_line(origin_, line_, what).value();
  }

  void skip_to(std::size_t at) {
    line_ +=
        static_cast<std::size_t>(std::count(xml_.begin() + static_cast<std::ptrdiff_t>(at_),
                                            xml_.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    at_ = at;
  }

  // Takes everything up to the end of the next tag; false at the end of the text.
  bool next_tag() {
    const std::size_t begin = xml_.find('<', at_);
    if (begin == std::string_view::npos) {
      skip_to(xml_.size());
      return false;
    }
    skip_to(begin);
    const std::size_t end = xml_.find('>', begin);
    if (end == std::string_view::npos) {
      fail_with("a tag has no end");
      return false;
    }
    std::string_view inside = xml_.substr(begin + 1, end - begin - 1);
    if (inside.starts_with("?") || inside.starts_with("!DOCTYPE topology")) {
      if (!open_.empty()) fail_with("a declaration stands inside the topology");
    } else if (inside.starts_with("/")) {
      close(trimmed(inside.substr(1)));
    } else {
      const bool alone = inside.ends_with('/');
      if (alone) inside.remove_suffix(1);
      open(inside, alone);
    }
    skip_to(end + 1);
    return true;
  }

  bool read_tag(std::string_view text, Tag& tag) {
    const std::size_t name_end = std::min(text.find_first_of(" \t\r\n"), text.size());
    tag.name = text.substr(0, name_end);
    text.remove_prefix(name_end);
    while (!trimmed(text).empty()) {
      const std::string_view key = trimmed(take_until(text, '='));
      text = text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
      const char quote = text.empty() ? '\0' : text.front();
      const std::size_t end = quote == '"' ? text.find(quote, 1) : std::string_view::npos;
      const bool plain = !key.empty() && key.find_first_not_of(
                                             "abcdefghijklmnopqrstuvwxyz_"
                                             "0123456789") == std::string_view::npos;
      if (!plain || end == std::string_view::npos || tag.find(key)) {
        fail_with("<" + std::string(tag.name.substr(0, 40)) + "> has " + shown(key) +
                  " where name=\"value\" would stand once");
        return false;
      }
      const std::string_view value = text.substr(1, end - 1);
      if (value.find('<') != std::string_view::npos) {
        fail_with("a value holds a bare <");
        return false;
      }
      tag.attributes.emplace_back(key, value);
      text.remove_prefix(end + 1);
    }
    return !tag.name.empty() && tag.name.size() < 40;
  }

  void open(std::string_view text, bool alone) {
    Tag tag;
    if (!read_tag(text, tag)) return fail_with(shown(text) + " is no tag");
    if (open_.size() >= kMostDepth) return fail_with("tags are nested more than 64 deep");
    if (open_.empty()) {
      const auto version = tag.find("version");
      if (seen_root_ || tag.name != "topology" || !version || !version->starts_with("2.")) {
        return fail_with(shown(tag.name) + " is not the <topology version=\"2.0\"> that is wanted");
      }
      seen_root_ = true;
    } else if (tag.name == "object") {
      open_object(tag);
    } else if (tag.name == "topology") {
      return fail_with("a topology stands inside a topology");
    }
    if (fault_) return;
    if (!alone) {
      open_.emplace_back(tag.name);
    } else if (tag.name == "object") {
      objects_.pop_back();
    }
  }

  void close(std::string_view name) {
    if (open_.empty() || open_.back() != name) {
      return fail_with("</" + std::string(name.substr(0, 40)) + "> closes nothing that is open");
    }
    open_.pop_back();
    if (name == "object") objects_.pop_back();
  }

  bool number(const Tag& tag, std::string_view key, std::uint64_t most, std::uint64_t& value) {
    const auto text = tag.find(key);
    return text && to_number(*text, value) && value <= most;
  }

  void open_object(const Tag& tag) {
    const std::string_view type = tag.find("type").value_or("");
    Object object;
    object.type = type;
    const bool normal = among(type, kNormal), memory = among(type, kMemory);
    const bool group = type == "Group" || type == "MemCache";
    object.has_sets = normal || memory || group;
    if (!object.has_sets && !among(type, kWithoutSets)) {
      return fail_with(shown(type) + " is no type of object");
    }
    if (objects_.empty() != (type == "Machine") || (objects_.empty() && seen_machine_)) {
      return fail_with("the one Machine is the object that holds all others");
    }
    if (open_.back() != (objects_.empty() ? "topology" : "object")) {
      return fail_with("an object stands inside <" + std::string(open_.back()) + ">");
    }
    seen_machine_ = true;
    std::uint64_t id = 0;
    if (!number(tag, "gp_index", ~std::uint64_t{0}, id) || !ids_.insert(id).second) {
      return fail_with("each object has a gp_index of its own");
    }
    if (object.has_sets) {
      read_sets(tag, object);
      if (fault_) return;
    } else if (!objects_.empty() &&
               (objects_.back().type == "PU" || objects_.back().type == "NUMANode") &&
               type != "Misc") {
      return fail_with(std::string(type) + " cannot stand inside " +
                       std::string(objects_.back().type));
    } else if (tag.find("cpuset") || tag.find("nodeset") || tag.find("complete_cpuset") ||
               tag.find("complete_nodeset")) {
      return fail_with(std::string(type) + " has no sets of its own");
    }
    objects_.push_back(std::move(object));
  }

  void read_sets(const Tag& tag, Object& object) {
    const std::string type(object.type);
    for (const auto& [key, bits] :
         {std::pair{"cpuset", &object.cpus}, std::pair{"complete_cpuset", &object.all_cpus},
          std::pair{"nodeset", &object.nodes}, std::pair{"complete_nodeset", &object.all_nodes}}) {
      const auto text = tag.find(key);
      if (!text || !read_bits(*text, *bits)) {
        return fail_with(type + " needs a " + key + " such as 0x0000000f");
      }
    }
    const bool leaf = object.type == "PU" || object.type == "NUMANode";
    std::uint64_t index = 0;
    if (leaf && !number(tag, "os_index", kMostIndex, index)) {
      return fail_with(type + " needs an os_index of at most 8191");
    }
    if (!part_of(object.cpus, object.all_cpus) || !part_of(object.nodes, object.all_nodes) ||
        empty(object.nodes) ||
        (object.type != "NUMANode" && object.type != "MemCache" && empty(object.cpus))) {
      return fail_with("the sets of " + type + " are empty, or larger than its complete ones");
    }
    if (object.type == "PU") {
      ++units_;
      if (!only(object.cpus, index) || !only(object.all_cpus, index)) {
        return fail_with("the cpuset of PU " + std::to_string(index) + " is not itself");
      }
    }
    if (object.type == "NUMANode") {
      ++nodes_;
      if (!only(object.nodes, index) || !only(object.all_nodes, index) ||
          !numa_.insert(index).second) {
        return fail_with("the nodeset of NUMANode " + std::to_string(index) +
                         " is not itself, or it stands here twice");
      }
    }
    if (objects_.empty()) {
      for (const char* key : {"allowed_cpuset", "allowed_nodeset"}) {
        Bits allowed;
        const bool of_cpus = std::string_view(key) == "allowed_cpuset";
        const auto text = tag.find(key);
        if (!text || !read_bits(*text, allowed) || empty(allowed) ||
            !part_of(allowed, of_cpus ? object.all_cpus : object.all_nodes)) {
          return fail_with(std::string("Machine needs an ") + key + " within its complete set");
        }
      }
      return;
    }
    Object& parent = objects_.back();
    if (!parent.has_sets || parent.type == "PU" || parent.type == "NUMANode") {
      return fail_with(type + " cannot stand inside " + std::string(parent.type));
    }
    if (!part_of(object.cpus, parent.cpus) || !part_of(object.all_cpus, parent.all_cpus) ||
        !part_of(object.nodes, parent.nodes) || !part_of(object.all_nodes, parent.all_nodes)) {
      return fail_with("the sets of " + type + " are not within those of " +
                       std::string(parent.type));
    }
    if (object.type == "NUMANode" || object.type == "MemCache") return;
    if (overlap(object.all_cpus, parent.taken)) {
      return fail_with(type + " shares a processor with the one before it");
    }
    join(parent.taken, object.all_cpus);
  }

  std::string_view xml_, origin_;
  std::size_t at_ = 0, line_ = 1;
  std::vector<std::string> open_;
  std::vector<Object> objects_;
  std::set<std::uint64_t> ids_, numa_;
  std::size_t units_ = 0, nodes_ = 0;
  bool seen_root_ = false, seen_machine_ = false;
  std::optional<Error> fault_;
};

}  // namespace

std::optional<Error> check_topology_xml(std::string_view xml, std::string_view origin) {
  return Check(xml, origin).run();
}

}  // namespace mais::probing
