#!/usr/bin/env python3
"""vane-sim's events over the wire, and functions that really run: `events.py VANE_SIM`.

Connections that are cut, stalled, cut short, too long or of the wrong types; an expired certificate for its time only; a
script's outage; a real function behind the endpoints of two clouds, its errors and its absence; and that what is late does
not hold up anything else.
"""
import contextlib
import http.server
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))), "bench"))
import sim as wire  # noqa: E402

passed = failed = 0


def check(good, what):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print("ok" if good else "FAILED", what, flush=True)


@contextlib.contextmanager
def running(program, *options):
    with tempfile.TemporaryDirectory() as state:
        process = subprocess.Popen([program, "--state", state, *options])
        try:
            path = os.path.join(state, "sim.json")
            end = time.monotonic() + 60
            while not os.path.exists(path) and process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            with open(path, encoding="utf-8") as file:
                yield json.load(file)
        finally:
            process.terminate()
            check(process.wait(timeout=60) == 0, "vane-sim ends cleanly")


def control(sim, path, body):
    line = wire.Line(sim, "control")
    host = sim["control"]["endpoint"].split("//")[1]
    status, answer = line.ask("POST" if body is not None else "GET", path, host,
                              {"authorization": "Bearer " + sim["control"]["token"]},
                              json.dumps(body).encode() if body is not None else b"")
    return status, json.loads(answer)


def event(sim, **what):
    status, answer = control(sim, "/control/event", what)
    check(status == 200, f"event {what['what']} is taken: {answer}")


def get_functions(sim, account=0):
    aws = wire.Aws(sim["aws"]["accounts"][account], [])
    return wire.Line(sim, "aws").ask(*aws.get("/2015-03-31/functions/", ""))


def cut(call):
    """What a call raises when its connection goes in the middle."""
    try:
        call()
    except (SystemExit, OSError, ssl.SSLError) as error:
        return str(error) or type(error).__name__
    return ""


def broken_connections(sim):
    check(get_functions(sim)[0] == 200, "all is well before")
    event(sim, what="reset", cloud="aws", **{"for": 1})
    check(cut(lambda: get_functions(sim)), "a reset cuts the connection")
    time.sleep(1.1)
    event(sim, what="truncate", cloud="aws", **{"for": 1})
    check(cut(lambda: get_functions(sim)), "a truncated body ends before its length")
    time.sleep(1.1)
    event(sim, what="stall", account="aws-a", seconds=1.5, **{"for": 1})
    start = time.monotonic()
    slow = threading.Thread(target=lambda: check(get_functions(sim)[0] == 200, "a stalled answer comes"))
    slow.start()
    time.sleep(0.2)
    check(get_functions(sim, 1)[0] == 200 and time.monotonic() - start < 1.4, "a stall holds up nobody else")
    slow.join()
    check(1.4 < time.monotonic() - start < 10, "a stall lasts its time")
    event(sim, what="oversize", cloud="aws", mb=9, **{"for": 1})
    check(len(get_functions(sim)[1]) > 9 << 20, "an oversized body is that large")
    time.sleep(1.1)
    event(sim, what="wrong_types", cloud="aws", **{"for": 1})
    check(isinstance(json.loads(get_functions(sim)[1])["Functions"], dict), "types are swapped")
    time.sleep(1.1)
    event(sim, what="throttle", account="aws-a", service="control", **{"for": 1})
    check((get_functions(sim)[0], get_functions(sim, 1)[0]) == (429, 200), "a throttle of one account")
    event(sim, what="expired_certificate", cloud="aws", **{"for": 1.5})
    check("expired" in cut(lambda: get_functions(sim)), "an expired certificate is shown")
    time.sleep(1.6)
    check(get_functions(sim)[0] == 200, "and not any longer than said")
    check(control(sim, "/control/event", {"what": "nonsense"})[0] == 400, "an unknown event is refused")


