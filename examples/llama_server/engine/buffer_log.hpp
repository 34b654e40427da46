// What llama.cpp says of the memory that it takes. Its C interface does not tell; its log does, in
// lines like "load_tensors:  CPU model buffer size =  4437.80 MiB".
#pragma once

#include <string>
#include <string_view>

#include "mais/units.hpp"

namespace llama_server {

// As the log says them, to 0.01 MiB.
struct BufferSizes {
  mais::Bytes weights{};
  mais::Bytes state{};    // keys and values of all cells
  mais::Bytes compute{};  // of the largest step
  mais::Bytes output{};   // logits
  bool operator==(const BufferSizes&) const = default;
};

// What a line calls so many bytes is at least and at most this: half of its last digit less or
// more. 0 stays 0.
mais::Bytes at_least(mais::Bytes said) noexcept;
mais::Bytes at_most(mais::Bytes said) noexcept;

// Adds what a line says to `sizes`; other lines say nothing. Pure.
void read_buffer_line(std::string_view line, BufferSizes& sizes);

// While it lives, reads what llama.cpp logs in this thread; nested ones hide outer ones. Whatever
// is logged in threads without one is dropped.
class BufferLog {
 public:
  BufferLog();
  BufferLog(const BufferLog&) = delete;
  BufferLog& operator=(const BufferLog&) = delete;
  ~BufferLog();

  const BufferSizes& sizes() const { return sizes_; }
  // Errors, or the last warning where there was none; of several, the first two.
  std::string complaint() const { return errors_.empty() ? warning_ : errors_; }

  void add(int level, std::string_view text);  // of the callback

 private:
  BufferLog* const outer_;
  BufferSizes sizes_;
  std::string line_;  // begun, and not ended
  std::string errors_, warning_;
  int complaints_ = 0;
};

}  // namespace llama_server
