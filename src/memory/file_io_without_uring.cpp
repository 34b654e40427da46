#include "memory/file_io.hpp"

namespace mais::memory {

std::unique_ptr<FileIo> uring_file_io(std::string& why_not) {
  why_not = "this library was built without io_uring (liburing; option MAIS_WITH_URING)";
  return nullptr;
}

}  // namespace mais::memory
