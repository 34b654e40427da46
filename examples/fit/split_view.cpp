// A split for people.
#include <algorithm>
#include <array>
#include <filesystem>

#include "views.hpp"

namespace fit {

namespace {

using namespace mais;
using core::LayerMode;
using core::Split;

constexpr int kBar = 40;  // characters

std::string bar(const core::SpaceUse& use, const Look& look) {
  const double whole = static_cast<double>(std::max({use.capacity, use.used(), Bytes(1)}).count());
  std::string text;
  int drawn = 0;
  double filled = 0;
  const std::array parts{use.weights, use.state, use.workspace, use.buffers};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    filled += static_cast<double>(parts[i].count());
    const int until = std::min(kBar, static_cast<int>(filled / whole * kBar + 0.5));
    for (; drawn < until; ++drawn) text += look.parts[i];
  }
  for (; drawn < kBar; ++drawn) text += look.free;
  return text;
}

// "0-3, 7, 9-12", cut where it becomes long.
std::string ranges(const std::vector<int>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    if (text.size() > 40) return text + ", ...";
    text += (text.empty() ? "" : ", ") + std::to_string(numbers[i]);
    if (last > i) text += "-" + std::to_string(numbers[last]);
    i = last + 1;
  }
  return text;
}

std::string names_of(const Report& report, std::size_t stage) {
  const Split& split = *report.split;
  const auto ranks = static_cast<std::size_t>(split.tensor_parallel);
  const auto name = [&](std::size_t rank) {
    return report.spaces[split.spaces[stage * ranks + rank].space.value()];
  };
  return ranks == 1 ? name(0) : name(0) + " .. " + name(ranks - 1);
}

std::string place_text(const Report& report, const core::LayerPlace& place) {
  const std::string host = report.split->host ? report.spaces[report.split->host->value()] : "host";
  if (place.mode == LayerMode::host) return "in " + host + ", computed there";
  const std::string stage = names_of(report, static_cast<std::size_t>(place.stage));
  switch (place.mode) {
    case LayerMode::streamed:
      return "in " + host + ", copied to " + stage + " ahead of use";
    case LayerMode::experts_host:
      return "on " + stage + ", experts in " + host + ", computed there";
    case LayerMode::experts_streamed:
      return "on " + stage + ", experts in " + host + ", copied for use";
    default:
      return "on " + stage;
  }
}

std::string layers_text(const Report& report) {
  const Split& split = *report.split;
  struct Row {
    std::string where, what;
    std::vector<int> layers;
  };
  std::vector<Row> rows;
  for (std::size_t i = 0; i < split.layers.size(); ++i) {
    const std::string where = place_text(report, split.layers[i]);
    auto row = std::find_if(rows.begin(), rows.end(),
                            [&](const Row& other) { return other.where == where; });
    if (row == rows.end()) row = rows.insert(row, {where, "", {}});
    const std::string& name = report.layers[i];
    if (name.starts_with("layer ")) {
      row->layers.push_back(std::stoi(name.substr(6)));
    } else {
      row->what += (row->what.empty() ? "" : ", ") + name;
    }
  }
  std::string text;
  for (const Row& row : rows) {
    text += "  " + row.where + ":\n    ";
    if (!row.layers.empty()) {
      text += format("%zu layer%s (%s)", row.layers.size(), row.layers.size() == 1 ? "" : "s",
                     ranges(row.layers).c_str());
    }
    text += (row.layers.empty() || row.what.empty() ? "" : ", ") + row.what + "\n";
  }
  return text;
}

// One memory, or neighbours that are alike.
std::string name_of_range(const Report& report, SpaceId first, SpaceId last) {
  const std::string& name = report.spaces[first.value()];
  return first == last ? name : name + " .. " + report.spaces[last.value()];
}

std::string memories(const Report& report, const Look& look) {
  struct Row {
    std::string name;
    const core::SpaceUse* use;
  };
  std::vector<Row> rows;
  const std::vector<core::SpaceUse>& all = report.split->spaces;
  for (std::size_t i = 0; i < all.size();) {
    std::size_t last = i;
    while (last + 1 < all.size() && all[last + 1].used() == all[i].used() &&
           all[last + 1].capacity == all[i].capacity) {
      ++last;
    }
    rows.push_back({name_of_range(report, all[i].space, all[last].space), &all[i]});
    i = last + 1;
  }
  std::size_t width = 4;
  for (const Row& row : rows) width = std::max(width, row.name.size());
  std::string text;
  for (const Row& row : rows) {
    text += format("  %-*s [%s] %10s of %s\n", static_cast<int>(width), row.name.c_str(),
                   bar(*row.use, look).c_str(), size_text(row.use->used()).c_str(),
                   size_text(row.use->capacity).c_str());
  }
  return text +
         format("  %s weights  %s state (KV cache)  %s workspace  %s copy buffers  %s free\n",
                look.parts[0], look.parts[1], look.parts[2], look.parts[3], look.free);
}

