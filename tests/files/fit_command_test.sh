#!/usr/bin/env bash
# The fit command as a user meets it: fit_command_test.sh <fit> <write_models>
. "$(dirname "${BASH_SOURCE[0]}")/../command_test.sh" "$1"
program=$1

"$2" "$folder" || exit 1
gguf=$folder/llama8b-00001-of-00002.gguf

expect "help is for newcomers" 0 'Where to start' --help
expect "a model is needed" 2 'MODEL is required'
expect "an unknown option is named" 2 'not expected: --bogus' "$gguf" --bogus
expect "types are checked" 2 "no type 'q9'; there are f16" "$gguf" --kv-type q9
expect "counts are checked" 2 'context' "$gguf" --context 0
expect "a missing model is named" 1 'nowhere: there is no such file or folder' "$folder/nowhere"
expect "a missing machine is named" 1 "no file 'moon'; known machines are l4, a100" "$gguf" --machine moon
expect "an empty folder says what it needs" 1 'holds no model; a .gguf file' "$(mktemp -d -p "$folder")"
head -c 1000 "$gguf" >"$folder/cut.gguf"
expect "a cut file is told" 1 'cut.gguf: at byte [0-9]+: .*' "$folder/cut.gguf"
printf '{"spaces": [{"name": "m", "capacity": "1 GB", "colour": 1}]}' >"$folder/bad.json"
expect "a fault of a machine is named" 1 'bad.json:1: .*colour' "$gguf" --machine "$folder/bad.json"

expect "well-known machines side by side" 0 '^l4 .*yes' "$gguf"
expect "a split GGUF is exact" 0 '2 files, 291 tensors: weights are exact' "$gguf" --machine l4
expect "the other part will do" 0 'Llama 3.1 8B Instruct: llama, 8.03 billion' \
  "$folder/llama8b-00002-of-00002.gguf" --machine l4
# 8,030,261,248 parameters, 266,240 of them in 32 bits, the others 18 bytes for 32.
expect "weights are the sum of the tensors" 0 'Weights +4.21 GiB' "$gguf" --machine l4
expect "state is 128 KiB a token" 0 'attention +1.00 GiB' "$gguf" --machine l4 --context 8192
expect "the model's own limit is told" 0 "131,072 tokens \(the model's own limit\)" "$gguf" --machine l4
expect "a context beyond it is told" 0 'the model was made for 131,072 tokens' "$gguf" --machine h200 \
  --context 200000
expect "safetensors take twice the parameters" 0 'Weights +14.96 GiB' "$folder/llama8b" --machine a100
expect "times are called predicted" 0 'predicted; answers are bound by memory bandwidth; nothing was measured' \
  "$gguf" --machine l4
expect "what does not fit says so, and by how much" 3 'MISSING' "$folder/llama8b" --machine l4 --context 131072
expect "and what would fit" 3 '--kv-type fp8 +contexts of up to 111,136' "$folder/llama8b" --machine l4 --context 131072
expect "quantised weights would" 3 'the same model quantised to' "$folder/llama8b" --machine l4 \
  --context 60000
expect "a configuration alone will do" 0 'configuration only' "$folder/qwen" --machine h200
expect "its weights can be of any type" 0 'Weights +16.00 GiB' "$folder/qwen" --weight-type q4_0 --machine l4
expect "two devices share it" 0 'each of 2 devices' "$folder/qwen" --machine a100 --tensor-parallel 2
sed 's/qwen3_moe/novelty/' "$folder/qwen/config.json" >"$folder/novel.json"
expect "an unknown architecture is an error" 1 "'novelty' is not known; known are" "$folder/novel.json"
expect "a guess is marked" 0 'GUESS: .* give or take 25 %' "$folder/novel.json" --guess --machine h200

