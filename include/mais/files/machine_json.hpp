// Machines as JSON that a person can write.
//
//   { "name": "one gpu",
//     "spaces":  [ { "name": "hbm",  "kind": "device", "capacity": "22 GiB",
//                    "bandwidth": "240 GB/s" },
//                  { "name": "dram", "kind": "host",   "capacity": "1 TiB" } ],
//     "devices": [ { "name": "gpu0", "space": "hbm", "compute": "73 TFLOP/s" } ],
//     "links":   [ { "from": "hbm", "to": "dram", "bandwidth": "25 GB/s", "latency": "10 us" } ] }
//
// Sizes, durations and rates are written as mais/files/unit_text.hpp says, or as plain numbers in
// bytes and per second; spaces are named where they are referred to. What is left out keeps its
// default.
#pragma once

#include <string>
#include <string_view>

#include "mais/machine.hpp"
#include "mais/result.hpp"

namespace mais::files {

// Reads and validates. On failure parse_error with every fault on a line of its own, as
// "origin:line: path: what is wrong; what would be right". O(text). Any thread.
Result<Machine> parse_machine(std::string_view json, std::string_view origin);

// JSON that parse_machine() reads back as the same machine.
std::string to_json(const Machine& machine);

}  // namespace mais::files
