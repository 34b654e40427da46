#!/usr/bin/env bash
# bash bench/core/planner_table.sh [planner_bench] [runs]
#
# A table in Markdown of what one planning step costs, for docs/evaluation.md: the median and the
# 99th percentile of the quietest of so many runs (default 5; other work on the machine only ever
# adds), and heap allocations of the worst. Build planner_bench in the release preset first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bench=${1:-build/release/bench/core/planner_bench}
runs=${2:-5}
[ -x "$bench" ] || { echo "$bench is not there: cmake --build --preset release --target planner_bench" >&2; exit 1; }

for ((i = 0; i < runs; ++i)); do
  "$bench" --benchmark_format=csv 2>/dev/null
done | awk -F, '
  $1 == "name" { for (i = 1; i <= NF; ++i) { gsub(/"/, "", $i); column[$i] = i } next }
  /^"step_cost/ {
    gsub(/"/, "", $1)
    split($1, part, "/")
    sub("running:", "", part[3]); sub("waiting:", "", part[4])
    row = part[3] "|" part[4]
    if (!(row in seen)) { seen[row] = 1; rows[++count] = row }
    key = part[2] "|" row
    p50 = $(column["p50_us"]) + 0; p99 = $(column["p99_us"]) + 0
    if (!(key in least) || p99 < least[key]) { least[key] = p99; median[key] = p50 }
    made = $(column["allocations"]) + 0
    if (made > allocations) allocations = made
  }
  END {
    print "| running | waiting | `no_evict` | `optimistic` | `projected` | asked, `projected` |"
    print "| ---: | ---: | ---: | ---: | ---: | ---: |"
    asked[64] = 5; asked[256] = 12; asked[1024] = 40
    for (i = 1; i <= count; ++i) {
      split(rows[i], at, "|")
      line = "| " at[1] " | " at[2] " |"
      split("no_evict optimistic projected", policies, " ")
      for (p = 1; p <= 3; ++p) {
        key = policies[p] "|" rows[i]
        line = line sprintf(" %.1f / %.1f |", median[key], least[key])
      }
      print line sprintf(" %d / %d |", asked[at[1]], 3 * asked[at[1]])
    }
    printf "\nMicroseconds, median / 99th percentile of 1,000 steps; heap allocations for each step: %g.\n", allocations
  }'
