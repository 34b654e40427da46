#!/usr/bin/env bash
# bash examples/evaluate.sh [--docs] [options of evaluate...]
#
# Reproduces the evaluation in docs/evaluation.md: installs the packages that are missing (or says
# which), builds, replays production traces under a simulated clock, and writes tables and plots to
# build/evaluation (--out DIR: elsewhere). No GPU is needed; about ten minutes on two cores, parts of
# it with --only STUDY,... (evaluate --help). The traces are those in MAIS_SHARED_DATA or
# ../shared/data; without them synthetic workloads are replayed, and said to be so.
# --docs also puts the tables and plots in that folder into docs/evaluation.md and docs/evaluation/
# (that of planner_bench too, once it is there: bash bench/core/planner_table.sh >DIR/step_cost.md).
# Exit status: 0 done, 1 something failed, 2 wrong options, 3 packages are missing or the scheduler
# was at fault.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

docs=no
out=build/evaluation
options=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' examples/evaluate.sh; exit 0 ;;
    --docs) docs=yes ;;
    --out) out=${2:?--out needs a folder}; shift ;;
    --out=*) out=${1#--out=} ;;
    *) options+=("$1") ;;
  esac
  shift
done

bash cmake/install-packages.sh --examples

if [ -z "${CMAKE_CXX_COMPILER_LAUNCHER:-}" ] && command -v ccache >/dev/null 2>&1; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
echo "=== Building (preset release, $CMAKE_BUILD_PARALLEL_LEVEL jobs)"
cmake --preset release >/dev/null  # what is wrong goes to standard error
cmake --build --preset release --target evaluate

echo
echo "=== Evaluating"
build/release/examples/evaluate/evaluate --out "$out" ${options[@]+"${options[@]}"}

# Puts a table into the page, between the comments that name it.
put() {
  local file=$1 name=$2
  grep -q "^<!-- begin $name -->\$" docs/evaluation.md || return 0
  awk -v file="$file" -v name="$name" '
    $0 == "<!-- end " name " -->" { inside = 0 }
    !inside { print }
    $0 == "<!-- begin " name " -->" {
      inside = 1
      while ((getline line < file) > 0) print line
    }' docs/evaluation.md >docs/evaluation.md.new
  mv docs/evaluation.md.new docs/evaluation.md
}

if [ $docs = yes ]; then
  if grep -q '^Synthetic' "$out"/*.md; then
    echo "evaluate.sh: docs/evaluation.md is of recorded traces; left as it is" >&2
    exit 1
  fi
  mkdir -p docs/evaluation
  for file in "$out"/*.md; do
    put "$file" "$(basename "$file" .md)"
  done
  cp "$out"/*.svg docs/evaluation/
  echo "Tables and plots are in docs/evaluation.md and docs/evaluation/."
fi
echo "Took $SECONDS s in all."
