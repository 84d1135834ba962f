"""Invoke grants: minted by the agent, sealed to one gateway, good for one function and nothing else; taken back within a second,
also when the server is not heard any more; and the server keeps nothing that could be used."""
import json
import os
import signal
import time

from client import ApiError

from lib import load


class Gateway:
    """The test's gateway: tries to call its function every 10 ms, and writes down what came of it."""

    def __init__(self, world, name, account, cloud, function, other, token_file):
        self.world, self.name = world, name
        self.secrets = world.path(f"{name}.secrets")
        self.lines = world.path(f"{name}.tries")
        server = world.ready["https"].replace("https://", "")
        with open(self.lines, "wb") as out:
            self.process = world.spawn(name, [
                "vane-gateway-probe", server, world.ready["ca_file"], token_file, account, function, other,
                world.sim[cloud]["endpoint"], world.sim[cloud]["ca_file"], self.secrets], stdout=out)

    def all(self):
        with open(self.lines, encoding="utf-8") as f:
            return [json.loads(line) for line in f.read().splitlines(keepends=True) if line.endswith("\n")]

    def tries(self):
        return [x for x in self.all() if "at_us" in x]

    def tried(self, what):
        return [x for x in self.all() if x.get("tried") == what]

    def works(self):
        return [x for x in self.tries()[-3:] if x["status"] == 200]

    def last_use_us(self, grant=None):
        return max(x["at_us"] for x in self.tries() if x["status"] and (not grant or x["grant"] == grant))


def gateway_token(world, name):
    world.api.post("/v1/people", {"name": name, "role": "operator"})
    path = world.path(f"{name}.token")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(world.api.post(f"/v1/people/{name}/tokens", {})["token"])
    return path


def grants(world):
    return world.api.get("/v1/grants?pageSize=100")["grants"]


def check_narrow(world, gateway, cloud):
    """It calls its function; another one, reading, changing and listing are refused by the cloud itself."""
    world.eventually(gateway.works, 20, f"a call with the grant on {cloud}")
    world.eventually(lambda: gateway.tried("other"), 10, "the try with another function")
    world.check(gateway.tried("other")[0]["status"] in (401, 403), f"another function: {gateway.tried('other')}")
    if cloud == "aws":
        for what in ("read", "change", "list"):
            found = world.eventually(lambda w=what: gateway.tried(w), 10, f"the try to {what}")
            world.check(found[0]["rc"] == "PERMISSION_DENIED", f"{what}: {found}")


def check_shown(world, account, cloud, function):
    """What is known of a grant is shown, with what the cloud keeps honouring."""
    grant = [g for g in grants(world) if g["account"] == account and g["state"] == "held"][0]
    world.check(grant["functions"] == [function] and grant["gateway"] == f"person:gw-{cloud}", f"{grant}")
    until, expires, asked = (int(grant[k]) for k in ("honouredUntilUs", "expiresUs", "askedUs"))
    if cloud == "azure":
        world.check(until == 0 and grant["honoured"] == "the rotation of the functions' keys", f"{grant}")
    else:
        world.check(until >= expires and grant["honoured"].endswith("end"), f"{grant}")
    if cloud == "aws":
        world.check(until == expires and until - asked <= 910_000_000, f"not 15 minutes: {grant}")
    if cloud == "gcp":
        world.check(3_500_000_000 < until - asked <= 3_700_000_000, f"not an hour: {grant}")
    shown = world.vanectl("grant", "list").stdout
    world.check(grant["id"] in shown and grant["honoured"] in shown, shown)
    return grant


def check_revoked(world, gateway, grant, cloud):
    """Its use ends within a second of the revocation, and it does not come back by asking again."""
    revoked = json.loads(world.vanectl("grant", "revoke", grant["id"], "-o", "json").stdout)
    at_us = time.monotonic_ns() // 1000
    world.check(revoked["state"] == "revoked", f"{revoked}")
    time.sleep(1.2)
    used_us = gateway.last_use_us()
    world.check(used_us < at_us + 1_000_000, f"{cloud}: used {used_us - at_us} us after it was revoked")
    print(f"{cloud}: last use {(used_us - at_us) / 1000:.0f} ms after the revocation was answered", flush=True)
    changes = [d for d in world.api.get("/v1/decisions?kind=account&pageSize=200")["decisions"] if grant["id"] in d["choice"]]
    world.check({d["choice"].split()[-1] for d in changes} == {"issued", "revoked"}, f"recorded: {changes}")
    world.check(any(d["actor"] == grant["gateway"] for d in changes), f"who: {changes}")
    time.sleep(3)
    world.check(not gateway.works(), "it works again")


def check_silence(world, gateway):
    """A server that is not heard takes its grants along within a second; when it is heard again, so are they."""
    vaned = world.processes["vaned"]
    world.eventually(gateway.works, 20, "a call before the silence")
    os.kill(vaned.pid, signal.SIGSTOP)
    at_us = time.monotonic_ns() // 1000
    try:
        time.sleep(2.5)
        used_us = gateway.last_use_us()
        world.check(used_us < at_us + 1_000_000, f"used {used_us - at_us} us after the server fell silent")
        world.check(gateway.tries()[-1]["at_us"] > at_us + 1_500_000, "it does not try any more")
        print(f"last use {(used_us - at_us) / 1000:.0f} ms after the server fell silent", flush=True)
    finally:
        os.kill(vaned.pid, signal.SIGCONT)
    world.eventually(gateway.works, 20, "a call after the silence")


