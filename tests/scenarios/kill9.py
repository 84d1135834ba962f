"""kill -9 of vaned under load, again and again: what was acknowledged stays, once, and the log only grows.

VANE_KILLS sets the number of kills (50); VANE_TEST_SEED the instants.
"""
import os
import random
import time

from lib.crash import Line, Load, check_changes, log_size, pages, unique_ids, verify_log

KILLS = int(os.environ.get("VANE_KILLS", "50"))
DEADLINE_US = 300_000_000  # round_deadline_s of the sandbox


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


def check_rounds(world, open_at_kill):
    """Every round that was open at a kill was taken up again: it ended, without a model only when its time was over.

    Nothing is invoked here, so agents may have too little to learn from; learning under kills is rounds_test.c's.
    """
    number = int(start_round(world))
    world.eventually(lambda: any(int(r["round"]) >= number and r["state"] in ("promoted", "refused", "failed") for r in
                                 world.api.get("/v1/rounds?pageSize=5")["rounds"]), 30, "a round after the kills")
    rounds = {r["round"]: r for r in pages(world, "/v1/rounds", "rounds")}
    for number in open_at_kill:
        r = rounds.get(number)
        world.check(r, f"round {number} was open at a kill and is gone")
        ended = int(r["endedUs"]) - int(r["startedUs"])
        world.check(r["state"] in ("promoted", "refused") or (r["state"] == "failed" and ended >= DEADLINE_US),
                    f"round {number}, open at a kill: {r}")
    return [rounds[n]["state"] for n in sorted(open_at_kill, key=int)]


def run(world):
    world.start()
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
