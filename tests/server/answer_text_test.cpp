#include "answer_text.hpp"

#include <random>

#include <gtest/gtest.h>

#include "byte_tokenizer.hpp"

namespace server {
namespace {

const ByteTokenizer kTokenizer;

std::string streamed(const std::string& bytes, std::vector<std::string> stops = {}) {
  AnswerText text(kTokenizer, std::move(stops));
  std::string all;
  for (const char byte : bytes) {
    text.push(static_cast<unsigned char>(byte));
    all += text.take(false);
  }
  return all + text.take(true);
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const int length = utf8_length(text);
    if (length <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(length));
  }
  return true;
}

TEST(AnswerTextTest, CharactersComeWholeOrNotAtAll) {
  AnswerText text(kTokenizer);
  for (const Token byte : {0xe2, 0x82}) {
    text.push(byte);
    EXPECT_EQ(text.take(false), "");
  }
  text.push(0xac);
  EXPECT_EQ(text.take(false), "\xe2\x82\xac");
  text.push(0xf0);
  EXPECT_EQ(text.take(true), "\xef\xbf\xbd");
}

TEST(AnswerTextTest, BytesThatAreNoCharacterAreReplaced) {
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(streamed("a\x80z"), "a" + bad + "z");
  EXPECT_EQ(streamed("\xc0\xaf"), bad + bad);                      // longer than needed
  EXPECT_EQ(streamed("\xe0\x80\xaf"), bad + bad + bad);            // likewise
  EXPECT_EQ(streamed("\xed\xa0\x80"), bad + bad + bad);            // a surrogate
  EXPECT_EQ(streamed("\xf4\x90\x80\x80"), bad + bad + bad + bad);  // beyond U+10FFFF
  EXPECT_EQ(streamed("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80");
}

TEST(AnswerTextTest, TokensWithoutAByteSayNothing) {
  AnswerText text(kTokenizer);
  text.push(ByteTokenizer::kEndOfTurn);
  text.push('a');
  EXPECT_EQ(text.take(true), "a");
}

TEST(AnswerTextTest, NothingOfAStopTextIsSaid) {
  AnswerText text(kTokenizer, {"END", "NDX"});
  for (const char byte : std::string("an EN")) text.push(byte);
  EXPECT_EQ(text.take(false), "an ");
  EXPECT_FALSE(text.stopped());
  text.push('D');
  EXPECT_EQ(text.take(false), "");
  EXPECT_TRUE(text.stopped());
  text.push('!');
  EXPECT_EQ(text.take(true), "");
}

TEST(AnswerTextTest, WhatOnlyBeganLikeAStopTextIsSaid) {
  EXPECT_EQ(streamed("an EN", {"END"}), "an EN");
  EXPECT_EQ(streamed("EEEND", {"END"}), "EE");
}

TEST(AnswerTextTest, PiecesMakeTheWholeWhateverTheBytes) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (int i = 0; i < 30; ++i) {
      constexpr unsigned char kBytes[] = {'a', 'b', 0x80, 0xbf, 0xc3, 0xe2, 0xed, 0xf0, 0x9f, 0x98};
      bytes.push_back(static_cast<char>(kBytes[random() % sizeof kBytes]));
    }
    AnswerText text(kTokenizer, {"ab"});
    for (const char byte : bytes) text.push(static_cast<unsigned char>(byte));
    const std::string whole = text.take(true);
    EXPECT_EQ(streamed(bytes, {"ab"}), whole) << "round " << round;
    EXPECT_TRUE(is_utf8(whole));
    EXPECT_EQ(whole.find("ab"), std::string::npos);
  }
}

}  // namespace
}  // namespace server
