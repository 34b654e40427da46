// Where the numbers of a model come from: a file, or a seed. No engine's library is named here.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "mais/result.hpp"

namespace torch_server {

class WeightSource {
 public:
  virtual ~WeightSource() = default;

  // For people: "random weights, seed 1".
  virtual std::string describe() const = 0;

  // Writes rows [first, first + values.size() / columns) of the matrix `name` to `values`. A matrix
  // has one row for each output; a vector is a matrix of one row. not_found, invalid_argument:
  // there is no such tensor, or it is not rows x columns. io_error: of the file.
  virtual mais::Result<void> read(std::string_view name, std::int64_t rows, std::int64_t columns,
                                  std::int64_t first, std::span<float> values) = 0;

 protected:
  WeightSource() = default;
  WeightSource(const WeightSource&) = default;
  WeightSource& operator=(const WeightSource&) = default;
};

// Numbers that depend on the seed, the name and the place alone: vectors are 1, matrices normal
// with variance 1 / columns, so that activations keep their size. The same on every machine with
// the same libm.
std::unique_ptr<WeightSource> random_weights(std::uint64_t seed);

}  // namespace torch_server
