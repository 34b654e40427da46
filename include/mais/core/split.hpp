// Which layers live where when a model does not fit one device, by predicted tokens per second:
// over several GPUs as stages of a pipeline, each of one device or of several that share every
// layer (tensor parallel), and between GPUs and host.
//
//   mode              weights      computed by   in each pass
//   resident          device       device
//   streamed          host         device        copied ahead of their use, two buffers deep
//   host              host         host          activations cross over and back
//   experts_host      exp.: host   exp.: host    activations of the layer cross over and back
//   experts_streamed  exp.: host   device        copied ahead; those that are touched, once the
//                                                router has spoken, where they are less than half
//
// State stays with the layer that reads it. Streamed layers lie between resident ones as evenly as
// they can, so that copies hide behind computing: with gaps all alike two buffers are enough for a
// pass to take max(computing, copying).
//
// Time. A layer takes what the roofline says of the device (core/cost.hpp), experts on their own;
// of E experts a pass of n tokens touches the part 1 - (1 - k/E)^n where a token takes k and
// routing is even. Tensor parallel devices add all-reduces of n bytes of activations over their
// slowest link: 2 (T-1) (n / T / rate + latency) in a ring, or ceil(log2 T) (n / rate + latency) by
// doubling, the faster (Thakur, Rabenseifner and Gropp, IJHPCA 2005). A pass is a timeline: layers
// in order on their executors, copies in order on each stage's link, a copy when the second last
// before it was used; sequences run in one group, or in as many as there are stages, so that all
// work (the pipeline of GPipe, Huang et al. 2019). The host's memory serves its own computing and
// all copies: a pass takes no less than both together.
//
// Search. For each degree of tensor parallelism that divides the devices, and for one group of
// sequences or one for each stage, layer by layer (the dynamic programme of Alpa's stages, Zheng et
// al., OSDI 2022, with modes): partial placements that no other is better than in every byte and
// second are kept, at most `SplitOptions::width` for each stage, those that can still become the
// fastest by the relaxed problem (layers that divide and lie anywhere; FlexGen, Sheng et al., ICML
// 2023, solves that problem alone). What cannot beat the best so far is dropped. The best few are
// laid out, timed, and improved by exchanges. Small models meet the best of all placements; on
// large ones expect a percent or two.
//
// Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mais/core/layered_model.hpp"
#include "mais/machine.hpp"
#include "mais/result.hpp"

namespace mais::core {

enum class LayerMode : std::uint8_t { resident, streamed, host, experts_host, experts_streamed };
std::string_view to_string(LayerMode mode) noexcept;

struct SplitOptions {
  std::int64_t parallel = 1;  // sequences that are decoded together; state is kept for all
  Tokens context{8192};       // of each of them, prompt and answer
  Tokens prompt{1024};        // whose time to first token is predicted; at most `context`
  Tokens chunk{2048};         // prompt tokens computed in one pass
  TokensPerBlock page{16};
  // Several devices also where one would do. Without, a model that fits one device is left whole,
  // on the one that is fastest; the others can have replicas.
  bool spread = false;
  bool host_computes = true;  // false: what lies in the host is streamed
  // Buffers are kept for what the host computes too, so that prompts can be computed by the stage,
  // with weights copied for each chunk, where that is faster.
  bool prompts_on_device = true;
  int width = 24;       // of the search; 1 or more
  Bytes more{1 << 30};  // Gain::more; 0: gains are not asked for
};

struct LayerPlace {
  LayerMode mode = LayerMode::resident;
  int stage = 0;  // index in Split::stages; of `host`: whose buffers it goes through
};

// What a space holds.
struct SpaceUse {
  SpaceId space{};
  Bytes weights{};
  Bytes state{};
  Bytes buffers{};  // that copies of weights go through
  Bytes workspace{};
  Bytes capacity{};
  Bytes used() const noexcept { return weights + state + buffers + workspace; }
};

enum class BoundKind : std::uint8_t { compute, memory, link };
std::string_view to_string(BoundKind kind) noexcept;

// What most of a pass is spent on.
struct Bound {
  BoundKind kind = BoundKind::memory;
  std::string where{};  // name of a device, or "from -> to" of spaces
  double share = 0;     // of the time of a pass that it is busy with it; 0..1
};

struct SplitSpeed {
  double token_s = 0;            // between two tokens of one sequence that is alone
  double step_s = 0;             // between two tokens of each of `parallel` sequences
  double tokens_per_second = 0;  // of all of them: parallel / step_s
  double ttft_s = 0;             // of a prompt that is alone
  double prompt_tokens_per_second = 0;
  Bound bound{};  // of `step_s`
};

// What `SplitOptions::more` bytes on each device of a stage, or in the host, would buy: found by
// solving again.
struct Gain {
  std::vector<SpaceId> spaces{};
  Bytes more{};
  double tokens_per_second = 0;  // then; never less than now
};

struct Split {
  int tensor_parallel = 1;
  std::vector<std::vector<DeviceId>> stages{};  // in use, in order; none: all in the host
  std::optional<SpaceId> host{};                // where one is used
  int groups = 1;                               // of sequences that are under way at once
  std::vector<LayerPlace> layers{};             // as LayeredModel::layers
  std::vector<SpaceUse> spaces{};               // of the stages' devices, then the host
  SplitSpeed speed{};
  std::vector<Gain> gains{};  // of stages in order, then the host
  bool complete = false;      // the search dropped no partial placement for its width
  // Resident, on one device.
  bool whole() const noexcept;
};

// Errors: invalid_argument: faults of the model or the options, more than 1024 layers or 64
// devices, or a machine whose bandwidths are not known; over_capacity: it cannot fit, with what is
// asked, what there is and how much is missing in bytes. O(degrees x layers x stages x modes x
// width log width), for each gain once more.
Result<Split> split(const LayeredModel& model, const Machine& machine,
                    const SplitOptions& options = {});

// The same recount for any placement: what each space holds, whether or not it can. `split.stages`,
// `tensor_parallel`, `host` and `layers` are read. O(layers x stages).
std::vector<SpaceUse> memory_of(const Split& split, const LayeredModel& model,
                                const Machine& machine, const SplitOptions& options = {});

}  // namespace mais::core
