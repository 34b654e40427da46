#!/usr/bin/env bash
# The server as its clients meet it, with curl: server_command_test.sh <server program>
. "$(dirname "${BASH_SOURCE[0]}")/running_server.sh" "$1"
if ! command -v curl >/dev/null; then
  echo "SKIPPED: curl was not found"
  exit 0
fi

expect "a server of nothing is refused" 2 'nothing to serve'
expect "help tells of headers" 0 'x-slo-ttft-ms' --help
expect "a model is NAME=..." 2 "--model: 'big' is no NAME=random:SIZE" --model big
expect "a gateway's model is one of them" 2 "'b' is none of the models" --model a=random:1M \
  --gateway-model b
expect "two models have two names" 2 "two models have the name 'a'" \
  --model a=random:1M --embedder a=random:1M
expect "tenants are checked" 2 "'b=0' is no NAME or NAME=WEIGHT" --model a=random:1M \
  --tenants a,b=0
expect "a memory that is too small says what it takes" 1 'weights and workspace take [0-9]+ bytes' \
  --model a=random:1M --memory 64KiB

start_server --model small=random:200K --model slow=random:3M --embedder sense=random:200K \
  --memory 192MiB \
  --tenants default,paying=4 --max-queued 4 --max-sequences 2
completions=/v1/completions

says "health" 200 '"status":"ok"' /health
says "models are listed" 200 '"id":"small".*"id":"slow".*"id":"sense"' /v1/models
says "a model is shown" 200 '"id":"sense"' /v1/models/sense
says "a model that is not there" 404 'model_not_found' /v1/models/other
says "a completion" 200 '"finish_reason":"length".*"prompt_tokens":5,"completion_tokens":7' \
  $completions -d '{"model": "small", "prompt": "Once", "max_tokens": 7}'
one=$(call $completions -d '{"model": "small", "prompt": "Once", "max_tokens": 9}' | grep -o '"text":".*","logprobs')
other=$(call $completions -d '{"model": "small", "prompt": ["Twice", "Once"], "max_tokens": 9}' |
  grep -o '"index":1,"text":".*' | grep -o '"text":".*","logprobs')
check "answers do not depend on what runs beside them" test -n "$one" -a "$one" = "$other"
says "tokens as a prompt" 200 '"prompt_tokens":3' $completions \
  -d '{"model": "small", "prompt": [256, 65, 66], "max_tokens": 2}'
says "a chat" 200 '"message":\{"role":"assistant","content":"' /v1/chat/completions \
  -d '{"model": "small", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}'
says "embeddings" 200 '"index":1,"embedding":\[-?[0-9]' /v1/embeddings \
  -d '{"model": "sense", "input": ["one", "another"]}'
says "embeddings in base64" 200 '"embedding":"[A-Za-z0-9+/]+=*"' /v1/embeddings \
  -d '{"model": "sense", "input": "one", "encoding_format": "base64"}'

streamed=$(curl -sS -N --max-time 60 -H 'content-type: application/json' "$url$completions" \
  -d '{"model": "small", "prompt": "Once", "max_tokens": 20, "stream": true,
       "stream_options": {"include_usage": true}}')
check "a stream has several events" test "$(grep -c '^data: {"id":"cmpl-' <<<"$streamed")" -gt 3
check "a stream ends as it should" test "$(grep . <<<"$streamed" | tail -1)" = 'data: [DONE]'
check "a stream tells the usage" grep -q '"choices":\[\],"usage":{"prompt_tokens":5' <<<"$streamed"

# What is wrong, with the field.
says "no JSON" 400 'invalid_json' $completions -d '{"model": '
says "a list" 400 'must be a JSON object' $completions -d '[1]'
says "bytes that are no UTF-8" 400 'invalid_json' $completions --data-binary $'{"model": "\xff"}'
says "no model" 400 '"param":"model"' $completions -d '{"prompt": "a"}'
says "an unknown model" 404 '"param":"model"' $completions -d '{"model": "b", "prompt": "a"}'
says "a model of the other kind" 400 'encoder' $completions -d '{"model": "sense", "prompt": "a"}'
says "no prompt" 400 '"param":"prompt"' $completions -d '{"model": "small"}'
for absurd in 0 -1 1.5 1e3 '"9"' 99999999 18446744073709551615 1e300 99999999999999999999999; do
  says "max_tokens of $absurd" 400 '"param":"max_tokens"' $completions \
    -d "{\"model\": \"small\", \"prompt\": \"a\", \"max_tokens\": $absurd}"
done
says "a number beyond all" 400 'invalid_json' $completions -d '{"max_tokens": 1e999}'
says "a prompt beyond the context" 400 'context_length_exceeded' $completions \
  -d "{\"model\": \"small\", \"prompt\": \"$(printf 'a%.0s' $(seq 3000))\"}"
says "a token that is not there" 400 '"param":"prompt"' $completions \
  -d '{"model": "small", "prompt": [272]}'
says "what is not supported" 400 '"param":"n"' $completions \
  -d '{"model": "small", "prompt": "a", "n": 2}'
says "a role that is not there" 400 'messages\[0\]\.role' /v1/chat/completions \
  -d '{"model": "small", "messages": [{"role": "king", "content": "a"}]}'
