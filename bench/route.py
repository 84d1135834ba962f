#!/usr/bin/env python3
"""The `route` bench: CPU (user + system, the whole process) of a unary Route over TLS and HTTP/2, decided and recorded, in a
real vaned with six agents, beside a bare C core server's empty echo. Passes alternate; medians are printed.

Usage: route.py BIN_DIR [--passes N] [--calls N] [--clients N] [--streams N]. Needs h2load (nghttp2-client).
The sandbox's clock stands still meanwhile, so that no round or tuning falls into one pass and not into another; the store's
writer, which commits the records and appends them to the log, is counted. The echo speaks without TLS: the bar is higher.
Every call must have been decided and journalled: the server's own count of decisions has to grow by it.
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


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def frame(body):
    return b"\0" + struct.pack(">I", len(body)) + body


def load(url, data, headers, args, calls):
    command = ["h2load", "-n", str(calls), "-c", str(args.clients), "-m", str(args.streams), "-d", data,
               "-H", "content-type: application/grpc", "-H", "te: trailers"]
    for header in headers:
        command += ["-H", header]
    out = subprocess.run(command + [url], capture_output=True, text=True, check=True).stdout
    done = re.search(r"(\d+) succeeded", out)
    if not done or int(done.group(1)) != calls:
        raise SystemExit("h2load: " + out)


def measure(pid, url, data, headers, args):
    load(url, data, headers, args, args.calls // 10)
    before = cpu_s(pid)
    load(url, data, headers, args, args.calls)
    return (cpu_s(pid) - before) / args.calls * 1e6


def echo_pass(bin_dir, data, args):
    server = subprocess.Popen([os.path.join(bin_dir, "bench-edge-core")], stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline())
        return measure(server.pid, f"http://127.0.0.1:{port}/bench.Echo/Echo", data, [], args)
    finally:
        server.kill()
        server.wait()


def metrics(box):
    request = urllib.request.Request(box.ready["http"] + "/metrics", headers={"Authorization": "Bearer " + box.api.token})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def route_pass(box, data, args):
    def decided():
        return int(box.api.get("/v1/status")["decisions"])
    with open(box.token_file, encoding="utf-8") as f:
        headers = ["authorization: Bearer " + f.read().strip()]
    before = decided()
    url = box.ready["https"] + "/vane.v1.Routing/Route"
    value = measure(box.processes["vaned"].pid, url, data, headers, args)
    calls = args.calls + args.calls // 10
    # The count is of what the writer has committed, a little behind the answers.
    end = time.monotonic() + 10
    while decided() - before < calls:
        if time.monotonic() > end:
            raise SystemExit(f"only {decided() - before} of {calls} calls were decided and recorded")
        time.sleep(0.1)
    lost = sum(float(n) for n in re.findall(r"^vane_route_(?:split|unrecorded)_total(?:{.*})? (\S+)$", metrics(box), re.M))
    if lost:
        raise SystemExit(f"{lost:.0f} calls were served by the split or not recorded")
    return value


def line(metric, value, unit, peer_value=None):
    ours = {"bench": "route", "case": "unary", "metric": metric, "value": round(value, 3), "unit": unit,
            "peer": None, "peer_value": None, "ratio": None}
    if peer_value:
        ours.update(peer="core-echo", peer_value=round(peer_value, 3), ratio=round(value / peer_value, 3))
    print(json.dumps(ours), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin_dir")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--streams", type=int, default=32)
    args = parser.parse_args()
    args.bin_dir = os.path.abspath(args.bin_dir)
    # The sandbox reads where it lives from its environment: its own place, beside one that may be running.
    os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-route-", dir=os.path.join(ROOT, "build")) as state, \
            tempfile.NamedTemporaryFile() as route, tempfile.NamedTemporaryFile() as echo:
        os.environ.update(VANE_SANDBOX_STATE=os.path.join(state, "sandbox"), VANE_BIN=args.bin_dir,
                          VANE_HTTP_PORT=str(free_port()), VANE_HTTPS_PORT=str(free_port()))
        sys.path.insert(0, os.path.join(ROOT, "deploy", "sandbox"))
        from sandbox import Sandbox  # pylint: disable=import-outside-toplevel
        box = Sandbox(1)
        try:
            box.start()
            name = box.api.get("/v1/functions?pageSize=1")["functions"][0]["workload"].encode()
            route.write(frame(b"\x0a" + bytes([len(name)]) + name + b"\x10\xa0\x9c\x01"))  # 20,000 bytes of payload
            route.flush()
            echo.write(frame(b""))
            echo.flush()
            box.stop_clock()
            passes = {"route": lambda: route_pass(box, route.name, args),
                      "echo": lambda: echo_pass(args.bin_dir, echo.name, args)}
            figures = {side: [] for side in passes}
            for _ in range(args.passes):
                for side in random.sample(list(passes), len(passes)):
                    figures[side].append(passes[side]())
                    print(f"route: {side} {figures[side][-1]:.2f} us", file=sys.stderr)
        finally:
            box.stop()
    ours, peer = statistics.median(figures["route"]), statistics.median(figures["echo"])
    line("cpu_us", ours, "us", peer)
    line("decisions_per_core_per_s", 1e6 / ours, "per_s")


if __name__ == "__main__":
    main()
