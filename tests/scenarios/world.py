"""Scenario tests start the real programs and the simulator and assert on counters.

A scenario is a file of this folder with a function `run(world)`; ctest runs `world.py FILE`. Each world has its own
state directory and ports, and everything it started is gone when it ends. VANE_BIN names the programs' folder.
"""
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "deploy", "sandbox"))

SKIP = 77


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Skip(Exception):
    pass


def make_world(seed=7):
    os.environ["VANE_HTTP_PORT"] = str(free_port())
    os.environ["VANE_HTTPS_PORT"] = str(free_port())
    import sandbox
    sandbox.HTTP_PORT = int(os.environ["VANE_HTTP_PORT"])
    sandbox.HTTPS_PORT = int(os.environ["VANE_HTTPS_PORT"])
    state = tempfile.mkdtemp(prefix="vane-scenario-")

    class World(sandbox.Sandbox):
        """The demo's sandbox with what tests need: assertions, kills, the command line."""

        def check(self, condition, message):
            if not condition:
                raise AssertionError(message)

        def eventually(self, check, seconds, what):
            end = time.time() + seconds
            last = None
            while time.time() < end:
                try:
                    last = check()
                    if last:
                        return last
                except Exception as e:  # the server may be down for a moment, on purpose
                    last = e
                time.sleep(0.05)
            raise AssertionError(f"waited {seconds} s for {what}; last: {last!r}")

        def vanectl(self, *arguments, token_file=None, expect=0):
            environment = dict(os.environ, VANE_SERVER=self.ready["https"], VANE_CA_FILE=self.ready["ca_file"],
                               VANE_TOKEN_FILE=token_file or self.token_file)
            done = subprocess.run([os.path.join(sandbox.BIN, "vanectl"), *arguments], env=environment, text=True,
                                  capture_output=True, timeout=60, check=False)
            if expect is not None and done.returncode != expect:
                raise AssertionError(f"vanectl {' '.join(arguments)}: exit {done.returncode}, want {expect}\n"
                                     f"{done.stdout[-500:]}\n{done.stderr[-500:]}")
            return done

        def metrics(self):
            """What /metrics says now: `name` or `name{label="value"}` to figure."""
            request = urllib.request.Request(self.ready["http"] + "/metrics", headers={
                "Authorization": "Bearer " + open(self.token_file).read().strip()})
            with urllib.request.urlopen(request, timeout=10) as answer:
                lines = [line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[:1] not in "#"]
            return {name: float(value) for name, value in lines}

        def troubles(self, name):
            """The lines in which a program said that something failed."""
            with open(self.path("log", name + ".log"), encoding="utf-8", errors="replace") as f:
                return [line.strip() for line in f if "trouble" in line or "fatal" in line]

        def check_clean(self):
            """No sanitizer had anything to say, and who was told to stop did so without complaint."""
            found = sorted(n for n in os.listdir(self.path("log")) if n.startswith("sanitizer"))
            self.check(not found, f"sanitizer reports: {', '.join(found)}")
            bad = {name: code for name, code in self.ended.items() if code}
            self.check(not bad, f"exit codes: {bad}")

        def stop(self):
            stopping = dict(self.processes)
            super().stop()
            self.ended.update((name, p.returncode) for name, p in stopping.items())

        def kill9(self, name):
            p = self.processes.pop(name)
            p.kill()
            p.wait()

        def stop_server(self):
            """An orderly stop of vaned."""
            p = self.processes.pop("vaned")
            p.terminate()
            self.check(p.wait(30) == 0, f"an orderly stop of vaned ended with {p.returncode}")

        def restart_server(self):
            ready = self.path("vaned", "ready.json")
            if os.path.exists(ready):
                os.remove(ready)
            self.spawn("vaned", ["vaned", "--config", self.path("vaned.yaml")])
            self.eventually(lambda: self.alive_and(os.path.exists, "vaned", ready), 30, "vaned after a restart")

    world = World(seed, state)
    world.ended = {}  # name -> exit code of what was stopped
    return world


def main():
    path = sys.argv[1]
    spec = importlib.util.spec_from_file_location("scenario", path)
    scenario = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scenario)
    world = make_world(int(os.environ.get("VANE_TEST_SEED", "7")))
    print(f"scenario {os.path.basename(path)}, seed {world.seed} (VANE_TEST_SEED), state {world.state}", flush=True)
    # Sanitizers write their reports to files, so that one counts whichever process it came from.
    for name in ("ASAN_OPTIONS", "TSAN_OPTIONS"):
        os.environ[name] = f"{os.environ.get(name, '')}:log_path={world.path('log', 'sanitizer')}:log_exe_name=1"
    failed = True
    try:
        scenario.run(world)
        world.stop()
        world.check_clean()
        failed = False
    except Skip as e:
        print(f"SKIP {e}")
        failed = False
        return SKIP
    except Exception:
        traceback.print_exc()
        for name in sorted(os.listdir(world.path("log"))) if os.path.isdir(world.path("log")) else []:
            text = open(world.path("log", name), errors="replace").read()
            if text.strip():
                print(f"--- {name}\n{text[-1500:]}")
    finally:
        world.stop()
        if not failed or not os.environ.get("VANE_KEEP"):
            shutil.rmtree(world.state, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
