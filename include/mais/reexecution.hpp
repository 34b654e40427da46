// Executes what was observed again, on a fresh planner, and compares what it decides bit for bit.
//
//   auto again = Reexecution::of(reader.config());
//   while (reader.next(seen)) {
//     if (auto difference = again->follow(seen)) return report(*difference);
//   }
//
// One user at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mais/core/planner.hpp"
#include "mais/observer.hpp"
#include "mais/result.hpp"

namespace mais {

class Reexecution {
 public:
  // invalid_argument with all faults of validate(config).
  static Result<Reexecution> of(Config config);

  // Tells the planner the next event. What differs, in one sentence with the observation's number;
  // none: actions, wake-up time and step are the same to the last bit. Also a difference: a number
  // that does not follow the last one, and an event that no scheduler would have sent. After a
  // difference the rest means nothing.
  std::optional<std::string> follow(const Observation& seen);

  const core::Planner& planner() const noexcept { return planner_; }

 private:
  explicit Reexecution(core::Planner planner);
  std::optional<std::string> impossible(const core::Event& event) const;

  core::Planner planner_;
  core::Actions actions_{};
  core::Step step_{};
  std::uint64_t number_ = 0;                           // of the last one
  std::vector<std::optional<core::StepId>> underway_;  // by instance
};

}  // namespace mais
