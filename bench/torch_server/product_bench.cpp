// What it costs that sums do not depend on the batch: `rows` rows times a matrix of 512 x 3072, as
// one product (the BLAS chooses its way), and as tiles of a ladder of 8 to 128 rows.
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // clang needs it whole before ATen/ops
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <benchmark/benchmark.h>
#include <c10/core/InferenceMode.h>

#include "tiles.hpp"
#include "transformer.hpp"

namespace torch_server {
namespace {

constexpr std::int64_t kInputs = 512;
constexpr std::int64_t kOutputs = 3072;

void run(benchmark::State& state, bool tiled) {
  const c10::InferenceMode inference;
  use_one_thread();
  const std::int64_t rows = state.range(0);
  const TileLadder ladder(8, 128);
  const std::int64_t padded = tiled ? ladder.padded(rows) : rows;
  const at::Tensor x = at::ones({padded, kInputs});
  at::Tensor y = at::empty({padded, kOutputs});
  // Eight of them, so that they do not stay in the cache: a model has more than one matrix.
  std::vector<at::Tensor> weights;
  for (int i = 0; i < 8; ++i) weights.push_back(at::ones({kInputs, kOutputs}));
  std::vector<Tile> tiles{{.first = 0, .rows = rows}};
  if (tiled) ladder.cut(rows, tiles);
  for (auto _ : state) {
    for (const at::Tensor& matrix : weights) {
      for (const Tile& tile : tiles) {
        at::Tensor out = y.narrow(0, tile.first, tile.rows);
        at::mm_out(out, x.narrow(0, tile.first, tile.rows), matrix);
      }
    }
  }
  state.counters["GFLOP/s"] = benchmark::Counter(
      2e-9 * 8 * static_cast<double>(state.iterations() * rows * kInputs * kOutputs),
      benchmark::Counter::kIsRate);
}

void BM_OneProduct(benchmark::State& state) {
  run(state, false);
}
void BM_Tiles(benchmark::State& state) {
  run(state, true);
}
#define ROWS Arg(1)->Arg(2)->Arg(4)->Arg(8)->Arg(16)->Arg(48)->Arg(64)->Arg(100)->Arg(512)
BENCHMARK(BM_OneProduct)->ROWS->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Tiles)->ROWS->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace torch_server

BENCHMARK_MAIN();
