"""A storm of publications: views, settings, policies, pauses, levels and watchers change all at once while calls are
routed, callers hang up in the middle, and at last the server is told to stop under load. Nothing may be refused but for
a reason that the storm itself made, nothing may die, and under ThreadSanitizer nothing may race."""
import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.parse

from client import ApiError

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from crash import Line

SECONDS = 6


class Storm:
    def __init__(self, world):
        self.world = world
        self.http = world.ready["http"]
        self.address = urllib.parse.urlsplit(self.http)
        self.tokens = [open(f).read().strip() for f in (world.token_file, world.approver_token_file)]
        self.names = [f["workload"] for f in world.api.get("/v1/functions?pageSize=500")["functions"]]
        self.going = True
        self.done = {}
        self.errors = []
        steps = (self.route, self.route, self.hang_up, self.watch, self.policies, self.pauses, self.levels, self.reload,
                 self.read)
        self.threads = [threading.Thread(target=self.run, args=(s, i), daemon=True) for i, s in enumerate(steps)]
        for t in self.threads:
            t.start()

    def run(self, step, number):
        lines = [Line(self.http, t) for t in self.tokens]
        n = 0
        while self.going:
            try:
                step(lines, n, number)
                self.done[step.__name__] = self.done.get(step.__name__, 0) + 1
            except (ApiError, OSError) as e:
                if self.going:
                    self.errors.append(f"{step.__name__} {n}: {e}")
            n += 1

    def route(self, lines, n, number):
        answer = lines[0].call("POST", "/v1/route", {"workload": self.names[(5 * n + number) % len(self.names)]})
        if n % 3 == 0:
            lines[0].call("POST", "/v1/outcomes", {"outcomes": [
                {"decisionId": answer["decisionId"], "status": "STATUS_OK", "latencyUs": "90000"}]})

    def send(self, verb, path, body=None):
        """A request whose answer nobody waits for."""
        s = socket.create_connection((self.address.hostname, self.address.port))
        text = json.dumps(body) if body is not None else ""
        s.sendall(f"{verb} {path} HTTP/1.1\r\nHost: {self.address.netloc}\r\nAuthorization: Bearer {self.tokens[0]}\r\n"
                  f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        return s

    def hang_up(self, _lines, n, _number):
        paths = ("/v1/functions?pageSize=500", "/v1/decisions?pageSize=50", "/checkpoint", "/v1/accounts",
                 "/v1/audit/export" if n % 2 else "/v1/audit/export.jsonl")
        s = self.send("GET", paths[n % len(paths)])
        time.sleep(0.002 * (n % 4))
        s.close()
        time.sleep(0.02)  # a storm, not a siege: the others' answers must come in time

    def watch(self, _lines, n, _number):
        s = self.send("GET", "/v1/decisions:watch")
        s.settimeout(0.2)
        try:
            while s.recv(65536) and n % 2:
                pass
        except TimeoutError:
            pass
        s.close()

    def policies(self, lines, n, _number):
        cloud = ("aws", "azure", "gcp")[n % 3]
        lines[1].call("POST", "/v1/policies", {"document": f"policy: storm\nscope: {{workloads: '{self.names[n % 7]}'}}\n"
                                                           f"limits: {{clouds: [{cloud}]}}\n"})
        time.sleep(0.01)

    def pauses(self, lines, n, _number):
        lines[0].call("POST", "/v1/pauses", {"scope": "global" if n % 4 < 2 else "function", "paused": n % 2 == 0,
                                             "name": "" if n % 4 < 2 else self.names[n % 5], "reason": "storm"})
        time.sleep(0.01)

    def levels(self, lines, n, _number):
        name = self.world.accounts[n // 2 % 3]  # never all: somebody must be left to route to
        lines[1].call("POST", f"/v1/accounts/{name}/level", {"level": ("tune", "invoke")[n % 2]})
        time.sleep(0.02)

    def reload(self, _lines, _n, _number):
        for _ in range(3):
            os.kill(self.world.processes["vaned"].pid, signal.SIGHUP)
            time.sleep(0.001)
        time.sleep(0.05)

    def read(self, lines, n, _number):
        paths = ("/v1/status", "/v1/policies", "/v1/people", "/v1/decisions?pageSize=100", "/metrics", "/readyz",
                 "/v1/proposals", "/v1/rounds")
        path = paths[n % len(paths)]
        if path.startswith("/v1"):
            lines[0].call("GET", path)
        else:
            self.send("GET", path).close()

    def stop(self):
        self.going = False
        for t in self.threads:
            t.join(30)


def run(world):
    world.start()
    storm = Storm(world)
    time.sleep(SECONDS)
    names = ("route", "hang_up", "watch", "policies", "pauses", "levels", "reload", "read")
    # Each at least a few times, however slow the machine is.
    world.eventually(lambda: all(storm.done.get(n, 0) >= 5 for n in names), 120, f"all of {names}")
    world.check_alive()
    # Told to stop in the middle of it all, it ends by itself, and what it held is there again.
    server = world.processes.pop("vaned")
    storm.going = False
    server.terminate()
    code = server.wait(30)
    storm.stop()
    print(f"{dict(sorted(storm.done.items()))}, {len(storm.errors)} refused", flush=True)
    world.check(code == 0, f"vaned ended with {code}")
    world.check(not storm.errors, f"refused: {storm.errors[:5]}")
    world.restart_server()
    world.api.post("/v1/pauses", {"scope": "global", "paused": False})
    world.eventually(lambda: world.api.post("/v1/route", {"workload": storm.names[0]})["account"], 10, "a route again")
    export = world.path("audit.jsonl")
    with open(export, "w", encoding="utf-8") as f:
        f.write(world.vanectl("audit", "export").stdout)
    world.vanectl("audit", "verify", export)
