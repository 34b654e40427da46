#include "api_call.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include "tokenizer.hpp"

namespace server {

namespace {

using Json = nlohmann::json;
template <class T>
using Read = tl::expected<T, ApiError>;

tl::unexpected<ApiError> wrong(std::string field, const std::string& what) {
  return tl::unexpected<ApiError>(bad_field(std::move(field), what));
}

// A field that is there and not null, or null.
const Json* find(const Json& body, const char* name) {
  const auto found = body.find(name);
  return found == body.end() || found->is_null() ? nullptr : &*found;
}

Read<bool> read_flag(const Json& body, const char* name) {
  const Json* field = find(body, name);
  if (field == nullptr) return false;
  if (!field->is_boolean()) return wrong(name, "must be true or false.");
  return field->get<bool>();
}

std::optional<ApiError> read_sampling(const Json& body, ApiCall& call) {
  struct Range {
    const char* name;
    int most;
    double& to;
  };
  for (const Range& range : {Range{"temperature", 2, call.temperature}, {"top_p", 1, call.top_p}}) {
    const Json* field = find(body, range.name);
    if (field == nullptr) continue;
    if (!field->is_number() || field->get<double>() < 0 || field->get<double>() > range.most) {
      return bad_field(range.name,
                       "must be a number from 0 to " + std::to_string(range.most) + ".");
    }
    range.to = field->get<double>();
  }
  if (const Json* seed = find(body, "seed")) {
    if (!seed->is_number_integer()) return bad_field("seed", "must be a whole number of 64 bits.");
    call.seed = seed->is_number_unsigned() ? seed->get<std::uint64_t>()
                                           : static_cast<std::uint64_t>(seed->get<std::int64_t>());
  }
  return std::nullopt;
}

std::optional<ApiError> check_unsupported(const Json& body) {
  for (const char* name : {"n", "best_of"}) {
    const Json* field = find(body, name);
    if (field != nullptr && *field != 1) return bad_field(name, "must be 1.");
  }
  for (const char* name : {"presence_penalty", "frequency_penalty"}) {
    const Json* field = find(body, name);
    if (field != nullptr && *field != 0) return bad_field(name, "is not supported but for 0.");
  }
  for (const char* name :
       {"logprobs", "top_logprobs", "echo", "suffix", "tools", "functions", "logit_bias"}) {
    const Json* field = find(body, name);
    if (field == nullptr || *field == false || field->empty()) continue;
    return bad_field(name, "is not supported.");
  }
  if (const Json* format = find(body, "response_format")) {
    if (!format->is_object() || format->value("type", Json()) != "text") {
      return bad_field("response_format", "is not supported but for type 'text'.");
    }
  }
  return std::nullopt;
}

Read<std::int64_t> read_max_tokens(const Json& body, std::initializer_list<const char*> names,
                                   std::int64_t standard, const ServedModel& model) {
  for (const char* name : names) {
    const Json* field = find(body, name);
    if (field == nullptr) continue;
    const bool whole = field->is_number_unsigned();  // what is not negative and fits 64 bits
    if (!whole || field->get<std::uint64_t>() == 0 ||
        field->get<std::uint64_t>() > static_cast<std::uint64_t>(model.max_context)) {
      return wrong(name, "must be a whole number from 1 to " + std::to_string(model.max_context) +
                             ", the longest context of " + model.name + ".");
    }
    return field->get<std::int64_t>();
  }
  return std::min(standard, model.max_context);
}

Read<std::vector<std::string>> read_stop(const Json& body) {
  constexpr std::size_t kMost = 4, kLongest = 1024;
  std::vector<std::string> stops;
  const Json* field = find(body, "stop");
  if (field == nullptr) return stops;
  const Json list = field->is_array() ? *field : Json::array({*field});
  for (const Json& stop : list) {
    if (!stop.is_string() || stop.get_ref<const std::string&>().empty() ||
        stop.get_ref<const std::string&>().size() > kLongest || list.size() > kMost) {
      return wrong("stop", "must be a text of 1 to " + std::to_string(kLongest) +
                               " bytes, or a list of up to " + std::to_string(kMost) + " of them.");
    }
    stops.push_back(stop.get<std::string>());
  }
  return stops;
}

Read<std::vector<Token>> read_tokens(const Json& list, const std::string& field,
                                     const ServedModel& model) {
  std::vector<Token> tokens;
  tokens.reserve(list.size());
  for (const Json& token : list) {
    if (!token.is_number_unsigned() ||
        token.get<std::uint64_t>() >= static_cast<std::uint64_t>(model.vocabulary)) {
      return wrong(field, "has a token that is not a whole number from 0 to " +
                              std::to_string(model.vocabulary - 1) + ".");
    }
    tokens.push_back(token.get<Token>());
  }
  return tokens;
}

// A text, a list of tokens, or a list of either.
Read<std::vector<std::vector<Token>>> read_prompts(const Json& body, const std::string& field,
                                                   const ServedModel& model, std::size_t most) {
  const Json* given = find(body, field.c_str());
  if (given == nullptr) return wrong(field, "is missing.");
  const bool one =
      given->is_string() || (given->is_array() && !given->empty() && given->front().is_number());
  if (!one && !given->is_array()) return wrong(field, "must be a text, or a list.");
  const std::size_t count = one ? 1 : given->size();
  if (count == 0 || count > most) {
    return wrong(field, "must have 1 to " + std::to_string(most) + " entries.");
  }
  std::vector<std::vector<Token>> prompts;
  for (std::size_t i = 0; i < count; ++i) {
    const Json& entry = one ? *given : (*given)[i];
    if (entry.is_string()) {
      prompts.push_back(model.tokenizer->prompt(entry.get_ref<const std::string&>()));
      continue;
    }
    if (!entry.is_array() || entry.empty()) {
      return wrong(field,
                   "must be a text, a list of texts, or lists of tokens that are not empty.");
    }
    auto tokens = read_tokens(entry, field, model);
    if (!tokens) return tl::unexpected<ApiError>(std::move(tokens.error()));
    prompts.push_back(std::move(*tokens));
  }
  return prompts;
}

Read<std::string> read_content(const Json& message, const std::string& at) {
  const Json* content = find(message, "content");
  if (content == nullptr) return wrong(at + ".content", "is missing.");
  if (content->is_string()) return content->get<std::string>();
  std::string text;
  if (!content->is_array()) return wrong(at + ".content", "must be a text or a list of parts.");
  for (const Json& part : *content) {
    const Json* said = part.is_object() ? find(part, "text") : nullptr;
    if (said == nullptr || !said->is_string() || part.value("type", Json()) != "text") {
      return wrong(at + ".content", "may have parts of type 'text' alone.");
    }
    text += said->get_ref<const std::string&>();
  }
  return text;
}

Read<std::vector<Token>> read_chat(const Json& body, const ServedModel& model) {
  constexpr std::size_t kMost = 1024;
  const Json* messages = find(body, "messages");
  if (messages == nullptr) return wrong("messages", "is missing.");
  if (!messages->is_array() || messages->empty() || messages->size() > kMost) {
    return wrong("messages", "must be a list of 1 to " + std::to_string(kMost) + " messages.");
  }
  std::vector<ChatMessage> chat;
  for (std::size_t i = 0; i < messages->size(); ++i) {
    const Json& message = (*messages)[i];
    const std::string at = "messages[" + std::to_string(i) + "]";
    if (!message.is_object()) return wrong(at, "must be an object.");
    const Json role = message.value("role", Json());
    if (role != "system" && role != "developer" && role != "user" && role != "assistant") {
      return wrong(at + ".role", "must be 'system', 'developer', 'user' or 'assistant'.");
    }
    auto content = read_content(message, at);
    if (!content) return tl::unexpected<ApiError>(std::move(content.error()));
    chat.push_back({.role = role.get<std::string>(), .content = std::move(*content)});
  }
  auto tokens = model.tokenizer->chat(chat);
  if (!tokens) return wrong("messages", "make no chat for this model: " + tokens.error().message);
  return std::move(*tokens);
}

Read<const ServedModel*> read_model(const Json& body, std::span<const ServedModel> models,
                                    Endpoint endpoint) {
  const Json* name = find(body, "model");
  if (name == nullptr) return wrong("model", "is missing.");
  if (!name->is_string()) return wrong("model", "must be a text.");
  const auto& wanted = name->get_ref<const std::string&>();
  const auto found =
      std::find_if(models.begin(), models.end(), [&](const auto& m) { return m.name == wanted; });
  if (found == models.end()) {
    return tl::unexpected<ApiError>({.status = 404,
                                     .type = "invalid_request_error",
                                     .code = "model_not_found",
                                     .message = "The model '" + wanted.substr(0, 200) +
                                                "' does not exist; GET /v1/models lists those "
                                                "that do.",
                                     .param = "model"});
  }
  if (found->embeds != (endpoint == Endpoint::embeddings)) {
    return wrong("model", found->embeds ? "is an encoder: it gives embeddings alone."
                                        : "is a decoder: it gives no embeddings.");
  }
  return &*found;
}

std::optional<ApiError> read_generation(const Json& body, const CallLimits& limits, ApiCall& call) {
  if (auto error = read_sampling(body, call)) return error;
  if (auto error = check_unsupported(body)) return error;
  const bool chat = call.endpoint == Endpoint::chat;
  auto most =
      chat ? read_max_tokens(body, {"max_completion_tokens", "max_tokens"},
                             limits.default_chat_tokens, *call.model)
           : read_max_tokens(body, {"max_tokens"}, limits.default_completion_tokens, *call.model);
  if (!most) return most.error();
  call.max_tokens = *most;
  auto stop = read_stop(body);
  if (!stop) return stop.error();
  call.stop = std::move(*stop);
  const auto stream = read_flag(body, "stream");
  if (!stream) return stream.error();
  call.stream = *stream;
  if (const Json* options = find(body, "stream_options")) {
    if (!options->is_object()) return bad_field("stream_options", "must be an object.");
    const auto usage = read_flag(*options, "include_usage");
    if (!usage) return usage.error();
    call.include_usage = *usage;
  }
  return std::nullopt;
}

std::optional<ApiError> read_embedding(const Json& body, ApiCall& call) {
  if (const Json* format = find(body, "encoding_format")) {
    if (*format != "float" && *format != "base64") {
      return bad_field("encoding_format", "must be 'float' or 'base64'.");
    }
    call.base64 = *format == "base64";
  }
  if (find(body, "dimensions") != nullptr) return bad_field("dimensions", "is not supported.");
  return std::nullopt;
}

}  // namespace

tl::expected<ApiCall, ApiError> parse_call(Endpoint endpoint, std::string_view text,
                                           std::span<const ServedModel> models,
                                           const CallLimits& limits) {
  Json body;
  try {
    body = Json::parse(text);
  } catch (const Json::parse_error& error) {
    return tl::unexpected<ApiError>({.status = 400,
                                     .type = "invalid_request_error",
                                     .code = "invalid_json",
                                     .message = "The body is not JSON: at byte " +
                                                std::to_string(error.byte) + " of " +
                                                std::to_string(text.size()) + "."});
  } catch (const Json::out_of_range&) {  // 1e999
    return tl::unexpected<ApiError>({.status = 400,
                                     .type = "invalid_request_error",
                                     .code = "invalid_json",
                                     .message = "The body has a number that is too large."});
  }
  if (!body.is_object()) {
    return tl::unexpected<ApiError>({.status = 400,
                                     .type = "invalid_request_error",
                                     .code = "invalid_json",
                                     .message = "The body must be a JSON object."});
  }
  ApiCall call{.endpoint = endpoint};
  const auto model = read_model(body, models, endpoint);
  if (!model) return tl::unexpected<ApiError>(model.error());
  call.model = *model;
  const bool embedding = endpoint == Endpoint::embeddings;
  auto fault = embedding ? read_embedding(body, call) : read_generation(body, limits, call);
  if (fault) return tl::unexpected<ApiError>(std::move(*fault));
  const std::string field = embedding                    ? "input"
                            : endpoint == Endpoint::chat ? "messages"
                                                         : "prompt";
  if (endpoint == Endpoint::chat) {
    auto prompt = read_chat(body, **model);
    if (!prompt) return tl::unexpected<ApiError>(std::move(prompt.error()));
    call.prompts.push_back(std::move(*prompt));
  } else {
    auto prompts = read_prompts(body, field, **model, limits.max_prompts);
    if (!prompts) return tl::unexpected<ApiError>(std::move(prompts.error()));
    call.prompts = std::move(*prompts);
  }
  const std::int64_t longest = (*model)->max_context - (embedding ? 0 : 1);
  for (const auto& prompt : call.prompts) {
    if (static_cast<std::int64_t>(prompt.size()) <= longest) continue;
    ApiError error =
        bad_field(field, "has " + std::to_string(prompt.size()) + " tokens; " + (*model)->name +
                             " takes at most " + std::to_string(longest) + ".");
    error.code = "context_length_exceeded";
    return tl::unexpected<ApiError>(std::move(error));
  }
  return call;
}

namespace {

std::optional<mais::TenantId> tenant_named(std::span<const mais::Tenant> tenants,
                                           const std::string& name) {
  for (std::size_t i = 0; i < tenants.size(); ++i) {
    if (tenants[i].name == name) return mais::TenantId(static_cast<std::uint32_t>(i));
  }
  return std::nullopt;
}

std::optional<ApiError> apply_tenant(const HeaderLookup& header,
                                     std::span<const mais::Tenant> tenants,
                                     mais::Request& request) {
  request.tenant = mais::TenantId(0);
  if (const auto name = header("x-mais-tenant")) {
    const auto tenant = tenant_named(tenants, *name);
    if (!tenant) return bad_field("x-mais-tenant", "names no tenant of this server.");
    request.tenant = *tenant;
    return std::nullopt;
  }
  if (const auto name = header("x-gateway-inference-fairness-id")) {
    if (const auto tenant = tenant_named(tenants, *name)) {
      request.tenant = *tenant;
      return std::nullopt;
    }
  }
  const auto authorization = header("authorization");
  constexpr std::string_view kScheme = "Bearer ";
  if (tenants.size() < 2 || !authorization) return std::nullopt;
  const auto tenant = authorization->starts_with(kScheme)
                          ? tenant_named(tenants, authorization->substr(kScheme.size()))
                          : std::nullopt;
  if (!tenant) {
    return ApiError{.status = 401,
                    .type = "authentication_error",
                    .code = "invalid_api_key",
                    .message = "The key of the Authorization header must be a tenant's name.",
                    .param = "authorization"};
  }
  request.tenant = *tenant;
  return std::nullopt;
}

std::optional<ApiError> apply_milliseconds(const HeaderLookup& header, const char* name,
                                           std::optional<mais::Duration>& deadline) {
  const auto text = header(name);
  if (!text) return std::nullopt;
  constexpr double kDay = 24.0 * 3600 * 1000;
  double value = 0;
  const char* end = text->data() + text->size();
  const auto [at, fault] = std::from_chars(text->data(), end, value);
  if (fault != std::errc() || at != end || !(value > 0) || value > kDay) {
    return bad_field(name, "must be a number of milliseconds above 0, up to a day.");
  }
  deadline = mais::Duration(std::llround(std::max(1.0, value * 1e6)));
  return std::nullopt;
}

}  // namespace

std::optional<ApiError> apply_headers(const HeaderLookup& header,
                                      std::span<const mais::Tenant> tenants,
                                      mais::Request& request) {
  if (auto error = apply_tenant(header, tenants, request)) return error;
  if (const auto name = header("x-mais-class")) {
    const auto found =
        std::find_if(mais::kAllServiceClasses.begin(), mais::kAllServiceClasses.end(),
                     [&](auto each) { return to_string(each) == *name; });
    if (found == mais::kAllServiceClasses.end()) {
      return bad_field("x-mais-class", "must be 'realtime', 'streaming' or 'batch'.");
    }
    request.service_class = *found;
  }
  if (auto error = apply_milliseconds(header, "x-slo-ttft-ms", request.deadlines.ttft)) {
    return error;
  }
  return apply_milliseconds(header, "x-slo-tpot-ms", request.deadlines.tpot);
}

}  // namespace server
