// Bytes of a file or of memory behind one interface, and a cursor over them that cannot leave them.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

#include "mais/result.hpp"

namespace mais::files {

// A text of a hostile file, fit to stand in one line of a message: at most 80 characters.
std::string shown(std::string_view text);

// parse_error "path: problem".
inline tl::unexpected<Error> wrong_file(const std::string& path, const std::string& problem) {
  return fail(ErrorCode::parse_error, path + ": " + problem);
}

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; }
  // True when all `count` bytes at `offset` were read; the caller stays within size().
  virtual bool read(std::uint64_t offset, char* to, std::size_t count) = 0;

  // parse_error "name: at byte N: problem".
  tl::unexpected<Error> wrong(std::uint64_t offset, const std::string& problem) const;

 protected:
  ByteSource(std::string name, std::uint64_t size) : name_(std::move(name)), size_(size) {}

 private:
  std::string name_;
  std::uint64_t size_;
};

class MemorySource final : public ByteSource {
 public:
  MemorySource(std::string_view bytes, std::string_view name)
      : ByteSource(std::string(name), bytes.size()), bytes_(bytes) {}
  bool read(std::uint64_t offset, char* to, std::size_t count) override;

 private:
  std::string_view bytes_;
};

// A regular file. Pipes and devices are refused: they have no size, and may never answer.
class FileSource final : public ByteSource {
 public:
  // not_found or io_error with the path.
  static Result<std::unique_ptr<FileSource>> open(const std::string& path);
  bool read(std::uint64_t offset, char* to, std::size_t count) override;

 private:
  FileSource(std::string path, std::uint64_t size, std::ifstream file)
      : ByteSource(std::move(path), size), file_(std::move(file)) {}
  std::ifstream file_;
};

// Reads forwards from `begin`, never beyond `end`. The first fault sticks: from then on every read
// gives zero, so that a caller checks failed() once for each loop and once at the end.
class ByteReader {
 public:
  ByteReader(ByteSource& source, std::uint64_t begin, std::uint64_t end)
      : source_(source), at_(begin), end_(std::min(end, source.size())) {}

  std::uint64_t offset() const { return at_; }
  std::uint64_t remaining() const { return end_ - at_; }
  bool failed() const { return error_ != nullptr; }
  const Error& error() const { return *error_; }
  void big_endian(bool swapped) { big_endian_ = swapped; }

  // `what` names what is read, for the message of a file that ends too early.
  template <std::unsigned_integral T>
  T number(const char* what) {
    char bytes[sizeof(T)] = {};
    if (!take(bytes, sizeof(T), what)) return 0;
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      const std::size_t from = big_endian_ ? i : sizeof(T) - 1 - i;
      value = static_cast<T>((static_cast<std::uint64_t>(value) << 8U) |
                             static_cast<unsigned char>(bytes[from]));
    }
    return value;
  }
  // `count` bytes as they are.
  std::string text(std::uint64_t count, const char* what);
  void skip(std::uint64_t count, const char* what);
  // A fault found by the caller in what it just read.
  void refuse(std::uint64_t offset, const std::string& problem);

 private:
  bool take(char* to, std::size_t count, const char* what);
  bool enough(std::uint64_t count, const char* what);

  ByteSource& source_;
  std::uint64_t at_;
  std::uint64_t end_;
  std::unique_ptr<Error> error_;
  bool big_endian_ = false;
  std::string window_;
  std::uint64_t window_begin_ = 0;
};

}  // namespace mais::files
