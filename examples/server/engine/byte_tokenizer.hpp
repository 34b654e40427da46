// A tokenizer that knows bytes: any text has tokens, and any tokens have text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer.hpp"

namespace server {

// Tokens 0 ... 255 are bytes; three have a meaning; the rest of the vocabulary is never seen in
// text, and stands for nothing when a model emits it.
//
// A chat is the begin of text; of each message its role, a newline, its text and the end of the
// turn; then "assistant" and a newline.
class ByteTokenizer final : public Tokenizer {
 public:
  static constexpr Token kBeginOfText = 256;
  static constexpr Token kEndOfText = 257;
  static constexpr Token kEndOfTurn = 258;          // between the messages of a chat
  static constexpr std::int64_t kVocabulary = 272;  // the next multiple of 16

  // `end_of_text`: what a generation ends with; none: it never ends by itself, as random weights
  // mean nothing when they say so.
  explicit ByteTokenizer(std::optional<Token> end_of_text = kEndOfText)
      : end_of_text_(end_of_text) {}

  static void append(std::string_view text, std::vector<Token>& tokens) {
    for (const char byte : text) tokens.push_back(static_cast<unsigned char>(byte));
  }

  std::vector<Token> prompt(std::string_view text) const override {
    std::vector<Token> tokens{kBeginOfText};
    tokens.reserve(text.size() + 1);
    append(text, tokens);
    return tokens;
  }
  mais::Result<std::vector<Token>> chat(std::span<const ChatMessage> messages) const override {
    std::vector<Token> tokens{kBeginOfText};
    for (const ChatMessage& message : messages) {
      append(message.role + "\n" + message.content, tokens);
      tokens.push_back(kEndOfTurn);
    }
    append("assistant\n", tokens);
    return tokens;
  }
  void append_text(Token token, std::string& bytes) const override {
    if (token >= 0 && token < 256) bytes.push_back(static_cast<char>(token));
  }
  bool ends_text(Token token) const override { return token == end_of_text_; }

 private:
  const std::optional<Token> end_of_text_;
};

}  // namespace server
