// Between text and tokens: what an engine's model was made with.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mais/result.hpp"

namespace server {

using Token = std::int32_t;

// One turn of a chat. The role is one of "system", "developer", "user" and "assistant".
struct ChatMessage {
  std::string role{};
  std::string content{};
};

// Threads: every member from any thread. Does not change.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // The tokens of a text that a model is to go on with or to embed, with what it expects before a
  // text (begin of text). At least one.
  virtual std::vector<Token> prompt(std::string_view text) const = 0;
  // The tokens of a chat, up to where the assistant is to speak. invalid_argument: the model knows
  // no chats, or not such ones; with what would be right.
  virtual mais::Result<std::vector<Token>> chat(std::span<const ChatMessage> messages) const = 0;

  // Appends the bytes that a generated token stands for, maybe none. They may begin or end inside a
  // UTF-8 character, which its neighbours make whole.
  virtual void append_text(Token token, std::string& bytes) const = 0;
  // Whether a generation ends with this token, by the model's own will.
  virtual bool ends_text(Token token) const = 0;

 protected:
  Tokenizer() = default;
  Tokenizer(const Tokenizer&) = default;
  Tokenizer& operator=(const Tokenizer&) = default;
};

}  // namespace server
