#include "api.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "answer_text.hpp"
#include "answers.hpp"
#include "reply_json.hpp"

namespace server {

namespace {

constexpr std::string_view kModels = "/v1/models";

std::optional<Endpoint> endpoint_of(const std::string& path) {
  if (path == "/v1/completions") return Endpoint::completions;
  if (path == "/v1/chat/completions") return Endpoint::chat;
  if (path == "/v1/embeddings") return Endpoint::embeddings;
  return std::nullopt;
}

HttpReply reply_of(const ApiError& error) {
  HttpReply reply{.status = error.status, .body = to_json(error)};
  if (error.retry_after) {
    // Whole seconds, as RFC 9110 has it.
    const auto wait = std::chrono::ceil<std::chrono::seconds>(*error.retry_after).count();
    reply.headers.emplace_back("Retry-After", std::to_string(std::max<std::int64_t>(1, wait)));
  }
  return reply;
}

ApiError no_such(int status, std::string code, std::string message) {
  return {.status = status,
          .type = "invalid_request_error",
          .code = std::move(code),
          .message = std::move(message)};
}

ApiError draining() {
  using namespace mais::literals;
  return {.status = 503,
          .type = "server_error",
          .code = "draining",
          .message = "The server takes no more requests, because it will end.",
          .param = std::nullopt,
          .retry_after = 1s};
}

// Nobody reads it; for the log and the counters.
HttpReply abandoned() {
  return {.status = 499};
}

std::string finish_reason(const Ended& ended, bool stop_text) {
  return ended.stopped || stop_text ? "stop" : "length";
}

// Whether an answer is of use: it finished, or ended because a stop text came.
bool useful(const Ended& ended, const AnswerText& text) {
  return ended.end.kind == mais::EndKind::finished || text.stopped();
}

// The events of a stream, from what comes. The first items came already.
class EventStream {
 public:
  EventStream(Answers answers, std::vector<Answers::Item> first, const ApiCall& call,
              AnswerHead head)
      : answers_(std::move(answers)),
        came_(std::move(first)),
        head_(std::move(head)),
        include_usage_(call.include_usage),
        open_(call.prompts.size()),
        texts_(call.prompts.size(), AnswerText(*call.model->tokenizer, call.stop)),
        said_(call.prompts.size(), false) {}

  // Waits until there is something to send; none: it is over, or nobody is there.
  std::optional<std::string> next(const HttpClient& client, std::chrono::milliseconds look) {
    while (open_ > 0) {
      std::string events;
      for (Answers::Item& item : std::exchange(came_, {})) {
        events += events_of(item);
        if (failed_) return events + kDoneEvent;
      }
      if (open_ == 0) {
        if (include_usage_) events += usage_event(head_, usage_);
        return events + kDoneEvent;
      }
      if (!events.empty()) return events;
      if (client.gone()) {
        gone_ = true;
        return std::nullopt;
      }
      came_ = answers_.wait(look);
    }
    return std::nullopt;
  }
  bool gone() const { return gone_; }

 private:
  std::string events_of(const Answers::Item& item) {
    AnswerText& text = texts_[item.answer];
    if (item.token) text.push(*item.token);
    AnswerPiece piece{.index = item.answer,
                      .text = text.take(item.ended.has_value()),
                      .first = !said_[item.answer]};
    if (text.stopped() && !item.ended) answers_.enough(item.answer);
    if (item.ended) {
      --open_;
      usage_.prompt += item.ended->prompt;
      usage_.generated += item.ended->generated;
      if (!useful(*item.ended, text)) {
        failed_ = true;
        open_ = 0;
        return error_event(error_of(item.ended->end));
      }
      piece.finish_reason = finish_reason(*item.ended, text.stopped());
    }
    if (piece.text.empty() && piece.finish_reason.empty()) return {};
    said_[item.answer] = true;
    return piece_event(head_, piece);
  }

