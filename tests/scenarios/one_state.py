"""One state directory has one vaned; a damaged configuration names its line and column."""
import json
import os
import re
import subprocess


def vaned(world, config):
    import sandbox
    environment = dict(os.environ, VANE_CLOCK=world.path("clock"), VANE_DATA=sandbox.DATA)
    return subprocess.run([os.path.join(sandbox.BIN, "vaned"), "--config", config], env=environment, text=True,
                          capture_output=True, timeout=30, check=False)


def written(world, name, text):
    path = world.path(name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def run(world):
    world.prepare()
    world.start_clock()
    world.start_server()
    ready = open(world.path("vaned", "ready.json")).read()

    # The second one says who has the state, ends with 1, and leaves the first one's files alone.
    second = written(world, "second.yaml", f"state_dir: {world.path('vaned')}\nhttp_port: 0\nhttps_port: 0\n")
    done = vaned(world, second)
    world.check(done.returncode == 1, f"a second vaned on the same state: exit {done.returncode}")
    pid = str(json.loads(ready)["pid"])
    world.check(world.path("vaned") in done.stderr and pid in done.stderr,
                f"the message names neither the directory nor process {pid}: {done.stderr[-500:]}")
    world.check(os.path.exists(world.path("vaned", "ready.json")) and
                open(world.path("vaned", "ready.json")).read() == ready, "the second vaned took ready.json away")
    world.log_in()
    world.check(world.api.get("/v1/status")["agentsOnline"] == 0, "the first one still answers")

    # A damaged file: its name, line and column; nothing is made.
    for name, text, line, column in (
            ("key.yaml", f"state_dir: {world.path('other')}\nhttp_prot: 1\n", 2, 1),
            ("value.yaml", f"state_dir: {world.path('other')}\nhttp_port: many\n", 2, 12),
            ("syntax.yaml", f"state_dir: {world.path('other')}\nhttp_port: [1\n", None, None)):
        done = vaned(world, written(world, name, text))
        world.check(done.returncode == 1, f"{name}: exit {done.returncode}")
        found = re.search(r"line (\d+),? column (\d+)", done.stderr)
        world.check(found and name in done.stderr, f"{name}: no place in {done.stderr[-300:]}")
        world.check(line is None or (int(found[1]), int(found[2])) == (line, column),
                    f"{name}: {found[0]}, want line {line} column {column}")
    world.check(not os.path.exists(world.path("other")), "a damaged configuration made a state directory")
