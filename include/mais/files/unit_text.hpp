// Sizes, durations and rates as a person writes them: "24 GiB", "50 ms", "240 GB/s",
// "73 TFLOP/s".
//
// Binary prefixes are 1024 (KiB, MiB, GiB, TiB, PiB), decimal ones 1000 (kB, MB, GB, TB, PB). A
// number may have a fraction and an exponent; one space before the unit may be left out. Every
// function is pure and safe to use from any thread; errors are parse_error with an example of what
// would be right.
#pragma once

#include <string>
#include <string_view>

#include "mais/result.hpp"
#include "mais/units.hpp"

namespace mais::files {

// "24 GiB", "16.06 GB", "512" (bytes). Rounds to whole bytes. Saturates; negative sizes are
// read as such, for validate() to judge.
Result<Bytes> parse_bytes(std::string_view text);
// "50 ms", "1.5 s", "200 us", "10 min", "1 h". The unit must be there.
Result<Duration> parse_duration(std::string_view text);
// "240 GB/s", "25e9" (bytes per second).
Result<BytesPerSecond> parse_bandwidth(std::string_view text);
// "73 TFLOP/s", "73e12" (FLOP per second).
Result<FlopsPerSecond> parse_flops(std::string_view text);

// The shortest text that reads back as exactly the same value.
std::string to_text(Bytes bytes);
std::string to_text(Duration duration);
std::string to_text(BytesPerSecond rate);
std::string to_text(FlopsPerSecond rate);

}  // namespace mais::files
