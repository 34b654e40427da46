#include "probe/host_parts.hpp"

namespace mais::probing {

std::vector<Bytes> parts_of(Bytes budget, const std::vector<Bytes>& available) {
  Bytes sum{};
  for (const Bytes bytes : available) sum += bytes;
  if (budget >= sum) return available;
  std::vector<Bytes> parts;
  for (const Bytes bytes : available) {
    // Rounded down, and a little more, because a product of doubles may be a little too large.
    const double share = static_cast<double>(bytes.count()) / static_cast<double>(sum.count());
    parts.push_back(available.size() == 1 ? budget : budget * (share * (1 - 1e-12)));
  }
  return parts;
}

}  // namespace mais::probing
