#include "mais/memory/copy.hpp"

namespace mais::memory {

Copy copy_of(const core::StateMove& move, const BlockBacking& pool, const BlockBacking& host_tier,
             const CudaDevice* device) {
  MAIS_EXPECTS(pool.block_size() == host_tier.block_size(),
               "a pool and its host tier have blocks of one size");
  CopyEnd inner = device != nullptr ? CopyEnd::on_device(*device, pool.address(move.block))
                                    : CopyEnd::host(pool.address(move.block), pool.reach());
  CopyEnd outer = CopyEnd::host(host_tier.address(move.host_block), host_tier.reach());
  const bool out = move.kind == core::StateMove::Kind::out;
  return {.from = out ? inner : outer,
          .to = out ? outer : inner,
          .bytes = pool.block_size(),
          .urgency = out ? Urgency::prefetch : Urgency::demand};
}

}  // namespace mais::memory
