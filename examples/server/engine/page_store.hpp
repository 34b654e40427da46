// The pages that keys and values live in: numbers 0 ... count - 1, as the planner names them, with
// addresses from the beginning and memory by whole slabs.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "engine.hpp"
#include "mais/memory/block_backing.hpp"

namespace server {

class PageStore {
 public:
  struct Sizes {
    std::int64_t page_bytes = 0;
    std::int64_t pages = 0;
    bool ahead = false;  // all are mapped by open() and stay so
    mais::Bytes slab{};
  };

  // What fails maps nothing and says why. Without pages: an empty store.
  mais::Result<void> open(mais::memory::MemorySource* source, mais::SharedLedger* ledger,
                          mais::core::AccountId account, const Sizes& sizes) {
    close();
    if (sizes.pages == 0) return {};
    MAIS_EXPECTS(source != nullptr && ledger != nullptr, "pages need a source and a ledger");
    auto made =
        mais::memory::BlockBacking::create(*source, ledger->open(account),
                                           {.block = mais::Bytes(sizes.page_bytes),
                                            .blocks = static_cast<std::uint32_t>(sizes.pages),
                                            .slab = sizes.slab});
    if (!made) return tl::unexpected<mais::Error>(std::move(made.error()));
    backing_.emplace(std::move(*made));
    ahead_ = sizes.ahead;
    for (std::uint32_t slab = 0; ahead_ && slab < backing_->slabs(); ++slab) {
      if (auto mapped = backing_->map(slab); !mapped) {
        ++refusals_;
        close();
        return mapped;
      }
    }
    note_peak();
    return {};
  }
  void close() {
    backing_.reset();
    used_ = 0;
  }

  // Sees to it that these pages have memory, all or none newly. The error tells why not.
  mais::Result<void> back(std::span<const std::uint32_t> pages) {
    MAIS_EXPECTS(backing_, "pages were named before load()");
    auto backed = backing_->back(pages);
    if (!backed) ++refusals_;
    note_peak();
    return backed;
  }
  // Gives back slabs in which all pages are free, unless they were mapped ahead.
  mais::Bytes unback(std::span<const std::uint32_t> free) {
    if (!backing_ || ahead_) return mais::Bytes(0);
    const mais::Bytes returned = backing_->unback(free);
    note_peak();
    return returned;
  }

  // Aborts for a page that is not there, or has no memory.
  std::byte* page(std::uint32_t id) const { return static_cast<std::byte*>(backing_->address(id)); }
  mais::Bytes slab_size() const { return backing_ ? backing_->slab_size() : mais::Bytes(0); }

  // From any thread.
  EngineMemory::Use use() const {
    return {.used = mais::Bytes(used_), .peak = mais::Bytes(peak_), .refusals = refusals_};
  }

 private:
  void note_peak() {
    used_ = backing_->mapped().count();
    peak_ = std::max(peak_.load(), used_.load());
  }
  std::optional<mais::memory::BlockBacking> backing_;
  bool ahead_ = false;
  std::atomic<std::int64_t> used_{0}, peak_{0};
  std::atomic<std::uint64_t> refusals_{0};
};

}  // namespace server
