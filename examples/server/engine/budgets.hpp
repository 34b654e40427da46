// Where an engine's memory comes from.
#pragma once

#include <memory_resource>

#include "mais/memory/memory_source.hpp"
#include "mais/shared_ledger.hpp"

namespace server {

// All of it is bounded by accounts of one ledger, and fails when they are full. Everything named
// here outlives the engine.
struct EngineBudgets {
  // Throw std::bad_alloc beyond their accounts: mais::memory::BudgetedResource.
  std::pmr::memory_resource* weights = nullptr;
  std::pmr::memory_resource* workspace = nullptr;  // tensors that live for one step
  // Their accounts, for an engine whose library allocates by itself: it charges what that takes.
  mais::core::AccountId weights_account{}, workspace_account{};

  // Pages of the pool and of the host tier: where they are mapped, and which account is charged.
  // Decoders only.
  mais::SharedLedger* ledger = nullptr;
  mais::memory::MemorySource* state_source = nullptr;
  mais::core::AccountId state{};
  mais::memory::MemorySource* host_source = nullptr;
  mais::core::AccountId host_state{};
};

}  // namespace server
