// The calls of the system that host memory is made of, so that a test can let each of them fail.
#pragma once

#include <cstddef>

#include <sys/mman.h>

namespace mais::memory {

struct HostCalls {
  void* (*map)(void*, std::size_t, int, int, int, off_t) = ::mmap;
  int (*unmap)(void*, std::size_t) = ::munmap;
  int (*protect)(void*, std::size_t, int) = ::mprotect;
  int (*advise)(void*, std::size_t, int) = ::madvise;
  int (*lock)(const void*, std::size_t) = ::mlock;
  int (*unlock)(const void*, std::size_t) = ::munlock;
  // mbind(2), which the C library does not wrap. 0, or -1 with errno.
  int (*bind)(void*, std::size_t, int mode, const unsigned long* nodes,
              unsigned long most_nodes) = bind_pages;

  static int bind_pages(void* begin, std::size_t size, int mode, const unsigned long* nodes,
                        unsigned long most_nodes);
  static const HostCalls& system() noexcept;
};

}  // namespace mais::memory
