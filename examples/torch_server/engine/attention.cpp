#include "attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace torch_server {

namespace {

// Eight floats at once, on whatever the machine has. Each lane is plain arithmetic in the order
// written here, so the results do not depend on how wide the machine is.
constexpr std::int64_t kLanes = 8;
using Lanes = float __attribute__((vector_size(32)));
using IntLanes = std::int32_t __attribute__((vector_size(32)));

inline void load(Lanes& lanes, const float* from) {
  std::memcpy(&lanes, from, sizeof lanes);
}
inline void store(float* to, const Lanes& lanes) {
  std::memcpy(to, &lanes, sizeof lanes);
}

// e^x for x <= 0, to about 1e-7 relative; 0 far below (Cephes, Moshier 1984-1992: range reduction
// by ln 2 in two parts, then a polynomial of degree 5).
inline void exponential(float* at) {
  Lanes x;
  load(x, at);
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
  IntLanes exponent = (__builtin_convertvector(whole, IntLanes) + 127) << 23;
  Lanes power;
  std::memcpy(&power, &exponent, sizeof power);
  store(at, usual ? p * power : Lanes{});
}

// What the heads that share one key-value head need.
struct Group {
  const float* query;  // the first head's; the others follow
  float* scores;       // of the first head; the others follow at `stride`
  float* out;
  std::int64_t stride;
};

// Scores of `Heads` queries with all tokens of a page.
template <int Heads>
void score_page(const PageLayout& layout, const float* keys, const Group& group, float scale,
                std::int64_t first) {
  for (std::int64_t token = 0; token < layout.tokens; token += kLanes) {
    Lanes sums[Heads] = {};
    for (std::int64_t i = 0; i < layout.head_width; ++i) {
      Lanes key;
      load(key, keys + i * layout.tokens + token);
      for (int h = 0; h < Heads; ++h) sums[h] += key * group.query[h * layout.head_width + i];
    }
    for (int h = 0; h < Heads; ++h) {
      store(group.scores + h * group.stride + first + token, sums[h] * scale);
    }
  }
}

// Adds what `count` tokens of a page contribute.
template <int Heads>
void add_values(const PageLayout& layout, const float* values, const Group& group,
                std::int64_t first, std::int64_t count) {
  for (std::int64_t i = 0; i < layout.head_width; i += kLanes) {
    Lanes sums[Heads];
    for (int h = 0; h < Heads; ++h) load(sums[h], group.out + h * layout.head_width + i);
    for (std::int64_t token = 0; token < count; ++token) {
      Lanes value;
      load(value, values + token * layout.head_width + i);
      for (int h = 0; h < Heads; ++h) {
        sums[h] += value * group.scores[h * group.stride + first + token];
      }
    }
    for (int h = 0; h < Heads; ++h) store(group.out + h * layout.head_width + i, sums[h]);
  }
}

// Turns scores into e^(score - largest) and returns 1 / their sum. Those beyond `keys` become 0.
float soften(float* scores, std::int64_t keys, std::int64_t room) {
  const float largest = *std::max_element(scores, scores + keys);
  std::fill(scores + keys, scores + room, -std::numeric_limits<float>::infinity());
  Lanes sums{};
  for (std::int64_t i = 0; i < room; i += kLanes) {
    Lanes lanes;
    load(lanes, scores + i);
    store(scores + i, lanes - largest);
    exponential(scores + i);
    load(lanes, scores + i);
    sums += lanes;
  }
  float sum = 0;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) sum += sums[lane];
  return 1 / sum;
}

template <int Heads>
void attend_group(const PageLayout& layout, std::int64_t layer, std::int64_t kv_head,
                  const Attended& attended, const Group& group) {
  const float scale = 1 / std::sqrt(static_cast<float>(layout.head_width));
  const std::int64_t pages = (attended.keys - 1) / layout.tokens + 1;
  for (std::int64_t page = 0; page < pages; ++page) {
    const float* keys =
        attended.pages[static_cast<std::size_t>(page)] + layout.keys(layer, kv_head);
    score_page<Heads>(layout, keys, group, scale, page * layout.tokens);
  }
  float parts[Heads];
  for (int h = 0; h < Heads; ++h) {
    parts[h] = soften(group.scores + h * group.stride, attended.keys, pages * layout.tokens);
  }
  std::fill(group.out, group.out + Heads * layout.head_width, 0.0F);
  for (std::int64_t page = 0; page < pages; ++page) {
    const float* values =
        attended.pages[static_cast<std::size_t>(page)] + layout.values(layer, kv_head);
    const std::int64_t first = page * layout.tokens;
    add_values<Heads>(layout, values, group, first, std::min(layout.tokens, attended.keys - first));
  }
  for (int h = 0; h < Heads; ++h) {
    float* out = group.out + h * layout.head_width;
    for (std::int64_t i = 0; i < layout.head_width; ++i) out[i] *= parts[h];
  }
}

constexpr int kMostHeads = 4;  // computed at once

}  // namespace

void rotate(float* head, std::int64_t width, const float* cosines, const float* sines) {
  const std::int64_t half = width / 2;
  for (std::int64_t i = 0; i < half; ++i) {
    const float a = head[i];
    const float b = head[half + i];
    head[i] = a * cosines[i] - b * sines[i];
    head[half + i] = b * cosines[i] + a * sines[i];
  }
}

void rotary_angles(std::int64_t position, std::int64_t width, double theta, float* cosines,
                   float* sines) {
  for (std::int64_t i = 0; i < width / 2; ++i) {
    const double part = static_cast<double>(2 * i) / static_cast<double>(width);
    const double angle = static_cast<double>(position) * std::pow(theta, -part);
    cosines[i] = static_cast<float>(std::cos(angle));
    sines[i] = static_cast<float>(std::sin(angle));
  }
}

void store_token(const PageLayout& layout, float* page, std::int64_t layer, std::int64_t slot,
                 const float* key, const float* value) {
  for (std::int64_t head = 0; head < layout.kv_heads; ++head) {
    float* keys = page + layout.keys(layer, head) + slot;
    for (std::int64_t i = 0; i < layout.head_width; ++i) {
      keys[i * layout.tokens] = key[head * layout.head_width + i];
    }
    std::copy_n(value + head * layout.head_width, layout.head_width,
                page + layout.values(layer, head) + slot * layout.head_width);
  }
}

std::int64_t scratch_floats(const PageLayout& layout, std::int64_t keys) {
  return kMostHeads * ((keys + layout.tokens - 1) / layout.tokens * layout.tokens);
}

void attend(const PageLayout& layout, std::int64_t layer, std::int64_t heads,
            const Attended& attended, const float* query, float* scratch, float* out) {
  const std::int64_t shared_by = heads / layout.kv_heads;
  const std::int64_t stride = scratch_floats(layout, attended.keys) / kMostHeads;
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

}  // namespace torch_server
