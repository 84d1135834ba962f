"""Learning and changing: a trace is driven through six accounts. Windows come in, rounds train a model that every agent
takes, memory is changed by itself where the policy says so, and elsewhere only after a person's word; each of it is a
decision that is explained and stands in the log."""
import os
import threading
import time

import demo
from client import ApiError

SECONDS = int(os.environ.get("VANE_LEARNING_SECONDS", "15"))
CAREFUL = "policy: careful-%s\nscope: {workloads: 'fn-%s*'}\ntuning: {mode: approval, max_step: 0.5}\n"


class Approver(threading.Thread):
    """The second person: refuses the first proposal that waits, approves the others."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world, self.going, self.rejected, self.approved = world, True, None, []

    def run(self):
        while self.going:
            for p in self.world.api.get("/v1/proposals?pageSize=100&state=waiting")["proposals"]:
                try:
                    if not self.rejected:
                        self.world.approver.post(f"/v1/proposals/{p['id']}/reject", {"comment": "not today"})
                        self.rejected = p["id"]
                    elif p["id"] not in self.approved:
                        self.world.approver.post(f"/v1/proposals/{p['id']}/approve", {"comment": "go on"})
                        self.approved.append(p["id"])
                except ApiError as e:
                    if e.status not in (409, 412):  # it moved on meanwhile
                        raise
            time.sleep(0.2)


def run(world):
    world.start()
    world.stop_clock()
    for digit in "12":
        world.approver.post("/v1/policies", {"document": CAREFUL % (digit, digit)})
    approver = Approver(world)
    approver.start()
    driven = demo.drive(world, SECONDS)
    approver.going = False
    approver.join(10)
    world.check(driven["invocations"] > 500 and not driven["failed"], f"driven: {driven}")
    status = {k: int(v) for k, v in world.api.get("/v1/status").items()
              if k in ("windows", "rounds", "modelVersion", "proposals", "applied", "rolledBack")}
    print(status, f"{len(approver.approved)} approved", flush=True)
    world.check(status["windows"] > 100 and status["rounds"] >= 1 and status["applied"] >= 1, f"status: {status}")
    world.check(approver.rejected and approver.approved, "no proposal waited for a person")

    # A decision says how many calls a minute go its way, by the clouds' own logs.
    radii = []
    for f in world.api.get("/v1/functions?pageSize=500")["functions"]:
        made = world.api.post("/v1/route", {"workload": f["workload"]})["decisionId"]
        e = world.eventually(lambda: world.api.get(f"/v1/decisions/{made}/explanation"), 3, "the record")
        radii.append(e["blastRadius"])
    world.check(0 < sum(radii) < driven["invocations"], f"of {driven['invocations']} calls, a minute: {radii}")

    # What a person refused was not applied; what one approved says by whom; nothing waits where no one is asked.
    proposals = {p["id"]: p for p in world.api.get("/v1/proposals?pageSize=500")["proposals"]}
    world.check(proposals[approver.rejected]["state"] == "rejected", f"{proposals[approver.rejected]}")
    for i in approver.approved:
        world.check(proposals[i]["approvedBy"].startswith("person:"), f"approved by nobody: {proposals[i]}")
        world.check(proposals[i]["workload"][:4] in ("fn-1", "fn-2"), f"asked for nothing: {proposals[i]}")
        world.check(proposals[i]["state"] in ("applying", "verifying", "kept", "rolling-back", "rolled-back"),
                    f"approved, and then: {proposals[i]}")
    world.check(any(p["state"] not in ("waiting", "rejected") and not p["approvedBy"] for p in proposals.values()),
                "nothing was changed by itself")

    # A round's model was trained by a quorum, and judged on windows that it had not seen.
    ended = [r for r in world.api.get("/v1/rounds?pageSize=100")["rounds"] if r["state"] in ("promoted", "refused")]
    world.check(ended and all(r["updates"] >= r["quorum"] and r["evalLossAfter"] > 0 for r in ended), f"{ended[:3]}")
    decisions, explained, worst = demo.explain_some(world)
    world.check(explained == decisions and worst <= 1e-9, f"{explained} of {decisions} explained, off by {worst}")
    world.check(demo.verify_log(world), "the log does not verify")
