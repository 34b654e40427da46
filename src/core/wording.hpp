// How messages and tables put numbers and names into words.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "mais/units.hpp"

namespace mais::core {

// "17 B", "1.50 GiB": the largest binary unit that leaves at least 1, cut (not rounded) to two
// decimals.
std::string byte_text(Bytes bytes);

// The parts in a row. Instead of a chain of + on strings, which g++ 12 at -O3 mistakes for an
// overlapping copy (-Wrestrict, GCC bug 105651).
std::string sentence(std::initializer_list<std::string_view> parts);

}  // namespace mais::core
