#!/usr/bin/env python3
"""The `route` bench: CPU (user + system, the whole process: writer, hashing and sync included) of a call that a real vaned
with six agents decides and records, beside the empty echo of a bare C core server and of a bare libnghttp2 server.

Usage: route.py BIN_DIR [--passes N] [--calls N] [--clients N] [--streams N] [--case NAME]. Needs h2load (nghttp2-client).
Cases: `unary` is Route, plain as the echoes are; `unary-tls` the same over TLS, beside the same plain echoes; `batch-32` and
`batch-256` are RouteStream with one batch a stream, counted a decision. Passes alternate in random order; medians are
printed. The sandbox's clock stands still meanwhile, so that no round or tuning falls into one pass and not into another.
A figure counts only if every decision was recorded and reads back: the store's own count has to grow by it, and at the
end, vaned stopped, the whole state is verified record by record against its log.
"""
import argparse
import json
import os
import random
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CASES = {"unary": 1, "unary-tls": 1, "batch-32": 32, "batch-256": 256}
PEERS = {"core-echo": "bench-edge-core", "nghttp2-echo": "bench-edge-nghttp2"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_s(pid):
    """User and system time; schedstat is finer than stat's ticks and counts every thread."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="utf-8") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def frame(body):
    return b"\0" + struct.pack(">I", len(body)) + body


def field(number, body):
    n, length = len(body), b""
    while n >= 0x80:
        length += bytes([n & 0x7f | 0x80])
        n >>= 7
    return bytes([number << 3 | 2]) + length + bytes([n]) + body


def file_system(path):
    name = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=True).stdout.strip()
    if name in ("tmpfs", "ramfs"):
        raise SystemExit(f"route: {path} is in memory, so nothing would be durable: build on a disk")
    return name


def load(url, data, headers, args, calls):
    command = ["h2load", "-n", str(calls), "-c", str(args.clients), "-m", str(args.streams), "-d", data,
               "-H", "content-type: application/grpc", "-H", "te: trailers"]
    for header in headers:
        command += ["-H", header]
    out = subprocess.run(command + [url], capture_output=True, text=True, check=True).stdout
    done = re.search(r"(\d+) succeeded", out)
    if not done or int(done.group(1)) != calls:
        raise SystemExit("h2load: " + out)


def measure(pid, url, data, headers, args, calls):
    load(url, data, headers, args, calls // 10)
    before = cpu_s(pid)
    load(url, data, headers, args, calls)
    return (cpu_s(pid) - before) / calls * 1e6


def echo_pass(program, data, args):
    server = subprocess.Popen([program], stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline())
        return measure(server.pid, f"http://127.0.0.1:{port}/bench.Echo/Echo", data, [], args, args.calls)
    finally:
        server.kill()
        server.wait()


def metric(box, name):
    request = urllib.request.Request(box.ready["http"] + "/metrics", headers={"Authorization": "Bearer " + box.api.token})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return sum(float(n) for n in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", answer.read().decode(), re.M))


def route_pass(box, case, data, args):
    """CPU a decision; all of them are in the store when it returns."""
    size = CASES[case]
    calls = args.calls if size == 1 else max(args.calls // size * (4 if size < 100 else 8), 100)
    with open(box.token_file, encoding="utf-8") as f:
        headers = ["authorization: Bearer " + f.read().strip()]
    before = metric(box, "vane_store_decisions_total")
    url = box.ready["https" if case == "unary-tls" else "http"]
    url += "/vane.v1.Routing/" + ("Route" if size == 1 else "RouteStream")
    value = measure(box.processes["vaned"].pid, url, data, headers, args, calls) / size
    decisions = (calls + calls // 10) * size
    # The count is of what the writer has committed, a little behind the answers.
    end = time.monotonic() + 30
    while (grown := metric(box, "vane_store_decisions_total") - before) < decisions:
        if time.monotonic() > end:
            raise SystemExit(f"route: only {grown:.0f} of {decisions} calls of {case} were decided and recorded")
        time.sleep(0.1)
    lost = metric(box, "vane_route_split_total") + metric(box, "vane_route_unrecorded_total")
    if lost:
        raise SystemExit(f"route: {lost:.0f} calls were served by the split or not recorded")
    return value


def read_back(box, bin_dir, state):
    """Every record against its leaf, every leaf against the signed checkpoint; raises if one is missing or differs."""
    done = subprocess.run([os.path.join(bin_dir, "vanectl"), "backup", box.path("vaned"), os.path.join(state, "copy")],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit("route: what was recorded does not read back: " + done.stderr[-500:])


def line(case, name, value, unit, peer=None, peer_value=None):
    print(json.dumps({"bench": "route", "case": case, "metric": name, "value": round(value, 3), "unit": unit,
                      "peer": peer, "peer_value": peer_value and round(peer_value, 3),
                      "ratio": peer_value and round(value / peer_value, 3)}), flush=True)


def messages(box, folder):
    """A file of one message a case: 20,000 bytes of payload, the first function."""
    name = box.api.get("/v1/functions?pageSize=1")["functions"][0]["workload"].encode()
    ask = field(1, name) + b"\x10\xa0\x9c\x01"
    files = {}
    for what, body in [("echo", b"")] + [(c, ask if n == 1 else field(1, ask) * n) for c, n in CASES.items()]:
        files[what] = os.path.join(folder, what)
        with open(files[what], "wb") as f:
            f.write(frame(body))
    return files


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin_dir")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--case", choices=list(CASES))
    args = parser.parse_args()
    bin_dir = os.path.abspath(args.bin_dir)
    cases = [args.case] if args.case else list(CASES)
    # The sandbox reads where it lives from its environment: its own place, beside one that may be running.
    os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-route-", dir=os.path.join(ROOT, "build")) as state:
        fs = file_system(state)
        os.environ.update(VANE_SANDBOX_STATE=os.path.join(state, "sandbox"), VANE_BIN=bin_dir,
                          VANE_HTTP_PORT=str(free_port()), VANE_HTTPS_PORT=str(free_port()))
        sys.path.insert(0, os.path.join(ROOT, "deploy", "sandbox"))
        from sandbox import Sandbox  # pylint: disable=import-outside-toplevel
        box = Sandbox(1)
        try:
            box.start()
            data = messages(box, state)
            box.stop_clock()
            passes = {c: (lambda c=c: route_pass(box, c, data[c], args)) for c in cases}
            passes |= {p: (lambda p=p: echo_pass(os.path.join(bin_dir, PEERS[p]), data["echo"], args)) for p in PEERS}
            figures = {side: [] for side in passes}
            for _ in range(args.passes):
                for side in random.sample(list(passes), len(passes)):
                    figures[side].append(passes[side]())
                    print(f"route: {side} {figures[side][-1]:.2f} us", file=sys.stderr)
            syncs = metric(box, "vane_store_syncs_total")
        finally:
            box.stop()
        read_back(box, bin_dir, state)
        print(f"route: durable on {fs}, {syncs:.0f} syncs, every record read back", file=sys.stderr)
    for case in cases:
        ours = statistics.median(figures[case])
        for peer in PEERS:
            line(case, "cpu_us", ours, "us", peer, statistics.median(figures[peer]))
        line(case, "decisions_per_core_per_s", 1e6 / ours, "per_s")


if __name__ == "__main__":
    main()
