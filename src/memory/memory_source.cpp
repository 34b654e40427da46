#include "mais/memory/memory_source.hpp"

#include <utility>

namespace mais::memory {

namespace {

bool within(std::size_t first, std::size_t count, std::size_t all) noexcept {
  return first <= all && count <= all - first;
}

}  // namespace

Region::Region(std::unique_ptr<Backing> backing, Bytes slab_size, std::size_t slab_count)
    : backing_(std::move(backing)), slab_size_(slab_size), addresses_(slab_count, nullptr) {}

Bytes Region::committed() const noexcept {
  return slab_size_ * committed_;
}

Result<void> Region::commit(std::size_t first, std::size_t count) {
  MAIS_EXPECTS(within(first, count, addresses_.size()), "commit of slabs that are not there");
  for (std::size_t slab = first; slab < first + count; ++slab) {
    MAIS_EXPECTS(addresses_[slab] == nullptr, "a slab is committed twice");
  }
  for (std::size_t slab = first; slab < first + count; ++slab) {
    Result<std::byte*> address = backing_->commit(slab);
    if (address) {
      addresses_[slab] = *address;
      ++committed_;
      continue;
    }
    while (slab-- > first) {
      // What the system does not take back stays committed, and is counted so.
      if (!backing_->decommit(slab)) continue;
      addresses_[slab] = nullptr;
      --committed_;
    }
    return tl::unexpected(std::move(address.error()));
  }
  return {};
}

Result<void> Region::decommit(std::size_t first, std::size_t count) {
  MAIS_EXPECTS(within(first, count, addresses_.size()), "decommit of slabs that are not there");
  for (std::size_t slab = first; slab < first + count; ++slab) {
    MAIS_EXPECTS(addresses_[slab] != nullptr, "a slab is decommitted that is not committed");
  }
  for (std::size_t slab = first; slab < first + count; ++slab) {
    if (Result<void> done = backing_->decommit(slab); !done) return done;
    addresses_[slab] = nullptr;
    --committed_;
  }
  return {};
}

Result<Region> MemorySource::reserve(Bytes slab_size, std::size_t slab_count) {
  if (slab_count == 0 || slab_size <= Bytes(0) || slab_size % granularity() != Bytes(0)) {
    return fail(ErrorCode::invalid_argument,
                name() + ": cannot reserve " + std::to_string(slab_count) + " slabs of " +
                    std::to_string(slab_size.count()) +
                    " B; at least one slab is needed, and its size is a multiple of " +
                    std::to_string(granularity().count()) + " B");
  }
  if (slab_size * slab_count == Bytes::max()) {
    return fail(ErrorCode::over_capacity, name() + ": there are not so many addresses");
  }
  Result<std::unique_ptr<Backing>> backing =
      open(static_cast<std::size_t>(slab_size.count()), slab_count);
  if (!backing) return tl::unexpected(std::move(backing.error()));
  return Region(*std::move(backing), slab_size, slab_count);
}

}  // namespace mais::memory
