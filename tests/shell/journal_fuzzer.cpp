// libFuzzer entry: clang only, built with MAIS_LONG_TESTS. Half of the inputs are given the
// checksums that they should have, so that what these guard is met.
#include <cstddef>
#include <cstdint>

#include "shell/journal_fuzz.hpp"
#include "shell/journal_run.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string config = [] {
    std::string bytes;
    mais::shell::ArchiveWriter{bytes}(mais::eventful_machine(mais::Policy::projected()));
    return bytes;
  }();
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  mais::fuzz_journal(bytes, config);
  mais::fuzz_journal(mais::with_right_checksums(bytes), config);
  return 0;
}
