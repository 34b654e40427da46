#include <algorithm>
#include <limits>

#include "mais/sim/trace.hpp"
#include "sim/prefix_block.hpp"
#include "sim/text_scanner.hpp"

namespace mais::sim {

namespace {

constexpr int kMaxDepth = 32;

struct Line {
  double timestamp = -1;
  std::int64_t input_length = -1;
  std::int64_t output_length = -1;
  bool has_hash_ids = false;
};

// A strict reader of one JSON object on one line; the keys we know are kept, others skipped.
class LineParser {
 public:
  LineParser(std::string_view text, Line& line, std::vector<std::uint64_t>& ids)
      : scanner_(text), line_(line), ids_(ids) {}

  // What is wrong, or nothing.
  std::string parse() {
    blank();
    if (!scanner_.take('{')) return "is not a JSON object";
    blank();
    if (!scanner_.take('}')) {
      do {
        blank();
        std::string_view key;
        if (!string(key)) return broken("a key in quotes");
        blank();
        if (!scanner_.take(':')) return broken("':'");
        blank();
        if (std::string problem = member(key); !problem.empty()) return problem;
        blank();
      } while (scanner_.take(','));
      if (!scanner_.take('}')) return broken("',' or '}'");
    }
    blank();
    if (!scanner_.done()) return "goes on after its object with " + shown(scanner_.rest());
    return {};
  }

 private:
  void blank() { scanner_.skip_blanks(); }

  std::string broken(const char* expected) const {
    if (scanner_.done()) return "ends too early: the line is cut off";
    return std::string("expected ") + expected + " at " + shown(scanner_.rest());
  }

  // The raw text between quotes; escapes are skipped over, not decoded: no known key has any.
  bool string(std::string_view& text) {
    TextScanner start = scanner_;
    if (!start.take('"')) return false;
    const std::string_view rest = start.rest();
    for (std::size_t i = 0; i < rest.size(); ++i) {
      if (rest[i] == '\\') {
        ++i;
      } else if (rest[i] == '"') {
        text = rest.substr(0, i);
        scanner_ = TextScanner(rest.substr(i + 1));
        return true;
      }
    }
    scanner_ = TextScanner({});  // the quote is never closed
    return false;
  }

  std::string member(std::string_view key) {
    if (key == "timestamp") {
      if (line_.timestamp >= 0) return "gives timestamp twice";
      double value = 0;
      if (!scanner_.take_number(value)) return broken("a number of milliseconds for timestamp");
      if (value < 0) return "timestamp is negative";
      if (value > kMaxTraceSeconds * 1e3) return "timestamp is beyond ten years";
      line_.timestamp = value;
      return {};
    }
    if (key == "input_length") return length(key, 1, line_.input_length);
    if (key == "output_length") return length(key, 0, line_.output_length);
    if (key == "hash_ids") return hash_ids();
    return skip_value(0);
  }

  std::string length(std::string_view key, std::int64_t least, std::int64_t& value) {
    if (value >= 0) return "gives " + std::string(key) + " twice";
    std::int64_t read = 0;
    if (!scanner_.take_integer(read)) {
      return scanner_.done()
                 ? broken("a number")
                 : std::string(key) + " is not a whole number at " + shown(scanner_.rest());
    }
    if (read < least || read > kMaxTraceTokens) {
      return std::string(key) + " is " + std::to_string(read) + ", not between " +
             std::to_string(least) + " and " + std::to_string(kMaxTraceTokens);
    }
    value = read;
    return {};
  }

  std::string hash_ids() {
    if (line_.has_hash_ids) return "gives hash_ids twice";
    line_.has_hash_ids = true;
    if (!scanner_.take('[')) return broken("'[' after hash_ids");
    blank();
    if (scanner_.take(']')) return {};
    do {
      blank();
      std::uint64_t id = 0;
      if (!scanner_.take_unsigned(id)) return broken("a hash id of 0 or more");
      ids_.push_back(id);
      blank();
    } while (scanner_.take(','));
    return scanner_.take(']') ? std::string() : broken("',' or ']'");
  }

