#include "byte_tokenizer.hpp"

#include <gtest/gtest.h>

namespace server {
namespace {

TEST(ByteTokenizer, AnyBytesComeBackAsTheyWere) {
  std::string text;
  for (int byte = 0; byte < 256; ++byte) text.push_back(static_cast<char>(byte));
  text += "Größe, 数, \xf0\x9f\x98\x80, \xff\xfe";
  const std::vector<Token> tokens = ByteTokenizer().prompt(text);
  ASSERT_EQ(tokens.size(), text.size() + 1);
  EXPECT_EQ(tokens.front(), ByteTokenizer::kBeginOfText);
  std::string back;
  for (const Token token : tokens) {
    EXPECT_GE(token, 0);
    EXPECT_LT(token, ByteTokenizer::kVocabulary);
    ByteTokenizer().append_text(token, back);
  }
  EXPECT_EQ(back, text);
}

TEST(ByteTokenizer, TokensThatAreNoBytesHaveNoText) {
  std::string text;
  for (const Token token : {-1, 256, 257, 258, 271, 100000}) {
    ByteTokenizer().append_text(token, text);
  }
  EXPECT_EQ(text, "");
}

}  // namespace
}  // namespace server
