// Which page of one instance holds which tokens, as the steps say: the simulator's own bookkeeping,
// independent of the scheduler's.
//
// Content is a hash that names the tokens of a page and all before them, so that a page can be
// reused exactly where the same tokens stand. Pages keep their content until they are written anew,
// whoever holds them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "mais/core/action.hpp"
#include "mais/units.hpp"

namespace mais::sim {

struct PageContent {
  std::uint64_t tokens = 0;  // hash; 0: nothing
  std::uint32_t filled = 0;  // tokens from the start of the page on
};

class PageRecount {
 public:
  PageRecount(std::size_t pages, std::size_t host_pages, Duration move_out, Duration move_in)
      : pages_(pages), host_(host_pages), move_out_(move_out), move_in_(move_in) {}

  std::size_t pages() const { return pages_.size(); }
  // Pages that sequences hold, each once; those beyond the pool are counted for every holder.
  std::size_t held() const { return held_ + beyond_; }
  bool over() const { return beyond_ > 0 || held_ > pages_.size(); }

  bool in_pool(std::uint32_t page) const { return page < pages_.size(); }
  std::uint32_t users(std::uint32_t page) const { return pages_[page].users; }
  // A page beyond the pool holds anything: it is counted, not believed.
  bool holds(std::uint32_t page, std::uint64_t tokens, std::uint32_t filled) const {
    return !in_pool(page) ||
           (pages_[page].content.tokens == tokens && pages_[page].content.filled >= filled);
  }
  // When what was moved into a page is there to be read, and when what moves out of it has left, so
  // that it can be written.
  Time arrives(std::uint32_t page) const { return in_pool(page) ? pages_[page].arrives : Time{}; }
  Time leaves(std::uint32_t page) const { return in_pool(page) ? pages_[page].leaves : Time{}; }

  void hold(std::uint32_t page) {
    if (!in_pool(page)) {
      ++beyond_;
    } else if (pages_[page].users++ == 0) {
      ++held_;
    }
  }
  void release(std::uint32_t page) {
    if (!in_pool(page)) {
      --beyond_;
    } else if (--pages_[page].users == 0) {
      --held_;
    }
  }
  void write(std::uint32_t page, std::uint64_t tokens, std::uint32_t filled) {
    if (!in_pool(page)) return;
    PageContent& content = pages_[page].content;
    content.filled = content.tokens == tokens ? std::max(content.filled, filled) : filled;
    content.tokens = tokens;
  }

  // Starts a move and returns when it will be done, or nothing where it names a page that does not
  // exist. Moves of one direction run one after the other; a move waits for earlier ones that write
  // what it reads, or read or write what it writes.
  std::optional<Time> move(Time now, const core::StateMove& move) {
    if (!in_pool(move.block) || move.host_block >= host_.size()) return std::nullopt;
    Page& page = pages_[move.block];
    HostPage& host = host_[move.host_block];
    const bool out = move.kind == core::StateMove::Kind::out;
    Time& queue = out ? out_free_ : in_free_;
    const Time sources = out ? page.arrives : host.arrives;
    const Time target =
        out ? std::max(host.arrives, host.leaves) : std::max(page.arrives, page.leaves);
    const Time done = std::max({now, queue, sources, target}) + (out ? move_out_ : move_in_);
    queue = done;
    (out ? page.leaves : host.leaves) = done;
    (out ? host.arrives : page.arrives) = done;
    (out ? host.content : page.content) = out ? page.content : host.content;
    return done;
  }

 private:
  struct Page {
    PageContent content;
    std::uint32_t users = 0;
    Time arrives{}, leaves{};
  };
  struct HostPage {
    PageContent content;
    Time arrives{}, leaves{};
  };
  std::vector<Page> pages_;
  std::vector<HostPage> host_;
  std::size_t held_ = 0;
  std::size_t beyond_ = 0;
  Duration move_out_;
  Duration move_in_;
  Time out_free_{};
  Time in_free_{};
};

}  // namespace mais::sim