big=$folder/llama70b-q4_k.gguf
expect "what does not fit one device is split with the host" 0 'runs SPLIT' "$big" --machine l4 --host 64GiB
# Half of 80 layers are on the device, the others in the host.
expect "a bar for each memory" 0 '^  host \[.*\] +19\.[0-9]+ GiB of 64.00 GiB' "$big" --machine l4 --host 64GiB
expect "what is where" 0 'in host, computed there:' "$big" --machine l4 --host 64GiB
expect "what bounds it" 0 'Bound by +memory bandwidth of cpu, at work 9[0-9] %' "$big" --machine l4 --host 64GiB
expect "what more would buy" 0 '1.00 GiB more in hbm +3\.[0-9]+ tokens/s \(\+[0-9.]+ %\)' "$big" --machine l4 --host 64GiB
expect "and what not" 0 '1.00 GiB more in host +nothing' "$big" --machine l4 --host 64GiB
expect "two devices share every layer" 0 'one stage, tensor parallel over 2' "$big" --machine l4 --gpus 2
expect "what is missing is told" 3 'No split: .* GiB are missing' "$big" --machine l4 --host 8GiB
expect "one device is told" 0 'Fits one device +hbm' "$gguf" --machine l4 --host 64GiB
expect "bounds are met" 0 'it FITS' "$gguf" --machine l4 --slo ttft=1s,tpot=40ms
expect "a bound that is missed, in numbers" 3 'TOO SLOW: TPOT 2[0-9] ms > 10.* ms' "$gguf" --machine l4 --slo tpot=10ms
expect "what would be within the bounds" 3 '--parallel 4 +first token after' "$gguf" --machine l4 --parallel 16 \
  --context 8000 --slo tpot=45ms
expect "an unknown bound is named" 2 "'speed=9' is no bound; there are ttft=500ms" "$gguf" --slo speed=9
expect "a bound needs a unit" 2 'tpot: .*40' "$gguf" --slo tpot=40
expect "the best quantisation that will do is chosen" 0 '^-> .*q4_k.gguf +4.5 bits .*the best that will do' \
  "$folder/llama70b-q8_0.gguf" "$big" --machine a100 --slo tpot=40ms
expect "and what the better one misses" 0 'q8_0.gguf +8.5 bits .*no: TPOT 48 ms > 40 ms' \
  "$folder/llama70b-q8_0.gguf" "$big" --machine a100 --slo tpot=40ms
expect "why the better one will not" 0 'q8_0.gguf needs .* GiB are missing' "$folder/llama70b-q8_0.gguf" "$big" \
  --machine l4 --host 48GiB
expect "another model is no variant" 1 'is another model than' "$big" "$gguf" --machine a100

json=$("$program" "$gguf" --machine l4 --json --html "$folder/page.html")
# sum <what> <arguments...>: the parts of the table add up to what is needed
sum() {
  local what=$1
  shift
  "$program" "$@" --json | awk -F': ' '/"needed"/ { needed = $2 + 0 } /"bytes"/ { sum += $2 }
    END { exit !(sum > 0 && sum == needed) }' ||
    { echo "FAILED: the parts of $what do not add up"; failures=$((failures + 1)); }
}
sum "a decoder" "$gguf" --machine l4 --parallel 3
sum "a shard" "$folder/qwen" --machine l4 --tensor-parallel 3 --pipeline-parallel 2
printf '{"model_type": "bert", "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
"num_attention_heads": 12, "vocab_size": 30522, "max_position_embeddings": 512}' >"$folder/bert.json"
sum "an encoder" "$folder/bert.json" --machine l4 --parallel 64
expect "an encoder answers a batch at once" 0 'A batch takes .* requests/s' "$folder/bert.json" --machine l4

"$program" "$big" --machine l4 --host 64GiB --json >"$folder/split.json"
for name in tensor_parallel mode buffers prompt_tokens_per_second kind gains missed within variants; do
  grep -q "\"$name\":" "$folder/split.json" || { echo "FAILED: JSON of a split lacks $name"; failures=$((failures + 1)); }
done
[ "$(grep -c '"mode"' "$folder/split.json")" = 82 ] || { echo 'FAILED: JSON of a split has not every layer'; failures=1; }

for name in weights needed fits longest_context most_parallel ttft_s tokens_per_second exact; do
  grep -q "\"$name\": [^n]" <<<"$json" || { echo "FAILED: JSON lacks $name"; failures=$((failures + 1)); }
done
grep -q '"weights": 4517937152' <<<"$json" || { echo "FAILED: exact weights"; failures=$((failures + 1)); }
grep -q 'the memory ends here' "$folder/page.html" && { echo 'FAILED: an end of memory where all fits'; failures=1; }
grep -q '</html>' "$folder/page.html" || { echo "FAILED: no page"; failures=$((failures + 1)); }

[ $failures -eq 0 ] && echo "all passed"
exit $((failures > 0))
