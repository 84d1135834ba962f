#!/usr/bin/env python3
"""The `aggregate` bench: vn_aggregate beside Flower's own aggregate function, passes alternating, medians.

Usage: aggregate.py BENCH_AGGREGATE_PROGRAM [CASE...]. Prints one JSON object a line. The peer's Python environment is
made under .cache/tools on first use; when it cannot be had, a line says that the peer was skipped.
"""
import json
import os
import statistics
import subprocess
import sys

FLOWER = "flwr==1.13.1"
NUMPY = "numpy==1.26.4"
CASES = {"10k-x-10": (10_000, 10), "10k-x-100": (10_000, 100), "100k-x-10": (100_000, 10),
         "100k-x-100": (100_000, 100), "1M-x-10": (1_000_000, 10),
         "1M-x-100": (1_000_000, 100)}
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEER = r"""
import sys, time
import numpy as np
from flwr.server.strategy.aggregate import aggregate
n, count, repeats = (int(a) for a in sys.argv[1:4])
rng = np.random.default_rng(1)
results = [([rng.random(n, dtype=np.float32) - np.float32(0.5)], 100 + k % 7) for k in range(count)]
print("ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    for _ in range(repeats):
        aggregate(results)
    print((time.perf_counter() - start) * 1e3 / repeats, flush=True)
"""


def peer_python():
    """The interpreter that can import Flower, or None with the reason."""
    venv = os.path.join(ROOT, ".cache", "tools", "flower")
    python = os.path.join(venv, "bin", "python")
    check = "from flwr.server.strategy.aggregate import aggregate"
    try:
        if not os.path.exists(python):
            subprocess.run([sys.executable, "-m", "venv", venv], check=True, capture_output=True)
        if subprocess.run([python, "-c", check], capture_output=True).returncode:
            subprocess.run([python, "-m", "pip", "install", "-q", FLOWER, NUMPY], check=True, capture_output=True,
                           timeout=900)
        subprocess.run([python, "-c", check], check=True, capture_output=True)
        return python, None
    except (subprocess.SubprocessError, OSError) as error:
        return None, type(error).__name__


def start(command):
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def one_pass(process):
    process.stdin.write("go\n")
    process.stdin.flush()
    line = process.stdout.readline().split()
    if not line:
        raise SystemExit("a side of the bench ended early")
    return float(line[0]), line[1:]


def run_case(program, python, case):
    n, count = CASES[case]
    passes = 31 if n * count <= 10_000_000 else 9
    # A pass over little data repeats, on both sides, so that it measures adding and not waking up.
    repeats = max(1, 2_000_000 // (n * count))
    ours = start([program, str(n), str(count), str(passes), str(repeats)])
    peer = start([python, "-c", PEER, str(n), str(count), str(repeats)]) if python else None
    if peer:
        peer.stdout.readline()
    mine, theirs, bits = [], [], set()
    for _ in range(passes):
        ms, checksum = one_pass(ours)
        mine.append(ms)
        bits.add(checksum[0])
        if peer:
            theirs.append(one_pass(peer)[0])
    ours.stdin.close()
    ours.wait()
    if peer:
        peer.stdin.close()
        peer.wait()
    if len(bits) != 1:
        raise SystemExit(f"{case}: the passes differ in their bits")
    value, other = statistics.median(mine), statistics.median(theirs) if theirs else None
    print(json.dumps({"bench": "aggregate", "case": case, "metric": "ms", "value": round(value, 4), "unit": "ms",
                      "peer": "flower" if other else None, "peer_value": round(other, 4) if other else None,
                      "ratio": round(value / other, 4) if other else None}), flush=True)


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    python, why = peer_python()
    if not python:
        print(json.dumps({"bench": "aggregate", "skipped": "flower", "why": why}), flush=True)
    for case in sys.argv[2:] or CASES:
        if case not in CASES:
            raise SystemExit(f"no such case: {case}; there are {', '.join(CASES)}")
        run_case(sys.argv[1], python, case)


if __name__ == "__main__":
    main()
