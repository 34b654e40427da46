#include "reply_json.hpp"

#include <bit>
#include <utility>

#include <nlohmann/json.hpp>

namespace server {

namespace {

using Ordered = nlohmann::ordered_json;

Ordered head_of(const AnswerHead& head, bool piece) {
  const bool chat = head.endpoint == Endpoint::chat;
  return {{"id", head.id},
          {"object", !chat   ? "text_completion"
                     : piece ? "chat.completion.chunk"
                             : "chat.completion"},
          {"created", head.created},
          {"model", head.model}};
}

Ordered usage_of(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt},
          {"completion_tokens", usage.generated},
          {"total_tokens", usage.prompt + usage.generated}};
}

std::string event(const std::string& data) {
  return "data: " + data + "\n\n";
}

std::string base64_of(std::span<const float> floats) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  for (const float value : floats) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (unsigned shift = 0; shift < 32; shift += 8) {
      bytes.push_back(static_cast<char>((bits >> shift) & 0xff));
    }
  }
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t three = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      three = three << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      text.push_back(i <= count ? kDigits[(three >> (18 - 6 * i)) & 63] : '=');
    }
  }
  return text;
}

Ordered entry_of(const ServedModel& model, std::int64_t created) {
  return {{"id", model.name},
          {"object", "model"},
          {"created", created},
          {"owned_by", "mais"},
          {"kind", model.embeds ? "embedding" : "generation"},
          {"max_context", model.max_context}};
}

}  // namespace

std::string whole_answer(const AnswerHead& head, std::span<const WholeAnswer> answers,
                         const Usage& usage) {
  Ordered body = head_of(head, false);
  Ordered choices = Ordered::array();
  for (std::size_t i = 0; i < answers.size(); ++i) {
    Ordered choice{{"index", i}};
    if (head.endpoint == Endpoint::chat) {
      choice["message"] = {{"role", "assistant"}, {"content", answers[i].text}};
    } else {
      choice["text"] = answers[i].text;
    }
    choice["logprobs"] = nullptr;
    choice["finish_reason"] = answers[i].finish_reason;
    choices.push_back(std::move(choice));
  }
  body["choices"] = std::move(choices);
  body["usage"] = usage_of(usage);
  return body.dump();
}

std::string piece_event(const AnswerHead& head, const AnswerPiece& piece) {
  Ordered choice{{"index", piece.index}};
  if (head.endpoint == Endpoint::chat) {
    Ordered delta = Ordered::object();
    if (piece.first) delta["role"] = "assistant";
    if (!piece.text.empty() || piece.first) delta["content"] = piece.text;
    choice["delta"] = std::move(delta);
  } else {
    choice["text"] = piece.text;
  }
  choice["logprobs"] = nullptr;
  choice["finish_reason"] =
      piece.finish_reason.empty() ? Ordered(nullptr) : Ordered(piece.finish_reason);
  Ordered body = head_of(head, true);
  body["choices"] = Ordered::array({std::move(choice)});
  return event(body.dump());
}

std::string usage_event(const AnswerHead& head, const Usage& usage) {
  Ordered body = head_of(head, true);
  body["choices"] = Ordered::array();
  body["usage"] = usage_of(usage);
  return event(body.dump());
}

std::string error_event(const ApiError& error) {
  return event(to_json(error));
}

std::string embedding_list(const std::string& model, std::span<const std::vector<float>> embeddings,
                           bool base64, std::int64_t prompt_tokens) {
  Ordered data = Ordered::array();
  for (std::size_t i = 0; i < embeddings.size(); ++i) {
    Ordered vector;
    if (base64) {
      vector = base64_of(embeddings[i]);
    } else {
      vector = embeddings[i];
    }
    data.push_back({{"object", "embedding"}, {"index", i}, {"embedding", std::move(vector)}});
  }
  return Ordered{{"object", "list"},
                 {"data", std::move(data)},
                 {"model", model},
                 {"usage", {{"prompt_tokens", prompt_tokens}, {"total_tokens", prompt_tokens}}}}
      .dump();
}

std::string model_list(std::span<const ServedModel> models, std::int64_t created) {
  Ordered data = Ordered::array();
  for (const ServedModel& model : models) data.push_back(entry_of(model, created));
  return Ordered{{"object", "list"}, {"data", std::move(data)}}.dump();
}

std::string model_entry(const ServedModel& model, std::int64_t created) {
  return entry_of(model, created).dump();
}

}  // namespace server
