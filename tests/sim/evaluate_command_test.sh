#!/usr/bin/env bash
# The evaluate command as a user meets it: evaluate_command_test.sh <program>
. "$(dirname "${BASH_SOURCE[0]}")/../command_test.sh" "$1"
evaluate=$1

expect "help is for newcomers" 0 'Where to start' --help
expect "an unknown option is named" 2 'not expected: --bogus' --bogus
expect "studies are checked" 2 "no study 'best'; there are figures, policies" --only best
expect "one request is no load" 2 'limit' --limit 1
expect "a folder without traces is named" 1 'no/such: holds no traces' --data no/such
mkdir -p "$folder/data/traces"
printf 'arrived_at,num_prefill_tokens,num_decode_tokens\n0,5,5\n1,-5,5\n' \
  >"$folder/data/traces/azure_llm_2023_conv.csv"
touch "$folder/data/traces/mooncake_conversation.jsonl"
expect "a bad line is named" 1 "conv.csv:3: num_prefill_tokens is '-5'" --data "$folder/data"
touch "$folder/file"
expect "a folder that cannot be made is named" 1 'file/in: ' \
  --synthetic --limit 10 --only robustness --out "$folder/file/in"

out=$folder/all
expect "everything runs on synthetic workloads, and says so" 0 '^Synthetic workloads: ' \
  --synthetic --limit 24 --out "$out"
for study in figures policies ablation ageing overload costs robustness; do
  check "$study has a table that says that it is synthetic" grep -q '^Synthetic' "$out/$study.md"
  check "the summary has $study" grep -qF "$(tail -1 "$out/$study.md")" "$out/summary.md"
done
for study in policies ablation ageing overload costs; do
  check "$study has a whole plot" grep -q '^</svg>$' "$out/$study.svg"
  check "the summary shows the plot of $study" grep -qF "($study.svg)" "$out/summary.md"
  check "the plot of $study draws numbers only" bash -c "! grep -qiE '=\"-?(nan|inf)' '$out/$study.svg'"
  # Every line of CSV is an object of the JSON.
  check "$study has as many lines in CSV as objects in JSON" test \
    "$(($(wc -l <"$out/$study.csv") - 1))" -eq "$(grep -c '"policy":' "$out/$study.json")"
done
# Five settings, three policies, each replayed for capacity and offline; the rest at the capacity of
# the optimistic policy.
check "every policy is compared on every setting" test \
  "$(grep -cE '^\| synthetic .* \| (projected|optimistic|no_evict) \|' "$out/policies.md")" -eq 15
check "capacities are found" grep -qE '^\| synthetic chat on l4 \| projected \| [0-9.]*[1-9]' \
  "$out/policies.md"

# A part of it gives the figures of the whole, with one worker as with two.
"$evaluate" --synthetic --limit 24 --only ageing --workers 1 --out "$folder/part" >/dev/null 2>&1
check "a part gives what the whole gives" cmp -s "$out/ageing.md" "$folder/part/ageing.md"
check "a part leaves the others alone" test ! -e "$folder/part/policies.md"

check "another seed is another workload" bash -c "
  '$evaluate' --synthetic --limit 24 --only ageing --seed 2 --out '$folder/seed' >/dev/null 2>&1
  ! cmp -s '$out/ageing.md' '$folder/seed/ageing.md'"

[ $failures -eq 0 ] && echo "all passed"
exit $((failures > 0))
