#include "core/wording.hpp"

#include <array>

namespace mais::core {

std::string byte_text(Bytes bytes) {
  if (bytes < Bytes(0)) return sentence({"-", byte_text(-bytes)});
  constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  while (unit + 1 < kUnits.size() && bytes.count() >> (10 * (unit + 1)) != 0) ++unit;
  const std::string whole = std::to_string(bytes.count() >> (10 * unit));
  if (unit == 0) return sentence({whole, " B"});
  // Ten bits below the unit are enough for two decimals.
  const std::int64_t hundredths = ((bytes.count() >> (10 * (unit - 1))) & 1023) * 100 / 1024;
  return sentence(
      {whole, hundredths < 10 ? ".0" : ".", std::to_string(hundredths), " ", kUnits[unit]});
}

std::string sentence(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (const std::string_view part : parts) all.append(part);
  return all;
}

}  // namespace mais::core
