#include "options.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <utility>

#include <CLI/CLI.hpp>

#include "../../command_line.hpp"
#include "../../plain_formatter.hpp"
#include "mais/files/unit_text.hpp"

namespace server {

namespace {

constexpr const char* kFooter =
    R"(Headers of a request: x-mais-tenant (or authorization: Bearer TENANT, or
x-gateway-inference-fairness-id), x-mais-class (realtime, streaming, batch),
x-slo-ttft-ms, x-slo-tpot-ms. docs/server.md says more.

SIGTERM and SIGINT: takes no more requests, ends those that run, then ends itself;
a second one ends it at once. Exit status: 0 ended as asked, 1 it could not start,
2 wrong options.)";

// "a=4,b": weights, 1 where none is said.
mais::Result<std::vector<mais::Tenant>> parse_tenants(const std::string& text) {
  std::vector<mais::Tenant> tenants;
  std::size_t at = 0;
  while (at <= text.size()) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string one = text.substr(at, end - at);
    const auto equals = one.find('=');
    mais::Tenant tenant{.name = one.substr(0, equals)};
    if (equals != std::string::npos) {
      try {
        std::size_t used = 0;
        tenant.weight = std::stod(one.substr(equals + 1), &used);
        if (used != one.size() - equals - 1) tenant.weight = 0;
      } catch (const std::exception&) {
        tenant.weight = 0;
      }
    }
    if (tenant.name.empty() || !(tenant.weight > 0) || !std::isfinite(tenant.weight)) {
      return mais::fail(mais::ErrorCode::invalid_argument,
                        "'" + one + "' is no NAME or NAME=WEIGHT with a weight above 0");
    }
    tenants.push_back(std::move(tenant));
    at = end + 1;
  }
  return tenants;
}

struct Texts {
  std::vector<std::string> models{}, embedders{};
  std::string memory = "512MiB", tenants = "default", give_up = "30 s", drain = "10 s",
              max_body = "1MiB", receive = "10 s";
  std::optional<std::string> gateway_model{};
  std::int64_t step = 256;
  bool no_library = false;
};

// What the texts say; the message of the first that is wrong.
mais::Result<void> read_texts(const Program& program, const Texts& texts, Options& options) {
  const auto wrong = [](const char* option, const mais::Error& error) {
    return mais::fail(mais::ErrorCode::invalid_argument,
                      std::string(option) + ": " + error.message);
  };
  for (const bool embeds : {false, true}) {
    for (const auto& text : embeds ? texts.embedders : texts.models) {
      auto model = program.model_of(text, embeds);
      if (!model) return wrong(embeds ? "--embedder" : "--model", model.error());
      for (const auto& other : options.models) {
        if (other.name == model->name) {
          return mais::fail(mais::ErrorCode::invalid_argument,
                            "two models have the name '" + model->name + "'");
        }
      }
      options.models.push_back(std::move(*model));
    }
  }
  const auto bytes = [&](const char* option, const std::string& text, mais::Bytes& to) {
    auto read = mais::files::parse_bytes(text);
    if (read && *read <= mais::Bytes(0)) {
      read = mais::fail(mais::ErrorCode::invalid_argument, "must be above 0");
    }
    if (!read) return mais::Result<void>(wrong(option, read.error()));
    to = *read;
    return mais::Result<void>();
  };
  const auto duration = [&](const char* option, const std::string& text, mais::Duration& to) {
    auto read = mais::files::parse_duration(text);
    if (read && *read <= mais::Duration(0)) {
      read = mais::fail(mais::ErrorCode::invalid_argument, "must be above 0");
    }
    if (!read) return mais::Result<void>(wrong(option, read.error()));
    to = *read;
    return mais::Result<void>();
  };
  auto tenants = parse_tenants(texts.tenants);
  if (!tenants) return wrong("--tenants", tenants.error());
  options.tenants = std::move(*tenants);
  mais::Bytes body;
  mais::Duration give_up{}, receive{};
  for (const auto& read :
       {bytes("--memory", texts.memory, options.set.memory),
        bytes("--max-body", texts.max_body, body), duration("--give-up", texts.give_up, give_up),
        duration("--drain", texts.drain, options.drain),
        duration("--receive", texts.receive, receive)}) {
    if (!read) return read;
  }
  options.http.max_body = static_cast<std::size_t>(body.count());
  options.http.receive = std::chrono::ceil<std::chrono::milliseconds>(receive);
  options.give_up = give_up;
  if (texts.gateway_model) {
    const auto found =
        std::find_if(options.models.begin(), options.models.end(),
                     [&](const auto& model) { return model.name == *texts.gateway_model; });
    if (found == options.models.end()) {
      return mais::fail(mais::ErrorCode::invalid_argument,
                        "--gateway-model: '" + *texts.gateway_model +
                            "' is none of the models: give the NAME of one of them");
    }
    options.gateway_model =
        mais::ModelId(static_cast<std::uint32_t>(found - options.models.begin()));
  }
  options.library = !texts.no_library;
  options.set.max_step_tokens = mais::Tokens(texts.step);
  return {};
}

}  // namespace

