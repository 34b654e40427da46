// The interface over a backend that does what a test says, without sockets.
#include "api.hpp"

#include <atomic>
#include <functional>
#include <limits>
#include <map>
#include <thread>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "byte_tokenizer.hpp"

namespace server {
namespace {

using namespace mais::literals;
using nlohmann::json;
using testing::ElementsAre;

// Says the bytes of `says`, then ends as `end` says.
class ScriptedBackend final : public Backend {
 public:
  ScriptedBackend()
      : models_{{.name = "talks",
                 .id = mais::ModelId(0),
                 .max_context = 100,
                 .vocabulary = 272,
                 .tokenizer = tokenizer_},
                {.name = "embeds",
                 .id = mais::ModelId(1),
                 .embeds = true,
                 .max_context = 100,
                 .vocabulary = 272,
                 .tokenizer = tokenizer_}} {}

  const std::vector<ServedModel>& models() const override { return models_; }
  mais::Result<mais::RequestId> submit(Job job, Callbacks callbacks) override {
    jobs.push_back(job);
    const auto id = mais::RequestId{++last_};
    if (hangs) {
      kept.push_back(std::move(callbacks));
      return id;
    }
    Ended ended{.end = end, .prompt = static_cast<std::int64_t>(job.prompt.size())};
    if (callbacks.on_embedding) {
      if (end.kind == mais::EndKind::finished) callbacks.on_embedding(std::vector<float>{0.5F, -1});
    } else {
      for (const char byte : says) {
        if (ended.generated == job.request.max_new.count()) break;
        ++ended.generated;
        if (!callbacks.on_token(static_cast<unsigned char>(byte))) {
          ended.stopped = true;
          break;
        }
      }
    }
    callbacks.on_end(ended);
    return id;
  }
  void cancel(mais::RequestId request) override {
    cancelled.push_back(static_cast<std::uint64_t>(request));
  }
  std::string metrics() override { return "known 1\n"; }

  std::string says = "hello";
  mais::RequestEnd end{};
  bool hangs = false;
  std::vector<Job> jobs;
  std::vector<Callbacks> kept;
  std::vector<std::uint64_t> cancelled;

 private:
  const std::shared_ptr<const Tokenizer> tokenizer_ = std::make_shared<ByteTokenizer>();
  const std::vector<ServedModel> models_;
  std::uint64_t last_ = 0;
};

class Client final : public HttpClient {
 public:
  bool gone() const override { return left; }
  std::atomic<bool> left{false};
};

class ApiTest : public testing::Test {
 protected:
  HttpCall call(const std::string& path, std::string body,
                std::map<std::string, std::string> headers = {}) {
    return {.method = "POST",
            .path = path,
            .header = [headers = std::move(headers)](
                          std::string_view name) -> std::optional<std::string> {
              const auto found = headers.find(std::string(name));
              if (found == headers.end()) return std::nullopt;
              return found->second;
            },
            .body = std::move(body)};
  }
  HttpReply post(const std::string& path, const std::string& body,
                 std::map<std::string, std::string> headers = {}) {
    const HttpCall made = call(path, body, std::move(headers));
    if (auto reply = api_.answer_at_once(made)) return *reply;
    return api_.answer(made, client_);
  }
  HttpReply complete(const std::string& more, std::map<std::string, std::string> headers = {}) {
    return post("/v1/completions", R"({"model": "talks", "prompt": "a")" + more + "}",
                std::move(headers));
  }
  static std::string all(const HttpReply& reply) {
    std::string text;
    while (auto piece = reply.pieces()) text += *piece;
    return text;
  }
  static std::string header(const HttpReply& reply, const std::string& name) {
    for (const auto& [key, value] : reply.headers) {
      if (key == name) return value;
    }
    return "";
  }
  static json error(const HttpReply& reply) { return json::parse(reply.body).at("error"); }

