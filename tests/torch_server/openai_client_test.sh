#!/usr/bin/env bash
# OpenAI's own client, from npm: openai_client_test.sh <torch_server> <folder to install it in>
# Skipped where node, npm or the registry are not there.
. "$(dirname "${BASH_SOURCE[0]}")/../server/running_server.sh" "$1"
modules=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for program in node npm; do
  if ! command -v $program >/dev/null; then
    echo "SKIPPED: $program was not found"
    exit 0
  fi
done
mkdir -p "$modules"
if [ ! -d "$modules/node_modules/openai" ]; then
  if ! said=$(cd "$modules" && echo '{"private": true}' >package.json &&
    timeout 60 npm install --no-audit --no-fund --ignore-scripts --fetch-retries 0 openai@4 2>&1); then
    echo "SKIPPED: npm cannot install openai: $(tail -3 <<<"$said")"
    exit 0
  fi
fi
start_server --model small=random:200K --embedder sense=random:200K --memory 96MiB \
  --tenants default,paying=4 --max-queued 4 --max-sequences 1
cp "$here/openai_client.mjs" "$modules/"
check "the client is content" timeout 120 node "$modules/openai_client.mjs" "$url/v1"

exit $((failures > 0))
