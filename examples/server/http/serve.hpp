// A server program: models of some kind of engine over OpenAI's HTTP interface.
//
//   int main(int argc, char** argv) {
//     return server::serve({.name = "torch_server", ..., .model_of = ...}, argc, argv);
//   }
#pragma once

#include <functional>
#include <string>

#include "engine_maker.hpp"
#include "mais/result.hpp"

namespace CLI {
class App;
}

namespace server {

// What a program brings beside the server.
struct Program {
  std::string name{};        // "torch_server"
  std::string about{};       // opens --help: what it serves, from what, with an example
  std::string model_type{};  // of --model and --embedder: "NAME=random:SIZE|DIR"
  bool embeds = false;       // there is --embedder, too
  // Options of its own, which are read when model_of is called; may be empty.
  std::function<void(CLI::App&)> add_options{};
  // The model that a --model (or --embedder) names. Called for each in turn, those of --model
  // first. The error's message says what is wrong and what would be right.
  std::function<mais::Result<EngineMaker>(const std::string& text, bool embeds)> model_of{};
};

// Serves until a signal says so; returns the status to exit with. For the main thread, once.
int serve(const Program& program, int argc, char** argv);

}  // namespace server
