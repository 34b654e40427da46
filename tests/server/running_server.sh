# What the tests of torch_server share; sourced by them: . running_server.sh <server program>
# Servers are started on a free port of the loopback interface and ended with the test.
. "$(dirname "${BASH_SOURCE[0]}")/../command_test.sh" "$1"
server=$1
server_id=
trap '[ -z "$server_id" ] || kill -9 "$server_id" 2>/dev/null; rm -rf "$folder"' EXIT

# start_server <arguments...>: leaves its process in $server_id and its address in $url.
start_server() {
  : >"$folder/log"
  "$server" "$@" 2>"$folder/log" &
  server_id=$!
  port=
  for _ in $(seq 600); do
    port=$(sed -n 's/.*listening on port //p' "$folder/log")
    [ -z "$port" ] || break
    kill -0 "$server_id" 2>/dev/null || break
    sleep 0.1
  done
  url=http://127.0.0.1:$port
  if [ -z "$port" ]; then
    echo "FAILED: the server does not start: $(cat "$folder/log")"
    exit 1
  fi
}
# end_server <signal>: leaves its exit status in $server_status.
end_server() {
  kill "-$1" "$server_id"
  wait "$server_id" 2>/dev/null
  server_status=$?
  server_id=
}
# call <path> [arguments of curl...]: the reply's headers and body; its last line is its status.
call() {
  local path=$1
  shift
  curl -sS -i --max-time 60 -H 'content-type: application/json' -w '\n%{http_code}\n' "$@" \
    "$url$path" 2>&1 | tr -d '\r'
}
# says <what> <status> <pattern in headers or body> <path> [arguments of curl...]
says() {
  local what=$1 status=$2 pattern=$3
  shift 3
  local said
  said=$(call "$@")
  if [ "$(tail -1 <<<"$said")" != "$status" ] || ! grep -qE -- "$pattern" <<<"$said"; then
    echo "FAILED: $what: expected $status and $pattern, said: $said"
    failures=$((failures + 1))
  fi
}
# metric <name>: its value.
metric() {
  curl -sS --max-time 20 "$url/metrics" | sed -n "s/^$1 //p"
}
# until_metric <name> <value>: waits until it is that; false after half a minute.
until_metric() {
  for _ in $(seq 300); do
    [ "$(metric "$1")" != "$2" ] || return 0
    sleep 0.1
  done
  echo "$1 is $(metric "$1"), not $2"
  return 1
}
