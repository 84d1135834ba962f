#!/bin/sh
# Every operation of clouds/ against a running vane-sim over TLS, on every account. Argument: the programs' folder.
set -eu
bin=$1
[ -x "$bin/vane-sim" ] || { echo "vane-sim is not built: skipped"; exit 77; }
state=$(mktemp -d)
unset VANE_CLOCK || true
"$bin/vane-sim" --state "$state" --seed 7 &
sim=$!
trap 'kill "$sim" 2>/dev/null || true; wait "$sim" 2>/dev/null || true; rm -rf "$state"' EXIT INT TERM
tries=0
while [ ! -f "$state/sim.json" ]; do
  kill -0 "$sim" 2>/dev/null || { echo "vane-sim ended"; exit 1; }
  tries=$((tries + 1))
  [ "$tries" -lt 300 ] || { echo "vane-sim is not ready after 30 s"; exit 1; }
  sleep 0.1
done
"$bin/vane-clouds-probe" "$state/sim.json"
