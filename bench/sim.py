#!/usr/bin/env python3
"""The `sim` bench: invocations that vane-sim answers a second and core: over TLS, signatures and tokens checked, records kept,
with 10,000 functions over three clouds.

Usage: sim.py BIN_DIR [--functions N] [--seconds S] [--rate R] [--case NAME]. Cases: `mixed`, `aws`, `azure`, `gcp`.
vane-sim is pinned to one core, the load comes from other processes over connections that are kept. The figure is the count
of invocations that were answered with 200 by the CPU time (user and system, all threads) of the vane-sim process. It counts
only if the simulator's ledger has grown by as many invocations as there were answers, and hardly any (2 %) was something
else: functions run out of memory and services out of instances there, too. `wall_per_s` is what the load processes got,
which is --rate, unless the machine cannot: more would only run into the clouds' own limits on what is in flight.
"""
import argparse
import base64
import hashlib
import hmac
import json
import multiprocessing
import os
import random
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse

CONNECTIONS = 8


def cpu_s(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="utf-8") as f:
            total += int(f.read().split()[0])
    return total / 1e9


class Line:
    """One kept connection."""

    def __init__(self, sim, cloud):
        port = int(sim[cloud]["endpoint"].rsplit(":", 1)[1])
        context = ssl.create_default_context(cafile=sim[cloud]["ca_file"])
        raw = socket.create_connection(("localhost", port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")
        self.rest = b""

    def send(self, request):
        self.socket.sendall(request)

    def answer(self):
        """Status, headers in lower case as one text, body."""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self.more()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        head = head.decode().lower()
        length = int(head.split("\r\ncontent-length:", 1)[1].split("\r\n", 1)[0])
        while len(self.rest) < length:
            self.rest += self.more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(head.split(" ", 2)[1]), body

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise SystemExit("sim: the simulator closed a connection")
        return data

    def ask(self, verb, path, host, headers, body=b""):
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.send(f"{verb} {path} HTTP/1.1\r\nhost: {host}\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body)
        return self.answer()


def http(host, path, headers, body):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\nhost: {host}\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body


class Aws:
    """Signs each invocation anew, as a client does."""

    def __init__(self, account, names):
        self.account, self.names = account, names
        self.key_of_day = {}

    def key(self, date):
        if date not in self.key_of_day:
            key = ("AWS4" + self.account["secret_access_key"]).encode()
            for part in (date, self.account["region"], "lambda", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self.key_of_day[date] = key
        return self.key_of_day[date]

    def request(self, rng, body):
        host = f"lambda.{self.account['region']}.amazonaws.com"
        path = f"/2015-03-31/functions/{rng.choice(self.names)}/invocations"
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        digest = hashlib.sha256(body).hexdigest()
        canonical = f"POST\n{path}\n\nhost:{host}\nx-amz-date:{now}\n\nhost;x-amz-date\n{digest}"
        scope = f"{now[:8]}/{self.account['region']}/lambda/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self.key(now[:8]), text.encode(), "sha256").hex()
        return http(host, path, {
            "x-amz-date": now, "content-type": "application/json",
            "authorization": f"AWS4-HMAC-SHA256 Credential={self.account['access_key_id']}/{scope}, "
                             f"SignedHeaders=host;x-amz-date, Signature={signature}"}, body)

    @staticmethod
    def targets(line, sim, account):
        aws = Aws(account, [])
        names, marker = [], ""
        while marker is not None:
            status, body = line.ask(*aws.get("/2015-03-31/functions/", marker and f"Marker={marker}"))
            if status != 200:
                raise SystemExit(f"sim: listing answers {status}: {body[:200]}")
            page = json.loads(body)
            names += [f["FunctionName"] for f in page["Functions"]]
            marker = page["NextMarker"]
        return names

    def get(self, path, query, verb="GET", body=b""):
        host = f"lambda.{self.account['region']}.amazonaws.com"
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        canonical = (f"{verb}\n{path}\n{query}\nhost:{host}\nx-amz-date:{now}\n\nhost;x-amz-date\n"
                     + hashlib.sha256(body).hexdigest())
        scope = f"{now[:8]}/{self.account['region']}/lambda/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self.key(now[:8]), text.encode(), "sha256").hex()
        return verb, path + ("?" + query if query else ""), host, {
            "x-amz-date": now,
            "authorization": f"AWS4-HMAC-SHA256 Credential={self.account['access_key_id']}/{scope}, "
                             f"SignedHeaders=host;x-amz-date, Signature={signature}"}


class Azure:
    """Function keys, read once as an operator would."""

    def __init__(self, account, keys):
        self.keys = keys

    def request(self, rng, body):
        name, host, key = rng.choice(self.keys)
        return http(host, f"/api/{name}", {"x-functions-key": key, "content-type": "application/json"}, body)

    @staticmethod
    def targets(line, sim, account):
        form = urllib.parse.urlencode({
            "grant_type": "client_credentials", "client_id": account["client_id"],
            "client_secret": account["client_secret"], "scope": "https://management.azure.com/.default"}).encode()
        _, body = line.ask("POST", f"/{account['tenant_id']}/oauth2/v2.0/token", "login.microsoftonline.com",
                           {"content-type": "application/x-www-form-urlencoded"}, form)
        bearer = {"authorization": "Bearer " + json.loads(body)["access_token"]}
        host = "management.azure.com"
        url = f"/subscriptions/{account['subscription_id']}/providers/Microsoft.Web/sites?api-version=2025-05-01"
        out = []
        while url:
            _, body = line.ask("GET", url, host, bearer)
            page = json.loads(body)
            for site in page["value"]:
                _, keys = line.ask("POST", f"{site['id']}/host/default/listkeys?api-version=2025-05-01", host, bearer)
                out.append((site["name"], site["properties"]["defaultHostName"],
                            json.loads(keys)["functionKeys"]["default"]))
            url = page.get("nextLink") and page["nextLink"].split(host, 1)[1]
        return out


class Gcp:
    """ID tokens of each function, fetched beforehand: a client keeps one for an hour."""

    def __init__(self, account, tokens):
        self.tokens = tokens

    def request(self, rng, body):
        host, token = rng.choice(self.tokens)
        return http(host, "/", {"authorization": "Bearer " + token, "content-type": "application/json"}, body)

    @staticmethod
    def grant(line, account, extra):
        key = json.loads(account["key_json"])
        now = int(time.time())
        part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")
        text = part({"alg": "RS256", "typ": "JWT"}) + b"." + part({
            "iss": key["client_email"], "aud": key["token_uri"], "iat": now, "exp": now + 3600, **extra})
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as f:
            f.write(key["private_key"])
            f.flush()
            signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", f.name], input=text, capture_output=True,
                                       check=True).stdout
        form = urllib.parse.urlencode({
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()}).encode()
        host = key["token_uri"].split("/")[2]
        status, body = line.ask("POST", "/token", host, {"content-type": "application/x-www-form-urlencoded"}, form)
        if status != 200:
            raise SystemExit(f"sim: no token: {body[:200]}")
        return json.loads(body)

    @staticmethod
    def targets(line, sim, account):
        bearer = Gcp.grant(line, account, {"scope": "https://www.googleapis.com/auth/cloud-platform"})["access_token"]
        hosts, token = [], ""
        while token is not None:
            status, body = line.ask("GET", f"/v2/projects/{account['project_id']}/locations/-/functions?pageToken={token}",
                                    "cloudfunctions.googleapis.com", {"authorization": "Bearer " + bearer})
            page = json.loads(body)
            hosts += [f["serviceConfig"]["uri"].split("//", 1)[1] for f in page["functions"]]
            token = page.get("nextPageToken")
        # Signing needs a process each: a share of the functions is enough, the rest stands by configured.
        return [(h, Gcp.grant(line, account, {"target_audience": "https://" + h})["id_token"]) for h in hosts[:400]]


CLOUDS = {"aws": Aws, "azure": Azure, "gcp": Gcp}


def worker(sim, targets, clouds, seed, seconds, rate, results):
    rng = random.Random(seed)
    body = json.dumps({"n": "x" * 400}).encode()
    callers = {c: [CLOUDS[c](a, t) for a, t in targets[c]] for c in clouds}
    lines = [(Line(sim, c), callers[c][i % 2]) for i in range(CONNECTIONS // len(clouds) or 1) for c in clouds]
    count, statuses = 0, {}
    start = time.monotonic()
    while (now := time.monotonic()) < start + seconds:
        time.sleep(max(0, start + count / rate - now))
        for line, caller in lines:
            line.send(caller.request(rng, body))
        for line, _ in lines:
            status, _ = line.answer()
            statuses[status] = statuses.get(status, 0) + 1
            count += 1
    results.put((count, statuses))


def ledger(sim):
    port = int(sim["control"]["endpoint"].rsplit(":", 1)[1])
    line = Line(sim, "control")
    _, body = line.ask("GET", "/control/ledger", f"localhost:{port}",
                       {"authorization": "Bearer " + sim["control"]["token"]})
    return json.loads(body)["total"]["invocations"]


def measure(pid, sim, targets, clouds, seconds, rate, cores):
    results = multiprocessing.Queue()
    before, cpu, wall = ledger(sim), cpu_s(pid), time.monotonic()
    workers = [multiprocessing.Process(target=worker, args=(sim, targets, clouds, i, seconds, rate / 2, results))
               for i in range(2)]
    for w in workers:
        w.start()
        os.sched_setaffinity(w.pid, cores)
    answers = [results.get(timeout=seconds + 60) for _ in workers]
    wall, cpu = time.monotonic() - wall, cpu_s(pid) - cpu
    for w in workers:
        w.join()
    count = sum(n for n, _ in answers)
    failed = sum(n for _, s in answers for code, n in s.items() if code != 200)
    grown = ledger(sim) - before
    if failed > count / 50 or grown != count:
        raise SystemExit(f"sim: {count} answers, {failed} of them no 200, {grown} in the ledger: {answers}")
    return count - failed, cpu, wall


def say(case, metric, value, unit, **more):
    print(json.dumps({"bench": "sim", "case": case, "metric": metric, "value": round(value, 2), "unit": unit, "peer": None,
                      "peer_value": None, "ratio": None, **more}), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("--functions", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rate", type=float, default=4000)
    parser.add_argument("--case", choices=["mixed", *CLOUDS])
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as state:
        process = subprocess.Popen(["taskset", "-c", str(cores[0]), os.path.join(args.bin, "vane-sim"), "--state", state,
                                    "--functions", str(args.functions)])
        try:
            path = os.path.join(state, "sim.json")
            while not os.path.exists(path):
                if process.poll() is not None:
                    raise SystemExit("sim: vane-sim ended")
                time.sleep(0.05)
            with open(path, encoding="utf-8") as f:
                sim = json.load(f)
            cases = {"mixed": list(CLOUDS), **{c: [c] for c in CLOUDS}}
            targets = {c: [(a, CLOUDS[c].targets(Line(sim, c), sim, a)) for a in sim[c]["accounts"]]
                       for c in CLOUDS if not args.case or c in cases[args.case]}
            for case, clouds in cases.items():
                if args.case and case != args.case:
                    continue
                measure(process.pid, sim, targets, clouds, args.seconds / 4, args.rate, set(cores[1:] or cores))
                count, cpu, wall = measure(process.pid, sim, targets, clouds, args.seconds, args.rate, set(cores[1:] or cores))
                say(case, "invocations_per_core_per_s", count / cpu, "1/s", functions=args.functions)
                say(case, "wall_per_s", count / wall, "1/s", functions=args.functions)
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
