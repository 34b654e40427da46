// Plans the memory of an operator graph (JSON, .onnx where built in) or of a list of buffers (CSV).
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "../write_file.hpp"
#include "mais/files/operator_graph_csv.hpp"
#include "mais/files/operator_graph_json.hpp"
#ifdef ARENA_READS_ONNX
#include "mais/files/operator_graph_onnx.hpp"
#endif
#include "mais/graph/lifetimes.hpp"
#include "mais/graph/order.hpp"
#include "picture.hpp"

namespace {

using namespace mais;
using namespace mais::graph;
using Clock = std::chrono::steady_clock;

constexpr double kPatience = 60;  // seconds of one search, where --minimize sets none

struct Options {
  std::string file;
  std::optional<std::int64_t> capacity;
  double minimize = 0;
  std::vector<std::string> bounds;
  std::string csv, json, html;
};

struct Outcome {
  std::vector<ArenaPicture> arenas;
  std::optional<Bytes> given_peak, peak, peak_bound;  // of the orders
};

int fault(const std::string& message) {
  std::cerr << "arena: " << message << '\n';
  return 1;
}

// A line on the terminal, ten times a second at most, gone when the search ends.
class ProgressLine {
 public:
  explicit ProgressLine(const char* what) : what_(what), shown_(isatty(STDERR_FILENO) != 0) {}
  ~ProgressLine() {
    if (printed_) std::fprintf(stderr, "\r\033[K");
  }
  void operator()(const Progress& progress) {
    const auto now = Clock::now();
    if (!shown_ || now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    printed_ = true;
    std::fprintf(stderr, "\r\033[K%s: best %lld, bound %lld (%.2f %% apart), %lld nodes, %.1f s",
                 what_, static_cast<long long>(progress.best.count()),
                 static_cast<long long>(progress.bound.count()),
                 100.0 * static_cast<double>((progress.best - progress.bound).count()) /
                     static_cast<double>(std::max<std::int64_t>(1, progress.bound.count())),
                 static_cast<long long>(progress.nodes),
                 std::chrono::duration<double>(now - start_).count());
  }

 private:
  const char* what_;
  bool shown_;
  bool printed_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_ = start_;
};

SearchControl watched(ProgressLine& line, double seconds) {
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(seconds));
  return {[end] { return Clock::now() >= end; }, [&line](const Progress& p) { line(p); }};
}

Result<ArenaPlan> plan(const ArenaProblem& problem, const Options& options) {
  ProgressLine line("offsets");
  ArenaOptions search;
  if (options.minimize > 0 || options.capacity) {  // then time is the limit
    search.max_nodes = search.max_rounds = search.max_placements = INT64_MAX / 4;
  }
  search.control = watched(line, options.minimize > 0 ? options.minimize : kPatience);
  return plan_arena(problem, search);
}

// With --minimize the plan is made as low as the time allows, and the capacity checked after.
Result<ArenaPicture> arena(std::string title, std::vector<std::string> names, ArenaProblem problem,
                           const Options& options) {
  if (options.capacity) problem.capacity = Bytes(*options.capacity);
  ArenaProblem asked = problem;
  if (options.minimize > 0) asked.capacity.reset();
  Result<ArenaPlan> found = plan(asked, options);
  if (!found) return tl::unexpected<Error>(found.error());
  if (const std::vector<Fault> faults = validate(problem, *found); !faults.empty()) {
    return mais::fail(ErrorCode::over_capacity, "the plan is not valid: " + to_string(faults));
  }
  return ArenaPicture{std::move(title), std::move(names), std::move(problem), *std::move(found)};
}

Result<Outcome> plan_table(const std::string& text, const Options& options) {
  Result<files::BufferTable> table = files::parse_buffers_csv(text, options.file);
  if (!table) return tl::unexpected<Error>(table.error());
  Result<ArenaPicture> picture = arena(options.file, table->ids, {table->buffers, {}}, options);
  if (!picture) return tl::unexpected<Error>(picture.error());
  return Outcome{{*std::move(picture)}, {}, {}, {}};
}

// "N=8": dimension N is at most 8.
Result<DimensionBounds> bounds_of(const std::vector<std::string>& texts) {
  DimensionBounds bounds;
  for (const std::string& text : texts) {
    const std::size_t equals = text.rfind('=');
    std::int64_t most = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] =
        equals == std::string::npos
            ? std::from_chars_result{text.data(), std::errc::invalid_argument}
            : std::from_chars(text.data() + equals + 1, end, most);
    if (equals == 0 || error != std::errc() || stop != end || most < 1) {
      return mais::fail(ErrorCode::invalid_argument,
                        "--bound " + text + ": NAME=LENGTH is needed, with a length of 1 or more");
    }
    bounds[text.substr(0, equals)] = {most, {}};
  }
  return bounds;
}

