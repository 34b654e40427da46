// Reads and writes of files at an offset, whole or with an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unistd.h>

#include <sys/types.h>

#include "mais/result.hpp"

namespace mais::memory {

// One user at a time. io_error, with the call, the offset and the reason: what the system says, or
// that the file ends before all was read.
class FileIo {
 public:
  virtual ~FileIo() = default;
  virtual Result<void> read(int file, std::byte* to, std::size_t size, std::int64_t offset) = 0;
  virtual Result<void> write(int file, const std::byte* from, std::size_t size,
                             std::int64_t offset) = 0;
};

// By pread and pwrite; a test puts others in their place.
struct FileCalls {
  ssize_t (*read)(int, void*, std::size_t, off_t) = ::pread;
  ssize_t (*write)(int, const void*, std::size_t, off_t) = ::pwrite;
};
std::unique_ptr<FileIo> plain_file_io(FileCalls calls = {});

// By io_uring, several requests at once; null with the reason where there is none: not built in, or
// the kernel or a container does not allow it.
std::unique_ptr<FileIo> uring_file_io(std::string& why_not);

// The errors, said alike by both.
Error file_error(const char* call, std::size_t size, std::int64_t offset, int number);
Error short_read(std::size_t missing, std::int64_t offset);

}  // namespace mais::memory
