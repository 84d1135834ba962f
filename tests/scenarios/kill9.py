"""kill -9 of vaned under load, again and again: what was acknowledged stays, once, and the log only grows.

VANE_CRASH_INSTANTS sets the number of kills (15; CI: 50); VANE_TEST_SEED the instants.
"""
import os
import random
import time

from lib.crash import Line, Load, check_changes, log_size, pages, unique_ids, verify_log
from lib.invoke import history
from lib.load import take_clock

KILLS = int(os.environ.get("VANE_CRASH_INSTANTS", "15"))
ROUND_S = 30  # of waiting for a round after the last kill


def one_kill(world, pick, size):
    time.sleep(pick.uniform(0.05, 0.6))
    world.kill9("vaned")
    world.restart_server()
    after = log_size(world)
    world.check(after >= size, f"the log shrank from {size} to {after} entries")
    return after


def start_round(world):
    """The number of a round that is open now: a new one, or the one that runs."""
    if not any(r["state"] in ("collecting", "aggregating") for r in world.api.get("/v1/rounds?pageSize=1")["rounds"]):
        world.api.post("/v1/rounds", {})
    return world.api.get("/v1/rounds?pageSize=1")["rounds"][0]["round"]


def learners(world):
    """Two agents that have something to learn from, and no others: a round waits for all that are online."""
    take_clock(world, speed=10)
    workloads = [f["workload"] for f in world.api.get("/v1/functions?pageSize=500")["functions"]]
    for name in ("aws-a", "aws-b"):
        history(world, name, workloads[:4], 120, minutes=20)
    for name in world.accounts:
        if not name.startswith("aws-"):
            world.kill9("agent-" + name)


def check_rounds(world, open_at_kill):
    """Every round that was open at a kill is taken up again and finishes: its updates are averaged and judged."""
    def ended():
        rounds = {r["round"]: r for r in pages(world, "/v1/rounds", "rounds")}
        missing = [n for n in open_at_kill if n not in rounds]
        world.check(not missing, f"rounds {missing} were open at a kill and are gone")
        return all(rounds[n]["state"] in ("promoted", "refused") for n in open_at_kill) and rounds
    rounds = world.eventually(ended, ROUND_S, f"the end of rounds {sorted(open_at_kill, key=int)}")
    return [f"{rounds[n]['state']} with {rounds[n]['updates']} updates" for n in sorted(open_at_kill, key=int)]


def run(world):
    world.settings.update(round_interval_s=31622400, round_deadline_s=86400, round_quorum=2)
    world.start()
    learners(world)
    pick = random.Random(world.seed)
    load = Load(world)
    size = log_size(world)
    open_at_kill = set()
    began = time.monotonic()
    for kill in range(KILLS):
        if kill % 4 == 0:
            open_at_kill.add(start_round(world))
        size = one_kill(world, pick, size)
        load.life += 1
    took = time.monotonic() - began
    load.stop()
    world.check(not load.refusals, f"{len(load.refusals)} calls were refused: {load.refusals[:3]}")
    world.check(load.routes and load.people and load.policies and load.pauses, "there was no load")

    check_changes(world, load)
    acknowledged = [r[0] for r in load.routes]
    world.check(len(set(acknowledged)) == len(acknowledged), "an id was answered twice")
    world.eventually(lambda: set(acknowledged) <= unique_ids(world), 10, "the records of all answers")
    line = Line(load.base, load.tokens[0])
    for i in acknowledged:
        world.check(line.call("GET", f"/v1/decisions/{i}")["id"] == i, f"decision {i} cannot be fetched")
    gaps = pages(world, "/v1/decisions?kind=gap", "decisions")
    world.check(not gaps, f"{len(gaps)} gap records after kill -9: {[g['summary'] for g in gaps[:3]]}")
    states = check_rounds(world, open_at_kill)
    lines = verify_log(world)
    print(f"{KILLS} kills in {took:.1f} s: {len(acknowledged)} acknowledged routes and {load.changes} changes all there,"
          f" 0 gaps, log of {size} entries ({lines} lines verified); rounds open at a kill: {', '.join(states)}")
