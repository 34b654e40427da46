// Serves models on LibTorch over OpenAI's HTTP interface; see --help.
#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

#include "model_argument.hpp"
#include "serve.hpp"

namespace {

constexpr const char* kAbout =
    R"(Serves models on this machine's CPU over OpenAI's HTTP interface, all of them
in one memory budget with a hard cap. Models are given by --model and --embedder:
a folder with config.json and safetensors files, or random weights of some size.

  torch_server --model small=random:3M --memory 128MiB --port 8080
  curl localhost:8080/v1/completions -H 'content-type: application/json' \
    -d '{"model": "small", "prompt": "Once", "max_tokens": 20}')";

}  // namespace

int main(int argc, char** argv) {
  using namespace torch_server;
  std::uint64_t seed = 1;  // of the next model
  const auto add_options = [&](CLI::App& app) {
    app.add_option("--seed", seed, "Of random weights (default 1)")
        ->type_name("N")
        ->group("What to serve");
  };
  const auto model_of = [&](const std::string& text,
                            bool embeds) -> mais::Result<server::EngineMaker> {
    auto model = parse_model(text, embeds ? Role::encoder : Role::decoder, seed++);
    if (!model) return tl::unexpected<mais::Error>(std::move(model.error()));
    return engine_maker(std::move(*model));
  };
  return server::serve({.name = "torch_server",
                        .about = kAbout,
                        .model_type = "NAME=random:SIZE|DIR",
                        .embeds = true,
                        .add_options = add_options,
                        .model_of = model_of},
                       argc, argv);
}
