// Executes a journal again and gathers what happened in it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mais/journal.hpp"
#include "mais/sim/report.hpp"

namespace replay {

// Requests of one kind, by how they ended.
struct Ends {
  std::uint64_t submitted = 0, finished = 0, expired = 0, cancelled = 0, refused = 0;
  std::map<mais::RefusalReason, std::uint64_t> reasons{};
  std::uint64_t open() const { return submitted - finished - expired - cancelled - refused; }
};

struct JournalStudy {
  std::string name;
  mais::Config config{};
  mais::JournalEnd end{};
  std::optional<std::string> difference{};  // the first; what follows it was not looked at
  mais::Duration lasted{};
  Ends sequences{}, leases{};
  std::uint64_t granted = 0;
  std::uint64_t requeued = 0;
  std::vector<mais::Bytes> peak_state{};   // by instance, held by sequences
  std::vector<mais::Bytes> peak_leased{};  // by space
  mais::sim::RunResult run{};              // for tables and the page
};

mais::Result<JournalStudy> study_journal(const std::string& path);

// For people: whether it was the same again, requests by end, preemptions, memory over time.
std::string to_text(const JournalStudy& study);
// For the page, JSON and CSV.
mais::sim::Report report_of(const JournalStudy& study, const std::string& command);

}  // namespace replay
