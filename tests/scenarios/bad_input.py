"""What no honest peer sends, against a whole vaned over HTTP and gRPC: each gets an error that names what is wrong, is
counted, and changes nothing. Also a stopped cloud and a spent disk budget. (A second vaned on one state: one_state.py.)

VANE_TEST_SEED sets the sandbox and the random bytes.
"""
import json
import os
import random
import signal
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from lib.rpc import Call, Identity, call, fields, frame, m, refusal

BUDGET = 16 << 20  # the least that the configuration takes
BODY_MAX = 4 << 20


class State:
    """Everything that must not change, or only in the named way."""

    def __init__(self, world):
        get = world.api.get
        status, before = get("/v1/status"), None
        while before != status["logSize"]:  # what was done before is on its way into the log
            before = status["logSize"]
            time.sleep(0.3)
            status = get("/v1/status")
        self.parts = {
            "policies": get("/v1/policies"), "models": get("/v1/models"), "pauses": get("/v1/pauses"),
            "proposals": get("/v1/proposals"), "people": get("/v1/people"),
            "rounds": [(r["round"], r["state"], r["updates"]) for r in get("/v1/rounds")["rounds"]],
            "functions": get("/v1/functions?pageSize=500")["total"],
            "accounts": [(a["name"], a["level"], a["functions"], a["state"] if a["name"] in world.accounts else "")
                         for a in get("/v1/accounts")["accounts"]],
            "log": status["logSize"], "model": status["modelVersion"], "windows": status["windows"],
            "applied": status["applied"]}

    def check(self, world, what, but=()):
        now = State(world).parts
        for part, value in self.parts.items():
            world.check(part in but or now[part] == value, f"{what} changed {part}: {value} -> {now[part]}")


class Judge:
    """One wrong thing after the other: answered as it should be, and counted."""

    def __init__(self, world):
        self.world = world
        self.cases = 0

    def counted(self, what, counter, before):
        after = self.world.metrics()
        self.world.check(after.get(counter, 0) > before.get(counter, 0), f"{what} is not counted in {counter}")
        self.cases += 1

    def http(self, what, verb, path, status, names, counter, body=None, token=True, headers=()):
        before = self.world.metrics()
        request = urllib.request.Request(self.world.ready["http"] + path, method=verb, data=body)
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", "Bearer " + (token if isinstance(token, str) else self.world.api.token))
        for name, value in headers:
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                got, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            got, text = e.code, e.read().decode(errors="replace")
        self.world.check(got == status and names.lower() in text.lower(), f"{what}: {got} {text[:300]}, want {status} with {names!r}")
        self.counted(what, counter, before)

    def grpc(self, what, method, message, status, names, counter, **who):
        before = self.world.metrics()
        got = call(self.world, method, message, **who)
        self.world.check(got.status == status and names in got.message, f"{what}: {got}, want {status} with {names!r}")
        self.counted(what, counter, before)


def failed(code):
    return 'vane_calls_failed_total{code="%s"}' % code


INVALID, NOT_FOUND, NOBODY = failed("INVALID_ARGUMENT"), failed("NOT_FOUND"), "vane_edge_unauthenticated_total"


