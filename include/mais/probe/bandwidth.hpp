// How fast this machine moves bytes, measured. Each call takes some seconds and loads what it
// measures; the machine should be idle.
#pragma once

#include <string>
#include <vector>

#include "mais/probe/readings.hpp"
#include "mais/probe/record.hpp"
#include "mais/result.hpp"

namespace mais::probing {

class CudaDriver;

struct BandwidthOptions {
  int runs = 11;
  // Of each of three arrays for a node's triad; none: 4 x the last-level cache, at least 64 MiB.
  std::optional<Bytes> array{};
  Bytes copy = Bytes(256 << 20);  // of a copy to, from and between devices
  Bytes file = Bytes(1LL << 30);  // read for the rate of a disk, at most
};

// Bytes per second of a = b + s * c over three arrays (McCalpin's STREAM triad: 24 bytes for each
// element, so what the write reads into the cache is not counted), by as many threads as the node
// has processors, each bound to one of them; memory is touched first by who uses it. Starts threads
// and joins them. over_capacity when the arrays do not fit into what is available.
Result<Measurement> measure_node(const NumaNode& node, const std::string& place, Bytes array,
                                 int runs);

// Reads a file that it writes into the folder, and removes, past the page cache (O_DIRECT).
// io_error or unavailable (a file system without O_DIRECT) with the reason.
Result<Measurement> measure_disk(const std::string& folder, Bytes size, int runs);

// Everything that `readings` shows and `options` asks for; places as assemble() names them. What
// cannot be measured is left out, with the reason in `problems`. `cuda` may be null: no copies.
std::vector<Measurement> measure_all(const Readings& readings, const CudaDriver* cuda,
                                     const BandwidthOptions& options,
                                     std::vector<std::string>& problems);

}  // namespace mais::probing
