#include "prefix_hash.hpp"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "server/prompts.hpp"

namespace server {
namespace {

TEST(PrefixHash, NamesWholeBlocksOnly) {
  for (std::size_t length = 1; length < 40; ++length) {
    EXPECT_EQ(prefix_hashes(prompt_of(length, 1), 8, 1).size(), length / 8);
  }
  EXPECT_TRUE(prefix_hashes(prompt_of(40, 1), 0, 1).empty());
}

TEST(PrefixHash, IsEqualAsFarAsThePromptsAreEqualAndDiffersFromThereOn) {
  const auto prompt = prompt_of(64, 1);
  const auto hashes = prefix_hashes(prompt, 8, 1);
  for (std::size_t at = 0; at < 64; ++at) {
    auto other = prompt;
    other[at] = other[at] == 5 ? 6 : 5;
    const auto others = prefix_hashes(other, 8, 1);
    for (std::size_t block = 0; block < 8; ++block) {
      EXPECT_EQ(hashes[block] == others[block], block < at / 8) << at << ", block " << block;
    }
  }
}

TEST(PrefixHash, EqualBlocksAfterDifferentOnesAreDifferent) {
  const std::vector<Token> same(80, 7);
  const auto hashes = prefix_hashes(same, 8, 1);
  EXPECT_EQ(std::set<mais::BlockHash>(hashes.begin(), hashes.end()).size(), 10U);
}

TEST(PrefixHash, DependsOnTheKey) {
  EXPECT_NE(prefix_hashes(prompt_of(8, 1), 8, 1), prefix_hashes(prompt_of(8, 1), 8, 2));
}

}  // namespace
}  // namespace server
