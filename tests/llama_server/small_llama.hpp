// An engine on a small model with random weights, in a budget of its own.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "llama_engine.hpp"
#include "mais/core/ledger.hpp"
#include "mais/shared_ledger.hpp"
#include "random_gguf.hpp"
#include "scratch_folder.hpp"

namespace llama_server {

using Tokens32 = std::vector<std::int32_t>;

// One ledger with a hard cap for any number of engines.
class SmallBudget {
 public:
  explicit SmallBudget(mais::Bytes cap = mais::Bytes(1 << 30))
      : shared_(ledger_, {.quantum = mais::Bytes(4096), .shards = 2}),
        root_(ledger_.root(ledger_.add_space("host", cap))) {}

  server::EngineBudgets budgets(const std::string& name) {
    const auto account = [&](const char* part) {
      return shared_.exclusively([&](mais::core::Ledger& ledger) {
        return *ledger.add_account(root_, {.name = name + " " + part});
      });
    };
    return {.weights_account = account("weights"),
            .workspace_account = account("workspace"),
            .ledger = &shared_,
            .state = account("state")};
  }
  mais::Bytes used() {
    return shared_.exclusively([&](mais::core::Ledger& ledger) { return ledger.used(root_); });
  }
  mais::Bytes peak() {
    return shared_.exclusively([&](mais::core::Ledger& ledger) { return ledger.peak(root_); });
  }

 private:
  mais::core::Ledger ledger_;
  mais::SharedLedger shared_;
  mais::core::AccountId root_;
};

inline Settings small_settings(std::string path) {
  return {.path = std::move(path),
          .cells = 512,
          .step_tokens = mais::Tokens(64),
          .sequences = 16,
          .step_sequences = 12,
          .kv_type = mais::files::ElementType::f32};
}

// Bytes of a text, as the vocabulary of random_gguf.hpp has them.
inline Tokens32 prompt_of(std::size_t length, std::uint64_t seed) {
  GgufNumbers numbers(seed + 1000);
  Tokens32 prompt{RandomGgufFile::kBegin};
  while (prompt.size() < length) {
    prompt.push_back(static_cast<std::int32_t>(RandomGgufFile::kFirstByte + numbers.next() % 256));
  }
  return prompt;
}

}  // namespace llama_server
