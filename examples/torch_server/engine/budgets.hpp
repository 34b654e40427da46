// Where an engine's memory comes from.
#pragma once

#include <memory_resource>

namespace torch_server {

// Each resource bounds what it gives and throws std::bad_alloc beyond (mais::memory's
// BudgetedResource, or the heap in a test). They outlive the engine and may be the same one.
struct EngineBudgets {
  std::pmr::memory_resource* weights = nullptr;
  std::pmr::memory_resource* state = nullptr;       // pages of the pool
  std::pmr::memory_resource* host_state = nullptr;  // pages of the host tier
  std::pmr::memory_resource* workspace = nullptr;   // tensors that live for one step
};

}  // namespace torch_server
