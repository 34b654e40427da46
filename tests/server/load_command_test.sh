#!/usr/bin/env bash
# The load of the demonstration, and what its exit status says of a server:
# load_command_test.sh <server program> <server_load>
. "$(dirname "${BASH_SOURCE[0]}")/running_server.sh" "$1"
command_under_test=$2

expect "help is for newcomers" 0 'Exit status' --help
expect "a port is wanted" 2 'give --port' --rate 1
expect "results have to be there" 1 'no/such: cannot be opened' --page "$folder/a" --results no/such

# load <exit status> <what> <size of the model that writes reports> <arguments of the server...>
load() {
  local status=$1 what=$2 size=$3
  shift 3
  start_server --model chat=random:1M --model "writer=random:$size" --tenants people,readers,reports "$@"
  expect "$what" "$status" 'allocation failures: [0-9]+' --port "$port" --rate 25 --seconds 2 \
    --strict --json "$folder/$status.json"
  end_server TERM
}
load 0 "a server that keeps up is good" 1M --memory 32MiB
load 3 "one that runs out of memory is not" 10M --memory 180KiB --no-library
load 4 "nor is one that refuses who cannot wait" 1M --memory 32MiB --max-queued 1 --max-sequences 1
expect "the page is made of results" 0 '' --page "$folder/page.html" \
  --results "$folder/0.json" "$folder/3.json"
check "and shows both" test "$(grep -o '<polyline' "$folder/page.html" | wc -l)" -ge 4

exit $((failures > 0))