tl::expected<Options, ExitStatus> read_options(const Program& program, int argc, char** argv) {
  Options options;
  Texts texts;
  CLI::App app(program.about);
  app.name(program.name);
  app.footer(kFooter);
  app.formatter(std::make_shared<example::PlainFormatter>());
  app.get_formatter()->column_width(29);

  const auto add = [&](const char* group, const char* name, auto& to, const char* type,
                       const std::string& says) {
    return app.add_option(name, to, says)->type_name(type)->group(group);
  };
  const char* what = "What to serve";
  const char* model = program.model_type.c_str();
  add(what, "--model", texts.models, model, "A decoder; may be repeated");
  if (program.embeds) {
    add(what, "--embedder", texts.embedders, model, "An encoder; may be repeated");
  }
  if (program.add_options) program.add_options(app);
  const char* how = "With how much, for whom";
  add(how, "--memory", texts.memory, "SIZE",
      "Cap of all that engines allocate (default " + texts.memory + ")");
  add(how, "--tenants", texts.tenants, "NAME=WEIGHT,...", "Whose requests count how much");
  add(how, "--max-queued", options.max_queued, "N", "Requests that may wait (default 256)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}));
  add(how, "--give-up", texts.give_up, "TIME",
      "A request not started by then expires (default " + texts.give_up + ")");
  add(how, "--max-sequences", options.set.max_sequences, "N", "In one step (default 32)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1024}));
  add(how, "--max-step-tokens", texts.step, "N", "In one step (default 256)")
      ->check(CLI::Range(std::int64_t{16}, std::int64_t{16384}));
  add(how, "--journal", options.journal, "FILE",
      "What the scheduler does, for replay --journal; an old one is replaced");
  add(how, "--gateway-model", texts.gateway_model, "NAME",
      "Whose load an inference gateway sees in /metrics (default: of all models)");
  app.add_flag("--no-library", texts.no_library,
               "For comparison: every request is admitted when it comes")
      ->group(how);
  const char* where = "Where";
  add(where, "--host", options.http.host, "ADDRESS", "To listen on (default 127.0.0.1)");
  add(where, "--port", options.http.port, "N", "0, the default: any that is free; it is printed")
      ->check(CLI::Range(0, 65535));
  add(where, "--max-connections", options.http.max_connections, "N", "At once (default 256)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{16384}));
  add(where, "--max-body", texts.max_body, "SIZE", "Of a request (default " + texts.max_body + ")");
  add(where, "--receive", texts.receive, "TIME",
      "A client has to send a whole request in (default " + texts.receive + ")");
  add(where, "--drain", texts.drain, "TIME",
      "What runs may go on when the server ends (default " + texts.drain + ")");

  const auto wrong = [&](const std::string& message) {
    return tl::unexpected(ExitStatus{example::wrong_usage(program.name, message)});
  };
  if (const auto status = example::read_arguments(app, program.name, argc, argv)) {
    return tl::unexpected(ExitStatus{*status});
  }
  if (texts.models.empty() && texts.embedders.empty()) {
    return wrong(std::string("there is nothing to serve: give a --model") +
                 (program.embeds ? " or an --embedder" : ""));
  }
  if (auto read = read_texts(program, texts, options); !read) return wrong(read.error().message);
  if (options.journal && !options.library) {
    return wrong("--journal needs the library: leave --no-library out");
  }
  return options;
}

}  // namespace server
