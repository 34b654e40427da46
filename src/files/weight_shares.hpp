// Bytes of weights: of an architecture's matrices in a type, of a file's tensors by layer and role,
// and a device's part of them.
#pragma once

#include <array>
#include <vector>

#include "mais/files/architecture.hpp"
#include "mais/files/model_file.hpp"

namespace mais::files {

using RoleBytes = std::array<Bytes, kWeightRoles>;

// How many of `units` fall to a rank: the first ranks have one more where they do not divide. Fewer
// units than ranks are repeated, one for each rank. units >= 1.
std::int64_t units_of_rank(std::int64_t units, int ranks, int rank) noexcept;

// bytes x part / whole, rounded up; part <= whole.
Bytes share_of(Bytes bytes, std::int64_t part, std::int64_t whole) noexcept;

Bytes matrix_bytes(const Linear& linear, ElementType type) noexcept;
// Of all parameters of a layer, on one rank of `ranks`; by role.
RoleBytes layer_bytes(const Layer& layer, ElementType type, int ranks, int rank) noexcept;
Bytes sum(const RoleBytes& bytes) noexcept;

// A file's tensors, told apart by their names.
struct TensorSums {
  std::vector<Bytes> layers{};   // of the main tower, by number
  std::vector<Bytes> experts{};  // of them, experts
  Bytes around{};
  RoleBytes roles{};
  Bytes embedding{};  // the token table: it is looked up in, unless it is the output too
};
// `layers` is how many the architecture has; what belongs to a higher number goes to `around`.
TensorSums sum_tensors(const ModelFile& file, std::size_t layers, bool is_pair);

}  // namespace mais::files
