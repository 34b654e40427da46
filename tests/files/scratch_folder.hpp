// A folder of a test, gone when the test ends.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

namespace mais::files {

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "mais-files-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::string at(const std::string& name) const { return path_ + "/" + name; }
  // A file that begins with `bytes` and is `more` bytes of nothing longer.
  std::string write(const std::string& name, const std::string& bytes,
                    std::uint64_t more = 0) const {
    std::ofstream(at(name), std::ios::binary) << bytes;
    if (more > 0) std::filesystem::resize_file(at(name), bytes.size() + more);
    return at(name);
  }

 private:
  std::string path_;
};

}  // namespace mais::files
