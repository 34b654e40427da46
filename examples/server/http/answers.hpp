// The answers to one call on their way: submits its prompts to a backend, and hands what comes back
// to the one thread that serves the client.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "api_call.hpp"
#include "api_error.hpp"
#include "backend.hpp"

namespace server {

// When this goes, what has not ended is cancelled. One user at a time.
class Answers {
 public:
  // Submits every prompt with the same headers, or none: `request` has model, tenant, class and
  // deadlines. A call without a seed gets one at random.
  static tl::expected<Answers, ApiError> begin(Backend& backend, const ApiCall& call,
                                               const mais::Request& request);
  Answers(Answers&&) noexcept;
  Answers& operator=(Answers&&) noexcept;
  ~Answers();

  struct Item {
    std::size_t answer = 0;  // index of the prompt
    std::optional<Token> token{};
    std::vector<float> embedding{};
    std::optional<Ended> ended{};  // the last item of an answer
  };
  // What came, in order; waits for at least one item, `most` at most. Empty: nothing came in time.
  std::vector<Item> wait(std::chrono::milliseconds most);
  // No more of this answer is wanted; its end is still told.
  void enough(std::size_t answer);

 private:
  struct State;
  Answers(Backend& backend, std::shared_ptr<State> state) noexcept;

  Backend* backend_;
  std::shared_ptr<State> state_;
};

}  // namespace server
