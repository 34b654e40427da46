// Words and figures as the probe shows them to people.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mais/probe/figure.hpp"
#include "mais/probe/host_memory.hpp"
#include "mais/units.hpp"

namespace mais::probing {

// "24.00 GiB": two decimals of the largest binary unit that leaves at least 1.
std::string size_text(Bytes bytes);
// "25.2 GB/s": three digits of a decimal unit.
std::string rate_text(BytesPerSecond rate);
// "85 ns", "9 us".
std::string duration_text(Duration duration);
// "1 thread", "8 threads".
std::string counted(std::size_t count, std::string_view noun);
std::string joined(const std::vector<std::string>& words, std::string_view between);

// "cgroup limit of /sys/fs/cgroup/a: 8.00 GiB less 6.00 GiB in use, 1.00 GiB of it droppable".
std::string to_text(const Bound& bound);
// "25.2 GB/s (datasheet x 0.8: PCIe 4.0 x16)", "12 GB/s, 11 to 13 (measured: ...)".
std::string to_text(const Rate& rate);

}  // namespace mais::probing
