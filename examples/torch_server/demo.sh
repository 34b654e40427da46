#!/usr/bin/env bash
# bash examples/torch_server/demo.sh [folder of the build]
#
# One server with two models and a hard cap of memory, and clients of three tenants that ask three
# times what it carries, over HTTP. First without the library: every request is admitted when it
# comes. Then with it. Ends with a table of each and a page with memory over time. Under three
# minutes. Exit status: 0 done, 1 something failed; with the library: 3 something was lost (an allocation
# failed, or a request neither finished nor was refused with a reason), 4 the realtime tenant was not
# answered within its goals.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

build=${1:-build/release}
server=$build/examples/torch_server/torch_server
load=$build/examples/server/load/server_load
results=build/demo
mkdir -p "$results"
server_id=
trap '[ -z "$server_id" ] || kill -9 "$server_id" 2>/dev/null || true' EXIT

# start <arguments...>: leaves the port in $port.
start() {
  : >"$results/server.log"  # of the server before
  "$server" --model chat=random:3M --model writer=random:3M --memory 128MiB \
    --tenants people=8,readers=4,reports=1 --max-connections 1024 "$@" 2>"$results/server.log" &
  server_id=$!
  port=
  for _ in $(seq 600); do
    port=$(sed -n 's/.*listening on port //p' "$results/server.log")
    [ -z "$port" ] || return 0
    kill -0 "$server_id" 2>/dev/null || break
    sleep 0.1
  done
  echo "the server does not start:" >&2
  cat "$results/server.log" >&2
  exit 1
}
stop() {
  kill -TERM "$server_id"
  wait "$server_id" || true
  server_id=
}
with_library=(--max-queued 96 --give-up "15 s")

echo "=== What the server carries: 16 clients that wait for each answer"
start "${with_library[@]}"
carried=$("$load" --port "$port" --measure 16 --seconds 12 --seed 7)
stop
rate=$(awk -v carried="$carried" 'BEGIN { print 3 * carried }')
echo "$carried requests a second; the load is three times that: $rate a second for 20 s"

echo
echo "=== Without the library"
start --no-library
"$load" --port "$port" --rate "$rate" --seconds 20 --label "Without the library" \
  --json "$results/without.json"
stop

echo
echo "=== With the library"
start "${with_library[@]}"
status=0
"$load" --port "$port" --rate "$rate" --seconds 20 --label "With the library" --strict \
  --json "$results/with.json" || status=$?
stop
"$load" --page "$results/index.html" --results "$results/without.json" "$results/with.json"

echo
echo "Page: $results/index.html   Figures: $results/without.json, $results/with.json"
echo "Weights are random: what is served is real work, and no text that means anything."
echo "Took $SECONDS s."
exit "$status"