Result<OperatorGraph> read_onnx(const std::string& bytes, const Options& options) {
  const Result<DimensionBounds> bounds = bounds_of(options.bounds);
  if (!bounds) return tl::unexpected<Error>(bounds.error());
#ifdef ARENA_READS_ONNX
  return files::parse_operator_graph_onnx(bytes, options.file, {.bounds = *bounds});
#else
  static_cast<void>(bytes);
  return mais::fail(ErrorCode::invalid_argument,
                    options.file + ": this program was built without the ONNX library");
#endif
}

Result<Outcome> plan_graph(const Result<OperatorGraph>& graph, const Options& options) {
  if (!graph) return tl::unexpected<Error>(graph.error());
  Outcome outcome;
  std::vector<OpId> given;
  for (std::uint32_t v = 0; v < graph->operators().size(); ++v) given.emplace_back(v);
  if (const Result<Usage> usage = measure(*graph, given)) outcome.given_peak = usage->peak_level;
  OrderPlan order;
  {
    ProgressLine line("order");
    order = plan_order(*graph, {.control = watched(line, options.minimize > 0 ? options.minimize / 2
                                                                              : kPatience)});
  }
  outcome.peak = order.peak;
  outcome.peak_bound = order.lower_bound;
  const Lifetimes lives = lifetimes(*graph, order.order).value();
  for (std::size_t s = 0; s < lives.arenas.size(); ++s) {
    std::vector<std::string> names(lives.arenas[s].buffers.size());
    for (std::size_t v = 0; v < lives.workspace.size(); ++v) {
      for (const BufferPlace& place : lives.workspace[v]) {
        if (place.space.value() == s) {
          names[place.buffer] = graph->operators()[v].name + " workspace";
        }
      }
    }
    for (std::size_t i = 0; i < lives.storages.size(); ++i) {
      if (lives.storages[i].space.value() != s) continue;
      std::string& name = names[lives.storages[i].buffer];
      const TensorId root = graph->storages()[i].root;
      name += (name.empty() ? "" : " + ") + graph->tensors()[root.value()].name;
    }
    Result<ArenaPicture> picture =
        arena(options.file + ", " + graph->spaces()[s].name, names, lives.arenas[s], options);
    if (!picture) return tl::unexpected<Error>(picture.error());
    outcome.arenas.push_back(*std::move(picture));
  }
  return outcome;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 32) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", c);
      out += code;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + '"';
}

std::string csv_text(const Outcome& outcome) {
  std::string text = "id,offset\n";
  for (const ArenaPicture& each : outcome.arenas) {
    for (std::size_t i = 0; i < each.names.size(); ++i) {
      text += csv_field(each.names[i]) + "," + std::to_string(each.plan.offsets[i].count()) + "\n";
    }
  }
  return text;
}

std::string json_text(const Outcome& outcome) {
  std::ostringstream out;
  out << "{";
  const auto field = [&](const char* name, const std::optional<Bytes>& bytes) {
    if (bytes) out << "\"" << name << "\": " << bytes->count() << ", ";
  };
  field("given_peak", outcome.given_peak);
  field("peak", outcome.peak);
  field("peak_bound", outcome.peak_bound);
  out << "\"arenas\": [";
  for (std::size_t a = 0; a < outcome.arenas.size(); ++a) {
    const ArenaPicture& each = outcome.arenas[a];
    out << (a == 0 ? "" : ", ") << "{\"name\": " << quoted(each.title)
        << ", \"height\": " << each.plan.height.count()
        << ", \"bound\": " << each.plan.lower_bound.count() << ", \"buffers\": [";
    for (std::size_t i = 0; i < each.names.size(); ++i) {
      const Buffer& buffer = each.problem.buffers[i];
      out << (i == 0 ? "" : ", ") << "\n  {\"id\": " << quoted(each.names[i])
          << ", \"offset\": " << each.plan.offsets[i].count()
          << ", \"size\": " << buffer.size.count() << ", \"lower\": " << buffer.lower
          << ", \"upper\": " << buffer.upper << "}";
    }
    out << "]}";
  }
  out << "]}\n";
  return out.str();
}

