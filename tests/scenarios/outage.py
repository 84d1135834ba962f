"""vaned is away for a while, killed and orderly, and an agent is for hours, while calls go on: every window is delivered
afterwards, once. And a change whose agent dies ends in a state that says what became of it.

VANE_TEST_SEED sets the sandbox and the instants.
"""
import random
import time

from lib.invoke import Aws, history
from lib.load import Drive, ask_before_tuning, waiting

DRIVE_S = 8
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


def away(world, pick, orderly):
    time.sleep(pick.uniform(2.0, 3.0))
    if orderly:
        world.stop_server()
    else:
        world.kill9("vaned")
    time.sleep(pick.uniform(1.5, 2.5))
    world.restart_server()


def check_windows(world):
    pick = random.Random(world.seed)
    drive = Drive(world, DRIVE_S)
    world.kill9("agent-aws-b")  # for all of the load, which is hours by the shared clock
    away(world, pick, orderly=False)
    away(world, pick, orderly=True)
    driven = drive.end()
    world.start_agent("aws-b")
    real = made(world)
    end = time.monotonic() + TOLD_S
    while told(world) != real and time.monotonic() < end:
        time.sleep(0.2)
    time.sleep(1)
    world.check(told(world) == real, f"told {told(world)}, made {real}")
    world.stop_server()
    world.restart_server()
    world.check(told(world) == real, f"after one more start: told {told(world)}, made {real}")
    return driven, real


def proposal(world, wanted):
    return next(p for p in world.api.get("/v1/proposals?pageSize=500")["proposals"] if p["id"] == wanted)


def memory(world, p):
    """What the cloud says that the function has: the agent lists it on its return."""
    return next(e["memoryMb"] for e in world.api.get(f"/v1/functions/{p['workload']}")["endpoints"]
                if e["account"] == p["account"])


def ends(world, p, state, why):
    """The proposal's state, and why in its history."""
    now = world.eventually(lambda: (lambda x: x if x["state"] == state else None)(proposal(world, p["id"])), 8,
                           f"{p['id']} to be {state}")
    world.check(why in now["history"][-1], f"{p['id']}: {now['history']}")


def check_roll_back(world, account, p):
    """A change that proves worse while its agent is dead: half an hour later it is still taken back, unlike a change."""
    def told():
        return sum(int(e["calls"]) for e in world.api.get(f"/v1/functions/{p['workload']}")["endpoints"]
                   if e["account"] == account)
    world.control("/control/latency", {"account": account, "factor": 6, "from_s": 0, "seconds": 600})
    aws, before = Aws(world, account, world.moving.now_us), told()
    for _ in range(60):
        world.check(aws.invoke(p["workload"]) == 200, "a slow call fails")
    world.moving.leap(3)  # the minute ends, and the log's lag: less than a judgement waits for
    world.eventually(lambda: told() >= before + 60, 10, "the slow calls to be told")
    world.kill9("agent-" + account)
    world.check(proposal(world, p["id"])["state"] == "verifying", "judged before its agent is dead")
    world.moving.speed = 60
    world.moving.leap(3)
    ends(world, p, "rolling-back", "was promised")
    world.moving.leap(30)
    world.start_agent(account)
    ends(world, p, "rolled-back", "")
    world.eventually(lambda: memory(world, p) == p["fromMemoryMb"], 8, "the old size")


def check_changes(world):
    """An agent that dies between the decision and the change: what becomes of the change."""
    account = "aws-a"
    names = [f["workload"] for f in world.api.get("/v1/functions?pageSize=500")["functions"]]
    history(world, account, names[:6], 200)
    world.moving.leap(11)  # to the next look for better sizes
    world.eventually(lambda: len(waiting(world, account)) >= 3, 10, "three proposals")
    first, second, third = waiting(world, account)[:3]

    def approve_dead(p):
        world.kill9("agent-" + account)
        world.approver.post(f"/v1/proposals/{p['id']}/approve", {})
        world.check(proposal(world, p["id"])["state"] == "applying", "a command is on its way to nobody")
    # Back in time: the change is made, once.
    approve_dead(first)
    world.moving.speed = 0
    world.start_agent(account)
    ends(world, first, "verifying", "")
    world.eventually(lambda: memory(world, first) == first["toMemoryMb"], 8, "the new size")
    check_roll_back(world, account, first)
    # Back too late: the decision is too old to act on.
    approve_dead(second)
    world.moving.leap(11)
    world.start_agent(account)
    ends(world, second, "failed", "the command has expired")
    world.check(memory(world, second) == second["fromMemoryMb"], "an expired command was carried out")
    # Not back: nobody waits for ever.
    approve_dead(third)
    world.moving.leap(61)
    ends(world, third, "failed", "has not answered")


def run(world):
    world.start()
    ask_before_tuning(world)
    driven, real = check_windows(world)
    check_changes(world)
    print(f"{sum(real.values())} calls told once each, in spite of two outages; {driven['failed']} failed")
