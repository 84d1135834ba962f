"""Under route load an account is revoked: its streams end within a second, its certificate is good for nothing more, no
call goes to it, nobody else notices. Pauses stop changes and fall back to the declared split within a second, in their scope.

VANE_TEST_SEED sets the sandbox and the workloads.
"""
import collections
import random
import threading
import time

from lib.crash import Line
from lib.invoke import history
from lib.load import ask_before_tuning, take_clock, waiting
from lib.rpc import Call, Line as Tls, call, frame, identity_of, m

WITHIN_S = 1.0
SPLIT_CALLS = 300


class Routes:
    """Routes all workloads in turn and remembers when each answer came, and which account it named."""

    def __init__(self, world, workloads):
        self.answers, self.failures, self.going = [], [], True
        self.line = Line(world.ready["http"], open(world.token_file).read().strip())
        self.workloads = workloads
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        n = 0
        while self.going:
            n += 1
            try:
                r = self.line.call("POST", "/v1/route", {"workload": self.workloads[n % len(self.workloads)]})
                self.answers.append((time.monotonic(), r["account"]))
            except Exception as e:  # every one counts
                self.failures.append(str(e))
            time.sleep(0.004)

    def stop(self):
        self.going = False
        self.thread.join()


def check_revocation(world, workloads):
    routes = Routes(world, workloads)
    time.sleep(1.5)
    account = collections.Counter(a for _, a in routes.answers).most_common(1)[0][0]
    identity = identity_of(world, account)
    stream = Call(world, "Agents/Watch", frame(m()), identity)
    line = Tls(world, identity)
    world.check(line.get("/healthz")[0] == 200, "its connection is good before")
    streams = len(world.accounts) + 1
    world.eventually(lambda: world.metrics()["vane_agent_streams"] == streams, 3, f"{streams} streams")

    world.api.post(f"/v1/accounts/{account}/revoke", {})
    at = time.monotonic()
    ended = stream.end(WITHIN_S)
    world.check(ended.status in (7, 16) and "revoked" in ended.message, f"its stream: {ended}")
    world.eventually(lambda: world.metrics()["vane_agent_streams"] == streams - 2, max(0.1, at + WITHIN_S - time.monotonic()),
                     "the end of the agent's own stream")
    for where, (status, text) in (("open", line.get("/healthz")), ("new", Tls(world, identity).get("/healthz"))):
        world.check(status == 401 and "revoked" in text, f"its certificate on a {where} connection: {status} {text}")
    for method in ("ReportWindows", "Renew", "Watch", "FetchModel"):
        refused = call(world, f"Agents/{method}", m(), identity=identity)
        world.check(refused.status == 16 and "revoked" in refused.message, f"{method}: {refused}")
    time.sleep(2)
    routes.stop()
    late = [t - at for t, a in routes.answers if a == account and t > at + WITHIN_S]
    world.check(not late, f"{len(late)} calls went to it, the last {late[-1:]} s after")
    world.check(sum(t > at + WITHIN_S for t, _ in routes.answers) > 50, "there was no load after it")
    world.check(not routes.failures, f"{len(routes.failures)} routes failed: {routes.failures[:3]}")
    accounts = {a["name"]: a["state"] for a in world.api.get("/v1/accounts")["accounts"]}
    world.check(accounts.pop(account) == "revoked" and set(accounts.values()) == {"online"}, f"accounts: {accounts}")
    for name in accounts:
        world.check(not world.troubles("agent-" + name), f"{name}: {world.troubles('agent-' + name)[:2]}")
    world.check(world.metrics()["vane_edge_revoked_total"] >= 1, "ended calls are counted")
    return account, len(routes.answers), max([t - at for t, a in routes.answers if a == account and t > at], default=0.0)


def pause(world, scope, name, paused):
    world.api.post("/v1/pauses", {"scope": scope, "name": name, "paused": paused, "reason": "drill"})


def modes(world, workload, calls=1):
    return [world.api.post("/v1/route", {"workload": workload}) for _ in range(calls)]


