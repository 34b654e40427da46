// What a step of the engines costs: decodes in batches, chunks of prompts, swaps of pages.
// Arguments are sequences and tokens of each; `tokens/s` is the counter items_per_second.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <numeric>
#include <vector>

#include <benchmark/benchmark.h>

#include "mais/memory/budgeted_resource.hpp"
#include "mais/memory/host_source.hpp"
#include "transformer_engine.hpp"

namespace torch_server {
namespace {

using namespace mais::literals;

// 25 million parameters.
constexpr Shape kShape{.vocabulary = 272,
                       .hidden = 512,
                       .layers = 8,
                       .heads = 8,
                       .kv_heads = 2,
                       .head_width = 64,
                       .feed_forward = 1536,
                       .max_context = 2048};
constexpr std::int64_t kPage = 16;

struct Budget {
  mais::core::Ledger ledger;
  mais::SharedLedger shared{ledger};
  mais::core::AccountId account = ledger.root(ledger.add_space("host", 4_GiB));
  mais::memory::BudgetedResource resource{shared.open(account)};
  mais::memory::HostSource source{{.populate = true}};
  EngineBudgets budgets() {
    return {.weights = &resource,
            .workspace = &resource,
            .ledger = &shared,
            .state_source = &source,
            .state = account,
            .host_source = &source,
            .host_state = account};
  }
};

Engine& decoder() {
  static Budget budget;
  static const std::unique_ptr<Engine> engine = [] {
    auto made = make_decoder({.name = "decoder",
                              .shape = kShape,
                              .budgets = budget.budgets(),
                              .page = mais::TokensPerBlock(kPage),
                              .pages = 4096,
                              .host_pages = 64},
                             random_weights(1));
    if (!made || !(*made)->load()) std::exit(1);
    std::cerr << (*made)->info().remarks << "\n";
    return std::move(*made);
  }();
  return *engine;
}

// Sequences that have so much context each compute so many tokens in each step.
void run(benchmark::State& state, std::int64_t sequences, std::int64_t context,
         std::int64_t tokens) {
  Engine& engine = decoder();
  const std::int64_t length = context + tokens;
  const std::vector<Token> text(static_cast<std::size_t>(length), 65);
  const std::int64_t each = (length + kPage - 1) / kPage;
  std::vector<std::uint32_t> pages(static_cast<std::size_t>(each * sequences));
  std::iota(pages.begin(), pages.end(), 0U);
  mais::core::Step step;
  std::vector<SequenceView> views;
  for (std::int64_t i = 0; i < sequences; ++i) {
    step.entries.push_back(
        {.context = mais::Tokens(context), .tokens = mais::Tokens(tokens), .emits = true});
    views.push_back({.tokens = text,
                     .pages = std::span(pages).subspan(static_cast<std::size_t>(i * each),
                                                       static_cast<std::size_t>(each))});
  }
  StepResult result;
  if (context > 0) {  // pages that are read have memory
    mais::core::Step before = step;
    for (auto& entry : before.entries) entry = {.tokens = mais::Tokens(context)};
    engine.run(before, views, result);
  }
  for (auto _ : state) engine.run(step, views, result);
  if (result.outcome != StepResult::Outcome::done) state.SkipWithError("out of memory");
  state.SetItemsProcessed(state.iterations() * sequences * tokens);
}

void BM_Decode(benchmark::State& state) {
  run(state, state.range(0), state.range(1), 1);
}
BENCHMARK(BM_Decode)
    ->ArgsProduct({{1, 2, 4, 8, 16, 32, 64}, {64, 512}})
    ->Unit(benchmark::kMillisecond);

void BM_Prefill(benchmark::State& state) {
  run(state, 1, state.range(1), state.range(0));
}
BENCHMARK(BM_Prefill)->ArgsProduct({{16, 64, 128, 512}, {0, 1024}})->Unit(benchmark::kMillisecond);

void BM_MovePage(benchmark::State& state) {
  Engine& engine = decoder();
  mais::core::StateMove move{.kind = mais::core::StateMove::Kind::in, .block = 0, .host_block = 3};
  engine.move(move);
  for (auto _ : state) engine.move(move);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(engine.page(0).size()));
}
BENCHMARK(BM_MovePage);

}  // namespace
}  // namespace torch_server

BENCHMARK_MAIN();
