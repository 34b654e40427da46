# What the tests of commands share; sourced by them: . command_test.sh <program>
# Leaves an empty folder in $folder, removed at the end, and the number of failures in $failures.
set -uo pipefail
command_under_test=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0

# expect <what> <exit status> <pattern in what it says> <arguments...>
expect() {
  local what=$1 status=$2 pattern=$3
  shift 3
  local said
  said=$("$command_under_test" "$@" 2>&1)
  local got=$?
  if [ $got -ne "$status" ] || ! grep -qE -- "$pattern" <<<"$said"; then
    echo "FAILED: $what: status $got (expected $status), said: $said"
    failures=$((failures + 1))
  fi
}
check() {
  local what=$1
  shift
  if ! "$@"; then
    echo "FAILED: $what"
    failures=$((failures + 1))
  fi
}