def becomes(world, workload, mode):
    world.eventually(lambda: modes(world, workload)[0]["mode"] == mode, WITHIN_S, f"{workload} to be {mode}")


def check_split(world, workload):
    """A third to each cloud, as the policy declares; five standard deviations off is no chance."""
    got = collections.Counter(r["cloud"] for r in modes(world, workload, SPLIT_CALLS))
    for cloud in ("aws", "azure", "gcp"):
        world.check(abs(got[cloud] / SPLIT_CALLS - 1 / 3) < 5 * (2 / 9 / SPLIT_CALLS) ** 0.5, f"the split is {got}")


def refused(world, p):
    from client import ApiError
    try:
        world.approver.post(f"/v1/proposals/{p['id']}/approve", {})
    except ApiError as e:
        world.check(e.status == 400 and "paused" in str(e), f"approving: {e}")
        return
    raise AssertionError("a change was let through a pause")


def state_of(world, p):
    return next(x for x in world.api.get("/v1/proposals?pageSize=500")["proposals"] if x["id"] == p["id"])


def check_pauses(world, account, workloads):
    before = world.metrics()["vane_route_split_total"]
    first, second, third = waiting(world, account)[:3]
    other = next(w for w in workloads if w != first["workload"])
    for scope, name in (("global", ""), ("function", first["workload"])):
        pause(world, scope, name, True)
        becomes(world, first["workload"], "split")
        refused(world, first)
        if scope == "global":
            check_split(world, first["workload"])
        else:
            world.check(modes(world, other)[0]["mode"] == "automatic", "another function's pause")
            refused(world, first)
        pause(world, scope, name, False)
        becomes(world, first["workload"], "automatic")
    pause(world, "account", account, True)
    time.sleep(WITHIN_S)
    used = {r["account"] for w in workloads[:10] for r in modes(world, w, 10) if r["mode"] == "automatic"}
    world.check(used and account not in used, f"{account} is paused; calls go to {used}")
    refused(world, first)
    pause(world, "account", account, False)
    world.check(world.metrics()["vane_route_split_total"] - before >= SPLIT_CALLS, "split answers are counted")

    # An agent that was away obeys what stands when it is back, and only that: of two pauses over it one is left.
    world.kill9("agent-" + account)
    world.approver.post(f"/v1/proposals/{second['id']}/approve", {})
    for scope, name, paused in (("global", "", True), ("account", account, True), ("account", account, False)):
        pause(world, scope, name, paused)
    world.start_agent(account)
    world.eventually(lambda: state_of(world, second)["state"] == "failed", 8, "the end of a change that met a pause")
    world.check("paused" in state_of(world, second)["history"][-1], f"{state_of(world, second)['history']}")
    # And a pause that ended while vaned and the agent did not see each other is over for the agent too.
    world.kill9("vaned")
    world.restart_server()
    pause(world, "global", "", False)
    world.eventually(lambda: world.metrics()["vane_agent_streams"] == len(world.accounts) - 1, 10, "the streams")
    world.approver.post(f"/v1/proposals/{third['id']}/approve", {})
    world.eventually(lambda: state_of(world, third)["state"] == "verifying", 8, "a change after the pause")


def run(world):
    world.settings.update(tuning_interval_s=60, round_interval_s=31622400)
    world.start()
    ask_before_tuning(world)
    take_clock(world)
    workloads = [f["workload"] for f in world.api.get("/v1/functions?pageSize=500")["functions"]]
    random.Random(world.seed).shuffle(workloads)
    account, calls, last_s = check_revocation(world, workloads)
    tuned = "aws-b" if account == "aws-a" else "aws-a"
    history(world, tuned, workloads[:8], 200)
    world.eventually(lambda: len(waiting(world, tuned)) >= 3, 10, "three proposals")
    check_pauses(world, tuned, workloads)
    print(f"{account} revoked under {calls} routes: the last one to it {last_s:.2f} s after, none failed; pauses hold and end")
