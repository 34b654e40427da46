// The inner loops of attention. Included by one file for each set of instructions that they are
// compiled for. Nothing in here may be shared between those files, or code for the larger set would
// run on the smaller: it calls no function of the standard library that is not a builtin.
//
// Each lane is plain arithmetic in the order written here, without contraction, so every set of
// instructions gives the same bits.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "attention.hpp"

namespace torch_server {

namespace {

// Eight floats at once, on whatever the machine has.
constexpr std::int64_t kLanes = 8;
using Lanes = float __attribute__((vector_size(32)));
using IntLanes = std::int32_t __attribute__((vector_size(32)));

inline void load(Lanes& lanes, const float* from) {
  std::memcpy(&lanes, from, sizeof lanes);
}
inline void store(float* to, const Lanes& lanes) {
  std::memcpy(to, &lanes, sizeof lanes);
}

// Eight times e^x for x <= 0, to about 1e-7 relative; 0 far below (Cephes, Moshier 1984-1992: range
// reduction by ln 2 in two parts, then a polynomial of degree 5).
inline void exponential(Lanes& x) {
  const Lanes lowest = Lanes{} - 87.0F;
  const IntLanes usual = x > lowest;
  x = usual ? x : lowest;
  const Lanes whole = (x * 1.44269504088896341F + 12582912.0F) - 12582912.0F;
  const Lanes r = (x - whole * 0.693359375F) + whole * 2.12194440e-4F;
  Lanes p = r * 1.9875691500e-4F + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  const IntLanes exponent = (__builtin_convertvector(whole, IntLanes) + 127) << 23;
  Lanes power;
  std::memcpy(&power, &exponent, sizeof power);
  x = usual ? p * power : Lanes{};
}

// What the heads that share one key-value head need.
struct Group {
  const float* query;  // the first head's; the others follow
  float* scores;       // of the first head; the others follow at `stride`
  float* out;
  std::int64_t stride;
};

// Scores of `Heads` queries with `Parts` x 8 tokens of a page, from token `at` on.
template <int Heads, int Parts>
void score_tokens(const PageLayout& layout, const float* keys, const Group& group, float scale,
                  std::int64_t first, std::int64_t at) {
  Lanes sums[Parts][Heads] = {};
  for (std::int64_t i = 0; i < layout.head_width; ++i) {
    for (int part = 0; part < Parts; ++part) {
      Lanes key;
      load(key, keys + i * layout.tokens + at + part * kLanes);
      for (int h = 0; h < Heads; ++h) {
        sums[part][h] += key * group.query[h * layout.head_width + i];
      }
    }
  }
  for (int part = 0; part < Parts; ++part) {
    for (int h = 0; h < Heads; ++h) {
      store(group.scores + h * group.stride + first + at + part * kLanes, sums[part][h] * scale);
    }
  }
}

template <int Heads>
void score_page(const PageLayout& layout, const float* keys, const Group& group, float scale,
                std::int64_t first) {
  std::int64_t at = 0;
  for (; at + 2 * kLanes <= layout.tokens; at += 2 * kLanes) {
    score_tokens<Heads, 2>(layout, keys, group, scale, first, at);
  }
  if (at < layout.tokens) score_tokens<Heads, 1>(layout, keys, group, scale, first, at);
}

// Adds what `count` tokens of a page contribute to floats `at` ... of each head's output.
template <int Heads, int Parts>
void add_part(const PageLayout& layout, const float* values, const Group& group, std::int64_t first,
              std::int64_t count, std::int64_t at) {
  Lanes sums[Parts][Heads];
  for (int part = 0; part < Parts; ++part) {
    for (int h = 0; h < Heads; ++h) {
      load(sums[part][h], group.out + h * layout.head_width + at + part * kLanes);
    }
  }
  for (std::int64_t token = 0; token < count; ++token) {
    for (int part = 0; part < Parts; ++part) {
      Lanes value;
      load(value, values + token * layout.head_width + at + part * kLanes);
      for (int h = 0; h < Heads; ++h) {
        sums[part][h] += value * group.scores[h * group.stride + first + token];
      }
    }
  }
  for (int part = 0; part < Parts; ++part) {
    for (int h = 0; h < Heads; ++h) {
      store(group.out + h * layout.head_width + at + part * kLanes, sums[part][h]);
    }
  }
}

template <int Heads>
void add_values(const PageLayout& layout, const float* values, const Group& group,
                std::int64_t first, std::int64_t count) {
  for (std::int64_t at = 0; at < layout.head_width; at += 2 * kLanes) {
    add_part<Heads, 2>(layout, values, group, first, count, at);
  }
}

// Turns scores into e^(score - largest) and returns 1 / their sum. Those beyond `keys`, up to
// `room`, become 0.
inline float soften(float* scores, std::int64_t keys, std::int64_t room) {
  for (std::int64_t i = keys; i < room; ++i) {
    scores[i] = -std::numeric_limits<float>::infinity();
  }
  Lanes most;
  load(most, scores);
  for (std::int64_t i = kLanes; i < room; i += kLanes) {
    Lanes lanes;
    load(lanes, scores + i);
    most = lanes > most ? lanes : most;
  }
  float largest = most[0];
  for (std::int64_t lane = 1; lane < kLanes; ++lane) {
    if (most[lane] > largest) largest = most[lane];
  }
  Lanes sums{};
  for (std::int64_t i = 0; i < room; i += kLanes) {
    Lanes lanes;
    load(lanes, scores + i);
    lanes = lanes - largest;
    exponential(lanes);
    store(scores + i, lanes);
    sums += lanes;
  }
  float sum = 0;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) sum += sums[lane];
  return 1 / sum;
}

template <int Heads>
void attend_group(const PageLayout& layout, std::int64_t layer, std::int64_t kv_head,
                  const Attended& attended, const Group& group) {
  const float scale = 1 / __builtin_sqrtf(static_cast<float>(layout.head_width));
  float* const* pages = attended.pages;
  const std::int64_t count = (attended.keys - 1) / layout.tokens + 1;
  for (std::int64_t page = 0; page < count; ++page) {
    score_page<Heads>(layout, pages[page] + layout.keys(layer, kv_head), group, scale,
                      page * layout.tokens);
  }
  float parts[Heads];
  for (int h = 0; h < Heads; ++h) {
    parts[h] = soften(group.scores + h * group.stride, attended.keys, count * layout.tokens);
  }
  for (std::int64_t i = 0; i < Heads * layout.head_width; ++i) group.out[i] = 0;
  for (std::int64_t page = 0; page < count; ++page) {
    const std::int64_t first = page * layout.tokens;
    const std::int64_t left = attended.keys - first;
    add_values<Heads>(layout, pages[page] + layout.values(layer, kv_head), group, first,
                      left < layout.tokens ? left : layout.tokens);
  }
  for (int h = 0; h < Heads; ++h) {
    float* out = group.out + h * layout.head_width;
    for (std::int64_t i = 0; i < layout.head_width; ++i) out[i] *= parts[h];
  }
}

inline void attend_all(const PageLayout& layout, std::int64_t layer, std::int64_t heads,
                       const Attended& attended, const float* query, float* scratch, float* out) {
  const std::int64_t shared_by = heads / layout.kv_heads;
  const std::int64_t stride = (attended.keys + layout.tokens - 1) / layout.tokens * layout.tokens;
  for (std::int64_t kv_head = 0; kv_head < layout.kv_heads; ++kv_head) {
    for (std::int64_t head = 0; head < shared_by;) {
      const std::int64_t at = (kv_head * shared_by + head) * layout.head_width;
      const Group group{.query = query + at, .scores = scratch, .out = out + at, .stride = stride};
      const std::int64_t left = shared_by - head;
      if (left >= 4) {
        attend_group<4>(layout, layer, kv_head, attended, group);
        head += 4;
      } else if (left >= 2) {
        attend_group<2>(layout, layer, kv_head, attended, group);
        head += 2;
      } else {
        attend_group<1>(layout, layer, kv_head, attended, group);
        head += 1;
      }
    }
  }
}

}  // namespace

}  // namespace torch_server
