// Hands out leases of plain bytes on one space: in the queue's order, when they fit.
#pragma once

#include <optional>
#include <vector>

#include "core/sequence.hpp"
#include "mais/config.hpp"

namespace mais::core {

class LeaseDesk {
 public:
  // Opens the accounts <space> -> leases -> <tenant>.
  static Result<LeaseDesk> open(Ledger& ledger, const Config& config, SpaceId space);

  std::optional<Refusal> check(const Ledger& ledger, const Sequence& lease) const;
  std::optional<Refusal> enqueue(Sequence& lease);
  // Grants what fits, in order. Returns the bytes that a lease within its tenant's guarantee lacks
  // because others borrowed them: somebody has to give way.
  Bytes serve(Context& context);
  void advance(Context& context);
  void cancel(Context& context, Sequence& lease);
  void give_back(Context& context, Sequence& lease);
  std::optional<Time> next_timer() const { return queue_.next_expiry(); }
  bool waiting() const noexcept { return !queue_.empty(); }
  void unblock();  // memory may have been given back
  AccountId tenant_account(TenantId tenant) const { return tenants_[tenant.value()]; }

 private:
  SpaceId space_;
  Bytes most_;  // of one lease: what is promised to no instance
  std::vector<AccountId> tenants_;
  AdmissionQueue queue_;
  std::vector<QueuedRequest> expired_;
};

}  // namespace mais::core
