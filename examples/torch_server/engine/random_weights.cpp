#include <cmath>
#include <numbers>

#include "weights.hpp"

namespace torch_server {

namespace {

// The finaliser of SplitMix64 (Steele, Lea and Flood, Fast splittable pseudorandom number
// generators, OOPSLA 2014).
std::uint64_t mixed(std::uint64_t bits) {
  bits += 0x9e3779b97f4a7c15ULL;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ULL;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebULL;
  return bits ^ (bits >> 31);
}

double unit(std::uint64_t bits) {
  return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53;  // 0 < u < 1
}

class RandomWeights final : public WeightSource {
 public:
  explicit RandomWeights(std::uint64_t seed) : seed_(seed) {}

  std::string describe() const override { return "random weights, seed " + std::to_string(seed_); }

  mais::Result<void> read(std::string_view name, std::int64_t rows, std::int64_t columns,
                          std::int64_t first, std::span<float> values) override {
    if (rows == 1) {
      for (float& value : values) value = 1;
      return {};
    }
    std::uint64_t key = mixed(seed_);
    for (const char letter : name) key = mixed(key ^ static_cast<unsigned char>(letter));
    const double scale = 1 / std::sqrt(static_cast<double>(columns));
    const auto from = static_cast<std::uint64_t>(first * columns);
    for (std::size_t i = 0; i < values.size(); ++i) {
      // A pair of normal numbers for each pair of places (Box and Muller 1958).
      const std::uint64_t place = from + i;
      const std::uint64_t pair = mixed(key + (place >> 1));
      const double radius = std::sqrt(-2 * std::log(unit(pair)));
      const double angle = 2 * std::numbers::pi * unit(mixed(pair));
      values[i] = static_cast<float>(scale * radius *
                                     ((place & 1) == 0 ? std::cos(angle) : std::sin(angle)));
    }
    return {};
  }

 private:
  std::uint64_t seed_;
};

}  // namespace

std::unique_ptr<WeightSource> random_weights(std::uint64_t seed) {
  return std::make_unique<RandomWeights>(seed);
}

}  // namespace torch_server
