#include "gguf_model.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "llama_engine.hpp"

namespace llama_server {

namespace {

using mais::Bytes;
using Made = mais::Result<std::unique_ptr<server::Engine>>;

// Sequences that keep their state beside those of a step: preempted ones whose pages nobody took.
constexpr std::int64_t kSpareSequences = 8;

class Maker {
 public:
  Maker(std::string name, std::string path, const GgufModelOptions& options)
      : name_(std::move(name)), path_(std::move(path)), options_(options) {}

  // First with one block of cells, which says what a page takes. Then with all that there is room
  // for: less by a block if llama.cpp turns out to take more beside the cells than it said first.
  Made operator()(const server::EngineRoom& room) {
    if (!least_) {
      auto engine = make(room, kCellBlock);
      if (!engine) return tl::unexpected<mais::Error>(std::move(engine.error()));
      least_ = Least{.beside = (*engine)->plan().total() - (*engine)->plan().state,
                     .page = (*engine)->info().model.page_bytes(room.page)};
      return std::unique_ptr<server::Engine>(std::move(*engine));
    }
    const Bytes most = least_->beside + least_->page * room.pages;
    std::int64_t cells = std::max(room.pages * room.page.count() / kCellBlock, std::int64_t{1});
    for (;; --cells) {
      auto engine = make(room, cells * kCellBlock);
      if (!engine) return tl::unexpected<mais::Error>(std::move(engine.error()));
      if (cells == 1 || (*engine)->plan().total() <= most) {
        return std::unique_ptr<server::Engine>(std::move(*engine));
      }
    }
  }

 private:
  mais::Result<std::unique_ptr<LlamaEngine>> make(const server::EngineRoom& room,
                                                  std::int64_t cells) const {
    // llama.cpp computes so many tokens at once; a larger step is several of those.
    const std::int64_t sequences =
        std::max(room.max_sequences, std::min(room.max_sequences + kSpareSequences, kCellBlock));
    const std::int64_t tokens =
        std::max(std::min(room.max_step_tokens.count(), kCellBlock), sequences);
    return LlamaEngine::make(
        {.name = name_,
         .settings = {.path = path_,
                      .cells = cells,
                      .step_tokens = mais::Tokens(tokens),
                      .sequences = static_cast<std::int32_t>(sequences),
                      .step_sequences = static_cast<std::int32_t>(room.max_sequences),
                      .kv_type = options_.kv_type,
                      .fused_attention = options_.fused_attention,
                      .threads = options_.threads},
         .budgets = room.budgets,
         .page = room.page,
         .max_context = options_.max_context});
  }

  struct Least {
    Bytes beside{};  // weights and workspace
    Bytes page{};
  };
  const std::string name_, path_;
  const GgufModelOptions options_;
  std::optional<Least> least_;
};

}  // namespace

mais::Result<server::EngineMaker> gguf_model(std::string_view text,
                                             const GgufModelOptions& options) {
  const auto equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos || equals + 1 == text.size()) {
    return mais::fail(mais::ErrorCode::invalid_argument,
                      "'" + std::string(text) + "' is no NAME=FILE");
  }
  std::string name(text.substr(0, equals));
  return server::EngineMaker{.name = name,
                             .make = Maker(name, std::string(text.substr(equals + 1)), options)};
}

}  // namespace llama_server
