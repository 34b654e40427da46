// Makes LibTorch allocate where we say: while a TensorScope lives, every tensor that its thread
// creates takes its memory from the scope's resource, and gives it back there whenever and wherever
// it dies. Outside of scopes tensors take from the heap, as they did before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <optional>

namespace torch_server {

class TensorScope {
 public:
  explicit TensorScope(std::pmr::memory_resource& resource);
  TensorScope(const TensorScope&) = delete;
  TensorScope& operator=(const TensorScope&) = delete;
  ~TensorScope();

  // Bytes of the last allocation in this scope that the resource refused.
  std::optional<std::size_t> refused() const;

 private:
  std::pmr::memory_resource* outer_;
  std::optional<std::size_t> outer_refused_;
};

// Bytes that a tensor of so many floats takes from the resource.
std::int64_t tensor_bytes(std::int64_t floats);

}  // namespace torch_server
