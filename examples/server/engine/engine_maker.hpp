// A model that a server is asked to serve, before it has memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "budgets.hpp"
#include "engine.hpp"
#include "mais/result.hpp"
#include "mais/units.hpp"

namespace server {

// What an engine may have.
struct EngineRoom {
  EngineBudgets budgets{};
  mais::TokensPerBlock page{16};  // tokens in a page, if the engine leaves the choice
  // Of the pool, at least 1; mapped when a step names them where the engine can. Encoders need
  // none.
  std::int64_t pages = 1;
  // What the largest step may be.
  mais::Tokens max_step_tokens{256};
  std::int64_t max_sequences = 32;
};

struct EngineMaker {
  std::string name{};
  // An engine that is not loaded. Asked twice: for a pool of one page, of which only info() is
  // used, then for all that there is room for; with more pages only what they hold grows. Its model
  // has a max_context. What makes no engine
  // says why.
  std::function<mais::Result<std::unique_ptr<Engine>>(const EngineRoom& room)> make{};
};

}  // namespace server
