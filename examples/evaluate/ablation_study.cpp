#include "markdown.hpp"
#include "plot.hpp"
#include "studies.hpp"

namespace evaluate {

using namespace mais;

AblationStudy::AblationStudy(const Settings& settings)
    : columns_{{settings.chat_l4, nullptr},
               {settings.chat_a100, nullptr},
               {settings.long_a100_host, settings.long_a100},
               {settings.long_h200_host, settings.long_h200}} {
  const auto add = [&](const std::string& name, auto change, bool prefixes = false) {
    Variant variant{.name = name};
    change(variant.policy);
    rows_.push_back({.name = name, .variant = std::move(variant), .prefixes = prefixes});
  };
  rows_.push_back({.name = "everything on (default)", .variant = projected()});
  add("memory: what is held", [](Policy& p) { p.memory = MemoryPolicy::optimistic; });
  add("memory: declared bound", [](Policy& p) { p.memory = MemoryPolicy::no_evict; });
  add("order: deadline", [](Policy& p) { p.order = OrderPolicy::deadline; });
  add("order: shortest", [](Policy& p) { p.order = OrderPolicy::shortest; });
  add("order: arrival", [](Policy& p) { p.order = OrderPolicy::arrival; });
  add("step: 512 tokens", [](Policy& p) { p.step = StepPolicy::budget; });
  add("late ones not paused", [](Policy& p) { p.pause_late = false; });
  rows_.push_back({.name = "no ageing", .variant = without_ageing()});
  add(
      "no prefix sharing", [](Policy& p) { p.share_prefixes = false; }, true);
  add(
      "no swap", [](Policy& p) { p.swap = false; }, true);
  rows_.push_back(
      {.name = "no host tier", .variant = projected(), .prefixes = true, .no_tier = true});
}

std::optional<Job> AblationStudy::job(const Row& row, const Column& column) const {
  if (row.prefixes && column.without_tier == nullptr) return std::nullopt;
  return capacity_of(row.no_tier ? column.without_tier : column.setting, row.variant);
}

std::vector<Job> AblationStudy::jobs(const Workbench&) const {
  std::vector<Job> jobs;
  for (const Row& row : rows_) {
    for (const Column& column : columns_) {
      if (auto wanted = job(row, column)) jobs.push_back(*std::move(wanted));
    }
  }
  return jobs;
}

Findings AblationStudy::findings(const Workbench& known) const {
  BarPlot plot{.title = "Each mechanism off in turn",
               .about =
                   "Simulated. Capacity-90 of the default policy (first row, dashed line) and "
                   "with one mechanism off or replaced.",
               .label = "requests per second",
               .wide_name = {},
               .thin_name = {},
               .rows = {},
               .panels = {}};
  std::vector<std::string> head = {"off or replaced"};
  for (const Column& column : columns_) {
    plot.panels.push_back({.title = column.setting->name});
    head.push_back(column.setting->name);
  }
  std::vector<std::vector<std::string>> rows, preempted;
  for (const Row& row : rows_) {
    plot.rows.push_back(row.name);
    rows.push_back({row.name});
    preempted.push_back({row.name});
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const auto wanted = job(row, columns_[i]);
      if (!wanted) {
        rows.back().push_back("-");
        preempted.back().push_back("-");
        plot.panels[i].wide.emplace_back(std::nullopt);
        continue;
      }
      const Outcome& at = known.at(*wanted);
      const double full = known.at(*job(rows_.front(), columns_[i])).capacity_90;
      std::string change;
      if (rows.size() > 1 && full > 0) {
        char text[32];
        std::snprintf(text, sizeof text, " (%+.0f %%)", (at.capacity_90 / full - 1) * 100);
        change = text;
      }
      rows.back().push_back(fixed(at.capacity_90, 3) + change + " / " + fixed(at.capacity_99, 3));
      const double computed = static_cast<double>(at.run.computed.count());
      const double again = static_cast<double>(at.run.recomputed.count());
      preempted.back().push_back(std::to_string(at.run.preemptions) + " (" +
                                 percent(computed > 0 ? again / computed : 0, 2) + ")");
      plot.panels[i].wide.emplace_back(at.capacity_90);
      plot.panels[i].rule = {.y = full, .text = {}};
    }
  }
  return {
      .markdown =
          "Capacity-90 (change against the default) / capacity-99, requests per "
          "second; - where the trace shares no prefixes and the machine has no host tier.\n\n" +
          table(head, rows) +
          "\nPreemptions (part of all tokens that was computed again) at capacity-90 of each, or "
          "at the lowest load tried where that is 0:\n\n" +
          table(head, preempted),
      .plots = {{"ablation", to_svg(plot)}}};
}

}  // namespace evaluate
