#include "options.hpp"

#include <iostream>
#include <memory>
#include <sstream>

#include <CLI/CLI.hpp>

#include "../command_line.hpp"
#include "../plain_formatter.hpp"
#include "mais/files/unit_text.hpp"
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
  fit model.gguf --machine l4 --host 64GiB  what does not fit the GPU goes to the host
  fit model.gguf --machine a100 --gpus 8    a division over eight of them
  fit q8.gguf q5.gguf q4.gguf --machine l4 --slo ttft=1s,tpot=60ms    the best that will do

A MODEL is a .gguf file (any part of a split one), a .safetensors file or a folder of
them with their config.json, or a config.json alone.)";

constexpr const char* kFooter =
    R"(A machine's file has its memories and devices:
  { "spaces":  [ { "name": "hbm", "capacity": "22 GiB", "bandwidth": "240 GB/s" } ],
    "devices": [ { "name": "gpu0", "space": "hbm", "compute": "73 TFLOP/s" } ] }
With host memory it has a space of kind "host" with its bandwidth, a device of kind "cpu",
and links: { "from": "host", "to": "hbm", "bandwidth": "24 GB/s" }, and back.
Rates are those a program reaches, not the data sheet's. Times are predicted from them
(roofline: the slower of computing and reading memory), not measured.
Exit status: 0 it fits, whole or split, within --slo; 3 it does not, 1 something could not be read, 2 wrong options.)";

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

CLI::Validator size_check(std::optional<mais::Bytes>& into) {
  return CLI::Validator(
      [&into](std::string& text) {
        const auto bytes = mais::files::parse_bytes(text);
        if (!bytes) return bytes.error().message;
        if (*bytes <= mais::Bytes(0)) return std::string("a size above 0 is needed, as 64GiB");
        into = *bytes;
        return std::string();
      },
      "SIZE");
}

// "ttft=500ms,tpot=40ms", either or both.
CLI::Validator slo_check(mais::core::Slo& into) {
  return CLI::Validator(
      [&into](std::string& text) -> std::string {
        std::stringstream parts(text);
        for (std::string part; std::getline(parts, part, ',');) {
          const std::string name = part.substr(0, part.find('='));
          if (part.find('=') == std::string::npos || (name != "ttft" && name != "tpot")) {
            return "'" + part +
                   "' is no bound; there are ttft=500ms (first token) and tpot=40ms "
                   "(from token to token)";
          }
          const auto time = mais::files::parse_duration(part.substr(name.size() + 1));
          if (!time) return name + ": " + time.error().message;
          if (*time <= mais::Duration(0)) return name + ": a time above 0 is needed, as 40ms";
          (name == "ttft" ? into.ttft : into.tpot) = *time;
        }
        return "";
      },
      "SLO");
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
  app.add_option("MODEL", options.models, "What to look at; several: quantisations of one model")
      ->required();

  const std::string what = "Where and how it runs";
  const CLI::Range count(std::int64_t{1}, std::int64_t{1} << 30);
  app.add_option("--machine", options.machine,
                 "One of " + machine_names() + ", or a file (default: all of these)")
      ->type_name("NAME|FILE")
      ->group(what);
  app.add_option("--gpus", options.gpus, "As many GPUs like the machine's first (default 1)")
      ->type_name("N")
      ->check(CLI::Range(1, 64))
      ->group(what);
  std::string host_text;
  app.add_option("--host", host_text,
                 "Memory of a host that the machine has besides, as 64GiB (default: none)")
      ->type_name("SIZE")
      ->check(size_check(options.host))
      ->group(what);
  std::string slo_text;
  app.add_option("--slo", slo_text,
                 "Times to keep: first token, then from token to token of each request")
      ->type_name("ttft=TIME,tpot=TIME")
      ->check(slo_check(options.slo))
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
