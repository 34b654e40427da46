#include "options.hpp"

#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>

#include "../command_line.hpp"
#include "../plain_formatter.hpp"
#include "mais/sim/presets.hpp"

namespace fit {

namespace {

constexpr const char* kAbout =
    R"(Says whether a model fits a machine before anything is loaded: where every byte
goes, how long contexts can be, how many requests run at once, and how fast.
Reads headers only: a file of 40 GB takes no longer than one of 40 MB.

Where to start:
  fit model.gguf                            on some well-known machines
  fit model.gguf --machine a100             one of them in detail
  fit Llama-3.1-8B/ --machine box.json      a folder from Hugging Face, your machine
  fit config.json --weight-type q4_0        nothing downloaded yet but config.json
  fit model.gguf --machine l4 --context 32768 --parallel 4 --kv-type q8_0

A MODEL is a .gguf file (any part of a split one), a .safetensors file or a folder of
them with their config.json, or a config.json alone.)";

constexpr const char* kFooter =
    R"(A machine's file has its memories and devices:
  { "spaces":  [ { "name": "hbm", "capacity": "22 GiB", "bandwidth": "240 GB/s" } ],
    "devices": [ { "name": "gpu0", "space": "hbm", "compute": "73 TFLOP/s" } ] }
Rates are those a program reaches, not the data sheet's. Times are predicted from them
(roofline: the slower of computing and reading memory), not measured.
Exit status: 0 it fits, 3 it does not, 1 something could not be read, 2 wrong options.)";

// The type of that name, or a fault that lists examples.
CLI::Validator type_check(std::optional<mais::files::ElementType>& into, const char* examples) {
  return CLI::Validator(
      [&into, examples](std::string& text) {
        into = mais::files::element_type_named(text);
        return into ? std::string()
                    : "there is no type '" + text + "'; there are " + examples + ", ...";
      },
      "TYPE");
}

std::string machine_names() {
  std::string names;
  for (const std::string& preset : mais::sim::preset_names()) {
    names += (names.empty() ? "" : ", ") + preset.substr(0, preset.find('-'));
  }
  return names;
}

}  // namespace

tl::expected<Options, ExitStatus> read_options(int argc, char** argv) {
  Options options;
  CLI::App app(kAbout);
  app.name("fit");
  app.footer(kFooter);
  app.formatter(std::make_shared<example::PlainFormatter>());
  app.get_formatter()->column_width(27);
  app.add_option("MODEL", options.model, "What to look at")->required();

  const std::string what = "Where and how it runs";
  const CLI::Range count(std::int64_t{1}, std::int64_t{1} << 30);
  app.add_option("--machine", options.machine,
                 "One of " + machine_names() + ", or a file (default: all of these)")
      ->type_name("NAME|FILE")
      ->group(what);
  app.add_option("--context", options.context,
                 "Tokens of prompt and answer of one request (default: 8192, or the model's limit)")
      ->type_name("N")
      ->check(count)
      ->group(what);
  app.add_option("--parallel", options.parallel, "Requests that run at once (default 1)")
      ->type_name("N")
      ->check(count)
      ->group(what);
  app.add_option("--prompt", options.prompt,
                 "Tokens of the prompt, for the time to the first token (default: 1024)")
      ->type_name("N")
      ->check(count)
      ->group(what);
  std::optional<mais::files::ElementType> kv_type;
  std::string kv_text, weight_text;
  app.add_option("--kv-type", kv_text,
                 "Type of the KV cache: f16 (default), bf16, fp8, q8_0, q4_0, ...")
      ->type_name("TYPE")
      ->check(type_check(kv_type, "f16, bf16, fp8, q8_0, q4_0"))
      ->group(what);
  app.add_option("--weight-type", weight_text,
                 "Type of the weights, where only config.json is there")
      ->type_name("TYPE")
      ->check(type_check(options.footprint.weight_type, "bf16, fp8, q8_0, q4_0, q4_k"))
      ->group(what);
  app.add_option("--tensor-parallel", options.footprint.tensor_parallel,
                 "Devices that share every layer (default 1)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024))
      ->group(what);
  app.add_option("--pipeline-parallel", options.footprint.pipeline_parallel,
                 "Stages of layers, each on devices of its own (default 1)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024))
      ->group(what);
  app.add_option("--chunk", options.chunk, "Prompt tokens computed in one step (default 2048)")
      ->type_name("N")
      ->check(count)
      ->group(what);
  bool keep_windows = false;
  app.add_flag("--keep-windows", keep_windows, "The engine keeps what lies behind sliding windows")
      ->group(what);
  app.add_option("--adapter", options.adapter, "The adapter_config.json of a LoRA adapter")
      ->type_name("FILE")
      ->group(what);
  app.add_option("--adapters", options.footprint.adapters,
                 "How many such adapters are resident (default 1)")
      ->type_name("N")
      ->check(CLI::Range(1, 100'000))
      ->group(what);
  app.add_flag("--guess", options.guess, "Read an unknown architecture as a plain decoder")
      ->group(what);

  const std::string how = "How to show it";
  app.add_flag("--json", options.json, "JSON on standard output")->group(how);
  app.add_option("--html", options.html, "Write a page with the picture")
      ->type_name("FILE")
      ->group(how);

  if (const auto status = example::read_arguments(app, "fit", argc, argv)) {
    return tl::unexpected(ExitStatus{*status});
  }
  if (kv_type) options.footprint.kv_type = *kv_type;
  options.footprint.windows = !keep_windows;
  return options;
}

}  // namespace fit
