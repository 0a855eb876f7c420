#!/bin/sh
# Measures a release build: ./run.sh TARGET_DIRECTORY [SECONDS]. Needs wrk.
set -eu
here=$(dirname "$0")
target=$1
seconds=${2:-5}
work=$(mktemp -d)
export TOKENS="$work/tokens" PORT=18008
mkfifo "$work/stop"
"$target/release/examples/load_target" "$work/data" "$TOKENS" <"$work/stop" >"$work/out" &
exec 3>"$work/stop"
trap 'exec 3>&-; wait; rm -rf "$work"' EXIT
until [ -s "$work/out" ]; do sleep 0.1; done
for connections in 1 32; do
  echo "-- $connections connections"
  for METHOD in VERSIONS PUT GET SYNC; do
    export METHOD
    wrk -t1 -c$connections -d"${seconds}s" --latency -s "$here/account_data.lua" \
      "http://127.0.0.1:$PORT" | grep rps
  done
done
