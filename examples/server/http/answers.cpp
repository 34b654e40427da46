#include "answers.hpp"

#include <condition_variable>
#include <mutex>
#include <random>

namespace server {

struct Answers::State {
  struct One {
    std::optional<mais::RequestId> request{};
    bool enough = false;
    bool ended = false;
  };
  std::mutex mutex;
  std::condition_variable came;
  std::vector<Item> items{};
  std::vector<One> answers{};

  bool add(Item item) {
    const std::scoped_lock lock(mutex);
    One& one = answers[item.answer];
    if (item.ended) one.ended = true;
    const bool more = !one.enough;
    items.push_back(std::move(item));
    came.notify_one();
    return more;
  }
};

tl::expected<Answers, ApiError> Answers::begin(Backend& backend, const ApiCall& call,
                                               const mais::Request& request) {
  auto state = std::make_shared<State>();
  state->answers.resize(call.prompts.size());
  Answers answers(backend, state);
  std::uint64_t seed = call.seed.value_or(0);
  if (call.temperature > 0 && !call.seed) {
    std::random_device device;
    seed = std::uint64_t{device()} << 32 | device();
  }
  for (std::size_t i = 0; i < call.prompts.size(); ++i) {
    Callbacks callbacks;
    if (call.endpoint == Endpoint::embeddings) {
      callbacks.on_embedding = [state, i](std::span<const float> embedding) {
        state->add({.answer = i, .embedding = {embedding.begin(), embedding.end()}});
      };
    } else {
      callbacks.on_token = [state, i](Token token) {
        return state->add({.answer = i, .token = token});
      };
    }
    callbacks.on_end = [state, i](const Ended& ended) {
      state->add({.answer = i, .ended = ended});
    };
    Job job{.request = request,
            .prompt = call.prompts[i],
            .sampling = {.temperature = call.temperature, .top_p = call.top_p, .seed = seed}};
    job.request.model = call.model->id;
    job.request.max_new = mais::Tokens(call.max_tokens);
    const auto submitted = backend.submit(std::move(job), std::move(callbacks));
    const std::scoped_lock lock(state->mutex);
    if (submitted) {
      state->answers[i].request = *submitted;
      continue;
    }
    state->answers[i].ended = true;  // nothing is called back
    return tl::unexpected<ApiError>({.status = 400,
                                     .type = "invalid_request_error",
                                     .code = "invalid_value",
                                     .message = submitted.error().message});
  }
  return answers;
}

Answers::Answers(Backend& backend, std::shared_ptr<State> state) noexcept
    : backend_(&backend), state_(std::move(state)) {}
Answers::Answers(Answers&&) noexcept = default;

Answers& Answers::operator=(Answers&& other) noexcept {
  std::swap(backend_, other.backend_);
  std::swap(state_, other.state_);
  return *this;
}

Answers::~Answers() {
  if (!state_) return;
  std::vector<mais::RequestId> under_way;
  {
    const std::scoped_lock lock(state_->mutex);
    for (State::One& one : state_->answers) {
      one.enough = true;
      if (!one.ended && one.request) under_way.push_back(*one.request);
    }
  }
  for (const auto request : under_way) backend_->cancel(request);
}

std::vector<Answers::Item> Answers::wait(std::chrono::milliseconds most) {
  std::unique_lock lock(state_->mutex);
  state_->came.wait_for(lock, most, [&] { return !state_->items.empty(); });
  return std::exchange(state_->items, {});
}

void Answers::enough(std::size_t answer) {
  const std::scoped_lock lock(state_->mutex);
  state_->answers[answer].enough = true;
}

}  // namespace server
