#!/usr/bin/env bash
# What torch_server's own arguments say: torch_command_test.sh <torch_server>
. "$(dirname "${BASH_SOURCE[0]}")/../command_test.sh" "$1"

expect "help is for newcomers" 0 'Serves models on this machine' --help
expect "a model is NAME=..." 2 "'big' is no NAME=random:SIZE or NAME=DIR" --model big
expect "sizes are checked" 2 "'lots' is no number of parameters" --model a=random:lots
expect "folders are checked" 2 'no/such/config.json' --model a=no/such

exit $((failures > 0))
