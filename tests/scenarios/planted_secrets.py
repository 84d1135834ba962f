"""Nothing of a function's log but the allow-list's figures gets anywhere: between an agent and its cloud stands a proxy
that plants 200 secrets into the records of the log, and none of them is found in what vaned or the agent keep or say. The
other account keeps its raw lines in a bucket of its own: 200 more are planted in those, and none is in what goes there."""
import json
import os
import random
import string
import subprocess
import threading

import demo
from lib.chaos import Proxy

SECONDS = int(os.environ.get("VANE_SECRETS_SECONDS", "6"))
KEEPER = "aws-b"  # the account with a bucket of its own
LETTERS = string.ascii_letters + string.digits


def make_secrets(seed):
    rng = random.Random(seed)

    def word(n, alphabet=LETTERS):
        return "".join(rng.choice(alphabet) for _ in range(n))
    kinds = [lambda: f"{word(12).lower()}@{word(8).lower()}.example.com", lambda: "AKIA" + word(16, string.ascii_uppercase),
             lambda: word(40), lambda: f"eyJ{word(20)}.eyJ{word(24)}.{word(20)}", lambda: "4" + word(15, string.digits)]
    return [kinds[i % len(kinds)]() for i in range(200)]


def luhn(digits):
    """The digits and the one that makes them a card's number."""
    total = sum(d if i % 2 else d * 2 - 9 * (d > 4) for i, d in enumerate(int(c) for c in reversed(digits)))
    return digits + str(-total % 10)


def make_lines(seed):
    """(secret, a line as a careless program would write it)"""
    rng = random.Random(seed)

    def word(n, alphabet=LETTERS):
        return "".join(rng.choice(alphabet) for _ in range(n))

    def one(kind):
        if kind == 0:
            mail = f"{word(10).lower()}@{word(8).lower()}.example.com"
            return mail, f"receipt sent to {mail}, order 17"
        if kind == 1:
            key = "AKIA" + word(16, string.ascii_uppercase)
            return key, f"could not sign with {key}"
        if kind == 2:
            secret = word(40)
            return secret, f"config: aws_secret_access_key={secret} region=us-east-1"
        if kind == 3:
            token = f"eyJ{word(20)}.eyJ{word(24)}.{word(20)}"
            return token, f"Authorization: Bearer {token}"
        card = luhn("4" + word(14, string.digits))
        return card, f"charging card {card} of the customer"
    return [one(i % 5) for i in range(200)]


class Planter:
    """Changes what FilterLogEvents answers on its way from the simulator, and keeps what goes into the bucket."""

    def __init__(self, world, secrets, lines):
        self.planted, self.lock, self.secrets = set(), threading.Lock(), secrets
        self.lines, self.lines_planted, self.stored = lines, 0, []
        self.keeper = next(a for a in world.sim["aws"]["accounts"] if a["name"] == KEEPER)["access_key_id"]
        folder = world.path("planter")
        os.makedirs(folder)
        self.proxy = Proxy(folder, "planter", world.sim["aws"]["endpoint"], world.sim["aws"]["ca_file"], world.seed)
        self.proxy.rewrite = self.pass_on

    def pass_on(self, request, body, status, text):
        keeps = self.keeper in (request.headers.get("Authorization") or "")
        if request.command == "PUT" and request.path.startswith(f"/vane-logs-{KEEPER}/") and status == 200:
            self.stored.append(body)
        if "FilterLogEvents" not in (request.headers.get("X-Amz-Target") or "") or status != 200:
            return text
        if not keeps:
            return self.plant(text)
        # One read wants reports only, the other what was written.
        return text if b"filterPattern" in body else self.plant_lines(text)

    def plant_lines(self, data):
        page = json.loads(data)
        events = page.get("events", [])
        with self.lock:
            first = self.lines_planted
            for k, (_, line) in enumerate(self.lines[first:first + 40] if events else []):
                events.append(dict(events[k % len(events)], eventId=f"line-{first + k}", message=f"ERROR {line}\n"))
                self.lines_planted += 1
        return json.dumps(page).encode()

    def plant(self, data):
        """Into each record: a field of its own, an error text, an id that is one; and lines that only look like records."""
        page = json.loads(data)
        events = page.get("events", [])
        if not events:
            return data
        with self.lock:
            for i, event in enumerate(events):
                secret = self.secrets[(len(self.planted) + i) % len(self.secrets)]
                event["message"] = event["message"].rstrip() + f"\tError Type: {secret}\tUser: {secret}\t\n"
            first = len(self.planted)
            for k, secret in enumerate((self.secrets * 2)[first:first + 40]):
                event = dict(events[k % len(events)], eventId=f"planted-{first + k}", logStreamName=f"[x]{secret}")
                event["message"] = (f"REPORT RequestId: {secret}\tDuration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: "
                                    f"128 MB\tMax Memory Used: 36 MB\t{secret}\n" if k % 2 else f"REPORT of {secret}")
                events.append(event)
                self.planted.add(secret)
        return json.dumps(page).encode()