says "GET where POST is" 405 'Allow: POST' $completions
says "a path that is not there" 404 'not_found' /v2/nothing
check "another type of body" grep -q 'must be application/json' < <(
  curl -sS -H 'content-type: text/html' -d 'a' "$url$completions")
says "a compressed body" 415 'compressed' $completions -H 'content-encoding: gzip' -d 'a'
good='{"model": "small", "prompt": "a", "max_tokens": 2}'
says "an unknown tenant" 400 '"param":"x-mais-tenant"' $completions -H 'x-mais-tenant: x' -d "$good"
says "an unknown key" 401 'invalid_api_key' $completions -H 'authorization: Bearer x' -d "$good"
says "a tenant by key" 200 '"text"' $completions -H 'authorization: Bearer paying' -d "$good"
says "an unknown class" 400 '"param":"x-mais-class"' $completions -H 'x-mais-class: x' -d "$good"
for absurd in x -1 0 1e99 nan ''; do
  [ -n "$absurd" ] || continue
  says "a deadline of '$absurd'" 400 '"param":"x-slo-ttft-ms"' $completions \
    -H "x-slo-ttft-ms: $absurd" -d "$good"
done
says "deadlines and class" 200 '"text"' $completions -H 'x-slo-ttft-ms: 60000' \
  -H 'x-slo-tpot-ms: 1000.5' -H 'x-mais-class: realtime' -H 'x-mais-tenant: paying' \
  -H 'x-gateway-inference-fairness-id: somebody' -d "$good"

# Overload: two run, two wait, the rest is refused with a reason and a time.
long='{"model": "small", "prompt": "a", "max_tokens": 1900}'
callers=()
for i in $(seq 12); do
  call $completions -d "$long" >"$folder/overload.$i" &
  callers+=($!)
done
wait "${callers[@]}"
finished=$(grep -lE '^200$' "$folder"/overload.* | wc -l)
refused=$(grep -lE '^429$' "$folder"/overload.* | wc -l)
check "an overload ends each request with 200 or 429" test $((finished + refused)) -eq 12
check "some are refused" test "$refused" -ge 1
check "some finish" test "$finished" -ge 2
for file in $(grep -lE '^429$' "$folder"/overload.*); do
  check "a refusal says when to come again" grep -qE '^Retry-After: [1-9][0-9]*$' "$file"
  check "a refusal has a reason" grep -qE '"code":"(queue_full|tenant_queue_full)"' "$file"
done

# Clients that leave: what they asked for is not computed.
steps=$(metric server_steps_total)
for stream in true false; do
  curl -sS -N -H 'content-type: application/json' "$url$completions" \
    -d "{\"model\": \"slow\", \"prompt\": \"a\", \"max_tokens\": 2000, \"stream\": $stream}" \
    >/dev/null 2>&1 &
  caller=$!
  until_metric vllm:num_requests_running 1
  kill -9 $caller
  wait $caller 2>/dev/null
  check "a client that leaves ends its request" until_metric vllm:num_requests_running 0
done
check "and its tokens are not computed" \
  test $(($(metric server_steps_total) - steps)) -lt 2000
check "a seed gives the same again, and another seed something else" test "$(
  for seed in 1 1 2; do
    call $completions -d '{"model": "small", "prompt": "Once", "max_tokens": 20, "temperature": 2,
      "seed": '$seed'}' | grep -o '"text":".*","logprobs'
  done | uniq | wc -l)" -eq 2
check "nothing waits" until_metric vllm:num_requests_waiting 0
check "metrics are served" test -n "$(metric server_memory_cap_bytes)"
for name in vllm:num_requests_waiting vllm:num_requests_running vllm:kv_cache_usage_perc; do
  check "a gateway finds $name" test "$(curl -sS "$url/metrics" | grep -c "^$name [0-9]")" -eq 1
done
if ! curl -sS "$url/metrics" | grep -q '^# it was built without prometheus-cpp'; then
  ttft='mais_time_to_first_token_seconds_count{model="small",class="streaming"}'
  check "answers are in the histograms" \
    test "$(curl -sS "$url/metrics" | grep -F "$ttft" | sed 's/.* //')" -ge 10
  check "refusals are counted by reason" grep -qE \
    '^mais_refusals_total\{.*reason="(tenant_)?queue_full".*\} [1-9]' < <(curl -sS "$url/metrics")
fi
check "the cap holds" test "$(metric server_memory_peak_bytes)" -le $((192 << 20))

# The end: what runs goes on, what comes is told so.
call $completions -d "$long" >"$folder/last" &
caller=$!
for _ in $(seq 100); do
  [ "$(metric server_http_under_way)" != 1 ] || break
  sleep 0.02
done
kill -TERM "$server_id"
sleep 0.1
late=$(call $completions -d "$good")
wait $caller
wait "$server_id"
check "the server ends well" test $? -eq 0
server_id=
check "what ran has finished" grep -qE '^200$' "$folder/last"
check "what came late was told" grep -qE '^503$|refused|Failed to connect|^000$' <<<"$late"

exit $((failures > 0))
