// The studies of the evaluation.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "study.hpp"

namespace evaluate {

// A bound on waiting that nobody reaches.
inline constexpr double kNever = 1e9;

// Capacity, makespan, preemptions and waits of the three policies on every setting, and what the
// default attains at the capacity-90 of `optimistic`.
class PoliciesStudy final : public Study {
 public:
  explicit PoliciesStudy(const Settings& settings) : settings_(settings) {}
  std::string name() const override { return "policies"; }
  std::string title() const override { return "The policies side by side"; }
  std::vector<Job> jobs(const Workbench& known) const override;
  Findings findings(const Workbench& known) const override;

  // The run of the default at capacity-90 of `optimistic`; none where that is 0 or not known.
  std::optional<Job> at_optimistic(const SettingRef& setting, const Workbench& known) const;

 private:
  Settings settings_;
};

// The default with each mechanism off in turn.
class AblationStudy final : public Study {
 public:
  explicit AblationStudy(const Settings& settings);
  std::string name() const override { return "ablation"; }
  std::string title() const override { return "Each mechanism off in turn"; }
  std::vector<Job> jobs(const Workbench& known) const override;
  Findings findings(const Workbench& known) const override;

 private:
  struct Row {
    std::string name;
    Variant variant;
    bool prefixes = false;  // matters only where prompts share prefixes
    bool no_tier = false;   // on the same machine without its host tier
  };
  struct Column {
    SettingRef setting, without_tier;
  };
  // None where it makes no difference.
  std::optional<Job> job(const Row& row, const Column& column) const;

  std::vector<Row> rows_;
  std::vector<Column> columns_;
};

// What the bound on waiting costs.
class AgeingStudy final : public Study {
 public:
  explicit AgeingStudy(const Settings& settings)
      : settings_{settings.chat_l4, settings.chat_a100} {}
  std::string name() const override { return "ageing"; }
  std::string title() const override { return "The bound on waiting and what it costs"; }
  std::vector<Job> jobs(const Workbench& known) const override;
  Findings findings(const Workbench& known) const override;

 private:
  std::vector<SettingRef> settings_;
};

// Good requests per second at loads up to six times capacity-90.
class OverloadStudy final : public Study {
 public:
  explicit OverloadStudy(const Settings& settings)
      : settings_{settings.chat_l4, settings.chat_a100} {}
  std::string name() const override { return "overload"; }
  std::string title() const override { return "Under overload"; }
  std::vector<Job> jobs(const Workbench& known) const override;
  Findings findings(const Workbench& known) const override;

  // The most good requests per second over the sweep.
  double most_good(const SettingRef& setting, const Variant& variant, const Workbench& known) const;

 private:
  // Empty until the default's capacity-90 is known.
  std::vector<Job> sweep(const SettingRef& setting, const Variant& variant,
                         const Workbench& known) const;

  std::vector<SettingRef> settings_;
};

// Told wrong step costs, each off by up to 2x: learning them, and not.
class CostsStudy final : public Study {
 public:
  explicit CostsStudy(const Settings& settings) : settings_{settings.chat_l4, settings.chat_a100} {}
  std::string name() const override { return "costs"; }
  std::string title() const override { return "Told the wrong step costs"; }
  std::vector<Job> jobs(const Workbench& known) const override;
  Findings findings(const Workbench& known) const override;

  // The least part of the capacity-90 of knowing that is kept when costs are learned.
  double least_kept(const Workbench& known) const;
  // The least attainment when costs are learned, over that of knowing them: at the capacity-99 of
  // knowing them, of the requests that arrive after the first minute.
  double least_attained(const Workbench& known) const;

 private:
  // At the capacity-99 of knowing the costs; none where that is 0 or not known.
  std::optional<Job> at_99(const SettingRef& setting, const Variant& variant,
                           const Workbench& known) const;

  std::vector<SettingRef> settings_;
};

// Bursts, wrong declarations, heavy tails, a tenant that floods.
class RobustnessStudy final : public Study {
 public:
  explicit RobustnessStudy(const Settings& settings)
      : settings_{settings.chat_l4, settings.chat_a100} {}
  std::string name() const override { return "robustness"; }
  std::string title() const override { return "When the world is not as it should be"; }
  std::vector<Job> jobs(const Workbench& known) const override;
  Findings findings(const Workbench& known) const override;

  // One thing that goes wrong, and the same load without it.
  struct Case {
    std::string what, whose;  // whose: attainment is compared
    Job job;
    std::optional<Job> calm;
    std::function<bool(const Job&, std::size_t)> counted;  // is the i-th request of its trace one?
  };
  // None until the default's capacity-90 is known.
  std::vector<Case> cases(const Workbench& known) const;
  // Part of the counted requests that is good in the run of `job`, one of the case's.
  static double attained(const Case& of, const Job& job, const Workbench& known);

 private:
  std::vector<SettingRef> settings_;
};

// What was asked beside what was measured. Asked of the recorded traces only.
class FiguresStudy final : public Study {
 public:
  explicit FiguresStudy(const Settings& settings);
  std::string name() const override { return "figures"; }
  std::string title() const override { return "Asked and measured"; }
  std::vector<Job> jobs(const Workbench& known) const override;
  Findings findings(const Workbench& known) const override;

 private:
  Settings settings_;
  PoliciesStudy policies_;
  OverloadStudy overload_;
  CostsStudy costs_;
  RobustnessStudy robustness_;
};

}  // namespace evaluate
