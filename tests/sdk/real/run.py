#!/usr/bin/env python3
"""A function in the real Functions Framework behind vane-sim, invoked by AWS's own client: `run.py VANE_SIM`.

Needs node, and npm's registry once. 77: they are not to be had.
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def install(directory):
    if os.path.exists(os.path.join(directory, "node_modules", ".package-lock.json")):
        return True
    done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"], cwd=directory,
                          check=False)
    return done.returncode == 0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, process):
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the Functions Framework does not listen")


def main():
    if not shutil.which("npm") or not install(HERE) or not install(os.path.dirname(HERE)):
        print("skipped: the Functions Framework or the client cannot be installed")
        return 77
    port = free_port()
    framework = subprocess.Popen(["node", os.path.join(HERE, "node_modules/@google-cloud/functions-framework/build/src/main.js"),
                                  "--source", os.path.join(HERE, "functions.js"), "--target=hello", f"--port={port}"],
                                 stdout=subprocess.DEVNULL)
    simulator = None
    with tempfile.TemporaryDirectory() as state:
        try:
            wait_for(port, framework)
            simulator = subprocess.Popen([sys.argv[1], "--state", state, "--real", f"fn-00=http://127.0.0.1:{port}/"])
            while not os.path.exists(os.path.join(state, "sim.json")) and simulator.poll() is None:
                time.sleep(0.05)
            code = subprocess.run(["node", "--test", os.path.join(os.path.dirname(HERE), "real.test.mjs")], check=False, env={
                **os.environ, "NODE_EXTRA_CA_CERTS": os.path.join(state, "ca.pem"),
                "VANE_SIM_READY": os.path.join(state, "sim.json")}).returncode
        finally:
            framework.terminate()
            framework.wait()
            if simulator:
                simulator.terminate()
                code = simulator.wait() or code
    return code


if __name__ == "__main__":
    sys.exit(main())
