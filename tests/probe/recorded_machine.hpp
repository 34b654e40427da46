// Records under tests/data, as the tests use them: read, or unpacked below a folder of this
// machine.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <gmock/gmock.h>

#include "mais/probe/record.hpp"

namespace mais::probing {

inline std::string data_file(const std::string& name) {
  return std::string(MAIS_TEST_DATA) + "/" + name;
}

inline std::string text_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path << " cannot be read";
  return {std::istreambuf_iterator<char>(file), {}};
}

inline MachineRecord load_record(const std::string& name) {
  const std::string path = data_file(name);
  auto record = parse_record(text_of_file(path), path);
  EXPECT_TRUE(record) << record.error().message;
  return record.value_or(MachineRecord{});
}

// A folder that is gone when the test is over.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "mais-probe-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path file(path_ + "/" + name);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
  }

 private:
  std::string path_;
};

// The recorded files, below a root of their own.
inline void unpack(const MachineRecord& record, const TemporaryFolder& root) {
  for (const auto& [path, text] : record.files) root.write(path, text);
}

}  // namespace mais::probing
