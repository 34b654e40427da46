#include "mais/core/fair_share.hpp"

#include <algorithm>

#include "mais/units.hpp"

namespace mais::core {

namespace {

constexpr double kUnit = 1 << 20;
// Far enough from the end of the range that one more charge cannot pass it.
constexpr std::int64_t kRebaseAt = std::int64_t{1} << 61;
constexpr std::int64_t kMostAtOnce = std::int64_t{1} << 60;

double cut_weight(double weight) noexcept {
  if (!(weight >= FairShare::kLeastWeight)) return FairShare::kLeastWeight;
  return std::min(weight, FairShare::kMostWeight);
}

std::int64_t price_of(double weight) noexcept {
  return static_cast<std::int64_t>(kUnit / weight + 0.5);
}

}  // namespace

FairShare::Member FairShare::add(double weight) {
  const double cut = cut_weight(weight);
  members_.push_back({cut, price_of(cut), floor_, 0, false});
  order_.reserve(members_.capacity());
  return static_cast<Member>(members_.size() - 1);
}

void FairShare::set_weight(Member member, double weight) {
  const double cut = cut_weight(weight);
  members_[member].weight = cut;
  members_[member].price = price_of(cut);
}

void FairShare::lift(Member member) noexcept {
  if (!order_.empty()) floor_ = std::max(floor_, order_.top_value());
  members_[member].counter = std::max(members_[member].counter, floor_);
}

void FairShare::insert(Member member) {
  MemberState& state = members_[member];
  if (state.waiting) return;
  state.waiting = true;
  order_.push(state.counter, member, Index{&members_});
}

void FairShare::remove(Member member) noexcept {
  MemberState& state = members_[member];
  if (!state.waiting) return;
  state.waiting = false;
  order_.remove(member, Index{&members_});
  if (order_.empty()) floor_ = std::max(floor_, state.counter);
}

void FairShare::charge(Member member, std::int64_t service) noexcept {
  MemberState& state = members_[member];
  state.counter +=
      std::clamp(detail::saturating_multiply(service, state.price), -kMostAtOnce, kMostAtOnce);
  if (state.waiting) {
    order_.update(member, state.counter, Index{&members_});
  } else if (order_.empty()) {
    // Nobody waits: the next to come is even with the last that was served, not ahead of it.
    floor_ = std::max(floor_, state.counter);
  }
  if (state.counter > kRebaseAt || state.counter < -kRebaseAt) rebase();
}

// Only differences count, so all counters can move down together before one runs out of range.
void FairShare::rebase() noexcept {
  if (!order_.empty()) floor_ = std::max(floor_, order_.top_value());
  const std::int64_t shift = floor_;
  const auto moved = [shift](std::int64_t counter) {
    return std::clamp(detail::saturating_add(counter, -shift), -kRebaseAt, kRebaseAt);
  };
  for (MemberState& state : members_) state.counter = moved(state.counter);
  order_.change_values(moved);
  floor_ = 0;
}

}  // namespace mais::core
