// A server program with fake engines, for the tests of what carries the interface: the same
// arguments as torch_server, of which the size of a model says how long a step of it takes.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "fake_engine.hpp"
#include "serve.hpp"

namespace {

using namespace server;

// NAME=random:SIZE; each million takes a millisecond in each step.
mais::Result<EngineMaker> model_of(const std::string& text, bool embeds) {
  constexpr std::string_view kFrom = "=random:";
  const auto equals = text.find('=');
  const auto size = text.find(kFrom);
  if (equals == 0 || size == std::string::npos) {
    return mais::fail(mais::ErrorCode::invalid_argument, "'" + text + "' is no NAME=random:SIZE");
  }
  const std::string name = text.substr(0, equals);
  const auto millions = text.ends_with('M') ? std::atoi(text.c_str() + size + kFrom.size()) : 0;
  const mais::Duration takes(std::max(50'000, millions * 1'000'000));
  return EngineMaker{
      .name = name, .make = [=](const EngineRoom& room) -> mais::Result<std::unique_ptr<Engine>> {
        return std::make_unique<FakeEngine>(FakeOptions{.name = name,
                                                        .budgets = room.budgets,
                                                        .embeds = embeds,
                                                        .page = room.page,
                                                        .pages = room.pages,
                                                        .max_context = mais::Tokens(2048),
                                                        .step_takes = takes});
      }};
}

}  // namespace

int main(int argc, char** argv) {
  return serve({.name = "fake_server",
                .about = "Serves fakes over OpenAI's HTTP interface.",
                .model_type = "NAME=random:SIZE",
                .embeds = true,
                .model_of = model_of},
               argc, argv);
}
