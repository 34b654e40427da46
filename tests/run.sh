#!/usr/bin/env bash
# bash tests/run.sh [--long] [preset...]
#
# Installs the packages that are missing (or says which), builds, and runs the tests of each preset:
#   dev         the checks that keep the house in order, examples and engines; every test where
#               asan-ubsan does not run it as well
#   asan-ubsan  the tests under AddressSanitizer and UndefinedBehaviorSanitizer, by clang if it is
#               there
#   tsan        the tests with threads under ThreadSanitizer
#   bare        a sample of the tests, built without a single optional dependency
# in this order when none is named. --long adds the long randomised tests (preset long).
# Exit status: 0 all passed, 1 something failed, 2 wrong usage, 3 packages are missing.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

presets=()
long=()
for argument in "$@"; do
  case $argument in
    --long) long=(long) ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "tests/run.sh"; exit 0 ;;
    dev | asan-ubsan | tsan | bare | device | long) presets+=("$argument") ;;
    *) echo "unknown argument: $argument (bash tests/run.sh --help)" >&2; exit 2 ;;
  esac
done
[ ${#presets[@]} -gt 0 ] || presets=(dev asan-ubsan tsan bare)
presets+=(${long[@]+"${long[@]}"})

bash cmake/install-packages.sh --tests --examples || exit $?

jobs=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
export CMAKE_BUILD_PARALLEL_LEVEL=$jobs
if [ -z "${CMAKE_CXX_COMPILER_LAUNCHER:-}" ] && command -v ccache >/dev/null 2>&1; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi
export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-pch_defines,time_macros}  # it knows precompiled headers

# Each test once: what asan-ubsan runs in full, dev leaves to it when both are asked for.
beside_sanitizers=OFF
case " ${presets[*]} " in *" asan-ubsan "*) beside_sanitizers=ON ;; esac

# Where clang is there with its sanitizers, they are run with it: another compiler, in less time.
clang_sanitizes=$(command -v clang++) &&
  echo 'int main() {}' | "$clang_sanitizes" -fsanitize=address,undefined -x c++ -o /dev/null - \
    2>/dev/null || clang_sanitizes=

table=$(printf '%-12s %10s %8s %8s   %s' preset configure build test result)
failed=0

# Runs a command and leaves how many seconds it took in `took`.
timed() {
  local start=$SECONDS
  "$@"
  local status=$?
  took=$((SECONDS - start))
  return $status
}

run_preset() {
  local preset=$1 result=passed configure=- build=- test=-
  local options=()
  case $preset in
    dev) options=("-DMAIS_BESIDE_SANITIZERS=$beside_sanitizers") ;;
    asan-ubsan) options=(${clang_sanitizes:+"-DCMAKE_CXX_COMPILER=$clang_sanitizes"}) ;;
  esac
  echo
  echo "=== $preset: configure, build, test ($jobs jobs)"
  if ! timed cmake --preset "$preset" ${options[@]+"${options[@]}"}; then
    configure=$took result="configure FAILED"
  else
    configure=$took
    if ! timed cmake --build --preset "$preset"; then
      build=$took result="build FAILED"
    else
      build=$took
      timed ctest --preset "$preset" --parallel "$jobs" || result="tests FAILED"
      test=$took
    fi
  fi
  [ "$result" = passed ] || failed=1
  table+=$(printf '\n%-12s %8s s %6s s %6s s   %s' "$preset" $configure $build $test "$result")
}

for preset in "${presets[@]}"; do
  run_preset "$preset"
done

echo
echo "$table"
echo "total $SECONDS s"
exit $failed