def check_http(world, judge, pick):
    viewer = world.api.post("/v1/people/vera/tokens", {})["token"]
    state = State(world)
    noise = bytes(pick.randrange(256) for _ in range(200))
    account = json.dumps({"name": "x", "cloud": "aws", "region": "r"}).encode()
    judge.http("a body that is cut off", "POST", "/v1/accounts", 400, "", INVALID, account[:-5])
    judge.http("noise", "POST", "/v1/accounts", 400, "", INVALID, noise)
    judge.http("a field of another type", "POST", "/v1/accounts", 400, "name", INVALID, b'{"name": 5}')
    judge.http("a field that is not there", "POST", "/v1/accounts", 400, "colour", INVALID, b'{"colour": "red"}')
    judge.http("a number out of range", "POST", "/v1/route", 400, "payloadBytes", INVALID,
               b'{"workload": "f", "payloadBytes": -1}')
    judge.http("a body too large", "POST", "/v1/policies", 413, "too large", "vane_edge_too_large_total",
               b'{"document": "' + b"x" * BODY_MAX + b'"}')
    judge.http("a head too large", "GET", "/v1/status", 431, "header", "vane_edge_too_large_total",
               headers=[("X-Large", "x" * 40000)])
    judge.http("no token", "GET", "/v1/status", 401, "credential", NOBODY, token=None)
    judge.http("a wrong token", "GET", "/v1/status", 401, "token", NOBODY, token="vane_" + "A" * 43)
    judge.http("a viewer's change", "POST", "/v1/accounts", 403, "role", "vane_edge_denied_total", account, token=viewer)
    judge.http("another site's page", "GET", "/v1/status", 403, "Origin", "vane_edge_denied_total",
               headers=[("Origin", "http://evil.example")])
    judge.http("an unknown function", "POST", "/v1/route", 404, "workload", NOT_FOUND, b'{"workload": "no-such"}')
    judge.http("no function", "POST", "/v1/route", 400, "workload", INVALID, b"{}")
    known = world.api.get("/v1/decisions?pageSize=1")["decisions"][0]["id"].rsplit("-", 1)
    unknown = f"{known[0]}-{'7' * len(known[1])}"
    judge.http("a decision's id that is none", "GET", "/v1/decisions/1-2-3", 400, "id", INVALID)
    judge.http("an unknown decision", "GET", f"/v1/decisions/{unknown}", 404, "id", NOT_FOUND)
    judge.http("an unknown path", "GET", "/v1/nothing", 404, "no such page", NOT_FOUND)
    judge.http("an outcome of nothing", "POST", "/v1/outcomes", 200, "not known", "vane_outcomes_refused_total",
               json.dumps({"outcomes": [{"decisionId": unknown, "status": "STATUS_OK", "latencyUs": "1"}]}).encode())
    for document, place in (("policy: p\nscope: {workloads: '*'}\nlimits: {clouds: [ibm]}\n", (3, 19)),
                            ("policy: p\nscope: {workloads: '*'}\nobjective: {cost: .nan}\n", (3, 19)),
                            ("policy: p\nscope: {workloads: '*'}\nlimitz: {}\n", (3, 1)),
                            ("policy: p\nscope: [\n", None)):
        body = json.dumps({"document": document}).encode()
        errors = world.api.post("/v1/policies/check", {"document": document})["errors"]
        world.check(errors and (place is None or (errors[0]["line"], errors[0]["column"]) == place),
                    f"the place of {document!r}: {errors}")
        judge.http("a policy with an error", "POST", "/v1/policies", 400,
                   f"line {errors[0]['line']}, column {errors[0]['column']}", INVALID, body,
                   token=world.approver.token)
    before = world.metrics()
    with socket.create_connection(("127.0.0.1", urllib.parse.urlsplit(world.ready["http"]).port)) as s:
        s.sendall(b"POST /v1/route HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x")
        world.check(s.recv(1000).startswith(b"HTTP/1.1 400"), "two lengths")
    judge.counted("two lengths", "vane_edge_malformed_total", before)
    state.check(world, "a bad HTTP request")


def openssl(world, *arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=world.state, timeout=20)


