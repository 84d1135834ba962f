"""vaned is away for a while, killed and orderly, while calls go on: agents keep their windows and deliver each of them once.
And a change whose agent dies ends in a state that says what became of it.

VANE_TEST_SEED sets the sandbox and the instants.
"""
import random
import time

from lib.load import Drive

DRIVE_S = 14
TOLD_S = 15


def told(world):
    """Calls by account, as vaned knows them from the agents' windows."""
    calls = dict.fromkeys(world.accounts, 0)
    for f in world.api.get("/v1/functions?pageSize=500")["functions"]:
        for e in world.api.get(f"/v1/functions/{f['workload']}")["endpoints"]:
            calls[e["account"]] += int(e["calls"])
    return calls


def made(world):
    return {name: a["invocations"] for name, a in world.control("/control/ledger")["accounts"].items()}


def stop_orderly(world):
    process = world.processes.pop("vaned")
    process.terminate()
    world.check(process.wait(20) == 0, f"an orderly stop ended with {process.returncode}")


def away(world, pick, orderly):
    time.sleep(pick.uniform(2.0, 3.0))
    if orderly:
        stop_orderly(world)
    else:
        world.kill9("vaned")
    time.sleep(pick.uniform(1.5, 2.5))
    world.restart_server()


def check_windows(world):
    pick = random.Random(world.seed)
    drive = Drive(world, DRIVE_S)
    away(world, pick, orderly=False)
    away(world, pick, orderly=True)
    driven = drive.end()
    real = made(world)
    world.eventually(lambda: told(world) == real, TOLD_S, f"windows of exactly the calls that were made: {real}")
    time.sleep(2)
    world.check(told(world) == real, f"told {told(world)}, made {real}")
    stop_orderly(world)
    world.restart_server()
    world.check(told(world) == real, f"after one more start: told {told(world)}, made {real}")
    return driven, real


def run(world):
    world.start()
    driven, real = check_windows(world)
    print(f"{sum(real.values())} calls told once each, in spite of two outages; {driven['failed']} failed")