  ScriptedBackend backend_;
  Client client_;
  Api api_{
      backend_,
      {.tenants = {{.name = "default"}, {.name = "gold"}}, .look = std::chrono::milliseconds(1)}};
};

TEST_F(ApiTest, AWholeAnswerSaysWhatTheBackendSaid) {
  const auto body = json::parse(complete(R"(, "max_tokens": 9)").body);
  EXPECT_EQ(body.at("choices")[0].at("text"), "hello");
  EXPECT_EQ(body.at("choices")[0].at("finish_reason"), "length");
  EXPECT_EQ(body.at("usage").at("prompt_tokens"), 2);  // begin of text, and "a"
  EXPECT_EQ(body.at("usage").at("total_tokens"), 7);
}

TEST_F(ApiTest, HeadersBecomeTheRequest) {
  complete(R"(, "max_tokens": 9)", {{"x-mais-tenant", "gold"},
                                    {"x-mais-class", "batch"},
                                    {"x-slo-ttft-ms", "250"},
                                    {"x-slo-tpot-ms", "0.5"}});
  ASSERT_EQ(backend_.jobs.size(), 1U);
  const mais::Request& request = backend_.jobs[0].request;
  EXPECT_EQ(request.tenant, mais::TenantId(1));
  EXPECT_EQ(request.service_class, mais::ServiceClass::batch);
  EXPECT_EQ(request.deadlines.ttft, 250ms);
  EXPECT_EQ(request.deadlines.tpot, 500us);
  EXPECT_EQ(request.max_new, 9_tok);
}

TEST_F(ApiTest, SamplingParametersBecomeTheRequestAndWithoutThemItIsGreedy) {
  complete("");
  complete(R"(, "temperature": 0.5, "top_p": 0.25, "seed": 7)");
  complete(R"(, "temperature": 1, "seed": -1)");
  complete(R"(, "temperature": 1)");
  complete(R"(, "temperature": 1)");
  ASSERT_EQ(backend_.jobs.size(), 5U);
  const auto sampling = [&](std::size_t i) { return backend_.jobs[i].sampling; };
  EXPECT_EQ(sampling(0).temperature, 0);
  EXPECT_EQ(sampling(0).top_p, 1);
  EXPECT_EQ(sampling(1).temperature, 0.5);
  EXPECT_EQ(sampling(1).top_p, 0.25);
  EXPECT_EQ(sampling(1).seed, 7U);
  EXPECT_EQ(sampling(2).seed, std::numeric_limits<std::uint64_t>::max());
  EXPECT_NE(sampling(3).seed, sampling(4).seed);  // nobody asked for the same again
}

TEST_F(ApiTest, TheTenantIsTheFirstThatAHeaderNames) {
  const auto tenant = [&](std::map<std::string, std::string> headers) {
    backend_.jobs.clear();
    complete("", std::move(headers));
    return backend_.jobs.empty() ? -1 : static_cast<int>(backend_.jobs[0].request.tenant.value());
  };
  const std::string fairness = "x-gateway-inference-fairness-id";
  EXPECT_EQ(tenant({}), 0);
  EXPECT_EQ(tenant({{"authorization", "Bearer gold"}}), 1);
  EXPECT_EQ(tenant({{"authorization", "Bearer lead"}}), -1);
  EXPECT_EQ(tenant({{"authorization", "gold"}}), -1);
  EXPECT_EQ(tenant({{fairness, "gold"}}), 1);
  EXPECT_EQ(tenant({{fairness, "anybody"}}), 0);
  EXPECT_EQ(tenant({{"x-mais-tenant", "default"}, {fairness, "gold"}}), 0);
  EXPECT_EQ(tenant({{"x-mais-tenant", "lead"}, {fairness, "gold"}}), -1);
}

TEST_F(ApiTest, AChatIsRolesAndTextsWithMarks) {
  post("/v1/chat/completions",
       R"({"model": "talks", "messages": [{"role": "user", "content":
           [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]}]})");
  std::vector<Token> expected{ByteTokenizer::kBeginOfText};
  ByteTokenizer::append("user\nhi", expected);
  expected.push_back(ByteTokenizer::kEndOfTurn);
  ByteTokenizer::append("assistant\n", expected);
  ASSERT_EQ(backend_.jobs.size(), 1U);
  EXPECT_EQ(backend_.jobs[0].prompt, expected);
}

TEST_F(ApiTest, AStreamSaysTheSameInPieces) {
  backend_.says = "h\xc3\xa9llo";
  const HttpReply reply =
      complete(R"(, "stream": true, "stream_options": {"include_usage": true})");
  EXPECT_EQ(reply.content_type, "text/event-stream");
  const std::string text = all(reply);
  std::string said;
  std::vector<std::string> events;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find("\n\n", at);
    ASSERT_NE(end, std::string::npos);
    ASSERT_EQ(text.compare(at, 6, "data: "), 0);
    events.push_back(text.substr(at + 6, end - at - 6));
    at = end + 2;
  }
  ASSERT_GE(events.size(), 3U);
  EXPECT_EQ(events.back(), "[DONE]");
  EXPECT_EQ(json::parse(events[events.size() - 2]).at("usage").at("completion_tokens"), 6);
  for (std::size_t i = 0; i + 2 < events.size(); ++i) {
    const auto choice = json::parse(events[i]).at("choices")[0];
    said += choice.at("text").get<std::string>();
    EXPECT_EQ(choice.at("finish_reason").is_null(), i + 3 < events.size());
  }
  EXPECT_EQ(said, backend_.says);
}