std::string bound_text(const core::Bound& bound) {
  const int percent = static_cast<int>(bound.share * 100 + 0.5);
  const char* kind = bound.kind == core::BoundKind::memory    ? "memory bandwidth of "
                     : bound.kind == core::BoundKind::compute ? "compute of "
                                                              : "link ";
  return kind + bound.where + format(", at work %d %% of the time", percent);
}

std::string gains_text(const Report& report) {
  const Split& split = *report.split;
  std::string text;
  for (std::size_t i = 0; i < split.gains.size();) {
    const core::Gain& gain = split.gains[i];
    std::size_t last = i;  // stages that gain alike
    while (last + 1 < split.gains.size() && split.gains[last + 1].spaces.front() != split.host &&
           split.gains[last + 1].tokens_per_second == gain.tokens_per_second) {
      ++last;
    }
    const SpaceId first = gain.spaces.front(), end = split.gains[last].spaces.back();
    const std::string where = (last > i                 ? "any stage of "
                               : gain.spaces.size() > 1 ? "each of "
                                                        : "") +
                              name_of_range(report, first, end);
    const double more = gain.tokens_per_second / split.speed.tokens_per_second - 1;
    const std::string line = size_text(gain.more) + " more in " + where;
    text += format("  %-46s ", line.c_str());
    text += more < 0.0005
                ? "nothing\n"
                : format("%.4g tokens/s (+%.1f %%)\n", gain.tokens_per_second, more * 100);
    i = last + 1;
  }
  return text.empty() ? text : "What more memory would buy:\n" + text;
}

}  // namespace

std::string split_in_detail(const Report& report, bool unicode) {
  const Split& split = *report.split;
  const core::SplitSpeed& speed = split.speed;
  std::string text;
  if (split.whole()) {
    text += "Fits one device          " + report.spaces[split.spaces[0].space.value()] +
            ": no split is needed\n";
  } else {
    text += "Split                    ";
    if (split.stages.empty()) text += "all in the host";
    if (split.stages.size() > 1) {
      text += format("pipeline of %zu stages", split.stages.size());
    } else if (!split.stages.empty()) {
      text += split.tensor_parallel > 1 ? "one stage" : "one device";
    }
    if (split.tensor_parallel > 1)
      text += format(", tensor parallel over %d", split.tensor_parallel);
    if (split.host && !split.stages.empty()) text += ", and the host";
    text += "\n" + memories(report, look_of(unicode)) + layers_text(report) + "\n";
  }
  text += format("First token after        %s for a prompt of %s tokens (%.0f tokens/s)\n",
                 time_text(speed.ttft_s).c_str(), grouped(report.prompt).c_str(),
                 speed.prompt_tokens_per_second);
  text += format("Then a token every       %s alone: %.1f tokens/s\n",
                 time_text(speed.token_s).c_str(), 1 / speed.token_s);
  if (report.parallel > 1) {
    text += format(
        "With %-5s at once       %s each: %.0f tokens/s together%s\n",
        grouped(report.parallel).c_str(), time_text(speed.step_s).c_str(), speed.tokens_per_second,
        split.groups > 1 ? format(", in %d groups, one in each stage", split.groups).c_str() : "");
  }
  if (report.load_s) text += "Loading                  " + time_text(*report.load_s) + "\n";
  text += "Bound by                 " + bound_text(speed.bound) + "\n";
  text += "(predicted; nothing was measured)\n";
  return split.whole() ? text : text + gains_text(report);
}

std::string choices_in_detail(const std::vector<Choice>& choices) {
  std::string text = "Best quality first:\n";
  std::size_t width = 8;
  const auto name_of = [](const Choice& choice) {  // files of one folder need no path
    const std::filesystem::path path(choice.name);
    return path.has_filename() ? path.filename().string() : choice.name;
  };
  for (const Choice& choice : choices) width = std::max(width, name_of(choice).size());
  for (const Choice& choice : choices) {
    text +=
        format("%s %-*s %4.1f bits %12s  ", choice.chosen ? "->" : "  ", static_cast<int>(width),
               choice.name.c_str(), choice.bits, size_text(choice.weights).c_str());
    if (choice.speed) {
      text += format("TTFT %7s  TPOT %7s  ", time_text(choice.speed->ttft_s).c_str(),
                     time_text(choice.speed->step_s).c_str());
    }
    text += choice.chosen            ? "the best that will do"
            : choice.why_not.empty() ? "would do too"
            : choice.speed           ? "no: " + choice.why_not
                                     : "does not fit";
    text += "\n";
    if (!choice.speed) text += "     " + choice.why_not + "\n";
  }
  const bool any =
      std::any_of(choices.begin(), choices.end(), [](const Choice& c) { return c.chosen; });
  return text + (any ? "" : "None of them will do.\n");
}

}  // namespace fit
