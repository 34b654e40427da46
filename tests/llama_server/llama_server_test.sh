#!/usr/bin/env bash
# The server on llama.cpp as its clients meet it:
# llama_server_test.sh <llama_server> <write_gguf> <llama_memory>
. "$(dirname "${BASH_SOURCE[0]}")/../server/running_server.sh" "$1"
if ! command -v curl >/dev/null; then
  echo "SKIPPED: curl was not found"
  exit 0
fi
"$2" "$folder/one.gguf" 1 f16 && "$2" "$folder/other.gguf" 2 q8_0 || exit 1

expect "help is for newcomers" 0 'Serves GGUF models' --help
expect "a model is NAME=FILE" 2 "'big' is no NAME=FILE" --model big
expect "a file that is not there" 1 'no/such.gguf' --model a=no/such.gguf
expect "a file that is no model" 1 'llama_server_test.sh' --model "a=${BASH_SOURCE[0]}"
expect "types are checked" 2 'q9_9' --model "a=$folder/one.gguf" --kv-type q9_9
expect "a memory that is too small says what it takes" 1 'weights and workspace take [0-9]+ bytes' \
  --model "a=$folder/one.gguf" --memory 8MiB

expect "sequences are bounded by what llama.cpp can have" 1 'sequences: is 300' \
  --model "a=$folder/one.gguf" --max-sequences 300

command_under_test=$3
expect "a table of what files take" 0 '^\| other \| 0.8[0-9] \| 0.8[0-9] \| \+0.0 % \|' \
  "$folder/one.gguf" "$folder/other.gguf"
expect "loaded, it is the same" 0 '^\| one \| 1.6[0-9] \| 1.6[0-9] \| \+0.0 % \|' \
  "$folder/one.gguf" --load
expect "what is no model is said" 1 'none.gguf' "$folder/none.gguf"
expect "cells come in blocks" 2 'a multiple of 256' "$folder/one.gguf" --cells 300

start_server --model "one=$folder/one.gguf" --model "other=$folder/other.gguf" --memory 128MiB \
  --context 512 --max-queued 8 --max-sequences 4 --journal "$folder/journal"
completions=/v1/completions

says "models are listed" 200 '"id":"one".*"id":"other"' /v1/models
says "a completion" 200 '"finish_reason":"length".*"prompt_tokens":5,"completion_tokens":7' \
  $completions -d '{"model": "one", "prompt": "Once", "max_tokens": 7}'
says "another model" 200 '"prompt_tokens":5,"completion_tokens":7' \
  $completions -d '{"model": "other", "prompt": "Once", "max_tokens": 7}'
says "tokens as a prompt" 200 '"prompt_tokens":3' $completions \
  -d '{"model": "one", "prompt": [1, 68, 69], "max_tokens": 2}'
says "a chat with a model that knows none" 400 'no template for chats' /v1/chat/completions \
  -d '{"model": "one", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}'
says "embeddings, which no model here has" 400 'invalid_request_error' /v1/embeddings \
  -d '{"model": "one", "input": "one"}'
says "a context that is too long" 400 'from 1 to 512, the longest context' $completions \
  -d '{"model": "one", "prompt": "Once", "max_tokens": 2000}'

# More than it carries, from clients of whom some leave: all others end or are refused with a reason.
ask() {
  curl -sS -o /dev/null -w '%{http_code}\n' --max-time "$2" -H 'content-type: application/json' \
    "$url$completions" -d "{\"model\": \"$1\", \"prompt\": \"Once upon a time\", \"max_tokens\": 300}"
}
clients=()
for i in $(seq 48); do
  ask "$([ $((i % 2)) = 0 ] && echo one || echo other)" "$([ $((i % 8)) = 7 ] && echo 0.3 || echo 60)" \
    >>"$folder/codes" 2>/dev/null &
  clients+=($!)
done
wait "${clients[@]}"
check "many were served" test "$(grep -c '^200' "$folder/codes")" -ge 8
check "the others were refused with a reason, or had left" \
  test "$(grep -cvE '^(200|429|000)' "$folder/codes")" = 0
check "everything has ended" until_metric vllm:num_requests_running 0
check "no step found no memory" test "$(metric server_failed_steps_total)" = 0
check "no allocation was refused" test "$(metric server_allocation_refusals_total)" = 0
check "the cap was kept" test "$(metric server_memory_peak_bytes)" -le "$(metric server_memory_cap_bytes)"
says "and it serves on" 200 '"completion_tokens":7' \
  $completions -d '{"model": "other", "prompt": "Once", "max_tokens": 7}'
end_server TERM
check "it ends as asked" test "$server_status" = 0
check "its log has no complaint" test "$(grep -c 'broke' "$folder/log")" = 0
exit $((failures > 0))
