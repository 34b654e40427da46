// A place for a file that a test writes.
#pragma once

#include <string>
#include <unistd.h>

#include <gmock/gmock.h>

namespace mais {

// A file name of its own, gone when it goes.
class TemporaryFile {
 public:
  TemporaryFile() {
    static int count = 0;
    path_ = ::testing::TempDir() + "mais-" + std::to_string(::getpid()) + "-" +
            std::to_string(++count) + ".journal";
    ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace mais
