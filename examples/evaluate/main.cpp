// Measures the scheduler on traces under a simulated clock, and writes tables and plots; see
// --help.
#include <algorithm>
#include <chrono>
#include <iostream>

#include "../progress.hpp"
#include "options.hpp"
#include "output.hpp"

namespace {

constexpr int kBadInput = 1;
constexpr int kSchedulerAtFault = 3;

int fail_with(const mais::Error& error, int code) {
  std::cerr << "evaluate: " << error.message << '\n';
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> names;
  for (const auto& study : evaluate::all_studies({})) names.push_back(study->name());
  const auto options = evaluate::read_options(argc, argv, names);
  if (!options) return options.error().code;
  const auto settings = evaluate::load_settings(options->settings);
  if (!settings) return fail_with(settings.error(), kBadInput);

  const auto studies = evaluate::all_studies(*settings);
  std::vector<const evaluate::Study*> chosen;
  for (const auto& study : studies) {
    const bool wanted = options->only.empty() ||
                        std::count(options->only.begin(), options->only.end(), study->name()) > 0;
    if (wanted) chosen.push_back(study.get());
  }
  if (settings->synthetic) {
    std::cout << "Synthetic workloads: recorded traces were not asked for, or are not at hand "
                 "(evaluate --help says where they are looked for).\n";
  }
  const auto start = std::chrono::steady_clock::now();
  evaluate::Workbench bench(options->workers);
  {
    example::Progress progress("evaluate");
    const auto ran = evaluate::run_studies(
        chosen, bench, [&](const std::string& what, double done) { progress.show(what, done); });
    if (!ran) return fail_with(ran.error(), kSchedulerAtFault);
  }
  if (const auto written = evaluate::write_results(chosen, bench, *settings, options->out);
      !written) {
    return fail_with(written.error(), kBadInput);
  }
  for (const evaluate::Study* study : chosen) {
    std::cout << "\n=== " << study->title() << "\n" << study->findings(bench).markdown;
  }
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start)
          .count();
  std::cout << "\nTables and plots: " << options->out << "/summary.md\nTook " << seconds << " s.\n";
  return 0;
}
