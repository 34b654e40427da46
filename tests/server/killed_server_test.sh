#!/usr/bin/env bash
# A server that is killed under load: killed_server_test.sh <server program> <replay>
. "$(dirname "${BASH_SOURCE[0]}")/running_server.sh" "$1"
replay=$2
if ! command -v curl >/dev/null; then
  echo "SKIPPED: curl was not found"
  exit 0
fi

begin() {
  start_server --model small=random:1M --memory 64MiB --max-sequences 4 --journal "$1"
}
body='{"model": "small", "prompt": "a", "max_tokens": 1500}'
for round in 1 2 3; do
  journal=$folder/journal.$round
  begin "$journal"
  callers=()
  for i in $(seq 6); do
    call /v1/completions -d "$body" >"$folder/call.$i" &
    callers+=($!)
  done
  for _ in $(seq 200); do
    [ "$(metric vllm:num_requests_running)" != 4 ] ||
      [ "$(metric server_steps_total)" -lt 100 ] || break
    sleep 0.05
  done
  sleep "0.$((round * 2))"
  end_server KILL
  wait "${callers[@]}"
  check "round $round: it was killed" test "$server_status" -eq 137
  check "round $round: no client was left without an answer for ever" \
    test "$(grep -lE '^(000|200)$' "$folder"/call.* | wc -l)" -eq 6
  said=$("$replay" --journal "$journal" 2>&1)
  status=$?
  check "round $round: the journal is read and executed again, bit for bit: $said" \
    test $status -eq 0
  check "round $round: it has the load" test "$(stat -c %s "$journal")" -gt 5000
done

begin "$folder/journal.4"
says "a server after it serves" 200 '"text"' /v1/completions \
  -d '{"model": "small", "prompt": "a", "max_tokens": 2}'
end_server TERM
check "and ends well" test "$server_status" -eq 0
said=$("$replay" --journal "$folder/journal.4" 2>&1)
check "its journal was closed: $said" grep -qi 'closed' <<<"$said"

exit $((failures > 0))
