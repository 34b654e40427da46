#!/usr/bin/env bash
# The arena command as a user meets it: arena_command_test.sh <program>
. "$(dirname "${BASH_SOURCE[0]}")/../command_test.sh" "$1"
arena=$1
cd "$folder" || exit 2

cat >buffers.csv <<'CSV'
id,lower,upper,size
a,0,3,40
b,2,6,24
c,3,9,40
d,0,2,24
CSV
cat >graph.json <<'JSON'
{"tensors": [{"name": "x", "size": 100}, {"name": "h, \"1\"", "size": 900}, {"name": "<k>", "size": 900},
             {"name": "y", "size": 10, "keep": true}, {"name": "z", "size": 10, "keep": true}],
 "operators": [{"name": "up", "inputs": ["x"], "outputs": ["h, \"1\""]},
               {"name": "wide", "inputs": ["x"], "outputs": ["<k>"], "workspace": 64},
               {"name": "down", "inputs": ["h, \"1\""], "outputs": ["y"]},
               {"name": "low", "inputs": ["<k>"], "outputs": ["z"]}]}
JSON

expect "help names the exit statuses" 0 'Exit status 0' --help
expect "a file is needed" 2 'FILE is required' --csv -
expect "a capacity below 0 is refused" 2 'capacity' buffers.csv --capacity -1
expect "a missing file is named" 1 'arena: no.csv: it cannot be read' no.csv
expect "a plan within the capacity" 0 'arena +64 bytes for 4 buffers, bound 64, proven optimal' \
  buffers.csv --capacity 64
expect "no plan within the capacity" 1 'need 64 bytes, more than the capacity of 63' \
  buffers.csv --capacity 63
expect "minimising checks the capacity too" 1 'at most 63' buffers.csv --capacity 63 --minimize 1
printf 'id,lower,upper,size\na,0,3,40\nb,6,2,24\n' >bad.csv
expect "a bad line is named" 1 'bad.csv:3: lower is 6 and upper 2' bad.csv
expect "our order is lower than the given one" 0 'peak of our order' graph.json --html page.html
printf '[]' >bad.json
expect "a bad graph names its path" 1 'arena: bad.json: top level: an object is needed' bad.json
expect "no place to write" 1 'nowhere/x.csv: it cannot be written' buffers.csv --csv nowhere/x.csv
printf 'no model' >bad.onnx
expect "a bad model is named" 1 'bad.onnx: (this is not an ONNX model|this program was built)' bad.onnx
expect "a bad bound is named" 1 'bound N=x: NAME=LENGTH is needed' bad.onnx --bound N=x

"$arena" buffers.csv --csv - >out.csv 2>figures.txt
check "CSV has id and offset of each buffer, and nothing else" \
  test "$(head -1 out.csv),$(wc -l <out.csv),$(cut -d, -f1 out.csv | tail -n +2 | tr '\n' ' ')" = \
  "id,offset,5,a b c d "
check "figures go beside it" grep -q 'proven optimal' figures.txt
check "names are quoted in the CSV" grep -qF '"h, ""1""",' <("$arena" graph.json --csv - 2>/dev/null)
"$arena" graph.json --json - 2>/dev/null >out.json
check "JSON is JSON" grep -q '"given_peak": ' out.json
if command -v python3 >/dev/null 2>&1; then
  check "JSON parses" python3 -c 'import json; json.load(open("out.json"))'
fi
check "names are escaped in the picture" grep -q '&lt;k&gt;' page.html
check "the picture has a box for each buffer" test "$(grep -o "class='b'" page.html | wc -l)" -ge 5
[ $failures -eq 0 ] && echo "arena command: all fine"
exit $((failures > 0))
