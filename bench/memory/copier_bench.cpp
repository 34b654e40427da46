// What the copier achieves, beside memcpy, pwrite and pread of the same bytes.
#include <cstdlib>
#include <cstring>
#include <unistd.h>
#include <vector>

#include <benchmark/benchmark.h>

#include "mais/memory/copier.hpp"
#include "mais/memory/host_source.hpp"

namespace mais::memory {
namespace {

using namespace mais::literals;

constexpr Bytes kSize = Bytes(64 << 20);

struct Buffers {
  HostSource source{HostOptions{.populate = true}};
  Region region = *source.reserve(kSize, 2);
  Buffers() {
    if (!region.commit(0, 2)) std::abort();
    std::memset(region.address(0), 1, static_cast<std::size_t>(kSize.count()));
    std::memset(region.address(1), 2, static_cast<std::size_t>(kSize.count()));
  }
};

void count(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * kSize.count());
}

void Memcpy(benchmark::State& state) {
  Buffers buffers;
  for (auto _ : state) {
    std::memcpy(buffers.region.address(1), buffers.region.address(0),
                static_cast<std::size_t>(kSize.count()));
    benchmark::ClobberMemory();
  }
  count(state);
}
BENCHMARK(Memcpy)->UseRealTime()->Unit(benchmark::kMillisecond);

// Arguments: workers, whether it verifies.
void CopyInMemory(benchmark::State& state) {
  Buffers buffers;
  auto copier = *Copier::create({.workers = static_cast<std::size_t>(state.range(0))});
  const Copy copy{.from = CopyEnd::host(buffers.region.address(0)),
                  .to = CopyEnd::host(buffers.region.address(1)),
                  .bytes = kSize,
                  .verify = state.range(1) != 0};
  for (auto _ : state) {
    if (!copier.submit(copy)) state.SkipWithError("refused");
    copier.drain();
  }
  count(state);
}
BENCHMARK(CopyInMemory)
    ->Args({0, 0})
    ->Args({1, 0})
    ->Args({2, 0})
    ->Args({0, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// A page of 64 KiB, submitted and copied: what a copy costs beyond its bytes.
void CopyAPage(benchmark::State& state) {
  Buffers buffers;
  auto copier = *Copier::create();
  for (auto _ : state) {
    if (!copier.submit({.from = CopyEnd::host(buffers.region.address(0)),
                        .to = CopyEnd::host(buffers.region.address(1)),
                        .bytes = 64_KiB})) {
      state.SkipWithError("refused");
    }
    copier.drain();
  }
}
BENCHMARK(CopyAPage);

class File {
 public:
  File() {
    char name[] = "/tmp/mais-copier-bench-XXXXXX";
    descriptor_ = ::mkstemp(name);
    ::unlink(name);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(descriptor_); }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

void PlainFile(benchmark::State& state) {
  Buffers buffers;
  const File file;
  const auto size = static_cast<std::size_t>(kSize.count());
  for (auto _ : state) {
    if (::pwrite(file.descriptor(), buffers.region.address(0), size, 0) != kSize.count() ||
        ::pread(file.descriptor(), buffers.region.address(1), size, 0) != kSize.count()) {
      state.SkipWithError("the file refuses");
    }
  }
  count(state);
}
BENCHMARK(PlainFile)->UseRealTime()->Unit(benchmark::kMillisecond);

// Out and back, through the page cache. Argument: whether by io_uring.
void CopyByFile(benchmark::State& state) {
  Buffers buffers;
  const File file;
  auto copier = *Copier::create({.use_io_uring = state.range(0) != 0});
  if (state.range(0) != 0 && !copier.notes().empty()) {
    return state.SkipWithError(copier.notes().front().c_str());
  }
  for (auto _ : state) {
    if (!copier.submit({.from = CopyEnd::host(buffers.region.address(0)),
                        .to = CopyEnd::in_file(file.descriptor(), 0),
                        .bytes = kSize}) ||
        !copier.submit({.from = CopyEnd::in_file(file.descriptor(), 0),
                        .to = CopyEnd::host(buffers.region.address(1)),
                        .bytes = kSize})) {
      state.SkipWithError("refused");
    }
    copier.drain();
  }
  count(state);
}
BENCHMARK(CopyByFile)->Arg(0)->Arg(1)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mais::memory

BENCHMARK_MAIN();
