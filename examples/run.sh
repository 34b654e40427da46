#!/usr/bin/env bash
# bash examples/run.sh
#
# Shows what the scheduler does: installs the packages that are missing (or says which), builds, and
# replays a production trace against every policy on a simulated GPU; no GPU is needed. The trace is
# the Azure LLM inference trace 2023 where MAIS_SHARED_DATA (or ../shared/data) has it, else a
# synthetic workload like it: a table and a page with plots. Ends with a server under three times the
# load that it carries, without the library and with it (examples/torch_server/demo.sh), where its
# packages are there. Three or four minutes.
# Exit status: 0 done, 1 something failed, 3 packages are missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -gt 0 ]; then
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' examples/run.sh
  [[ $1 == -h || $1 == --help ]] && exit 0 || exit 2
fi

bash cmake/install-packages.sh --examples

if [ -z "${CMAKE_CXX_COMPILER_LAUNCHER:-}" ] && command -v ccache >/dev/null 2>&1; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
echo "=== Building (preset release, $CMAKE_BUILD_PARALLEL_LEVEL jobs)"
configured=$(cmake --preset release)  # what is wrong goes to standard error
targets=(replay)
no_server=$(grep -oE 'mais: off: (http|torch) .*' <<<"$configured" | head -1 || true)
[ -n "$no_server" ] || targets+=(torch_server server_load)
cmake --build --preset release --target "${targets[@]}"

data=${MAIS_SHARED_DATA:-../shared/data}
trace=$data/traces/azure_llm_2023_conv.csv
results=build/replay
mkdir -p "$results"
if [ -f "$trace" ]; then
  what=(--trace "$trace" --limit 4000)
  shown="the first 4,000 requests of the Azure LLM inference trace 2023 (recorded, conversation)"
else
  what=(--limit 4000 --seed 1)
  shown="4,000 synthetic requests, drawn from the quantiles of a production trace"
fi

echo
echo "=== Replaying on a simulated L4 with an 8B model: how much load does each policy carry?"
build/release/examples/replay/replay "${what[@]}" --machine l4-llama3-8b --policy all --capacity \
  --offline --html "$results/index.html" --json "$results/results.json" --csv "$results/results.csv"

echo
echo "Shown: $shown,"
echo "replayed under a simulated clock against each policy. cap-90 and cap-99 are the largest loads,"
echo "in requests per second, at which 90 % and 99 % of the requests met their deadlines; makespan is"
echo "the time for all of them at once, over a bound that no scheduler can beat."
echo "Page with plots: $results/index.html   Figures: $results/results.json, $results/results.csv"
echo "More: build/release/examples/replay/replay --help"

echo
if [ -n "$no_server" ]; then
  echo "No server is shown: $no_server"
  echo "bash cmake/install-packages.sh --server installs what it needs."
else
  bash examples/torch_server/demo.sh build/release
fi
echo "Took $SECONDS s in all."
