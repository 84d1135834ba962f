#!/bin/sh
# Every operation of clouds/ against a running vane-sim over TLS, on every account. Argument: the programs' folder.
set -eu
bin=$1
[ -x "$bin/vane-sim" ] || { echo "vane-sim is not built: skipped"; exit 77; }
state=$(mktemp -d)
sim=
unset VANE_CLOCK || true
trap 'stop_sim; rm -rf "$state"' EXIT INT TERM

stop_sim() {
  [ -z "$sim" ] || { kill "$sim" 2>/dev/null || true; wait "$sim" 2>/dev/null || true; }
  sim=
}

start_sim() {
  rm -f "$state/sim.json"
  "$bin/vane-sim" --state "$state" --seed 7 &
  sim=$!
  tries=0
  while [ ! -f "$state/sim.json" ]; do
    kill -0 "$sim" 2>/dev/null || { echo "vane-sim ended"; exit 1; }
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { echo "vane-sim is not ready after 30 s"; exit 1; }
    sleep 0.1
  done
}

start_sim
"$bin/vane-clouds-probe" "$state/sim.json"
# What AWS alone has, or has otherwise: two concurrencies, aliases, its queue.
python3 - "$state" <<'PY'
import json, sys
with open(f"{sys.argv[1]}/sim.json", encoding="utf-8") as f:
    sim = json.load(f)
for account in sim["aws"]["accounts"]:
    account.update(cloud="aws", ca_file=sim["aws"]["ca_file"], function="fn-04")
    with open(f"{sys.argv[1]}/{account['name']}.json", "w", encoding="utf-8") as f:
        json.dump(account, f)
PY
for account in aws-a aws-b; do
  "$bin/vane-aws-probe" "$state/$account.json" health list memory reserved too-much no-alias publish warm split invoke async
done
stop_sim

# The same on AWS with keys that are found and roles that are assumed: of the other account, through one of the own.
start_sim
python3 - "$state" <<'PY'
import json, sys
state = sys.argv[1]
with open(f"{state}/sim.json", encoding="utf-8") as f:
    sim = json.load(f)
one, two = sim["aws"]["accounts"]
with open(f"{state}/credentials", "w", encoding="utf-8") as f:
    f.write(f"[base]\naws_access_key_id = {one['access_key_id']}\naws_secret_access_key = {one['secret_access_key']}\n"
            f"[mistaken]\naws_access_key_id = {one['access_key_id']}\naws_secret_access_key = wrong\n")
with open(f"{state}/config", "w", encoding="utf-8") as f:
    f.write(f"[profile near]\nrole_arn = arn:aws:iam::{one['account_id']}:role/vane-agent\nsource_profile = base\n"
            f"[profile far]\nrole_arn = arn:aws:iam::{two['account_id']}:role/vane-agent-by-id\n"
            "source_profile = near\nexternal_id = vane-sim\n")
for account, profile in ((one, "near"), (two, "far")):
    del account["access_key_id"], account["secret_access_key"]
    account["profile"] = profile
with open(f"{state}/roles.json", "w", encoding="utf-8") as f:
    json.dump({"aws": sim["aws"], "azure": {**sim["azure"], "accounts": []}, "gcp": {**sim["gcp"], "accounts": []}}, f)
PY
AWS_SHARED_CREDENTIALS_FILE=$state/credentials AWS_CONFIG_FILE=$state/config "$bin/vane-clouds-probe" "$state/roles.json"
