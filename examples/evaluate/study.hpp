// A study: which replays it needs, and what it makes of them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "workbench.hpp"

namespace evaluate {

struct Findings {
  std::string markdown;                                      // tables, with a sentence before each
  std::vector<std::pair<std::string, std::string>> plots{};  // file name without .svg, and the SVG
};

class Study {
 public:
  virtual ~Study() = default;
  virtual std::string name() const = 0;   // a word, for --only and file names
  virtual std::string title() const = 0;  // a heading
  // All replays it can name by what is known: asked again when those have run, until it names no
  // more.
  virtual std::vector<Job> jobs(const Workbench& known) const = 0;
  // Once all jobs have run.
  virtual Findings findings(const Workbench& known) const = 0;
};

// Every study, in the order in which they are told.
std::vector<std::unique_ptr<Study>> all_studies(const Settings& settings);

// Runs all jobs of the studies.
mais::Result<void> run_studies(const std::vector<const Study*>& studies, Workbench& bench,
                               const Workbench::Progress& progress);

// The policies by their names, and the default without ageing.
Variant projected();
Variant optimistic();
Variant no_evict();
Variant without_ageing();

Job capacity_of(const SettingRef& setting, const Variant& variant);
Job offline_of(const SettingRef& setting, const Variant& variant);
Job at_load(const SettingRef& setting, const Variant& variant, double requests_per_second);

}  // namespace evaluate
