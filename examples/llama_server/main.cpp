// Serves GGUF models on llama.cpp over OpenAI's HTTP interface; see --help.
#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

#include "gguf_model.hpp"
#include "serve.hpp"

namespace {

constexpr const char* kAbout =
    R"(Serves GGUF models on this machine's CPU through llama.cpp, over OpenAI's HTTP
interface, all of them in one memory budget with a hard cap.

  llama_server --model chat=llama.gguf --memory 8GiB --context 8192 --port 8080
  curl localhost:8080/v1/chat/completions -H 'content-type: application/json' \
    -d '{"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}')";

}  // namespace

int main(int argc, char** argv) {
  using namespace llama_server;
  GgufModelOptions options;
  std::int64_t context = options.max_context.count();
  std::string kv_type(to_string(options.kv_type));
  bool plain_attention = false;
  const auto add_options = [&](CLI::App& app) {
    const char* group = "What to serve";
    app.add_option("--context", context, "Tokens of prompt and output, at most (default 4096)")
        ->type_name("N")
        ->group(group)
        ->check(CLI::Range(std::int64_t{256}, std::int64_t{1} << 24));
    app.add_option("--kv-type", kv_type, "Of keys and values (default f16)")
        ->type_name("f32|f16|bf16|q8_0|q4_0")
        ->group(group)
        ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0", "q4_0"}));
    app.add_option("--threads", options.threads, "That compute, of each model (default 1)")
        ->type_name("N")
        ->group(group)
        ->check(CLI::Range(1, 1024));
    app.add_flag("--plain-attention", plain_attention,
                 "With scores in memory: more of it, and sums that depend less on the batch")
        ->group(group);
  };
  const auto model_of = [&](const std::string& text, bool) {
    options.max_context = mais::Tokens(context);
    options.kv_type = *mais::files::element_type_named(kv_type);
    options.fused_attention = !plain_attention;
    return gguf_model(text, options);
  };
  return server::serve({.name = "llama_server",
                        .about = kAbout,
                        .model_type = "NAME=FILE",
                        .add_options = add_options,
                        .model_of = model_of},
                       argc, argv);
}
