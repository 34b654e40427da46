#!/usr/bin/env bash
# Clients that mean no good: hostile_clients_test.sh <server program>
. "$(dirname "${BASH_SOURCE[0]}")/running_server.sh" "$1"
if ! command -v curl >/dev/null; then
  echo "SKIPPED: curl was not found"
  exit 0
fi
ulimit -n "$(ulimit -Hn)" 2>/dev/null
trap '' PIPE  # a write to a connection that was closed fails, and no more

start_server --model small=random:200K --model slow=random:3M --memory 160MiB --max-connections 40 --receive 2s \
  --max-body 64KiB
good='{"model": "small", "prompt": "a", "max_tokens": 2}'

# raw <bytes>: the first line that comes back to exactly these bytes; what follows is not sent.
raw() {
  local line= to
  exec {to}<>"/dev/tcp/127.0.0.1/$port" || return
  printf '%b' "$1" >&$to 2>/dev/null
  IFS= read -r -t 20 line <&$to
  exec {to}>&-
  tr -d '\r' <<<"$line"
}
answers() {
  local said
  said=$(raw "$3")
  if ! grep -qE "$2" <<<"$said"; then
    echo "FAILED: $1: said: $said"
    failures=$((failures + 1))
  fi
}
alive() {
  says "a good request after $1" 200 '"text"' /v1/completions -d "$good"
}

head -c 10000000 /dev/zero | tr '\0' 'a' >"$folder/huge"
says "a huge body" 413 'body_too_large' /v1/completions -H 'expect:' --data-binary @"$folder/huge"
says "a huge body that asks first" 413 '413' /v1/completions -H 'expect: 100-continue' \
  --data-binary @"$folder/huge"
says "a huge body in chunks" 413 'body_too_large' /v1/completions -H 'expect:' \
  -H 'transfer-encoding: chunked' --data-binary @"$folder/huge"
head -c 100000 /dev/zero | tr '\0' 'a' >"$folder/large"
says "a body in chunks that is a little too large" 413 'body_too_large' /v1/completions \
  -H 'expect:' -H 'transfer-encoding: chunked' --data-binary @"$folder/large"
head -c 60000 /dev/zero | tr '\0' '[' >"$folder/deep"
says "a deep body" 400 'invalid_json' /v1/completions --data-binary @"$folder/deep"
head -c 30000 /dev/zero | tr '\0' '[' >"$folder/nested"
head -c 30000 /dev/zero | tr '\0' ']' >>"$folder/nested"
says "a deep body that is JSON" 400 'JSON object' /v1/completions --data-binary @"$folder/nested"
alive "bodies"

post='POST /v1/completions HTTP/1.1\r\nHost: a\r\n'
answers "no HTTP at all" '^HTTP/1.1 400' 'hello\r\n\r\n'
answers "bytes of zero" '^HTTP/1.1 400' '\0\0\0\0\r\n\r\n'
answers "a length that is none" '^HTTP/1.1 4(00|13)' "${post}Content-Length: -1\\r\\n\\r\\n"
answers "a length beyond all" '^HTTP/1.1 413' "${post}Content-Length: 99999999999999999999\\r\\n\\r\\n"
answers "chunks that are none" '^HTTP/1.1 400' "${post}Transfer-Encoding: chunked\\r\\n\\r\\nzz\\r\\n"
answers "a long path" '^HTTP/1.1 414' "GET /$(printf 'a%.0s' $(seq 9000)) HTTP/1.1\\r\\n\\r\\n"
headers=$(printf 'x-%s: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\r\\n' $(seq 4000))
answers "headers without end" '^(HTTP/1.1 4|$)' "GET /health HTTP/1.1\\r\\n$headers"
alive "broken requests"

# A client that sends half of a request, and one that sends a byte now and then, are closed in time.
started=$SECONDS
answers "half of a request" '^HTTP/1.1 408' "${post}Content-Le"
answers "half of a body" '^HTTP/1.1 408' "${post}Content-Length: 100\\r\\n\\r\\n{"
exec {drip}<>"/dev/tcp/127.0.0.1/$port"
for _ in $(seq 60); do
  printf 'G' >&$drip 2>/dev/null || break
  sleep 0.25
done
exec {drip}>&-
check "slow clients are closed long before they are done" test $((SECONDS - started)) -lt 15
alive "slow clients"

# A client that asks for a long stream and never reads: its request ends when it leaves.
steps=$(metric server_steps_total)
exec {deaf}<>"/dev/tcp/127.0.0.1/$port"
body='{"model":"slow","prompt":"a","max_tokens":2000,"stream":true}'
printf '%b%s' "${post}Content-Type: application/json\r\nContent-Length: ${#body}\r\n\r\n" "$body" >&$deaf
until_metric vllm:num_requests_running 1
exec {deaf}>&-
check "a request whose client left ends" until_metric vllm:num_requests_running 0
check "and its tokens are not computed" \
  test $(($(metric server_steps_total) - steps)) -lt 1500

# A thousand connections that say nothing; then as many that say half of something.
for words in '' 'POST /v1/completions HTT'; do
  silent=()
  for _ in $(seq 1000); do
    exec {one}<>"/dev/tcp/127.0.0.1/$port" || break
    printf '%s' "$words" >&$one 2>/dev/null
    silent+=("$one")
  done
  check "a thousand connections are taken" test ${#silent[@]} -eq 1000
  alive "a thousand connections"
  for one in "${silent[@]}"; do exec {one}>&-; done
done

# Every place waits for a reply: one more is told so.
long='{"model": "small", "prompt": "a", "max_tokens": 400}'
callers=()
for i in $(seq 60); do
  call /v1/completions -d "$long" >"$folder/many.$i" &
  callers+=($!)
done
wait "${callers[@]}"
ended=$(grep -lE '^(200|429|503)$' "$folder"/many.* | wc -l)
check "each of many calls is answered" test "$ended" -eq 60
check "the process has no more threads than it may" \
  test "$(ls "/proc/$server_id/task" | wc -l)" -le 80
alive "everything"
end_server TERM
check "the server ends well" test "$server_status" -eq 0

exit $((failures > 0))
