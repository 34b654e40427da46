#!/usr/bin/env bash
# The replay command as a user meets it: replay_command_test.sh <replay> <record>
. "$(dirname "${BASH_SOURCE[0]}")/../command_test.sh" "$1"
replay=$1
record=$2

expect "help is for newcomers" 0 'Where to start' --help
expect "an unknown option is named" 2 'not expected: --bogus' --bogus
expect "a rate of 0 is refused" 2 'rate' --rate 0
expect "rate and capacity exclude each other" 2 'excludes' --rate 1 --capacity
expect "policies are checked" 2 "no policy 'best'; there are no_evict" --policy best
expect "sizes are checked" 2 "'lots' is not a size" --host-tier lots
expect "machines are checked" 1 'presets are l4-llama3-8b' --machine nowhere
expect "a missing trace is named" 1 'no/such.csv: cannot be opened' --trace no/such.csv
printf 'arrived_at,num_prefill_tokens,num_decode_tokens\n0,5,5\n1,-5,5\n' >"$folder/bad.csv"
expect "a bad line is named" 1 "bad.csv:3: num_prefill_tokens is '-5'" --trace "$folder/bad.csv"
printf '{"timestamp": 0, "input_length": 5,' >"$folder/cut.jsonl"
expect "a cut line is named" 1 'cut.jsonl:1: ends too early' --trace "$folder/cut.jsonl"
printf '{\n"machine": {"spaces": [{"name": "m", "capacity": "1 GB", "colour": 1}]}}' >"$folder/m.json"
expect "a fault of a configuration is named" 1 'm.json:2: machine.spaces\[0\].colour' \
  --machine "$folder/m.json"

expect "the built-in workload runs and says what it is" 0 '^Synthetic workload: .*30 requests' \
  --limit 30 --rate 0.1 --html "$folder/page.html" --csv "$folder/runs.csv"
check "the page is whole" grep -q '</html>' "$folder/page.html"
check "the page says that the workload is synthetic" grep -q '"synthetic":true' "$folder/page.html"
check "the CSV has a line for each policy" test "$(wc -l <"$folder/runs.csv")" -eq 4

json=$("$replay" --limit 30 --capacity --offline --policy projected,no_evict --json - 2>/dev/null)
check "JSON on standard output is nothing but JSON" \
  test "${json:0:1}${json: -1}" = '[]' -a "$(grep -c '"policy"' <<<"$json")" -eq 2
for name in capacity_90 capacity_99 attainment preemptions recomputed_tokens ooms kv_mean kv_peak \
  prefix_hit_rate makespan_ratio longest_wait step_us_p50 step_us_p99 trace machine rate; do
  check "JSON has $name" grep -q "\"$name\": [^n]" <<<"$json"
done

cat >"$folder/own.json" <<'END'
{ "machine": {
    "spaces": [ { "name": "hbm", "capacity": "24 GiB", "bandwidth": "300 GB/s" } ],
    "devices": [ { "name": "gpu", "space": "hbm", "compute": "80 TFLOP/s" } ] },
  "models": [ { "name": "m", "weights": "14 GiB",
    "state": [ { "name": "kv", "per_token": "128 KiB" } ],
    "cost": { "flops_per_token": 16e9, "attention_flops_per_pair": 524288,
              "weights_read": "14 GiB", "state_read": "128 KiB", "overhead": "1 ms" } } ],
  "instances": [ { "name": "i", "model": "m", "device": "gpu", "state": "4 GiB" } ],
  "queue": { "classes": { "streaming": { "deadlines": { "tpot": "100 ms" } } } } }
END
expect "a machine of one's own" 0 'Simulated machine: own.json' \
  --machine "$folder/own.json" --limit 30 --rate 0.1 --policy projected

check "a journal is recorded" "$record" "$folder/j" 0.2 >/dev/null
expect "a journal is executed again" 0 'every decision is the same, bit for bit' \
  --journal "$folder/j" --html "$folder/journal.html" --json "$folder/journal.json"
check "its page says what it shows" grep -q '"recorded":true' "$folder/journal.html"
check "its figures say no rate of a trace" grep -q '"rate": null' "$folder/journal.json"
expect "its end is told" 0 'the journal was closed here' --journal "$folder/j"
for what in submitted finished preemptions 'state of decoder' 'until +held'; do
  expect "its table has $what" 0 "$what" --journal "$folder/j"
done
size=$(stat -c %s "$folder/j")
head -c $((size - 9)) "$folder/j" >"$folder/cut"
expect "a cut journal is read to its last record" 0 'the file ends inside a record' --journal "$folder/cut"
{ head -c $((size / 2)) "$folder/j"; printf '\xff\xff\xff'; tail -c +$((size / 2 + 4)) "$folder/j"; } \
  >"$folder/bad"
expect "a damaged journal says where" 1 'bad: byte [0-9]+: ' --journal "$folder/bad"
expect "what is no journal is said" 1 'is no journal' --journal "$folder/page.html"
expect "a journal has its own machine" 2 'excludes' --journal "$folder/j" --rate 2

[ $failures -eq 0 ] && echo "all passed"
exit $((failures > 0))
