#include "trace_fuzz.hpp"

#include <random>

#include <gmock/gmock.h>

namespace mais::sim {
namespace {

#ifdef MAIS_LONG_TESTS
constexpr int kTexts = 2'000'000;
#else
constexpr int kTexts = 20'000;
#endif

const std::string kSeeds[] = {
    "arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,374,44\n4.314579,396,109\n",
    "{\"timestamp\": 0, \"input_length\": 6758, \"output_length\": 500, \"hash_ids\": [0, 1, 2]}\n"
    "{\"timestamp\": 3000, \"input_length\": 900, \"output_length\": 5, \"hash_ids\": [0, 7]}\n",
};
constexpr std::string_view kPieces[] = {"-",  "1e308", "nan", "\"", "\\",
                                        "{",  "}",     "[",   "]",  ",",
                                        "\n", ":",     "0",   "9",  "99999999999999999999"};

TEST(TraceFuzz, AnyBytesGiveATraceOrOneError) {
  std::mt19937_64 random(11);
  for (int i = 0; i < kTexts; ++i) {
    std::string text = kSeeds[random() % std::size(kSeeds)];
    for (std::uint64_t n = random() % 5; n > 0; --n) {
      const std::size_t at = text.empty() ? 0 : random() % text.size();
      switch (random() % 5) {
        case 0:
          text.insert(at, kPieces[random() % std::size(kPieces)]);
          break;
        case 1:
          text.erase(at, random() % 20);
          break;
        case 2:
          text.insert(at, text.substr(at, random() % 60));
          break;
        case 3:
          text.resize(at);
          break;
        default:
          if (!text.empty()) text[at] = static_cast<char>(random());
      }
    }
    SCOPED_TRACE(text);
    fuzz_trace_parsers(text);
  }
}

}  // namespace
}  // namespace mais::sim
