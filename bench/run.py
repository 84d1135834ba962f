#!/usr/bin/env python3
"""Runs the benches of the release build: `./dev bench [NAME]`.

Usage: run.py [NAME]. JSON lines on standard output and nothing else there; what the benches say goes to standard error.
Exit 1 if a bench failed, 2 for a name that is not known.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(os.path.dirname(HERE), "tests", "data")
BIN = os.path.join(os.path.dirname(HERE), "build", "release", "bin")


def program(name):
    return [os.path.join(BIN, name)]


def script(path, *arguments):
    return [sys.executable, os.path.join(HERE, path), *arguments]


# What to run, and the programs of the build that it needs.
BENCHES = {
    "decide": (program("bench-decide"), ["bench-decide"]),
    "edge": (script("edge/edge.py", BIN), ["bench-edge-vane", "bench-edge-core", "bench-edge-nghttp2"]),
    "route": (script("route.py", BIN), ["vaned", "vanectl", "vane-sim", "vane-agent", "bench-edge-core",
                                       "bench-edge-nghttp2"]),
    "aggregate": (script("aggregate.py", os.path.join(BIN, "bench-aggregate")), ["bench-aggregate"]),
    "sim": (script("sim.py", BIN), ["vane-sim"]),
    "bill": (script("bill.py", os.path.join(BIN, "bill-months")), ["bill-months"]),
    "store": (program("bench-store"), ["bench-store"]),
    "explain": (program("bench-explain"), ["bench-explain"]),
    "log": (program("bench-log"), ["bench-log"]),
    "telemetry": (program("bench-telemetry") + [DATA], ["bench-telemetry"]),
}
# A bench whose script is not in this tree is not offered.
BENCHES = {name: b for name, b in BENCHES.items() if b[0][0] != sys.executable or os.path.isfile(b[0][1])}


def run(name):
    command, needs = BENCHES[name]
    missing = [n for n in needs if not os.access(os.path.join(BIN, n), os.X_OK)]
    if missing:
        print(f"bench {name}: not built: {', '.join(missing)}", file=sys.stderr)
        return False
    good = 0
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            try:
                whole = isinstance(json.loads(line), dict)
            except ValueError:
                whole = False
            good += whole
            print(line, end="", flush=True, file=sys.stdout if whole else sys.stderr)
    if process.returncode or not good:
        print(f"bench {name}: exit {process.returncode}, {good} figures", file=sys.stderr)
        return False
    return True


def main():
    names = sys.argv[1:] or list(BENCHES)
    unknown = [n for n in names if n not in BENCHES]
    if unknown:
        print(f"no bench '{unknown[0]}'; there are: {' '.join(BENCHES)}", file=sys.stderr)
        return 2
    return 0 if all([run(n) for n in names]) else 1


if __name__ == "__main__":
    sys.exit(main())