def everything_of_the_server(world):
    """Each file under vaned's state, all logs, /metrics, and the answers that name grants."""
    for folder in ("vaned", "log"):
        for root, _, names in os.walk(world.path(folder)):
            for name in names:
                path = os.path.join(root, name)
                if os.path.isfile(path):
                    with open(path, "rb") as f:
                        yield path, f.read()
    yield "/metrics", json.dumps(world.metrics()).encode()
    for path in ("/v1/grants?pageSize=100", "/v1/decisions?pageSize=200", "/v1/accounts?pageSize=100", "/v1/status"):
        yield path, json.dumps(world.api.get(path)).encode()
    yield "the export", world.vanectl("audit", "export").stdout.encode()


def check_kept_nothing(world, gateways):
    secrets = set()
    for gateway in gateways:
        with open(gateway.secrets, encoding="utf-8") as f:
            secrets.update(line.strip().removeprefix("Bearer ") for line in f)
    world.check(len(secrets) >= 4 and all(len(s) > 20 for s in secrets), f"{len(secrets)} secrets")
    files = 0
    for name, content in everything_of_the_server(world):
        files += 1
        for secret in secrets:
            world.check(secret.encode() not in content, f"a grant's secret is in {name}")
    world.check(files > 10, f"only {files} places searched")


def memory_of(pid, secret):
    """How often a process has a text in its memory now."""
    found = 0
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            place, rights = line.split()[:2]
            start, end = (int(x, 16) for x in place.split("-"))
            if rights[:2] != "rw" or end - start > 256 << 20:
                continue
            try:
                memory.seek(start)
                found += memory.read(end - start).count(secret)
            except (OSError, ValueError, OverflowError):
                continue
    return found


def run(world):
    world.start()
    clock = load.take_clock(world, 1)
    names = [f["workload"] for f in world.api.get("/v1/functions?pageSize=500")["functions"]]
    function, other = names[0], names[1]
    gateways = {}
    for cloud in ("aws", "azure", "gcp"):
        gateways[cloud] = Gateway(world, f"gateway-{cloud}", f"{cloud}-a", cloud, function, other,
                                  gateway_token(world, f"gw-{cloud}"))
    held = {}
    for cloud, gateway in gateways.items():
        check_narrow(world, gateway, cloud)
        held[cloud] = check_shown(world, f"{cloud}-a", cloud, function)
    check_kept_nothing(world, gateways.values())
    with open(gateways["aws"].secrets, "rb") as f:
        secret = f.read().split()[0]
    world.check(memory_of(world.processes["vaned"].pid, secret) == 0, "vaned has a secret in its memory")
    world.check(memory_of(gateways["aws"].process.pid, secret) > 0, "the search of memory finds nothing at all")

    # Fifteen minutes are six seconds from here on: a grant is followed by another before it ends.
    clock.speed = 150
    world.eventually(lambda: len({x["grant"] for x in gateways["aws"].tries() if x["status"] == 200}) > 2, 40, "renewals")
    first_us = min(x["at_us"] for x in gateways["aws"].tries() if x["status"] == 200)
    gaps = [x for x in gateways["aws"].tries() if x["at_us"] > first_us and x["why"].startswith("no grant")]
    world.check(not gaps, f"it did not work between two grants: {gaps[:3]}")
    check_kept_nothing(world, gateways.values())
    check_silence(world, gateways["aws"])
    for cloud, gateway in gateways.items():
        grant = [g for g in grants(world) if g["account"] == f"{cloud}-a" and g["state"] == "held"][0]
        check_revoked(world, gateway, grant, cloud)

    # A grant is asked for by name, of an account that may be invoked, and revoked by those who may.
    world.approver.post("/v1/accounts/aws-b/level", {"level": "tune"})
    refused = Gateway(world, "gateway-refused", "aws-b", "aws", function, other, gateway_token(world, "gw-refused"))
    world.eventually(lambda: any("its level is tune" in x["why"] for x in refused.tries()), 10, "the refusal")
    unknown = Gateway(world, "gateway-unknown", "gcp-b", "gcp", "nothing", other, gateway_token(world, "gw-unknown"))
    world.eventually(lambda: any("no function" in x["why"] for x in unknown.tries()), 10, "the refusal by name")
    world.check(not [g for g in grants(world) if g["account"] in ("aws-b", "gcp-b")], "a refused grant is listed")
    try:
        world.api.post("/v1/grants/0000000000000000/revoke", {})
        raise AssertionError("a grant that is not there was revoked")
    except ApiError as e:
        world.check(e.status == 404, f"HTTP {e.status}")

    # An account that is demoted takes its grants along; a gateway whose person is revoked loses its stream.
    late = Gateway(world, "gateway-late", "gcp-b", "gcp", function, other, gateway_token(world, "gw-late"))
    world.eventually(late.works, 20, "a call by another gateway")
    world.approver.post("/v1/accounts/gcp-b/level", {"level": "tune"})
    at_us = time.monotonic_ns() // 1000
    time.sleep(1.2)
    world.check(late.last_use_us() < at_us + 1_000_000, "the demoted account's grant is still used")
    clock.stop()
