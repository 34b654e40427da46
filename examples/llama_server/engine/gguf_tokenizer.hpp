// The words of a GGUF model, by llama.cpp.
#pragma once

#include <memory>
#include <string>

#include "engine_names.hpp"
#include "mais/result.hpp"

namespace llama_server {

// Loads the words, and no weights. Chats follow the model's own template where llama.cpp knows it
// (llama_chat_apply_template has a list of them); else a chat is an error that says so. Texts are
// taken as they are: what looks like a control token in one is text, but in a chat llama.cpp cannot
// tell it from the template's own. The errors of LoadedModel::load(); unavailable: the model has no
// words.
mais::Result<std::shared_ptr<const Tokenizer>> gguf_tokenizer(const std::string& path);

}  // namespace llama_server
