#!/usr/bin/env python3
"""vane-sim keeps its state over kill -9: `state.py VANE_SIM`.

Credentials, temporary keys, a changed memory size, logs and the ledger are the same after each of several kills under load;
nothing that was answered is lost. A torn end of the journal is cut off; another seed is refused.
"""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "bench"))
import sim as wire  # noqa: E402

passed = failed = 0


def check(good, what):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print("ok" if good else "FAILED", what, flush=True)


def start(program, state, *more):
    path = os.path.join(state, "sim.json")
    if os.path.exists(path):
        os.unlink(path)
    process = subprocess.Popen([program, "--state", state, "--keep", "yes", "--seed", "3", *more])
    end = time.monotonic() + 60
    while not os.path.exists(path) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    with open(path, encoding="utf-8") as file:
        return process, json.load(file)


def ledger(sim):
    host = sim["control"]["endpoint"].split("//")[1]
    return json.loads(wire.Line(sim, "control").ask("GET", "/control/ledger", host, {
        "authorization": "Bearer " + sim["control"]["token"]})[1])


def load(sim, answered, end):
    """Invokes until the connection breaks; counts what was answered."""
    rng = random.Random(1)
    aws = wire.Aws(sim["aws"]["accounts"][0], ["fn-00", "fn-01", "fn-02"])
    line = wire.Line(sim, "aws")
    try:
        while not end.is_set():
            line.send(aws.request(rng, b"{}"))
            line.answer()
            answered.append(1)
    except (SystemExit, OSError):
        pass


def change_memory(sim, name, mb):
    aws = wire.Aws(sim["aws"]["accounts"][0], [])
    body = json.dumps({"MemorySize": mb}).encode()
    verb, path, host, headers = aws.get(f"/2015-03-31/functions/{name}/configuration", "", "PUT", body)
    return wire.Line(sim, "aws").ask(verb, path, host, headers, body)


def configuration(sim, name):
    aws = wire.Aws(sim["aws"]["accounts"][0], [])
    status, body = wire.Line(sim, "aws").ask(*aws.get(f"/2015-03-31/functions/{name}/configuration", ""))
    return status, json.loads(body)


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as state:
        process, sim = start(program, state)
        first = sim
        total = 0
        before = configuration(sim, "fn-03")[1]["MemorySize"]
        wanted = 512 if before != 512 else 1024
        check(change_memory(sim, "fn-03", wanted)[0] == 200, "a change is taken")
        revision = configuration(sim, "fn-03")[1]["RevisionId"]
        for kill in range(3):
            answered, end = [], threading.Event()
            worker = threading.Thread(target=load, args=(sim, answered, end))
            worker.start()
            time.sleep(0.8)
            process.send_signal(signal.SIGKILL)
            process.wait()
            end.set()
            worker.join()
            total += len(answered)
            if kill == 1:
                with open(os.path.join(state, "journal"), "ab") as journal:
                    journal.write(b"\1\0\0\0torn")
            process, sim = start(program, state)
            seen = ledger(sim)["total"]["invocations"]
            # One may have been recorded and not answered, each time.
            check(total <= seen <= total + kill + 1, f"all {total} answered calls are there after kill {kill + 1}: {seen}")
            total = seen
        check(total > 50, "there was load")
        for cloud in ("aws", "azure", "gcp"):
            same = [{k: v for k, v in a.items() if k not in ("endpoint", "key_json")} for a in sim[cloud]["accounts"]] == \
                [{k: v for k, v in a.items() if k not in ("endpoint", "key_json")} for a in first[cloud]["accounts"]]
            check(same, f"{cloud}: the same credentials")
        check(sim["control"]["token"] == first["control"]["token"], "the same control token")
        now = configuration(sim, "fn-03")[1]
        check(now["MemorySize"] == wanted, "the changed size is still there")
        check(now["LastUpdateStatus"] in ("Successful", "InProgress") and revision, "and settles")
        told = ledger(sim)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process, sim = start(program, state)
        check(ledger(sim) == told, "the ledger is equal, to the last digit")
        process.terminate()
        check(process.wait() == 0, "vane-sim ends cleanly")
        refused = subprocess.run([program, "--state", state, "--keep", "yes", "--seed", "4"], capture_output=True, text=True,
                                 check=False)
        check(refused.returncode == 1 and "another seed" in refused.stderr, "another seed is refused")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