def enrol(world, name):
    """An account whose agent is this test."""
    token = world.api.post("/v1/accounts", {"name": name, "cloud": "aws", "region": "us-east-1"})["joinToken"]
    openssl(world, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
    openssl(world, "req", "-new", "-key", f"{name}.key", "-subj", "/", "-out", f"{name}.csr")
    csr, key = (open(world.path(name + end)).read() for end in (".csr", ".key"))
    answer = call(world, "Agents/Enroll", m(1, token, 2, csr, 3, "test"))
    world.check(answer.status == 0, f"enrolling {name}: {answer}")
    return Identity(world, name, key, fields(answer.replies[0])[2].decode())


def check_grpc(world, judge, raw, pick):
    token = open(world.token_file).read().strip()
    state = State(world)
    noise = b"\xff" + bytes(pick.randrange(256) for _ in range(99))
    judge.grpc("noise", "Routing/Route", noise, 3, "malformed", INVALID, token=token)
    judge.grpc("a message too large", "Routing/Route", None, 8, "larger", "vane_edge_too_large_total", token=token,
               body=b"\0" + struct.pack(">I", BODY_MAX + 9) + b"x" * 99)
    judge.grpc("no token", "Routing/Route", m(1, "f"), 16, "credential", NOBODY)
    judge.grpc("a wrong token", "Routing/Route", m(1, "f"), 16, "token", NOBODY, token="vane_wrong")
    judge.grpc("an unknown function", "Routing/Route", m(1, "no-such"), 5, "workload", NOT_FOUND, token=token)
    judge.grpc("no such method", "Routing/Nothing", m(), 12, "method", failed("UNIMPLEMENTED"), token=token)
    judge.grpc("an agent's call of nobody", "Agents/ReportWindows", m(), 16, "credential", NOBODY)
    judge.grpc("an agent's call of a person", "Agents/ReportWindows", m(), 7, "role", "vane_edge_denied_total",
               token=token)
    judge.grpc("a person's call of an agent", "Accounts/ListAccounts", m(), 7, "role", "vane_edge_denied_total",
               identity=raw)
    judge.grpc("a wrong join token", "Agents/Enroll", m(1, "vanejoin_x", 2, "csr"), 16, "token",
               failed("UNAUTHENTICATED"))
    minute = world.api.get("/v1/status")["timeUs"]
    minute = int(minute) // 60_000_000 * 60_000_000
    agents = 'vane_agent_calls_failed_total{code="INVALID_ARGUMENT"}'
    for what, window, names in (("no function", m(3, minute), "windows.function"),
                                ("a crooked minute", m(1, "fn-00", 3, minute + 7), "windows.start_us"),
                                ("more errors than calls", m(1, "fn-00", 3, minute, 5, 1, 6, 2), "errors"),
                                ("a sum that is no number", m(1, "fn-00", 3, minute, 17, float("nan")), "finite"),
                                ("an endless sum", m(1, "fn-00", 3, minute, 18, float("inf")), "finite"),
                                ("a sketch of noise", m(1, "fn-00", 3, minute, 5, 9, 10, noise), "duration_sketch")):
        judge.grpc("a window with " + what, "Agents/ReportWindows", m(1, window), 3, names, agents, identity=raw)
    judge.grpc("a function without name", "Agents/ReportInventory", m(2, m(4, 128)), 3, "functions.name", agents,
               identity=raw)
    below = m(3, m(1, "request", 6, (1 << 64) - 1))  # -1
    judge.grpc("a price below nothing", "Agents/ReportPrices", below, 3, "tiers", agents, identity=raw)
    judge.grpc("a model that is not there", "Agents/FetchModel", m(1, 999), 5, "version", NOT_FOUND, identity=raw)
    judge.grpc("an answer to no command", "Agents/ReportCommand", m(1, "m-1"), 5, "id", NOT_FOUND, identity=raw)
    state.check(world, "a bad gRPC call")


def offer(world, identity):
    """The open round as an agent hears of it."""
    stream = Call(world, "Agents/Watch", frame(m()), identity)
    time.sleep(1.5)
    stream.process.terminate()
    for event in map(fields, stream.end().replies):
        if 2 in event:
            return fields(event[2])
    raise AssertionError("no round was offered")


def check_updates(world, judge, raw):
    """Updates to a real round from a real account; and a good one at the end, so that the refusals were not for nothing."""
    import hashlib
    world.api.post("/v1/rounds", {})
    told = offer(world, raw)
    number, base, count = told[1], told[2], told[8]
    state = State(world)

    def submit(values, round_number=number, version=base, declared=None, sha=None, chunks=None):
        body = struct.pack(f"<{len(values)}f", *values)
        header = m(1, round_number, 2, version, 3, 100, 4, len(body) if declared is None else declared, 5,
                   sha or hashlib.sha256(body).digest())
        parts = [m(1, header)] + (chunks or [m(2, m(1, at, 2, body[at:at + 65536], 3, len(body)))
                                             for at in range(0, len(body), 65536)])
        return call(world, "Agents/SubmitUpdate", *parts, identity=raw)

    zero = [1e-4] * count
    for what, reason, answer in (
            ("not a number", "not_finite", lambda: submit(zero[:-1] + [float("nan")])),
            ("without end", "not_finite", lambda: submit([float("-inf")] + zero[1:])),
            ("too large", "norm", lambda: submit([1000.0] * count)),
            ("of an old round", "round", lambda: submit(zero, round_number=number - 1)),
            ("of a round to come", "round", lambda: submit(zero, round_number=number + 1)),
            ("of another model", "version", lambda: submit(zero, version=base + 1)),
            ("of another shape", "shape", lambda: submit(zero[:count // 2])),
            ("cut off", "incomplete", lambda: submit(zero, declared=4 * count, chunks=[m(2, m(1, 0, 2, bytes(400)))])),
            ("with a false checksum", "checksum", lambda: submit(zero, sha=bytes(32)))):
        before = world.metrics()
        got = answer()
        receipt = fields(got.replies[0]) if got.replies else {}
        world.check(got.status == 0 and not receipt.get(1) and receipt.get(2) == reason.encode(),
                    f"an update {what}: {got}")
        judge.counted(f"an update {what}", 'vane_updates_total{result="%s"}' % reason, before)
    for what, names, answer in (
            ("without a header", "header", lambda: call(world, "Agents/SubmitUpdate", m(2, m(1, 0)), identity=raw)),
            ("out of order", "chunk.offset", lambda: submit(zero, chunks=[m(2, m(1, 64, 2, b"1234"))])),
            ("longer than it says", "chunk.data", lambda: submit(zero, declared=4))):
        before = world.metrics()
        got = answer()
        world.check(got.status == 3 and names in got.message, f"an update {what}: {got}")
        judge.counted(f"an update {what}", INVALID, before)
    got = submit(zero, declared=1 << 40)
    world.check(got.status == 8 and "total_bytes" in got.message, f"an update without end: {got}")
    state.check(world, "a bad update")
    before = world.metrics()
    got = submit(zero)
    world.check(got.replies and fields(got.replies[0]).get(1) == 1, f"a good update: {got}")
    judge.counted("a good update", 'vane_updates_total{result="accepted"}', before)
    state.check(world, "a good update", but=("rounds",))


def check_certificates(world, judge, short):
    """An expired certificate, and one of somebody else's authority with the right name in it."""
    openssl(world, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
            "own.key", "-out", "own.pem", "-subj", "/", "-days", "1", "-addext",
            "subjectAltName=URI:spiffe://vane.local/account/1")
    own = Identity(world, "own", open(world.path("own.key")).read(), open(world.path("own.pem")).read())
    state = State(world)
    for what, identity, names, counter in (
            ("an expired certificate", short, "CERTIFICATE_EXPIRED", "vane_edge_expired_total"),
            ("a certificate of another authority", own, "UNKNOWN_CA", "vane_edge_handshake_failures_total")):
        before = world.metrics()
        got = refusal(world, identity)
        world.check(names in got, f"{what}: {got}")
        judge.counted(what, counter, before)
    state.check(world, "a bad certificate")


def check_cloud(world, judge):
    """All clouds stand still: agents stay, say what they cannot do, and no function vanishes."""
    state, before = State(world), world.metrics()
    world.kill9("sim")
    world.eventually(lambda: world.metrics()["vane_cloud_failures_total"] >=
                     before["vane_cloud_failures_total"] + 6, 30, "failures of the clouds in the counter")
    judge.counted("a stopped cloud", "vane_cloud_failures_total", before)
    for name in world.accounts:
        said = world.troubles("agent-" + name)
        world.check(any("listing functions" in s or "logs" in s or "prices" in s for s in said), f"{name} says {said}")
        world.check(len(said) < 20, f"{name} says it {len(said)} times")
    state.check(world, "a stopped cloud")
    answer = world.api.post("/v1/route", {"workload": "fn-00"})
    world.check(answer["account"], f"routes go on: {answer}")


def check_disk(world, judge):
    """The budget is spent: changes are refused and say why, reads and stop signs work, routes too; a larger one heals."""
    from client import ApiError
    filler = "# " + "x" * 60000
    for n in range(1500):
        try:
            world.approver.post("/v1/policies",
                                {"document": f"policy: big\nscope: {{workloads: 'nothing'}}\n{filler}{n}\n"})
        except ApiError as e:
            world.check(e.status == 429 and "budget" in str(e), f"a change on a full disk: {e}")
            break
    else:
        raise AssertionError(f"the budget of {BUDGET} bytes was never spent")
    time.sleep(0.5)
    state, before = State(world), world.metrics()
    world.check(before["vane_store_read_only"] == 1, "the gauge does not say so")
    judge.http("a change on a full disk", "POST", "/v1/accounts", 429, "budget", "vane_store_refused_total",
               json.dumps({"name": "late", "cloud": "aws", "region": "r"}).encode())
    answer = world.api.post("/v1/route", {"workload": "fn-00"})
    world.check(answer["account"] and answer["mode"] in ("split", "automatic"), f"a route on a full disk: {answer}")
    state.check(world, "a refused change", but=("log",))
    world.api.post("/v1/pauses", {"scope": "global", "paused": True, "reason": "full"})
    world.check(world.api.get("/v1/pauses")["pauses"], "a stop sign must stand on a full disk")
    world.stop_server()
    with open(world.path("vaned.yaml"), encoding="utf-8") as f:
        text = f.read().replace(f"disk_budget_bytes: {BUDGET}", f"disk_budget_bytes: {8 * BUDGET}")
    with open(world.path("vaned.yaml"), "w", encoding="utf-8") as f:
        f.write(text)
    world.restart_server()
    world.api.post("/v1/accounts", {"name": "late", "cloud": "aws", "region": "r"})
    world.check(world.metrics()["vane_store_read_only"] == 0, "it does not heal")


def run(world):
    pick = random.Random(world.seed)
    world.settings.update(round_interval_s=31622400, round_deadline_s=86400, tuning_interval_s=31622400,
                          disk_budget_bytes=BUDGET, ring_slots=1024)
    world.start()
    world.api.post("/v1/people", {"name": "vera", "role": "viewer"})
    raw = enrol(world, "raw")
    with open(world.path("vaned.yaml"), "a", encoding="utf-8") as f:
        f.write("certificate_lifetime_s: 10\n")
    os.kill(world.processes["vaned"].pid, signal.SIGHUP)
    time.sleep(0.5)
    short = enrol(world, "short")
    expires = time.monotonic() + 10
    judge = Judge(world)
    check_http(world, judge, pick)
    check_grpc(world, judge, raw, pick)
    check_updates(world, judge, raw)
    time.sleep(max(0.0, expires + 0.5 - time.monotonic()))
    check_certificates(world, judge, short)
    check_cloud(world, judge)
    check_disk(world, judge)
    print(f"{judge.cases} wrong things: each refused with its reason, counted, and without effect")
