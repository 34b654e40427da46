// A tokenizer that knows bytes: any text has tokens, and any tokens have text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine.hpp"

namespace torch_server {

// Tokens 0 ... 255 are bytes; three have a meaning; the rest of the vocabulary is never seen in
// text, and stands for nothing when a model emits it.
struct ByteTokenizer {
  static constexpr Token kBeginOfText = 256;
  static constexpr Token kEndOfText = 257;
  static constexpr Token kEndOfTurn = 258;          // between the messages of a chat
  static constexpr std::int64_t kVocabulary = 272;  // the next multiple of 16

  static void append(std::string_view text, std::vector<Token>& tokens) {
    for (const char byte : text) tokens.push_back(static_cast<unsigned char>(byte));
  }
  // A prompt: begin of text, then the bytes.
  static std::vector<Token> prompt(std::string_view text) {
    std::vector<Token> tokens{kBeginOfText};
    tokens.reserve(text.size() + 1);
    append(text, tokens);
    return tokens;
  }
  // Appends the byte of a token, if it has one. Text may end inside a UTF-8 character.
  static void append_text(Token token, std::string& text) {
    if (token >= 0 && token < 256) text.push_back(static_cast<char>(token));
  }
};

}  // namespace torch_server
