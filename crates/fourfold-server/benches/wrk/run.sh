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
server=$!
exec 3>"$work/stop"
cpu() { awk '{ print $14 + $15 }' "/proc/$server/stat"; }
trap 'exec 3>&-; wait; rm -rf "$work"' EXIT
until [ -s "$work/out" ]; do sleep 0.1; done
for connections in 1 32; do
  echo "-- $connections connections"
  for METHOD in VERSIONS SYNC PUT GET FIRST_SYNC; do
    export METHOD
    before=$(cpu)
    wrk -t1 -c$connections -d"${seconds}s" --latency -s "$here/account_data.lua" \
      "http://127.0.0.1:$PORT" | grep rps >"$work/line"
    # Hundredths of a second of the server's time over requests: stands still when the machine is busy.
    awk -v before="$before" -v after="$(cpu)" -v seconds="$seconds" \
      '{ printf "%s  cpu %.1f us/request\n", $0, (after - before) * 10000 / ($3 * seconds) }' \
      "$work/line"
  done
done