def find(folder, secrets):
    """The files below the folder that hold one of the secrets, in plain bytes."""
    wanted = [s.encode() for s in secrets]
    for where, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(where, name), "rb") as f:
                data = f.read()
            yield from ((os.path.join(where, name), s) for s in wanted if s in data)


def unpack(data):
    return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout.decode()


def check_stored(world, lines):
    """What lies in the bucket: the planted lines themselves, each without what was secret in it."""
    text = "".join(unpack(data) for data in world.planter.stored)
    stored = [json.loads(line) for line in text.splitlines()]
    kept = [s for s in stored if s["text"].startswith("ERROR ")]
    world.check(len(kept) >= len(lines), f"{len(kept)} of {len(lines)} planted lines are in the bucket: errors are all kept")
    world.check(sum("order 17" in s["text"] for s in kept) >= 40, "what is not secret in a line stays readable")
    world.check(any(s["kind"] == "report" for s in stored), "no report in the bucket")
    found = [secret for secret, _ in lines if secret in text]
    world.check(not found, f"{len(found)} secrets are in the bucket: {found[:3]}")


def run(world):
    secrets, lines = make_secrets(world.seed), make_lines(world.seed + 1)
    start_sim = world.start_sim

    def start_with_planter():
        start_sim()
        world.planter = Planter(world, secrets, lines)
        here = {"endpoint": world.planter.proxy.endpoint, "ca_file": world.planter.proxy.ca_file}
        accounts = [dict(account, **here) for account in world.sim["aws"]["accounts"]]
        next(a for a in accounts if a["name"] == KEEPER)["sinks"] = [{"kind": "s3", "bucket": f"vane-logs-{KEEPER}", "flush_s": 0}]
        world.sim["aws"] = dict(world.sim["aws"], accounts=accounts, **here)
    world.start_sim = start_with_planter
    world.start()
    world.stop_clock()
    direct = demo.drive(world, SECONDS)
    world.check(direct["invocations"] > 100, f"driven: {direct}")
    world.eventually(lambda: len(world.planter.planted) == len(secrets), 60, "all secrets in the cloud's answers")
    world.eventually(lambda: world.planter.lines_planted == len(lines), 60, "all lines in the cloud's answers")
    planted = [a["name"] for a in world.sim["aws"]["accounts"]]
    world.eventually(lambda: all(int(a["windows"]) > 5 for a in world.api.get("/v1/accounts")["accounts"]
                                 if a["name"] in planted), 60, "windows of what was read")
    world.eventually(lambda: not check_stored(world, lines), 60, "the lines in the bucket")
    world.stop()
    secrets = secrets + [secret for secret, _ in lines]
    found = [f for place in ("vaned", "agents", "log") for f in find(world.path(place), secrets)]
    world.check(not found, f"{len(found)} times a secret came through: {found[:3]}")
    world.planter.proxy.close()