class Real(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = body if isinstance(body, dict) else {"value": body}
        time.sleep(body.get("sleep", 0))
        answer = json.dumps({"echo": body, "path": self.path}).encode()
        self.send_response(500 if body.get("fail") else 200)
        self.send_header("content-type", "application/json; charset=utf-8")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def invoke(caller, line, body):
    import random
    line.send(caller.request(random.Random(1), json.dumps(body).encode()))
    return line.answer()


def real_functions(sim, server):
    line = wire.Line(sim, "aws")
    aws = wire.Aws(sim["aws"]["accounts"][0], ["fn-00"])
    start = time.monotonic()
    slow = threading.Thread(target=lambda: invoke(aws, wire.Line(sim, "aws"), {"sleep": 1}))
    slow.start()
    time.sleep(0.1)
    status, body = invoke(aws, line, {"a": [1, "ü"]})
    check(status == 200 and json.loads(body)["echo"] == {"a": [1, "ü"]}, "a payload goes through and comes back")
    check(time.monotonic() - start < 0.9, "a slow function holds up no other")
    slow.join()
    status, body = invoke(wire.Aws(sim["aws"]["accounts"][0], ["fn-01"]), line, {"x": 1})
    check(json.loads(body)["path"] == "/2015-03-31/functions/two/invocations", "Lambda's invoke call is used where asked")
    status, body = invoke(aws, line, {"fail": 1})
    check(status == 200 and "echo" in json.loads(body), "a failure on AWS is an answer with an error")

    account = sim["azure"]["accounts"][0]
    keys = [k for k in wire.Azure.targets(wire.Line(sim, "azure"), sim, account) if k[0] == "fn-00"]
    azure, line = wire.Azure(account, keys), wire.Line(sim, "azure")
    status, body = invoke(azure, line, {"b": 2})
    check(status == 200 and json.loads(body)["echo"] == {"b": 2}, "the same function on Azure")
    status, body = invoke(azure, line, {"fail": 1})
    check(status == 500 and json.loads(body)["echo"] == {"fail": 1}, "a failure on Azure is the function's own answer")

    ledger = control(sim, "/control/ledger", None)[1]
    check(ledger["accounts"]["aws-a"]["invocations"] == 4 and ledger["accounts"]["aws-a"]["failed"] == 1, "they are recorded")
    check(ledger["accounts"]["aws-a"]["cost_usd"] > 0 and ledger["accounts"]["aws-a"]["p99_ms"] > 1000, "and billed as measured")
    server.shutdown()
    server.server_close()
    status, body = invoke(azure, line, {"b": 3})
    check(status == 500, f"a function whose process is away fails: {status}")


def adapters(sim):
    """They expect a fresh simulator."""
    probe = os.path.join(os.path.dirname(sys.argv[1]), "vane-clouds-probe")
    done = subprocess.run([probe, os.path.join(os.path.dirname(sim["aws"]["ca_file"]), "sim.json")], capture_output=True,
                          text=True, check=False)
    check(done.returncode == 0, "Vane's own adapters invoke it on all accounts: " + done.stderr.strip())


def script(program):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write("events:\n  - {what: outage, cloud: aws, at: 0, for: 100}\n"
                   "  - {what: outage, account: gcp-a, service: logs}\n")
        file.flush()
        with running(program, "--script", file.name, "--speed", "20") as sim:
            check(get_functions(sim)[0] == 503, "a scripted outage holds")
            time.sleep(5.5)
            check(get_functions(sim)[0] == 200, "and ends in accelerated time")
    refused = subprocess.run([program, "--state", tempfile.gettempdir(), "--script", "/dev/null"], capture_output=True,
                             text=True, check=False)
    check(refused.returncode == 2 and "script" in refused.stderr, "a script that is none is refused")
    refused = subprocess.run([program, "--state", tempfile.gettempdir(), "--real", "fn-00=http://10.0.0.1:80/"],
                             capture_output=True, text=True, check=False)
    check(refused.returncode == 2 and "loopback" in refused.stderr, "a real function elsewhere is refused")


def main():
    program = sys.argv[1]
    with running(program) as sim:
        broken_connections(sim)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Real)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{server.server_port}/"
    with running(program, "--real", f"fn-00={at}") as sim:
        adapters(sim)
    with running(program, "--real", f"fn-00={at}", "--real", f"fn-01=lambda+{at}two") as sim:
        real_functions(sim, server)
    script(program)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
