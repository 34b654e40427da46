// Replies in OpenAI's form.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "api_call.hpp"
#include "backend.hpp"

namespace server {

struct Usage {
  std::int64_t prompt = 0;     // tokens
  std::int64_t generated = 0;  // tokens
};

struct AnswerHead {
  std::string id{};          // "cmpl-1"
  std::int64_t created = 0;  // seconds since 1970
  std::string model{};
  Endpoint endpoint = Endpoint::completions;
};

struct WholeAnswer {
  std::string text{};
  std::string finish_reason{};  // "stop" or "length"
};

std::string whole_answer(const AnswerHead& head, std::span<const WholeAnswer> answers,
                         const Usage& usage);

// Events of a stream: "data: {...}\n\n".
struct AnswerPiece {
  std::size_t index = 0;
  std::string text{};
  bool first = false;           // of its answer: a chat says the role
  std::string finish_reason{};  // not empty: the last of its answer
};
std::string piece_event(const AnswerHead& head, const AnswerPiece& piece);
std::string usage_event(const AnswerHead& head, const Usage& usage);
std::string error_event(const ApiError& error);
inline constexpr const char* kDoneEvent = "data: [DONE]\n\n";

// With base64: of each the floats as little-endian bytes.
std::string embedding_list(const std::string& model, std::span<const std::vector<float>> embeddings,
                           bool base64, std::int64_t prompt_tokens);
std::string model_list(std::span<const ServedModel> models, std::int64_t created);
std::string model_entry(const ServedModel& model, std::int64_t created);

}  // namespace server