  std::string skip_value(int depth) {
    if (depth == kMaxDepth) return "is nested too deep";
    std::string_view text;
    double number = 0;
    if (scanner_.peek() == '"') return string(text) ? std::string() : broken("a closing quote");
    if (scanner_.take('[')) return skip_members(depth, ']', false);
    if (scanner_.take('{')) return skip_members(depth, '}', true);
    for (const std::string_view word : {"true", "false", "null"}) {
      if (scanner_.rest().substr(0, word.size()) == word) {
        scanner_ = TextScanner(scanner_.rest().substr(word.size()));
        return {};
      }
    }
    return scanner_.take_number(number) ? std::string() : broken("a value");
  }

  std::string skip_members(int depth, char close, bool keyed) {
    blank();
    if (scanner_.take(close)) return {};
    do {
      blank();
      if (keyed) {
        std::string_view key;
        if (!string(key)) return broken("a key in quotes");
        blank();
        if (!scanner_.take(':')) return broken("':'");
        blank();
      }
      if (std::string problem = skip_value(depth + 1); !problem.empty()) return problem;
      blank();
    } while (scanner_.take(','));
    return scanner_.take(close) ? std::string() : broken("',' or a closing bracket");
  }

  TextScanner scanner_;
  Line& line_;
  std::vector<std::uint64_t>& ids_;
};

// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) over the chain so far and the id.
BlockHash chained(BlockHash before, std::uint64_t id) {
  std::uint64_t z = before * 0x9e3779b97f4a7c15u + id + 0x632be59bd9b4e019u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

std::string missing_key(const Line& line) {
  if (line.timestamp < 0) return "timestamp";
  if (line.input_length < 0) return "input_length";
  if (line.output_length < 0) return "output_length";
  return line.has_hash_ids ? "" : "hash_ids";
}

}  // namespace

Result<Trace> parse_mooncake(std::string_view text, std::string_view origin) {
  Trace trace;
  trace.name = origin;
  trace.prefix_block = kPrefixBlock;
  trace.requests.reserve(text.size() / 200);
  trace.hashes.reserve(text.size() / 8);

  std::vector<std::uint64_t> ids;
  Lines lines(text);
  std::string_view line_text;
  while (lines.next(line_text)) {
    if (line_text.empty()) continue;
    Line line;
    ids.clear();
    if (std::string problem = LineParser(line_text, line, ids).parse(); !problem.empty()) {
      return bad_line(origin, lines.number(), problem);
    }
    if (const std::string key = missing_key(line); !key.empty()) {
      return bad_line(origin, lines.number(), "has no " + key);
    }
    const Duration arrival = from_seconds(line.timestamp * 1e-3);
    if (!trace.requests.empty() && arrival < trace.requests.back().arrival) {
      return bad_line(origin, lines.number(),
                      "timestamp is before the line above; sort the file by arrival");
    }
    const std::int64_t block = kPrefixBlock.count();
    const auto most =
        static_cast<std::size_t>((line.input_length + line.output_length - 1) / block + 1);
    if (ids.size() > most) {
      return bad_line(origin, lines.number(),
                      "has " + std::to_string(ids.size()) + " hash_ids, but its tokens fill only " +
                          std::to_string(most) + " blocks of 512");
    }
    const std::size_t whole =
        std::min(ids.size(), static_cast<std::size_t>(line.input_length / block));
    if (trace.hashes.size() + whole > std::numeric_limits<std::uint32_t>::max()) {
      return bad_line(origin, lines.number(),
                      "is one prefix block too many: the file has over 2^32");
    }
    trace.requests.push_back({.arrival = arrival,
                              .prompt = Tokens(line.input_length),
                              .output = Tokens(std::max<std::int64_t>(line.output_length, 1)),
                              .first_prefix = static_cast<std::uint32_t>(trace.hashes.size()),
                              .prefix_count = static_cast<std::uint32_t>(whole)});
    BlockHash hash = 0;
    for (std::size_t i = 0; i < whole; ++i) {
      hash = chained(hash, ids[i]);
      trace.hashes.push_back(hash);
    }
  }
  if (trace.requests.empty()) {
    return bad_line(origin, std::max<std::int64_t>(lines.number(), 1),
                    "there is no request in the file");
  }
  return trace;
}

}  // namespace mais::sim