TEST_F(ApiTest, AStopTextEndsTheAnswer) {
  const auto body = json::parse(complete(R"(, "max_tokens": 9, "stop": ["ll"])").body);
  EXPECT_EQ(body.at("choices")[0].at("text"), "he");
  EXPECT_EQ(body.at("choices")[0].at("finish_reason"), "stop");
}

TEST_F(ApiTest, EveryRefusalHasAStatusAndAReason) {
  using mais::RefusalReason;
  struct Case {
    RefusalReason reason;
    int status;
    const char* code;
    bool again;
  };
  for (const Case& one : {Case{RefusalReason::queue_full, 429, "queue_full", true},
                          {RefusalReason::tenant_queue_full, 429, "tenant_queue_full", true},
                          {RefusalReason::deadline_impossible, 429, "deadline_impossible", true},
                          {RefusalReason::instance_lost, 503, "instance_lost", true},
                          {RefusalReason::can_never_fit, 400, "can_never_fit", false},
                          {RefusalReason::tenant_over_limit, 400, "tenant_over_limit", false},
                          {RefusalReason::unknown_model, 404, "unknown_model", false}}) {
    backend_.says = "";
    backend_.end = {.kind = mais::EndKind::refused,
                    .refusal = mais::Refusal{.reason = one.reason, .retry_after = 2500ms}};
    for (const char* stream : {"", R"(, "stream": true)"}) {
      const HttpReply reply = complete(stream);
      EXPECT_EQ(reply.status, one.status) << one.code;
      EXPECT_EQ(error(reply).at("code"), one.code);
      EXPECT_EQ(header(reply, "Retry-After"), one.again ? "3" : "") << one.code;
    }
  }
}

TEST_F(ApiTest, OtherEndsAreToldToo) {
  backend_.says = "";
  backend_.end = {.kind = mais::EndKind::expired};
  EXPECT_EQ(error(complete("")).at("code"), "expired");
  backend_.end = {.kind = mais::EndKind::cancelled};
  EXPECT_EQ(complete("").status, 503);
  backend_.end = {.kind = mais::EndKind::refused};  // an allocation failed
  EXPECT_EQ(complete("").status, 500);
  EXPECT_EQ(post("/v1/embeddings", R"({"model": "embeds", "input": "a"})").status, 500);
}

