"""Load that remembers what was acknowledged, for the tests that kill the server: nothing acknowledged may be missing."""
import http.client
import json
import threading
import time
import urllib.parse

from client import ApiError


class Line:
    """One kept connection with a token; a broken one is made anew at the next call."""

    def __init__(self, base, token):
        self.address = urllib.parse.urlsplit(base).netloc
        self.headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
        self.connection = None

    def call(self, verb, path, body=None):
        try:
            if not self.connection:
                self.connection = http.client.HTTPConnection(self.address, timeout=10)
            self.connection.request(verb, path, None if body is None else json.dumps(body), self.headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as e:
            self.connection = None
            raise ConnectionError(str(e)) from None
        if answer.status != 200:
            raise ApiError(answer.status, text.decode(errors="replace"))
        return json.loads(text)


class Load:
    """Threads that route and change things until stop(). A call whose answer did not arrive is not acknowledged."""

    def __init__(self, world):
        self.base = world.ready["http"]
        self.tokens = [open(f).read().strip() for f in (world.token_file, world.approver_token_file)]
        self.workloads = [f["workload"] for f in world.api.get("/v1/functions?pageSize=500")["functions"]]
        self.going = True
        self.life = 0
        self.routes = []    # (id, life, time of the answer)
        self.people = set()
        self.policies = {}  # version -> document
        self.pauses = {}    # workload -> paused; the newest acknowledged
        self.changes = 0
        self.refusals = []  # statuses that no kill explains
        self.threads = [threading.Thread(target=self.run, args=(f, i), daemon=True) for i, f in
                        enumerate((self.route, self.route, self.change))]
        for t in self.threads:
            t.start()

    def run(self, step, number):
        line = Line(self.base, self.tokens[0])
        approver = Line(self.base, self.tokens[1])
        n = 0
        while self.going:
            life = self.life
            try:
                step(line, approver, number, n, life)
                n += 1
            except ConnectionError:
                time.sleep(0.01)
            except ApiError as e:
                if e.status != 503:  # it says so while it starts
                    self.refusals.append(str(e))
                n += 1

    def route(self, line, _approver, number, n, life):
        answer = line.call("POST", "/v1/route", {"workload": self.workloads[(7 * n + number) % len(self.workloads)],
                                                 "payloadBytes": 1000 + n % 500})
        self.routes.append((answer["decisionId"], life, time.monotonic()))
        time.sleep(0.008)

    def change(self, line, approver, _number, n, _life):
        # A step that was cut off comes again with the same n, so that each change ends up in a known state.
        if n % 3 == 0:
            name = f"person-{n}"
            try:
                line.call("POST", "/v1/people", {"name": name, "role": "viewer"})
            except ApiError as e:
                if e.status != 409:  # made by the call whose answer was cut off
                    raise
            self.people.add(name)
        elif n % 3 == 1:
            document = f"policy: crash\nscope: {{workloads: 'nothing-{n}'}}\nlimits: {{clouds: [gcp]}}\n"
            self.policies[int(approver.call("POST", "/v1/policies", {"document": document})["version"])] = document
        else:
            name = self.workloads[n // 3 % 4]
            paused = n // 12 % 2 == 0
            line.call("POST", "/v1/pauses", {"scope": "function", "name": name, "paused": paused, "reason": "crash"})
            self.pauses[name] = paused
        self.changes += 1
        time.sleep(0.01)

    def stop(self):
        self.going = False
        for t in self.threads:
            t.join(30)


def pages(world, path, field):
    """Every item of a listing, page by page."""
    token, found = "", []
    while True:
        separator = "&" if "?" in path else "?"
        answer = world.api.get(f"{path}{separator}pageSize=500" +
                               (f"&pageToken={urllib.parse.quote(token)}" if token else ""))
        found += answer[field]
        token = answer.get("nextPageToken", "")
        if not token:
            return found


def check_changes(world, load):
    """Every acknowledged change is still there, and as it was."""
    people = {p["name"] for p in pages(world, "/v1/people", "people")}
    world.check(load.people <= people, f"people lost: {sorted(load.people - people)[:5]}")
    for version, document in load.policies.items():
        kept = world.api.get(f"/v1/policies/crash?version={version}")
        world.check(kept["document"] == document, f"version {version} of the policy is not what was acknowledged")
    paused = {p["name"] for p in world.api.get("/v1/pauses")["pauses"]}
    for name, state in load.pauses.items():
        world.check((name in paused) == state, f"the pause of {name} should be {state}")


def verify_log(world):
    """The whole log, exported and verified offline."""
    path = world.path("audit.jsonl")
    with open(path, "w", encoding="utf-8") as f:
        f.write(world.vanectl("audit", "export").stdout)
    world.vanectl("audit", "verify", path)
    with open(path, encoding="utf-8") as f:
        return sum(1 for _ in f)


def log_size(world):
    return int(world.api.get("/v1/audit/checkpoint")["size"])


def unique_ids(world):
    """The ids of all decisions; none comes twice."""
    ids = [d["id"] for d in pages(world, "/v1/decisions", "decisions")]
    world.check(len(set(ids)) == len(ids), f"{len(ids) - len(set(ids))} ids are listed twice")
    return set(ids)
