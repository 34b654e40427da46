// Replays a trace against the scheduler under a simulated clock, or a scheduler's journal; see
// --help.
#include <cstdio>
#include <iostream>

#include "../progress.hpp"
#include "../write_file.hpp"
#include "journal_study.hpp"
#include "mais/sim/report.hpp"
#include "options.hpp"
#include "study.hpp"

namespace {

using namespace mais;

constexpr int kBadInput = 1;
constexpr int kSchedulerAtFault = 3;

int fail_with(const std::string& message) {
  std::cerr << "replay: " << message << '\n';
  return kBadInput;
}

// True when everything was written.
bool write(const std::string& path, const std::string& text) {
  if (path == "-") {
    std::cout << text;
    return std::cout.flush().good();
  }
  const bool written = example::write_file(path, text);
  if (!written) std::cerr << "replay: " << path << ": cannot be written\n";
  return written;
}

// True when everything that the options name was written.
bool write_all(const replay::Options& options, const sim::Report& report, std::ostream& out) {
  bool written = true;
  if (options.json) written &= write(*options.json, sim::to_json(report));
  if (options.csv) written &= write(*options.csv, sim::to_csv(report));
  if (options.html) {
    written &= write(*options.html, sim::to_html(report));
    if (written) out << "\nPage with plots: " << *options.html << '\n';
  }
  return written;
}

int replay_journal(const replay::Options& options) {
  const Result<replay::JournalStudy> study = replay::study_journal(*options.journal);
  if (!study) return fail_with(study.error().message);
  std::ostream& out = options.uses_stdout() ? std::cerr : std::cout;
  out << replay::to_text(*study);
  if (!write_all(options, replay::report_of(*study, options.command), out)) return kBadInput;
  if (study->difference) return kSchedulerAtFault;
  return study->end.kind == JournalEnd::Kind::damaged ? kBadInput : 0;
}

void introduce(std::ostream& out, const sim::Report& report, bool capacity) {
  out << (report.synthetic ? "Synthetic workload" : "Trace") << ": " << report.trace << ", "
      << report.requests << " requests";
  if (report.left_out > 0) out << " (" << report.left_out << " longer than memory left out)";
  char rate[64];
  std::snprintf(rate, sizeof rate, ", %.3g requests/s as it stands", report.trace_rate);
  out << rate << "\nSimulated machine: " << report.machine;
  if (report.host_tier) out << " with a host tier";
  out << (capacity ? "\nFigures beside the capacities are those at capacity-90.\n\n" : "\n\n");
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = replay::read_options(argc, argv);
  if (!options) return options.error().code;
  if (options->journal) return replay_journal(*options);
  Result<sim::Scenario> scenario = replay::load_machine(*options);
  if (!scenario) return fail_with(scenario.error().message);
  Result<sim::Trace> trace = replay::load_trace(*options);
  if (!trace) return fail_with(trace.error().message);
  const std::size_t left_out = sim::leave_out_longer_than(*trace, sim::pool_tokens(*scenario));
  if (trace->requests.empty()) return fail_with("every request is longer than the pool of state");

  Result<sim::Report> report = [&] {
    example::Progress progress("replay");
    return replay::study(*options, *trace, left_out, *scenario, progress);
  }();
  if (!report) {
    std::cerr << "replay: " << report.error().message << '\n';
    return kSchedulerAtFault;
  }

  std::ostream& out = options->uses_stdout() ? std::cerr : std::cout;
  introduce(out, *report, options->capacity);
  out << sim::to_table(*report);
  if (!write_all(*options, *report, out)) return kBadInput;
  if (replay::at_fault(*report)) {
    std::cerr << "replay: the scheduler was at fault: out of memory, or requests never ended\n";
    return kSchedulerAtFault;
  }
  return 0;
}
