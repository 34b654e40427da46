#include "memory/file_io.hpp"

#include <cerrno>
#include <cstring>

namespace mais::memory {

namespace {

class PlainFileIo final : public FileIo {
 public:
  explicit PlainFileIo(FileCalls calls) : calls_(calls) {}

  Result<void> read(int file, std::byte* to, std::size_t size, std::int64_t offset) override {
    while (size > 0) {
      const ssize_t got = calls_.read(file, to, size, offset);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return tl::unexpected(file_error("read", size, offset, errno));
      if (got == 0) return tl::unexpected(short_read(size, offset));
      to += got;
      size -= static_cast<std::size_t>(got);
      offset += got;
    }
    return {};
  }

  Result<void> write(int file, const std::byte* from, std::size_t size,
                     std::int64_t offset) override {
    while (size > 0) {
      const ssize_t put = calls_.write(file, from, size, offset);
      if (put < 0 && errno == EINTR) continue;
      // A device that takes nothing and says nothing is full.
      if (put <= 0) {
        return tl::unexpected(file_error("write", size, offset, put < 0 ? errno : ENOSPC));
      }
      from += put;
      size -= static_cast<std::size_t>(put);
      offset += put;
    }
    return {};
  }

 private:
  const FileCalls calls_;
};

}  // namespace

Error file_error(const char* call, std::size_t size, std::int64_t offset, int number) {
  return {ErrorCode::io_error,
          std::string(call) + " of " + std::to_string(size) + " B at offset " +
              std::to_string(offset) + ": " + std::strerror(number),
          static_cast<std::int64_t>(size), std::nullopt};
}

Error short_read(std::size_t missing, std::int64_t offset) {
  return {ErrorCode::io_error,
          "the file ends at offset " + std::to_string(offset) + ", " + std::to_string(missing) +
              " B before all was read",
          static_cast<std::int64_t>(missing), 0};
}

std::unique_ptr<FileIo> plain_file_io(FileCalls calls) {
  return std::make_unique<PlainFileIo>(calls);
}

}  // namespace mais::memory
