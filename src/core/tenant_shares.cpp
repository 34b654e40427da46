// Fairness between the tenants of one instance: who had more than a fair share, and what those
// leave to the others.
#include "core/iteration_batcher.hpp"

namespace mais::core {

namespace {

// Memory that tenants with less than their share were seen to want, and a little more.
constexpr double kPoorMargin = 1.1;

}  // namespace

// A tenant has more than its share when it had more than its weight of what all tenants that want
// or had something lately got of the device's time, or of the memory (Ghodsi et al., Dominant
// resource fairness, NSDI 2011).
void IterationBatcher::mark_over_share(const Context& context) {
  for (const Contender& before : contenders_) contender_at_[before.tenant.value()] = kNoIndex;
  contenders_.clear();
  const std::int64_t now = context.now.time_since_epoch().count();
  double weights = 0, seconds = 0, bytes = 0;
  const auto contends = [&](TenantId tenant) {
    std::uint32_t& at = contender_at_[tenant.value()];
    if (at != kNoIndex) return;
    at = static_cast<std::uint32_t>(contenders_.size());
    const AccountId account = memory_.tenant_account(tenant);
    contenders_.push_back({.tenant = tenant,
                           .seconds = usage_.seconds(tenant, now),
                           .bytes = static_cast<double>(context.ledger.used(account).count())});
    weights += weights_[tenant.value()];
    seconds += contenders_.back().seconds;
    bytes += contenders_.back().bytes;
  };
  for (const TenantId tenant : usage_.recent(now)) contends(tenant);
  for (const Candidate& c : candidates_) contends(c.tenant);
  for (const Candidate& c : overdue_) contends(c.tenant);
  if (contenders_.size() < 2) return;  // nobody is in anybody's way

  bool everybody = true;
  for (Contender& mine : contenders_) {
    const double share = weights_[mine.tenant.value()] / weights;
    mine.over_share = mine.seconds > share * seconds || mine.bytes > share * bytes;
    everybody = everybody && mine.over_share;
  }
  if (everybody) {  // one has the time, another the memory
    for (Contender& mine : contenders_) mine.over_share = false;
  }
  for (Candidate& c : candidates_) c.over_share = over_share(c.tenant);
  for (Candidate& c : overdue_) c.over_share = over_share(c.tenant);

  double wanted = 0;
  rich_pages_ = 0;
  for (const Running& place : running_) {
    const Sequence& sequence = context.sequences.at(place.slot);
    const bool rich = over_share(sequence.tenant);
    if (!rich && place.late) continue;
    (rich ? rich_pages_ : wanted) += static_cast<double>(sequence.pages.size());
  }
  for (const Candidate& c : candidates_) {
    if (c.late || c.over_share || !c.waiting) continue;
    wanted += pages_to_start(context.sequences.at(c.slot));
  }
  poor_demand_.see(now, wanted);
}

bool IterationBatcher::over_share(TenantId tenant) const {
  const std::uint32_t at = contender_at_[tenant.value()];
  return at != kNoIndex && contenders_[at].over_share;
}

// A request whose tenant has more than its share stays clear of the memory that others want.
bool IterationBatcher::leaves_others_room(const Context& context, const Candidate& c) const {
  if (!c.over_share || running_.empty()) return true;
  const double pages = rich_pages_ + pages_to_start(context.sequences.at(c.slot));
  return pages + kPoorMargin * poor_demand_.value() <=
         static_cast<double>(total_pages(context.ledger));
}

}  // namespace mais::core
