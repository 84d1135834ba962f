"""Routing: decisions, their explanation and replay, retries, outcomes, pauses, policies."""
import time


def run(world):
    world.start()
    names = [f["workload"] for f in world.api.get("/v1/functions?pageSize=500")["functions"]]
    world.check(len(names) >= 20, f"only {len(names)} functions")
    ids = []
    for i in range(60):
        r = world.api.post("/v1/route", {"workload": names[i % len(names)], "payloadBytes": 1000 + 50 * i})
        world.check(r["mode"] in ("automatic", "split") and r["account"], f"route: {r}")
        ids.append(r["decisionId"])
    world.check(len(set(ids)) == 60, "an id was given twice")

    # A retry with the same request id gets the first decision.
    a = world.api.post("/v1/route", {"workload": names[0], "requestId": "order-7"})
    b = world.api.post("/v1/route", {"workload": names[0], "requestId": "order-7"})
    world.check(a["decisionId"] == b["decisionId"] and a["account"] == b["account"], f"{a} {b}")

    # Each decision is explained, adds up, replays to the same bytes, and is in the log.
    def recorded(decision_id):
        return world.eventually(lambda: world.api.get(f"/v1/decisions/{decision_id}"), 3, "the record")
    for decision_id in ids[::6]:
        recorded(decision_id)
        e = world.api.get(f"/v1/decisions/{decision_id}/explanation")
        world.check(e["sentence"], "no sentence")
        if e["attributions"]:
            error = abs(sum(x["value"] for x in e["attributions"]) - e["margin"])
            world.check(error <= 1e-9, f"attributions are off by {error}")
        world.check(sum(c["chosen"] for c in e["candidates"]) == 1, "exactly one candidate was chosen")
        replay = world.api.get(f"/v1/decisions/{decision_id}/replay")
        world.check(replay["identical"] and replay["recorded"] == replay["replayed"], f"replay: {replay['note']}")
        proof = world.eventually(lambda: (lambda p: p if p["present"] else None)(
            world.api.get(f"/v1/decisions/{decision_id}/explanation")["proof"]), 3, "the proof")
        world.check(int(proof["size"]) > int(proof["index"]), "the proof's sizes")

    # An outcome counts once.
    report = {"outcomes": [{"decisionId": ids[0], "status": "STATUS_OK", "latencyUs": "120000"}]}
    world.check(world.api.post("/v1/outcomes", report)["accepted"] == 1, "the first report was refused")
    second = world.api.post("/v1/outcomes", report)
    world.check(second["accepted"] == 0 and second["refused"] == 1, f"a second report: {second}")
    world.eventually(lambda: (world.api.get(f"/v1/decisions/{ids[0]}").get("outcome") or {}).get("status") == "ok", 3,
                     "the outcome at the decision")

    # Where a question does not say how large its response will be, those told before count: their egress is paid for.
    big = world.api.post("/v1/route", {"workload": names[5]})
    world.check(big["expectedCostUsd"] < 1e-3, f"egress of nothing: {big}")
    world.api.post("/v1/outcomes", {"outcomes": [{"decisionId": big["decisionId"], "status": "STATUS_OK",
                                                  "latencyUs": "120000", "responseBytes": 50_000_000}]})
    world.eventually(lambda: 0.003 < world.api.post("/v1/route", {"workload": names[5]})["expectedCostUsd"] < 0.01, 3,
                     "the egress of 50 MB at 0.08 to 0.12 USD a GB")

    # A pause stops changes and falls back to the declared split within a second; resuming ends it.
    world.api.post("/v1/pauses", {"scope": "global", "paused": True, "reason": "drill"})
    started = time.time()
    world.eventually(lambda: world.api.post("/v1/route", {"workload": names[1]})["mode"] == "split", 1, "the split")
    world.check(time.time() - started < 1, "the pause came too late")
    world.check(world.api.get("/v1/status")["paused"], "the status does not say so")
    world.api.post("/v1/pauses", {"scope": "global", "paused": False})
    world.eventually(lambda: world.api.post("/v1/route", {"workload": names[1]})["mode"] == "automatic", 1, "the end")

    # Policies: strict, versioned, rolled back; limits hold from the next view on.
    one = world.approver.post("/v1/policies", {"document": "policy: only-gcp\nscope: {workloads: '%s'}\n"
                                                           "limits: {clouds: [gcp]}\n" % names[2]})
    world.check(one["version"] == "1", f"version {one['version']}")
    world.eventually(lambda: world.api.post("/v1/route", {"workload": names[2]})["cloud"] == "gcp", 1, "gcp only")
    world.approver.post("/v1/policies", {"document": "policy: only-gcp\nscope: {workloads: '%s'}\n"
                                                     "limits: {clouds: [aws]}\n" % names[2]})
    world.eventually(lambda: world.api.post("/v1/route", {"workload": names[2]})["cloud"] == "aws", 1, "aws only")
    changes = world.api.get("/v1/policies/only-gcp/diff?fromVersion=1&toVersion=2")["changes"]
    world.check([c["field"] for c in changes] == ["limits.clouds"], f"diff: {changes}")
    world.approver.post("/v1/policies/only-gcp/rollback", {"toVersion": "1"})
    world.eventually(lambda: world.api.post("/v1/route", {"workload": names[2]})["cloud"] == "gcp", 1, "gcp again")

    # Everything of this verifies offline.
    export = world.path("audit.jsonl")
    with open(export, "w", encoding="utf-8") as f:
        f.write(world.vanectl("audit", "export").stdout)
    world.vanectl("audit", "verify", export)
    lines = open(export, encoding="utf-8").read().splitlines()
    with open(export, "w", encoding="utf-8") as f:
        f.write("\n".join(lines[:5] + lines[6:]) + "\n")
    world.vanectl("audit", "verify", export, expect=1)
