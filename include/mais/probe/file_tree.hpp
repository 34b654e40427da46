// Where the probe reads files: the running system, the same below another root, or a record.
//
// Everything that the probe learns from /proc and /sys goes through this interface, so that a
// machine can be recorded once and looked at again anywhere (probe/record.hpp).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mais::probing {

// Paths are absolute, as on the machine that is looked at. One user at a time.
class FileTree {
 public:
  FileTree() = default;
  FileTree(const FileTree&) = delete;
  FileTree& operator=(const FileTree&) = delete;
  virtual ~FileTree() = default;

  // Puts the text of a file into `text`. False, with `text` empty, when it is not there, may not be
  // read, or is longer than kMaxFile.
  virtual bool read(std::string_view path, std::string& text) = 0;
  // Names in a folder, sorted; none when it is not there.
  virtual std::vector<std::string> list(std::string_view path) = 0;

  // The same, for reading once.
  std::optional<std::string> text_of(std::string_view path);

  static constexpr std::size_t kMaxFile = std::size_t{4} << 20;
};

// The files of the running system, below a root. With `keep_open` each file stays open after it was
// read first and is read again by one system call; for files of /proc and /sys, which renew their
// text. A file that went away (a removed cgroup) is opened again by its name.
class SystemFiles final : public FileTree {
 public:
  explicit SystemFiles(std::string root = "/", bool keep_open = false);
  ~SystemFiles() override;

  bool read(std::string_view path, std::string& text) override;
  std::vector<std::string> list(std::string_view path) override;

 private:
  int descriptor_of(std::string_view path, bool& fresh);
  const std::string root_;
  const bool keep_open_;
  std::map<std::string, int, std::less<>> open_;
  std::string name_;  // of the file being opened
};

// Files that were recorded, by path. A folder lists what lies below it here.
class RecordedFiles final : public FileTree {
 public:
  explicit RecordedFiles(std::map<std::string, std::string, std::less<>> files)
      : files_(std::move(files)) {}

  bool read(std::string_view path, std::string& text) override;
  std::vector<std::string> list(std::string_view path) override;

 private:
  std::map<std::string, std::string, std::less<>> files_;
};

// Reads another tree and keeps what was read.
class RecordingFiles final : public FileTree {
 public:
  explicit RecordingFiles(FileTree& tree) : tree_(tree) {}

  bool read(std::string_view path, std::string& text) override;
  std::vector<std::string> list(std::string_view path) override { return tree_.list(path); }

  const std::map<std::string, std::string, std::less<>>& files() const { return files_; }

 private:
  FileTree& tree_;
  std::map<std::string, std::string, std::less<>> files_;
};

}  // namespace mais::probing