std::string summary(const Outcome& outcome) {
  std::ostringstream out;
  const auto percent = [](Bytes above, Bytes below) {
    char text[64];
    std::snprintf(text, sizeof text, "%.2f %% above the bound",
                  100.0 * static_cast<double>((above - below).count()) /
                      static_cast<double>(std::max<std::int64_t>(1, below.count())));
    return above == below ? std::string("proven optimal") : std::string(text);
  };
  if (outcome.given_peak) {
    out << "peak of the given order " << outcome.given_peak->count() << " bytes\n";
  }
  if (outcome.peak) {
    out << "peak of our order       " << outcome.peak->count() << " bytes, "
        << percent(*outcome.peak, *outcome.peak_bound) << "\n";
  }
  for (const ArenaPicture& each : outcome.arenas) {
    out << "arena                   " << each.plan.height.count() << " bytes for "
        << each.names.size() << " buffers, bound " << each.plan.lower_bound.count() << ", "
        << percent(each.plan.height, each.plan.lower_bound) << "\n";
  }
  return out.str();
}

bool write(const std::string& path, const std::string& text) {
  if (path.empty()) return true;
  if (path == "-") {
    std::cout << text << std::flush;
    return static_cast<bool>(std::cout);
  }
  return example::write_file(path, text);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Plans memory: the execution order of lowest peak for an operator graph (.json, .onnx), and "
      "an offset in one arena for every buffer (of the graph, or of a .csv with columns id, lower, "
      "upper, size).\nExit status 0: a valid plan within the capacity. 1: none was found, or a "
      "file could "
      "not be read. Figures go to standard error where a result goes to standard output."};
  app.name("arena");
  Options options;
  app.add_option("FILE", options.file, "operator graph (.json, .onnx) or buffers (.csv)")
      ->required()
      ->type_name("");
  app.add_option("--capacity", options.capacity, "the arena holds this many bytes; any fit will do")
      ->type_name("BYTES")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--minimize", options.minimize, "search this long for the lowest arena")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber);
  app.add_option("--bound", options.bounds,
                 "the largest length of a dimension that an .onnx model only names; an unnamed one "
                 "of input x is \"x[0]\"")
      ->type_name("NAME=LENGTH");
  app.add_option("--csv", options.csv, "write columns id, offset; - is standard output")
      ->type_name("FILE|-");
  app.add_option("--json", options.json, "write the whole plan; - is standard output")
      ->type_name("FILE|-");
  app.add_option("--html", options.html, "draw the arena over time")->type_name("FILE");
  app.footer("Example: arena model.json --minimize 10 --html arena.html");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;  // --help is one too
  }

  std::ifstream in(options.file, std::ios::binary);
  if (!in) return fault(options.file + ": it cannot be read");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const Result<Outcome> outcome =
      options.file.ends_with(".onnx") ? plan_graph(read_onnx(text, options), options)
      : options.file.ends_with(".json")
          ? plan_graph(files::parse_operator_graph_json(text, options.file), options)
          : plan_table(text, options);
  if (!outcome) return fault(outcome.error().message);

  const std::string lines = summary(*outcome);
  const bool stdout_used = options.csv == "-" || options.json == "-";
  (stdout_used ? std::cerr : std::cout) << lines;
  if (!write(options.csv, csv_text(*outcome))) return fault(options.csv + ": it cannot be written");
  if (!write(options.json, json_text(*outcome))) {
    return fault(options.json + ": it cannot be written");
  }
  if (!write(options.html, options.html.empty() ? "" : arena_html(outcome->arenas, lines))) {
    return fault(options.html + ": it cannot be written");
  }
  return 0;
}
