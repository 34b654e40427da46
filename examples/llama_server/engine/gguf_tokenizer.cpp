#include "gguf_tokenizer.hpp"

#include <llama.h>
#include <utility>
#include <vector>

#include "loaded_model.hpp"

namespace llama_server {

namespace {

class GgufTokenizer final : public Tokenizer {
 public:
  explicit GgufTokenizer(LoadedModel words)
      : words_(std::move(words)), vocab_(llama_model_get_vocab(words_.model())) {}

  std::vector<Token> prompt(std::string_view text) const override { return tokens(text, false); }

  mais::Result<std::vector<Token>> chat(std::span<const ChatMessage> messages) const override {
    const char* const form = llama_model_chat_template(words_.model(), nullptr);
    if (form == nullptr) {
      return mais::fail(mais::ErrorCode::invalid_argument,
                        "the model has no template for chats; ask for a completion instead");
    }
    std::vector<llama_chat_message> turns;
    std::size_t room = 0;
    for (const ChatMessage& message : messages) {
      const bool system = message.role == "developer";  // its newer name
      turns.push_back({system ? "system" : message.role.c_str(), message.content.c_str()});
      room += 2 * message.content.size() + 256;
    }
    const BufferLog quiet;
    std::string text(room, '\0');
    const auto apply = [&] {
      return llama_chat_apply_template(form, turns.data(), turns.size(), true, text.data(),
                                       static_cast<std::int32_t>(text.size()));
    };
    std::int32_t length = apply();
    if (length > static_cast<std::int32_t>(text.size())) {
      text.resize(static_cast<std::size_t>(length));
      length = apply();
    }
    if (length < 0) {
      return mais::fail(mais::ErrorCode::invalid_argument,
                        "the model's template for chats is none that llama.cpp knows; ask for a "
                        "completion instead");
    }
    text.resize(static_cast<std::size_t>(length));
    return tokens(text, true);
  }

  void append_text(Token token, std::string& bytes) const override {
    if (token < 0 || token >= llama_vocab_n_tokens(vocab_)) return;
    std::string piece(64, '\0');
    const auto write = [&] {
      return llama_token_to_piece(vocab_, token, piece.data(),
                                  static_cast<std::int32_t>(piece.size()), 0, false);
    };
    std::int32_t length = write();
    if (length < 0) {
      piece.resize(static_cast<std::size_t>(-length));
      length = write();
    }
    bytes.append(piece, 0, static_cast<std::size_t>(std::max(0, length)));
  }

  bool ends_text(Token token) const override {
    return token >= 0 && token < llama_vocab_n_tokens(vocab_) && llama_vocab_is_eog(vocab_, token);
  }

 private:
  // With what the model expects before and behind a text. `control`: its control tokens are read.
  std::vector<Token> tokens(std::string_view text, bool control) const {
    const BufferLog quiet;
    std::vector<Token> result(text.size() + 8);
    const auto read = [&] {
      return llama_tokenize(vocab_, text.data(), static_cast<std::int32_t>(text.size()),
                            result.data(), static_cast<std::int32_t>(result.size()), true, control);
    };
    std::int32_t count = read();
    if (count < 0) {
      result.resize(static_cast<std::size_t>(-count));
      count = read();
    }
    result.resize(static_cast<std::size_t>(std::max(0, count)));
    if (result.empty()) result.push_back(anything());
    return result;
  }
  // An empty prompt of a model that expects nothing before a text.
  Token anything() const {
    for (const llama_token token : {llama_vocab_bos(vocab_), llama_vocab_eos(vocab_)}) {
      if (token != LLAMA_TOKEN_NULL) return token;
    }
    return 0;
  }

  const LoadedModel words_;
  const llama_vocab* const vocab_;
};

}  // namespace

mais::Result<std::shared_ptr<const Tokenizer>> gguf_tokenizer(const std::string& path) {
  auto words = LoadedModel::load({.path = path}, Extent::vocabulary);
  if (!words) return tl::unexpected<mais::Error>(std::move(words.error()));
  const llama_vocab* const vocab = llama_model_get_vocab(words->model());
  if (llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_NONE) {
    return mais::fail(mais::ErrorCode::unavailable, path + ": the model has no words");
  }
  return std::make_shared<const GgufTokenizer>(std::move(*words));
}

}  // namespace llama_server