TEST_F(ApiTest, AStreamThatFailsOnItsWaySaysSo) {
  backend_.end = {.kind = mais::EndKind::cancelled};
  const HttpReply reply = complete(R"(, "stream": true)");
  EXPECT_EQ(reply.status, 200);
  const std::string text = all(reply);
  EXPECT_NE(text.find(R"("code":"shutting_down")"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("data: [DONE]\n\n"));
}

TEST_F(ApiTest, AClientThatLeavesCancelsItsRequests) {
  backend_.hangs = true;
  client_.left = true;
  EXPECT_EQ(complete("").status, 499);
  EXPECT_THAT(backend_.cancelled, ElementsAre(1U));
  EXPECT_EQ(complete(R"(, "stream": true)").status, 499);
  EXPECT_THAT(backend_.cancelled, ElementsAre(1U, 2U));
  EXPECT_EQ(post("/v1/embeddings", R"({"model": "embeds", "input": ["a", "b"]})").status, 499);
  EXPECT_THAT(backend_.cancelled, ElementsAre(1U, 2U, 3U, 4U));
  EXPECT_EQ(api_.under_way(), 0);
  // What still comes reaches nobody, and no more is wanted.
  EXPECT_FALSE(backend_.kept[0].on_token('a'));
  backend_.kept[0].on_end({});
}

TEST_F(ApiTest, AStreamWhoseClientLeavesCancelsItsRequest) {
  backend_.hangs = true;
  std::thread feeds([&] {
    while (api_.under_way() == 0) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    backend_.kept.at(0).on_token('x');
  });
  HttpReply reply = complete(R"(, "stream": true)");
  feeds.join();
  ASSERT_TRUE(reply.pieces);
  EXPECT_NE(reply.pieces()->find(R"("text":"x")"), std::string::npos);
  EXPECT_EQ(api_.under_way(), 1);
  client_.left = true;
  EXPECT_FALSE(reply.pieces());
  reply.pieces = nullptr;
  EXPECT_THAT(backend_.cancelled, ElementsAre(1U));
  EXPECT_EQ(api_.under_way(), 0);
}

TEST_F(ApiTest, EmbeddingsAreFloatsOrTheirBytes) {
  auto body = json::parse(post("/v1/embeddings", R"({"model": "embeds", "input": "a"})").body);
  EXPECT_EQ(body.at("data")[0].at("embedding"), json({0.5, -1.0}));
  body = json::parse(
      post("/v1/embeddings", R"({"model": "embeds", "input": "a", "encoding_format": "base64"})")
          .body);
  EXPECT_EQ(body.at("data")[0].at("embedding"), "AAAAPwAAgL8=");
}

TEST_F(ApiTest, FaultsNameTheField) {
  const std::map<std::string, std::string> faults = {
      {R"({"prompt": "a"})", "model"},
      {R"({"model": 1, "prompt": "a"})", "model"},
      {R"({"model": "embeds", "prompt": "a"})", "model"},
      {R"({"model": "talks"})", "prompt"},
      {R"({"model": "talks", "prompt": []})", "prompt"},
      {R"({"model": "talks", "prompt": [[]]})", "prompt"},
      {R"({"model": "talks", "prompt": ["a", 1]})", "prompt"},
      {R"({"model": "talks", "prompt": [1, "a"]})", "prompt"},
      {R"({"model": "talks", "prompt": [-1]})", "prompt"},
      {R"({"model": "talks", "prompt": {"a": 1}})", "prompt"},
      {R"({"model": "talks", "prompt": "a", "max_tokens": 101})", "max_tokens"},
      {R"({"model": "talks", "prompt": "a", "temperature": 3})", "temperature"},
      {R"({"model": "talks", "prompt": "a", "top_p": -0.1})", "top_p"},
      {R"({"model": "talks", "prompt": "a", "seed": 0.5})", "seed"},
      {R"({"model": "talks", "prompt": "a", "presence_penalty": 1})", "presence_penalty"},
      {R"({"model": "talks", "prompt": "a", "stream": 1})", "stream"},
      {R"({"model": "talks", "prompt": "a", "stop": ""})", "stop"},
      {R"({"model": "talks", "prompt": "a", "stop": ["a", "b", "c", "d", "e"]})", "stop"},
      {R"({"model": "talks", "prompt": "a", "logprobs": 2})", "logprobs"},
      {R"({"model": "talks", "prompt": "a", "stream_options": 2})", "stream_options"},
  };
  for (const auto& [body, field] : faults) {
    const HttpReply reply = post("/v1/completions", body);
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_EQ(error(reply).at("param"), field) << body;
  }
  EXPECT_TRUE(backend_.jobs.empty());
}

TEST_F(ApiTest, NoBodyMakesItFail) {
  const std::string good =
      R"({"model": "talks", "prompt": ["a", "b"], "max_tokens": 3, "stop": ["x"], "stream": false})";
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const char byte : {'\0', '"', '{', '[', '9', '-', '\x80', ','}) {
      std::string bad = good;
      bad[at] = byte;
      const HttpReply reply = post("/v1/completions", bad);
      EXPECT_TRUE(reply.status == 200 || reply.status == 400 || reply.status == 404) << bad;
      EXPECT_TRUE(json::accept(reply.body)) << bad;
    }
    EXPECT_EQ(post("/v1/completions", good.substr(0, at)).status, 400);
  }
}

TEST_F(ApiTest, ADrainingServerTakesNothing) {
  api_.drain();
  const HttpReply reply = complete("");
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(header(reply, "Retry-After"), "1");
  HttpCall health = call("/health", "");
  health.method = "GET";
  EXPECT_EQ(api_.answer_at_once(health)->status, 503);
  EXPECT_TRUE(backend_.jobs.empty());
}

TEST_F(ApiTest, MetricsCountRepliesByStatus) {
  complete("");
  complete(R"(, "n": 2)");
  HttpCall metrics = call("/metrics", "");
  metrics.method = "GET";
  const std::string text = api_.answer_at_once(metrics)->body;
  EXPECT_NE(text.find("known 1\n"), std::string::npos);
  EXPECT_NE(text.find("server_http_replies_total{status=\"200\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("server_http_replies_total{status=\"400\"} 1\n"), std::string::npos);
}

}  // namespace
}  // namespace server
