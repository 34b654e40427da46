// A whole text into a file.
#pragma once

#include <filesystem>
#include <fstream>
#include <string_view>

namespace example {

// True when all of it was written.
inline bool write_file(const std::filesystem::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  return static_cast<bool>(file);
}

}  // namespace example
