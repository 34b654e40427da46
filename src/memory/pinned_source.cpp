#include "mais/memory/pinned_source.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include <sys/resource.h>

#include "mais/probe/file_tree.hpp"
#include "mais/probe/host_memory.hpp"
#include "memory/address_range.hpp"
#include "memory/cuda_registration.hpp"

namespace mais::memory {

namespace {

HostOptions host_options(const PinnedOptions& options) {
  return {.pages = options.pages, .numa_node = options.numa_node, .binding = options.binding};
}

// What RLIMIT_MEMLOCK leaves beside what is locked already.
Bytes left_to_lock() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return Bytes::max();
  }
  probing::SystemFiles files;
  const Result<probing::HostMemory> host = probing::read_host_memory(files);
  const Bytes locked = host ? host->locked : Bytes(0);
  const auto most = static_cast<std::int64_t>(
      std::min<rlim_t>(limit.rlim_cur, static_cast<rlim_t>(Bytes::max().count())));
  return std::max(Bytes(0), Bytes(most) - locked);
}

}  // namespace

class PinnedSource::Slabs final : public Backing {
 public:
  Slabs(PinnedSource& source, Region region)
      : source_(source), region_(std::move(region)), pinned_(region_.slab_count()) {}
  Slabs(const Slabs&) = delete;
  Slabs& operator=(const Slabs&) = delete;
  ~Slabs() override {
    for (std::size_t slab = 0; slab < pinned_.size(); ++slab) {
      if (pinned_[slab]) static_cast<void>(source_.unpin(region_.address(slab), size()));
    }
  }

  std::byte* base() const noexcept override { return region_.base(); }
  Result<std::byte*> commit(std::size_t slab) override {
    // Still there where it could not be pinned and the system did not take it back.
    if (!region_.is_committed(slab)) {
      if (Result<void> done = region_.commit(slab); !done) return tl::unexpected(done.error());
    }
    if (Result<void> done = source_.pin(region_.address(slab), size()); !done) {
      static_cast<void>(region_.decommit(slab));
      return tl::unexpected(std::move(done.error()));
    }
    pinned_[slab] = true;
    return region_.address(slab);
  }
  Result<void> decommit(std::size_t slab) override {
    if (pinned_[slab]) {
      if (Result<void> done = source_.unpin(region_.address(slab), size()); !done) return done;
      pinned_[slab] = false;
    }
    return region_.decommit(slab);
  }

 private:
  std::size_t size() const { return static_cast<std::size_t>(region_.slab_size().count()); }
  PinnedSource& source_;
  Region region_;
  std::vector<bool> pinned_;
};

PinnedSource::PinnedSource(PinnedOptions options)
    : PinnedSource(std::move(options), HostCalls::system()) {}

PinnedSource::PinnedSource(PinnedOptions options, const HostCalls& calls)
    : device_(std::move(options.device)),
      calls_(calls),
      host_(host_options(options), calls),
      limit_was_given_(options.limit.has_value()),
      limit_(options.limit ? *options.limit : left_to_lock()) {}

std::string PinnedSource::name() const {
  return "pinned " + host_.name() + (device_ ? ", by CUDA" : ", by mlock");
}

Reach PinnedSource::reach() const {
  Reach reach = host_.reach();
  reach.pinned = device_ != nullptr;
  return reach;
}

Bytes PinnedSource::pinned() const {
  const std::scoped_lock lock(mutex_);
  return pinned_;
}

Result<std::unique_ptr<Backing>> PinnedSource::open(std::size_t slab_size, std::size_t slab_count) {
  Result<Region> region = host_.reserve(Bytes(static_cast<std::int64_t>(slab_size)), slab_count);
  if (!region) return tl::unexpected(std::move(region.error()));
  return std::make_unique<Slabs>(*this, *std::move(region));
}

// Counted first, so that two threads together do not go over the limit.
Result<void> PinnedSource::pin(std::byte* begin, std::size_t size) {
  const Bytes bytes(static_cast<std::int64_t>(size));
  {
    const std::scoped_lock lock(mutex_);
    if (bytes > limit_ - pinned_) {
      return tl::unexpected(Error{
          ErrorCode::over_limit,
          name() + ": " + std::to_string(size) + " B more cannot be pinned, " +
              std::to_string(pinned_.count()) + " of " + std::to_string(limit_.count()) + " B are" +
              (limit_was_given_ ? " (PinnedOptions::limit)"
                                : " (RLIMIT_MEMLOCK: raise it with ulimit -l, LimitMEMLOCK= "
                                  "or docker run --ulimit memlock=, or set "
                                  "PinnedOptions::limit)"),
          bytes.count(), (limit_ - pinned_).count()});
    }
    pinned_ += bytes;
  }
  Result<void> done;
  if (device_) {
    done = register_pages(*device_, begin, size);
  } else if (calls_.lock(begin, size) != 0) {
    const int number = errno;
    Error error = system_error(ErrorCode::over_limit, "mlock", size, number);
    error.message += " (see RLIMIT_MEMLOCK: ulimit -l)";
    done = tl::unexpected(std::move(error));
  }
  if (!done) {
    const std::scoped_lock lock(mutex_);
    pinned_ -= bytes;
  }
  return done;
}

Result<void> PinnedSource::unpin(std::byte* begin, std::size_t size) {
  if (device_) {
    if (Result<void> done = unregister_pages(*device_, begin); !done) return done;
  } else if (calls_.unlock(begin, size) != 0) {
    return tl::unexpected(system_error(ErrorCode::unavailable, "munlock", size, errno));
  }
  const std::scoped_lock lock(mutex_);
  pinned_ -= Bytes(static_cast<std::int64_t>(size));
  return {};
}

}  // namespace mais::memory
