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
stop_sim

# The first account of each cloud without a secret in its description, by every other proof that its cloud takes. A line of
# `ways` names what the description keeps, the rest is the environment's.
cat >"$state/ways.py" <<'PY'
import json, os, sys
state, way = sys.argv[1:]
with open(f"{state}/sim.json", encoding="utf-8") as f:
    sim = json.load(f)
host, secret = sim["identity"]["endpoint"], sim["identity"]["secret"]
aws, azure, gcp = (sim[c]["accounts"][0] for c in ("aws", "azure", "gcp"))
key = json.loads(gcp["key_json"])
with open(gcp["external_account_file"], encoding="utf-8") as f:
    external = json.load(f)
with open(f"{state}/impersonated.json", "w", encoding="utf-8") as f:
    json.dump({"type": "impersonated_service_account", "source_credentials": key,
               "service_account_impersonation_url": external["service_account_impersonation_url"]}, f)
env = {"HOME": state, "CLOUDSDK_CONFIG": state, "AWS_SHARED_CREDENTIALS_FILE": f"{state}/none", "AWS_CONFIG_FILE": f"{state}/none"}
for account, names in ((aws, ("access_key_id", "secret_access_key")), (azure, ("client_secret",)),
                       (gcp, ("key_json", "key_file", "project", "project_id"))):
    for name in names:
        del account[name]
if way == "files":
    env |= {"AWS_WEB_IDENTITY_TOKEN_FILE": aws["web_identity_token_file"], "AWS_ROLE_ARN": aws["role_arn"]}
    azure["client_certificate_file"] = azure["certificate_file"]
    gcp |= {"key_file": gcp["external_account_file"], "project": key["project_id"]}
elif way == "container":
    env |= {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{host}/creds", "AWS_CONTAINER_AUTHORIZATION_TOKEN": secret,
            "AZURE_FEDERATED_TOKEN_FILE": azure["federated_token_file"],
            "GOOGLE_APPLICATION_CREDENTIALS": gcp["external_url_file"], "GOOGLE_CLOUD_PROJECT": key["project_id"]}
elif way == "machine":
    del azure["tenant"], azure["client_id"]
    env |= {"AWS_EC2_METADATA_SERVICE_ENDPOINT": host, "AZURE_POD_IDENTITY_AUTHORITY_HOST": host,
            "GCE_METADATA_HOST": host.removeprefix("http://")}
elif way == "app":
    sim["aws"]["accounts"] = []
    del azure["tenant"], azure["client_id"]
    env |= {"IDENTITY_ENDPOINT": f"{host}/msi/token", "IDENTITY_HEADER": secret,
            "GOOGLE_APPLICATION_CREDENTIALS": f"{state}/impersonated.json"}
for cloud in ("aws", "azure", "gcp"):
    sim[cloud]["accounts"] = sim[cloud]["accounts"][:1]
with open(f"{state}/way.json", "w", encoding="utf-8") as f:
    json.dump(sim, f)
own = ("AWS_", "AZURE_", "IDENTITY_", "GOOGLE_", "GCE_", "CLOUDSDK_")
probe = os.path.join(os.environ["BIN"], "vane-clouds-probe")
kept = {k: v for k, v in os.environ.items() if not k.startswith(own)}
os.execve(probe, [probe, f"{state}/way.json"], kept | env)
PY
for way in files container machine app; do
  start_sim
  echo "by $way:"
  BIN=$bin python3 "$state/ways.py" "$state" "$way"
  stop_sim
done
