#include "output.hpp"

#include <algorithm>
#include <filesystem>

#include "../write_file.hpp"
#include "mais/sim/report.hpp"

namespace evaluate {

namespace {

using namespace mais;

Result<void> write(const std::filesystem::path& path, const std::string& text) {
  if (!example::write_file(path, text))
    return fail(ErrorCode::io_error, path.string() + ": cannot be written");
  return {};
}

// One report for each setting, with a line for each variant and load.
std::vector<sim::Report> reports_of(const std::vector<Job>& jobs, const Workbench& bench) {
  std::vector<sim::Report> reports;
  std::vector<std::string> settings;
  for (const Job& job : jobs) {
    const Setting& setting = *job.setting;
    auto at = std::find(settings.begin(), settings.end(), setting.name);
    if (at == settings.end()) {
      settings.push_back(setting.name);
      at = settings.end() - 1;
      reports.push_back({.trace = setting.name,
                         .synthetic = setting.trace.synthetic,
                         .machine = setting.scenario.name,
                         .requests = setting.trace.requests.size(),
                         .left_out = setting.left_out,
                         .trace_rate = sim::mean_rate(setting.trace),
                         .tpot = setting.scenario.tpot,
                         .host_tier = setting.host_tier,
                         .policies = {}});
    }
    const Outcome& outcome = bench.at(job);
    sim::PolicyReport policy{.policy = job.variant.name};
    if (job.max_new != Job{}.max_new) {
      policy.policy += ", declaring " + std::to_string(job.max_new.count());
    }
    if (job.measure == Measure::offline) {
      policy.offline = outcome.run;
    } else {
      policy.run = outcome.run;
    }
    if (job.measure == Measure::capacity) {
      policy.capacity_90 = outcome.capacity_90;
      policy.capacity_99 = outcome.capacity_99;
    }
    reports[static_cast<std::size_t>(at - settings.begin())].policies.push_back(std::move(policy));
  }
  return reports;
}

// The arrays of all reports as one.
std::string json_of(const std::vector<sim::Report>& reports) {
  std::string objects;
  for (const sim::Report& report : reports) {
    const std::string array = sim::to_json(report);
    const std::size_t begin = array.find('[') + 1, end = array.rfind(']');
    std::string inner = array.substr(begin, end - begin);
    while (!inner.empty() && inner.back() == '\n') inner.pop_back();
    objects.append(objects.empty() ? "" : ",").append(inner);
  }
  return "[" + objects + "\n]\n";
}

// One line of names, then the lines of all reports.
std::string csv_of(const std::vector<sim::Report>& reports) {
  std::string text;
  for (const sim::Report& report : reports) {
    const std::string lines = sim::to_csv(report);
    text += text.empty() ? lines : lines.substr(lines.find('\n') + 1);
  }
  return text;
}

}  // namespace

Result<void> write_results(const std::vector<const Study*>& studies, const Workbench& bench,
                           const Settings& settings, const std::string& folder) {
  const std::filesystem::path base(folder);
  std::error_code code;
  std::filesystem::create_directories(base, code);
  if (code) return fail(ErrorCode::io_error, folder + ": " + code.message());
  const std::string note =
      settings.synthetic ? "Synthetic workloads, drawn from published quantiles of production "
                           "traces; simulated machines.\n\n"
                         : "";
  std::string summary = "# Evaluation\n\n" + note;
  for (const Study* study : studies) {
    Findings found = study->findings(bench);
    std::vector<std::pair<std::filesystem::path, std::string>> files;
    files.emplace_back(base / (study->name() + ".md"), note + found.markdown);
    summary += "## " + study->title() + "\n\n" + found.markdown + "\n";
    for (auto& [name, svg] : found.plots) {
      summary += "![" + study->title() + "](" + name + ".svg)\n\n";
      files.emplace_back(base / (name + ".svg"), std::move(svg));
    }
    if (const std::vector<Job> jobs = study->jobs(bench); !jobs.empty()) {
      const std::vector<sim::Report> reports = reports_of(jobs, bench);
      files.emplace_back(base / (study->name() + ".json"), json_of(reports));
      files.emplace_back(base / (study->name() + ".csv"), csv_of(reports));
    }
    for (const auto& [path, text] : files) {
      if (Result<void> written = write(path, text); !written) return written;
    }
  }
  return write(base / "summary.md", summary);
}

}  // namespace evaluate
