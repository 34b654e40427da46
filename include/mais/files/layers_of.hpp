// A model layer by layer, for mais/core/split.hpp: embeddings, the layers of the main tower, the
// output. Pure; any thread.
#pragma once

#include "mais/core/layered_model.hpp"
#include "mais/files/footprint.hpp"

namespace mais::files {

// With `file`, a layer weighs what its tensors do, and so do its experts; the architecture tells
// how its other matrices can be cut. Bytes and state add up to those of footprint() on one device.
// Other towers are memory of the first layer that generating does not read; adapters are part of
// every layer. Parallelism of the options is left aside. Errors: those of footprint(), and
// invalid_argument for a model that batches by request. O(layers + tensors).
Result<core::LayeredModel> layers_of(const Architecture& architecture,
                                     const FootprintOptions& options = {},
                                     const ModelFile* file = nullptr);

}  // namespace mais::files
