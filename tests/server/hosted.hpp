// A host with small engines, and requests whose callers wait for them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "host.hpp"
#include "host_config.hpp"
#include "host_subject.hpp"
#include "prompts.hpp"

namespace server {

// Collects what requests give, by number. Nothing is given before wait() or release(), so that what
// a test submits runs together, however fast the engine is.
class Collector {
 public:
  struct Result {
    std::vector<Token> tokens;
    std::vector<float> embedding;
    std::optional<Ended> ended;
  };

  Callbacks callbacks(std::size_t number) {
    {
      const std::scoped_lock lock(mutex_);
      results_[number];
    }
    return {.on_token =
                [this, number](Token token) {
                  held_.wait(true);
                  const std::scoped_lock lock(mutex_);
                  EXPECT_FALSE(results_[number].ended) << "a token after the end";
                  results_[number].tokens.push_back(token);
                  return true;
                },
            .on_embedding =
                [this, number](std::span<const float> embedding) {
                  held_.wait(true);
                  const std::scoped_lock lock(mutex_);
                  results_[number].embedding.assign(embedding.begin(), embedding.end());
                },
            .on_end =
                [this, number](const Ended& ended) {
                  const std::scoped_lock lock(mutex_);
                  EXPECT_FALSE(results_[number].ended) << "ended twice";
                  results_[number].ended = ended;
                  ++ended_;
                  changed_.notify_all();
                }};
  }
  void release() {
    held_ = false;
    held_.notify_all();
  }
  // Until all that were begun have ended.
  std::map<std::size_t, Result> wait() {
    release();
    std::unique_lock lock(mutex_);
    const bool all = changed_.wait_for(lock, std::chrono::seconds(60),
                                       [&] { return ended_ == results_.size(); });
    EXPECT_TRUE(all) << ended_ << " of " << results_.size() << " requests ended";
    return results_;
  }
  std::size_t ended() {
    const std::scoped_lock lock(mutex_);
    return ended_;
  }

 private:
  std::atomic<bool> held_{true};
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::map<std::size_t, Result> results_;
  std::size_t ended_ = 0;
};

inline mais::Policy optimistic_without_swap() {
  mais::Policy policy = mais::Policy::optimistic();
  policy.swap = false;
  policy.share_prefixes = false;
  return policy;
}

inline std::unique_ptr<Host> started(std::vector<std::unique_ptr<Engine>> engines,
                                     const HostConfigOptions& options, mais::Config config,
                                     HostOptions host_options = {.prefix_key = 1}) {
  std::vector<EngineInfo> infos;
  for (const auto& engine : engines) infos.push_back(engine->info());
  auto made = configured(infos, options, std::move(config));
  if (!made) throw std::runtime_error(made.error().message);
  auto host = Host::start(std::move(engines), std::move(*made), std::move(host_options));
  if (!host) throw std::runtime_error(host.error().message);
  return std::move(*host);
}

inline Job job(std::vector<Token> prompt, std::int64_t max_new, std::uint32_t model = 0) {
  return {.request = {.model = mais::ModelId(model), .max_new = mais::Tokens(max_new)},
          .prompt = std::move(prompt)};
}

// Prompts of 12 ... 40 tokens, some with a common beginning.
inline std::vector<std::vector<Token>> prompts(std::size_t count, std::size_t common = 0) {
  std::vector<std::vector<Token>> result;
  for (std::size_t i = 0; i < count; ++i) {
    auto prompt = prompt_of(common, 99);
    for (const Token token : prompt_of(12 + 7 * (i % 5), i)) prompt.push_back(token);
    result.push_back(std::move(prompt));
  }
  return result;
}

class HostTest : public testing::Test {
 protected:
  // What each prompt goes on with, by the model alone.
  std::vector<std::vector<Token>> alone(const std::vector<std::vector<Token>>& all,
                                        std::size_t new_tokens, const Sampling& sampling = {}) {
    std::vector<std::vector<Token>> result;
    for (const auto& prompt : all) {
      result.push_back(subject_->alone(prompt, new_tokens, sampling));
    }
    return result;
  }
  // A host with one decoder.
  std::unique_ptr<Host> hosting(const SubjectWish& wish, const HostConfigOptions& options,
                                mais::Config config = {},
                                HostOptions host_options = {.prefix_key = 1}) {
    return hosting(subject_->decoder(wish), options, std::move(config), std::move(host_options));
  }
  std::unique_ptr<Host> hosting(std::unique_ptr<Engine> engine, const HostConfigOptions& options,
                                mais::Config config = {},
                                HostOptions host_options = {.prefix_key = 1}) {
    std::vector<std::unique_ptr<Engine>> engines;
    engines.push_back(std::move(engine));
    return started(std::move(engines), options, std::move(config), std::move(host_options));
  }
  // Submits all and expects of each exactly that.
  void expect_all(Host& host, const std::vector<std::vector<Token>>& all, std::size_t new_tokens,
                  const Sampling& sampling = {}) {
    const auto expected = alone(all, new_tokens, sampling);
    Collector collector;
    for (std::size_t i = 0; i < all.size(); ++i) {
      Job one = job(all[i], static_cast<std::int64_t>(new_tokens));
      one.sampling = sampling;
      ASSERT_TRUE(host.submit(std::move(one), collector.callbacks(i)));
    }
    for (const auto& [number, result] : collector.wait()) {
      ASSERT_TRUE(result.ended);
      EXPECT_EQ(result.ended->end.kind, mais::EndKind::finished) << to_string(result.ended->end);
      EXPECT_EQ(result.ended->generated, static_cast<std::int64_t>(new_tokens));
      EXPECT_EQ(result.tokens, expected[number]) << "request " << number;
    }
  }

  const std::unique_ptr<HostSubject> subject_ = make_host_subject();
};

}  // namespace server
