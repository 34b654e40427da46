#include <algorithm>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sched.h>
#include <thread>
#include <unistd.h>

#include <sys/syscall.h>

#include "mais/probe/bandwidth.hpp"
#include "probe/wording.hpp"

namespace mais::probing {

namespace {

// Reading a clock is what measuring is.
double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool bind_to(int cpu) {
  if (cpu < 0 || cpu >= CPU_SETSIZE) return false;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

// New memory of this thread comes from the node. False where that is not allowed.
bool take_memory_of(int node) {
  constexpr long kBind = 2;  // MPOL_BIND of linux/mempolicy.h
  constexpr int kBits = 8 * sizeof(unsigned long);
  constexpr int kMost = 1024;
  unsigned long mask[kMost / kBits] = {};
  if (node < 0 || node >= kMost) return false;
  mask[node / kBits] |= 1UL << (node % kBits);
  return ::syscall(SYS_set_mempolicy, kBind, mask, static_cast<unsigned long>(kMost) + 1) == 0;
}

struct Slice {
  std::size_t begin = 0, end = 0;
};

void triad(double* a, const double* b, const double* c, Slice slice) {
  for (std::size_t i = slice.begin; i < slice.end; ++i) a[i] = b[i] + 3.0 * c[i];
}

}  // namespace

Result<Measurement> measure_node(const NumaNode& node, const std::string& place, Bytes array,
                                 int runs) {
  MAIS_EXPECTS(array > Bytes(0) && runs > 0, "a measurement has a size and runs");
  if (node.cpus.empty()) {
    return fail(ErrorCode::unavailable, place + ": has no processor near it to measure with");
  }
  const auto elements = static_cast<std::size_t>(array.count()) / sizeof(double);
  // Not touched before the threads do: memory comes from the node of who touches it first.
  const auto fresh = [&] { return std::unique_ptr<double[]>(new (std::nothrow) double[elements]); };
  const std::unique_ptr<double[]> a = fresh(), b = fresh(), c = fresh();
  if (!a || !b || !c) {
    return fail(ErrorCode::over_capacity,
                place + ": three arrays of " + size_text(array) + " cannot be had");
  }

  const std::size_t count = node.cpus.size();
  std::vector<double> rates;
  std::atomic<std::size_t> bound{0}, placed{0};
  double begin = 0;
  std::barrier meet(static_cast<std::ptrdiff_t>(count));
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < count; ++t) {
    threads.emplace_back([&, t] {
      if (bind_to(node.cpus[t])) bound.fetch_add(1);
      if (take_memory_of(node.node)) placed.fetch_add(1);
      const Slice slice{elements * t / count, elements * (t + 1) / count};
      for (std::size_t i = slice.begin; i < slice.end; ++i) {
        a[i] = 0;
        b[i] = 1;
        c[i] = 2;
      }
      for (int run = 0; run <= runs; ++run) {
        meet.arrive_and_wait();
        if (t == 0) begin = now_seconds();
        meet.arrive_and_wait();
        triad(a.get(), b.get(), c.get(), slice);
        meet.arrive_and_wait();
        if (t != 0 || run == 0) continue;  // the first warms up
        const double bytes = 3.0 * sizeof(double) * static_cast<double>(elements);
        rates.push_back(bytes / std::max(1e-9, now_seconds() - begin));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (bound != count) {
    return fail(ErrorCode::unavailable, place +
                                            ": its processors may not be used, so nothing was "
                                            "measured on them");
  }
  // Otherwise memory came from the node of who touched it first, which is the same for a node with
  // processors of its own.
  if (node.memory_only && placed != count) {
    return fail(ErrorCode::unavailable,
                place + ": memory may not be bound to a node here (set_mempolicy is refused)");
  }
  Measurement result;
  result.place = place;
  result.rate = measured_rate(rates, "triad, " + counted(count, "thread") + ", 3 x " +
                                         size_text(array) + ", " + std::to_string(runs) + " runs");
  return result;
}

namespace {

// A file that is gone when this is.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& folder) : name_(folder + "/mais-bandwidth-XXXXXX") {
    descriptor_ = ::mkstemp(name_.data());
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile() {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
      ::unlink(name_.c_str());
    }
  }
  int descriptor() const { return descriptor_; }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  int descriptor_ = -1;
};

constexpr std::size_t kBlock = std::size_t{4} << 20;
constexpr std::size_t kAlignment = 4096;

struct Free {
  void operator()(void* pointer) const { std::free(pointer); }
};

tl::unexpected<Error> disk_error(const std::string& folder, const char* what, ErrorCode code) {
  return fail(code, folder + ": " + what + ": " + std::strerror(errno));
}

}  // namespace

Result<Measurement> measure_disk(const std::string& folder, Bytes size, int runs) {
  MAIS_EXPECTS(size > Bytes(0) && runs > 0, "a measurement has a size and runs");
  const ScratchFile file(folder);
  if (file.descriptor() < 0) {
    return disk_error(folder, "no file can be made there", ErrorCode::io_error);
  }
  const std::unique_ptr<char, Free> block(
      static_cast<char*>(std::aligned_alloc(kAlignment, kBlock)));
  if (!block) return fail(ErrorCode::over_capacity, "a block of 4 MiB cannot be had");
  // Not zeros: some file systems and disks do not store them.
  std::uint64_t pattern = 0x9e3779b97f4a7c15;
  for (std::size_t i = 0; i < kBlock; i += sizeof pattern) {
    pattern = pattern * 6364136223846793005ULL + 1442695040888963407ULL;
    std::memcpy(block.get() + i, &pattern, sizeof pattern);
  }
  const std::size_t blocks =
      std::max<std::size_t>(1, static_cast<std::size_t>(size.count()) / kBlock);
  for (std::size_t i = 0; i < blocks; ++i) {
    if (::write(file.descriptor(), block.get(), kBlock) != static_cast<ssize_t>(kBlock)) {
      return disk_error(folder, "its file cannot be written", ErrorCode::io_error);
    }
  }
  if (::fsync(file.descriptor()) != 0) {
    return disk_error(folder, "its file cannot be written out", ErrorCode::io_error);
  }

  const int direct = ::open(file.name().c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  if (direct < 0) {
    return disk_error(folder, "its file system does not read past the page cache",
                      ErrorCode::unavailable);
  }
  std::vector<double> rates;
  bool good = true;
  for (int run = 0; run < runs && good; ++run) {
    const double begin = now_seconds();
    for (std::size_t i = 0; i < blocks && good; ++i) {
      good = ::pread(direct, block.get(), kBlock, static_cast<off_t>(i * kBlock)) ==
             static_cast<ssize_t>(kBlock);
    }
    rates.push_back(static_cast<double>(blocks * kBlock) / std::max(1e-9, now_seconds() - begin));
  }
  const int saved = errno;
  ::close(direct);
  errno = saved;
  if (!good) return disk_error(folder, "its file cannot be read back", ErrorCode::io_error);
  Measurement result;
  result.place = "offload";
  result.rate = measured_rate(
      rates, "read past the page cache, blocks of 4 MiB, " + std::to_string(runs) + " runs");
  return result;
}

}  // namespace mais::probing
