#!/usr/bin/env bash
# The inspect command as a user meets it: inspect_command_test.sh <program> <data> <has hwloc>
. "$(dirname "${BASH_SOURCE[0]}")/../command_test.sh" "$1"
inspect=$1
data=$2
hwloc=$3

expect "help is for newcomers" 0 'Where to start' --help
expect "an unknown option is named" 2 'not expected: --bogus' --bogus
expect "watching a record is refused" 2 'excludes' --from x --watch
expect "a missing record is named" 1 'no/such: cannot be opened' --from no/such
printf 'mais machine record 1\ncuda\n|available maybe\n' >"$folder/bad"
expect "a bad record is named with its line" 1 "bad:3: available cannot be 'maybe'" \
  --from "$folder/bad"
expect "a folder that is not there is named" 1 'no/folder: is no folder' --offload no/folder

expect "this machine is a tree" 0 '^Machine: ' 
expect "which limit binds is said" 0 '^      limit  +.*(less|available)'
expect "sources are named" 0 '^  (hwloc|/sys) '
expect "the disk is a space" 0 '^  offload +file system of ' --offload "$folder"

expect "a record is written" 0 "Recorded in $folder/box.record" --record "$folder/box.record"
check "the record holds no name of this machine" \
  bash -c '! grep -qi -- "HostName" "$1"' - "$folder/box.record"
expect "the record is looked at" 0 '^Machine: ' --from "$folder/box.record"
"$inspect" --from "$folder/box.record" --json >"$folder/a.json"
check "JSON on standard output is nothing but JSON" \
  test "$(head -c 1 "$folder/a.json")$(tail -c 2 "$folder/a.json")" = '{}'

expect "the live view shows every space" 0 '^host0? +' --watch --times 2 --interval 0.05
expect "the live view tells its cost" 0 'samples, [0-9]+ us each' --watch --times 1

if [ "$hwloc" = TRUE ]; then
  for machine in "$data"/machines/*.record; do
    check "$(basename "$machine") looks as it did" \
      cmp -s "${machine%.record}.txt" <("$inspect" --from "$machine")
  done
fi

[ $failures -eq 0 ] && echo "all passed"
exit $((failures > 0))