  Answers answers_;
  std::vector<Answers::Item> came_;
  const AnswerHead head_;
  const bool include_usage_;
  std::size_t open_;  // answers that have not ended
  std::vector<AnswerText> texts_;
  std::vector<bool> said_;
  Usage usage_{};
  bool failed_ = false;
  bool gone_ = false;
};

}  // namespace

// Counts a call for as long as it lives.
class Api::Serving {
 public:
  explicit Serving(std::atomic<std::int64_t>& count) : count_(count) { ++count_; }
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;
  ~Serving() { --count_; }

 private:
  std::atomic<std::int64_t>& count_;
};

Api::Api(Backend& backend, ApiOptions options)
    : backend_(backend),
      options_(std::move(options)),
      created_(std::chrono::duration_cast<std::chrono::seconds>(
                   std::chrono::system_clock::now().time_since_epoch())
                   .count()) {}

std::optional<HttpReply> Api::answer_at_once(const HttpCall& call) {
  const bool reads = call.method == "GET" || call.method == "HEAD";
  if (endpoint_of(call.path)) {
    if (call.method != "POST") {
      auto reply = reply_of(no_such(405, "method_not_allowed", call.path + " takes POST alone."));
      reply.headers.emplace_back("Allow", "POST");
      return counted(std::move(reply));
    }
    if (draining_) return counted(reply_of(draining()));
    const auto type = call.header("content-type");
    if (type && !type->starts_with("application/json")) {
      return counted(
          reply_of(no_such(415, "unsupported_media_type", "The body must be application/json.")));
    }
    if (call.header("content-encoding").value_or("identity") != "identity") {
      return counted(
          reply_of(no_such(415, "unsupported_encoding", "The body must not be compressed.")));
    }
    return std::nullopt;
  }
  const bool entry = call.path.starts_with(std::string(kModels) + "/");
  if (call.path != "/health" && call.path != "/metrics" && call.path != kModels && !entry) {
    return counted(reply_of(
        no_such(404, "not_found", "There is nothing at '" + call.path.substr(0, 200) + "'.")));
  }
  if (!reads) {
    auto reply = reply_of(no_such(405, "method_not_allowed", "This path takes GET alone."));
    reply.headers.emplace_back("Allow", "GET");
    return counted(std::move(reply));
  }
  if (call.path == "/health") return counted(health());
  if (call.path == "/metrics") return counted(metrics());
  if (call.path == kModels) return counted(models());
  return counted(model(call.path.substr(kModels.size() + 1)));
}

HttpReply Api::answer(const HttpCall& call, const HttpClient& client) {
  const auto endpoint = endpoint_of(call.path);
  if (!endpoint) return *answer_at_once(call);
  const auto serving = std::make_shared<Serving>(under_way_);
  const auto parsed = parse_call(*endpoint, call.body, backend_.models(), options_.limits);
  if (!parsed) return counted(reply_of(parsed.error()));
  mais::Request request;
  if (const auto error = apply_headers(call.header, options_.tenants, request)) {
    return counted(reply_of(*error));
  }
  HttpReply reply = *endpoint == Endpoint::embeddings ? embed(*parsed, request, client)
                                                      : generate(*parsed, request, client);
  if (reply.pieces) {  // it is under way as long as the stream is
    reply.pieces = [serving, pieces = std::move(reply.pieces)] { return pieces(); };
  }
  return counted(std::move(reply));
}

HttpReply Api::generate(const ApiCall& call, const mais::Request& request,
                        const HttpClient& client) {
  const bool chat = call.endpoint == Endpoint::chat;
  const AnswerHead head{.id = (chat ? "chatcmpl-" : "cmpl-") + std::to_string(++last_id_),
                        .created = std::chrono::duration_cast<std::chrono::seconds>(
                                       std::chrono::system_clock::now().time_since_epoch())
                                       .count(),
                        .model = call.model->name,
                        .endpoint = call.endpoint};
  auto begun = Answers::begin(backend_, call, request);
  if (!begun) return reply_of(begun.error());
  if (call.stream) {
    // A refusal has a status of its own as long as nothing was sent.
    std::vector<Answers::Item> first;
    while (first.empty()) {
      if (client.gone()) return ++abandoned_, abandoned();
      first = begun->wait(options_.look);
    }
    for (const auto& item : first) {
      if (item.ended && item.ended->end.kind != mais::EndKind::finished) {
        return reply_of(error_of(item.ended->end));
      }
      if (item.token) break;
    }
    const auto stream =
        std::make_shared<EventStream>(std::move(*begun), std::move(first), call, head);
    HttpReply reply{.content_type = "text/event-stream"};
    reply.headers.emplace_back("Cache-Control", "no-cache");
    reply.pieces = [this, stream, &client] {
      auto piece = stream->next(client, options_.look);
      if (stream->gone()) ++abandoned_;
      return piece;
    };
    return reply;
  }
  std::vector<AnswerText> texts(call.prompts.size(), AnswerText(*call.model->tokenizer, call.stop));
  std::vector<WholeAnswer> whole(call.prompts.size());
  Usage usage;
  for (std::size_t open = whole.size(); open > 0;) {
    if (client.gone()) return ++abandoned_, abandoned();
    for (const auto& item : begun->wait(options_.look)) {
      AnswerText& text = texts[item.answer];
      if (item.token) text.push(*item.token);
      whole[item.answer].text += text.take(item.ended.has_value());
      if (text.stopped() && !item.ended) begun->enough(item.answer);
      if (!item.ended) continue;
      --open;
      if (!useful(*item.ended, text)) return reply_of(error_of(item.ended->end));
      whole[item.answer].finish_reason = finish_reason(*item.ended, text.stopped());
      usage.prompt += item.ended->prompt;
      usage.generated += item.ended->generated;
    }
  }
  return {.body = whole_answer(head, whole, usage)};
}

HttpReply Api::embed(const ApiCall& call, const mais::Request& request, const HttpClient& client) {
  auto begun = Answers::begin(backend_, call, request);
  if (!begun) return reply_of(begun.error());
  std::vector<std::vector<float>> embeddings(call.prompts.size());
  std::int64_t tokens = 0;
  for (std::size_t open = embeddings.size(); open > 0;) {
    if (client.gone()) return ++abandoned_, abandoned();
    for (auto& item : begun->wait(options_.look)) {
      if (!item.embedding.empty()) embeddings[item.answer] = std::move(item.embedding);
      if (!item.ended) continue;
      --open;
      if (item.ended->end.kind != mais::EndKind::finished) {
        return reply_of(error_of(item.ended->end));
      }
      tokens += item.ended->prompt;
    }
  }
  return {.body = embedding_list(call.model->name, embeddings, call.base64, tokens)};
}

HttpReply Api::health() const {
  if (draining_) {
    HttpReply reply = reply_of(draining());
    return reply;
  }
  return {.body = R"({"status":"ok"})"};
}

HttpReply Api::models() const {
  return {.body = model_list(backend_.models(), created_)};
}

HttpReply Api::model(const std::string& name) const {
  for (const ServedModel& model : backend_.models()) {
    if (model.name == name) return {.body = model_entry(model, created_)};
  }
  return reply_of(
      no_such(404, "model_not_found", "The model '" + name.substr(0, 200) + "' does not exist."));
}

HttpReply Api::metrics() {
  std::string text = backend_.metrics();
  text += "# HELP server_http_replies_total Replies by status; 499: the client was gone.\n";
  text += "# TYPE server_http_replies_total counter\n";
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [status, count] : replies_) {
      text += "server_http_replies_total{status=\"" + std::to_string(status) + "\"} " +
              std::to_string(count) + "\n";
    }
  }
  text += "# HELP server_http_abandoned_total Calls whose client left before the end.\n";
  text += "# TYPE server_http_abandoned_total counter\n";
  text += "server_http_abandoned_total " + std::to_string(abandoned_) + "\n";
  text += "# HELP server_http_under_way Calls that wait for an engine.\n";
  text += "# TYPE server_http_under_way gauge\n";
  text += "server_http_under_way " + std::to_string(under_way_) + "\n";
  return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = std::move(text)};
}

HttpReply Api::counted(HttpReply reply) {
  const std::scoped_lock lock(mutex_);
  ++replies_[reply.status];
  return reply;
}

}  // namespace server
