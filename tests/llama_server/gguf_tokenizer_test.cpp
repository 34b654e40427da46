// Words of a vocabulary of bytes, by llama.cpp.
#include "gguf_tokenizer.hpp"

#include <gmock/gmock.h>

#include "random_gguf.hpp"
#include "scratch_folder.hpp"

namespace llama_server {
namespace {

using testing::HasSubstr;

constexpr Token byte(char of) {
  return static_cast<Token>(RandomGgufFile::kFirstByte) + static_cast<unsigned char>(of);
}

class GgufTokenizerTest : public testing::Test {
 protected:
  std::shared_ptr<const Tokenizer> made(const std::string& chat_template = {}) {
    RandomGgufFile({.layers = 1, .chat_template = chat_template}).write(folder_.at("model.gguf"));
    auto tokenizer = gguf_tokenizer(folder_.at("model.gguf"));
    if (!tokenizer) throw std::runtime_error(tokenizer.error().message);
    return *tokenizer;
  }
  static std::string text_of(const Tokenizer& tokenizer, const std::vector<Token>& tokens) {
    std::string text;
    for (const Token token : tokens) tokenizer.append_text(token, text);
    return text;
  }
  mais::files::ScratchFolder folder_;
};

TEST_F(GgufTokenizerTest, APromptIsTheBeginOfTextAndItsBytesAndComesBackAsItWas) {
  const auto tokenizer = made();
  const auto tokens = tokenizer->prompt("Hi");
  EXPECT_THAT(tokens, testing::ElementsAre(RandomGgufFile::kBegin, byte('H'), byte('i')));
  for (const std::string text :
       {"Once upon", "Gr\xc3\xbc\xc3\x9f \xe2\x82\xac", "</s> is text", ""}) {
    EXPECT_EQ(text_of(*tokenizer, tokenizer->prompt(text)), text);
  }
  EXPECT_THAT(tokenizer->prompt(""), testing::ElementsAre(RandomGgufFile::kBegin));
  EXPECT_EQ(text_of(*tokenizer, tokenizer->prompt(std::string(20'000, 'x'))).size(), 20'000U);
}

TEST_F(GgufTokenizerTest, TheEndOfTextEndsAGenerationAndIsNoText) {
  const auto tokenizer = made();
  EXPECT_TRUE(tokenizer->ends_text(RandomGgufFile::kEnd));
  EXPECT_FALSE(tokenizer->ends_text(byte('a')));
  EXPECT_EQ(text_of(*tokenizer, {RandomGgufFile::kEnd, byte('a'), 100'000, -1}), "a");
  EXPECT_FALSE(tokenizer->ends_text(100'000));
  EXPECT_FALSE(tokenizer->ends_text(-1));
}

TEST_F(GgufTokenizerTest, AChatFollowsTheModelsTemplate) {
  const auto tokenizer = made(
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}");
  const std::vector<ChatMessage> messages{{"developer", "Be brief."}, {"user", "Hello"}};
  const auto tokens = tokenizer->chat(messages);
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_EQ(text_of(*tokenizer, *tokens),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
            "<|im_start|>assistant\n");
  const std::vector<ChatMessage> long_ones{{"user", std::string(5'000, 'y')}};
  EXPECT_GT(tokenizer->chat(long_ones)->size(), 5'000U);
}

TEST_F(GgufTokenizerTest, ChatsThatAModelDoesNotKnowAreRefused) {
  const std::vector<ChatMessage> messages{{"user", "Hello"}};
  const auto none = made()->chat(messages);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("no template for chats"));
  const auto unknown = made("{{ messages }}")->chat(messages);
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("none that llama.cpp knows"));
}

}  // namespace
}  // namespace llama_server
