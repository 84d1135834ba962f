"""Certificates that live for ten seconds: agents renew again and again under load and no call of theirs fails; what has
expired is refused, said and counted; an agent that slept too long joins anew, and may only observe at first.

VANE_RENEWALS sets how often each agent must have renewed (3); VANE_TEST_SEED the sandbox.
"""
import os
import re
import signal
import time

from lib.crash import Load, pages
from lib.rpc import Call, Line, frame, identity_of, m, refusal

LIFETIME_S = 10
RENEWALS = int(os.environ.get("VANE_RENEWALS", "3"))


class Watchman:
    """Looks at what must always hold, as often as asked."""

    def __init__(self, world):
        self.world = world
        self.ends = {}         # account -> ends of its certificates
        self.apart_since = None
        self.longest_apart_s = 0.0

    def look(self):
        accounts = self.world.api.get("/v1/accounts")["accounts"]
        for a in accounts:
            self.ends.setdefault(a["name"], set()).add(int(a["certificateNotAfterS"]))
        states = [a["state"] for a in accounts]
        self.world.check(states == ["online"] * len(accounts), f"agents: {states}")
        whole = self.world.metrics()["vane_agent_streams"] >= len(accounts)
        if whole:
            self.apart_since = None
            return
        self.apart_since = self.apart_since or time.monotonic()
        self.longest_apart_s = max(self.longest_apart_s, time.monotonic() - self.apart_since)

    def renewals(self):
        return min(len(ends) - 1 for ends in self.ends.values())


def failed_agent_calls(world):
    return {k: v for k, v in world.metrics().items() if k.startswith("vane_agent_calls_failed_total") and v}


def check_expired(world, old, line, watch):
    """A certificate over its time: nothing new with it, nothing more on what was opened with it."""
    before = world.metrics()["vane_edge_expired_total"]
    status, text = line.get("/healthz")
    world.check(status == 401 and "expired" in text, f"an open connection: {status} {text}")
    ended = watch.end(2)
    world.check(ended.status == 16 and "expired" in ended.message, f"an open stream: {ended}")
    refused = refusal(world, old)
    world.check("CERTIFICATE_EXPIRED" in refused, f"a new connection: {refused}")
    after = world.metrics()["vane_edge_expired_total"]
    world.check(after >= before + 2, f"counted {after - before} of them")


def check_sleeper(world, name):
    """An agent that slept through the end of its certificate says what to do, and is taken back with a new token only."""
    process = world.processes["agent-" + name]
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(LIFETIME_S + 1)
    os.kill(process.pid, signal.SIGCONT)
    world.eventually(lambda: process.poll() is not None, 15, "the end of an agent whose certificate has expired")
    world.check(process.returncode == 1, f"it ended with {process.returncode}")
    said = world.troubles("agent-" + name)[-1]
    world.check("expired" in said and "join token" in said, f"it said {said}")

    again = world.start_agent(name)  # with the token that it used up long ago
    world.eventually(lambda: again.poll() is not None, 15, "the end of an agent with a used token")
    said = world.troubles("agent-" + name)[-1]
    world.check(again.returncode == 1 and "account token" in said, f"it said {said}")

    token = world.api.post(f"/v1/accounts/{name}/join-token", {})["joinToken"]
    with open(world.path("agents", name, "join-token"), "w", encoding="utf-8") as f:
        f.write(token)
    world.start_agent(name)
    account = world.eventually(lambda: (lambda a: a if a["state"] == "online" else None)(
        world.api.get(f"/v1/accounts/{name}")), 10, "the agent with its new token")
    world.check(account["level"] == "observe", f"an agent that joined anew may {account['level']}")
    world.eventually(lambda: world.metrics()["vane_agent_streams"] >= len(world.accounts), 10, "its stream")


def run(world):
    world.settings["certificate_lifetime_s"] = LIFETIME_S
    world.start()
    load = Load(world)
    old = identity_of(world, "aws-a", "old")
    line = Line(world, old)
    world.check(line.get("/healthz")[0] == 200, "its connection is good")
    watch = Call(world, "Agents/Watch", frame(m()), old)

    man = Watchman(world)
    began = time.monotonic()
    while man.look() or man.renewals() < RENEWALS:
        world.check(time.monotonic() - began < RENEWALS * LIFETIME_S + 10,
                    f"renewed {man.renewals()} times in {time.monotonic() - began:.0f} s")
        time.sleep(0.05)
    took = time.monotonic() - began
    failed = failed_agent_calls(world)
    failed.pop('vane_agent_calls_failed_total{code="UNAUTHENTICATED"}', None)  # the stream of the old certificate
    world.check(not failed, f"agents' calls failed: {failed}")
    for name in world.accounts:
        world.check(not world.troubles("agent-" + name), f"{name} says {world.troubles('agent-' + name)[:3]}")
    world.check(man.longest_apart_s < 1, f"a stream was away for {man.longest_apart_s:.2f} s")
    check_expired(world, old, line, watch)
    load.stop()
    world.check(not load.refusals, f"{len(load.refusals)} calls were refused: {load.refusals[:3]}")

    recorded = sum("certificate renewed" in d["choice"] for d in pages(world, "/v1/decisions?kind=account", "decisions"))
    known = sum(len(ends) - 1 for ends in man.ends.values())
    world.check(recorded >= known, f"{known} renewals were seen, {recorded} are recorded")
    check_sleeper(world, "gcp-b")
    print(f"{recorded} renewals in {took:.0f} s beside {len(load.routes)} routes and {load.changes} changes: "
          f"0 failed calls, a stream away for {man.longest_apart_s:.2f} s at most")
