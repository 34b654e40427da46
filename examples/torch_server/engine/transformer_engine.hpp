// The two engines that run on LibTorch: a decoder with a paged KV cache and iteration batching, and
// an encoder that gives one embedding for each text. No name of LibTorch is in this header.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine_names.hpp"
#include "shape.hpp"
#include "weights.hpp"

namespace torch_server {

struct DecoderOptions {
  std::string name{};
  Shape shape{};
  EngineBudgets budgets{};
  mais::TokensPerBlock page{16};  // tokens in a page, a multiple of 8
  std::int64_t pages = 0;         // of the pool, at least 1
  std::int64_t host_pages = 0;    // of the host tier, mapped by load(); 0: no tier
  // load() maps the pool, so that steps never lack pages; else they are mapped when steps name
  // them.
  bool map_pages_ahead = true;
  mais::Bytes slab = mais::Bytes(32 << 20);  // what memory for pages is mapped by
  std::optional<Token> end_of_text{};
};

// invalid_argument with all faults of the shape and the options. The source is read by load().
mais::Result<std::unique_ptr<Engine>> make_decoder(DecoderOptions options,
                                                   std::unique_ptr<WeightSource> source);

struct EncoderOptions {
  std::string name{};
  Shape shape{};
  EngineBudgets budgets{};              // state and host_state are not used
  std::vector<mais::Tokens> buckets{};  // lengths to pad to; none: powers of two from 16 on
};

mais::Result<std::unique_ptr<Engine>> make_encoder(EncoderOptions options,
                                                   std::unique_ptr<WeightSource> source);

}  // namespace torch_server
