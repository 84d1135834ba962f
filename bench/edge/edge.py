#!/usr/bin/env python3
"""The `edge` bench: server CPU (user + system, whole process) of a unary gRPC echo of 200 B on our edge, beside a bare
C core server and a bare libnghttp2 server. Passes alternate, in a new random order each round; medians are printed.

Usage: edge.py BIN_DIR [--rounds N] [--calls N] [--clients N] [--streams N]. Needs h2load (nghttp2-client) and two CPUs:
the server is pinned to the first, the load maker to the second.
"""
import argparse
import json
import os
import random
import re
import statistics
import struct
import subprocess
import tempfile

SIDES = {"vane": "bench-edge-vane", "core-echo": "bench-edge-core", "nghttp2-echo": "bench-edge-nghttp2"}
PAYLOAD = 200


def cpu_s(pid):
    """User and system time of the process; schedstat is finer than stat's ticks and counts every thread."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def message():
    body = b"\x0a" + bytes([0x80 | (PAYLOAD & 127), PAYLOAD >> 7]) + b"x" * PAYLOAD
    return b"\0" + struct.pack(">I", len(body)) + body


def load(port, data, args, calls):
    command = ["taskset", "-c", "1", "h2load", "-n", str(calls), "-c", str(args.clients), "-m", str(args.streams),
               "-d", data, "-H", "content-type: application/grpc", "-H", "te: trailers",
               f"http://127.0.0.1:{port}/bench.Echo/Echo"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    done = re.search(r"(\d+) succeeded", out)
    if not done or int(done.group(1)) != calls:
        raise SystemExit("h2load: " + out)


def one_pass(program, data, args):
    server = subprocess.Popen(["taskset", "-c", "0", program], stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline())
        load(port, data, args, args.calls // 10)
        before = cpu_s(server.pid)
        load(port, data, args, args.calls)
        return (cpu_s(server.pid) - before) / args.calls * 1e6
    finally:
        server.kill()
        server.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin_dir")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--streams", type=int, default=32)
    args = parser.parse_args()
    figures = {side: [] for side in SIDES}
    with tempfile.NamedTemporaryFile() as data:
        data.write(message())
        data.flush()
        for _ in range(args.rounds):
            for side in random.sample(list(SIDES), len(SIDES)):
                figures[side].append(one_pass(os.path.join(args.bin_dir, SIDES[side]), data.name, args))
    ours = statistics.median(figures["vane"])
    for peer in ("core-echo", "nghttp2-echo"):
        other = statistics.median(figures[peer])
        print(json.dumps({"bench": "edge", "case": "unary-echo", "metric": "cpu_us", "value": round(ours, 3),
                          "unit": "us", "peer": peer, "peer_value": round(other, 3),
                          "ratio": round(ours / other, 3)}))


if __name__ == "__main__":
    main()
