"""A daily budget: what decisions are expected to cost is counted under their policy; when it is spent cost alone decides, which
the decision says; a restart does not forget it, another version of the policy goes on with it."""

BUDGET_USD = 0.00002


def document(workload, budget_usd):
    """A millisecond is worth so much that a score with latency in it is far above any cost."""
    return (f"policy: thrifty\nscope: {{workloads: '{workload}'}}\nobjective: latency\nlatency_value_usd_per_ms: 100\n"
            f"limits: {{budget_usd_per_day: {budget_usd:.8f}}}\n")


def run(world):
    world.start()
    name = world.api.get("/v1/functions?pageSize=500")["functions"][0]["workload"]
    world.approver.post("/v1/policies", {"document": document(name, BUDGET_USD)})

    def explained(decision_id):
        return world.eventually(lambda: world.api.get(f"/v1/decisions/{decision_id}/explanation"), 5, "the record")

    def rules_of(answer):
        return [r for r in explained(answer["decisionId"])["policyRules"] if r.startswith("limits.budget_usd_per_day")]

    def spent():
        return world.api.get("/v1/policies/thrifty/spend")["spentTodayUsd"]

    def governed():
        answer = world.api.post("/v1/route", {"workload": name})
        return answer if rules_of(answer) else None
    first = world.eventually(governed, 3, "a decision by the policy")
    world.check("cost alone" not in rules_of(first)[0], f"at once spent: {rules_of(first)}")

    # Until it is spent latency decides. Small questions: the sum grows call by call.
    routed = [first]
    while sum(a["expectedCostUsd"] for a in routed) < BUDGET_USD and len(routed) < 2000:
        routed.append(world.api.post("/v1/route", {"workload": name}))
    world.check(len(routed) < 2000, f"{len(routed)} calls cost {sum(a['expectedCostUsd'] for a in routed)}")

    def thrifty():
        answer = world.api.post("/v1/route", {"workload": name})
        routed.append(answer)
        return answer if "budget is spent" in answer["reason"] else None
    last = world.eventually(thrifty, 3, "a decision by cost alone")
    e = explained(last["decisionId"])
    world.check("cost alone decides until 00:00 UTC" in rules_of(last)[0], f"{rules_of(last)}")
    world.check("budget being spent" in e["sentence"], e["sentence"])
    open_ones = [c for c in e["candidates"] if not c["excludedBy"]]
    chosen = [c for c in e["candidates"] if c["chosen"]][0]
    figures = [(c["score"], 1e6 * c["costUsd"], c["latencyP95Ms"]) for c in open_ones]
    world.check(len(figures) > 1 and all(cost * .999 <= score < 100 * ms for score, cost, ms in figures),
                f"latency is in a score: {figures}")
    before = [(c["score"], c["latencyP95Ms"]) for c in explained(first["decisionId"])["candidates"] if not c["excludedBy"]]
    world.check(all(score >= 99.9 * ms for score, ms in before), f"latency was not in a score: {before}")
    world.check(chosen["score"] == min(c["score"] for c in open_ones), "not the cheapest was chosen")
    replay = world.api.get(f"/v1/decisions/{last['decisionId']}/replay")
    world.check(replay["identical"], f"replay: {replay['note']}")

    # Everything that this policy decided was counted, and nothing else; a restart changes nothing.
    counted, told = spent(), sum(a["expectedCostUsd"] for a in routed)
    world.check(told * 0.999 <= counted <= told * 1.2, f"counted {counted}, told {told}")
    world.stop_server()
    world.restart_server()
    after = world.eventually(spent, 10, "the policy")
    world.check(abs(after - counted) <= 1e-9 + 1e-6 * counted, f"{counted} before the restart, {after} after it")
    world.eventually(thrifty, 15, "a decision by cost alone after the restart")

    # Another version of the policy has the same day; more budget, and latency decides again.
    world.approver.post("/v1/policies", {"document": document(name, 1)})

    def freed():
        answer = world.api.post("/v1/route", {"workload": name})
        return "budget" not in answer["reason"]
    world.eventually(freed, 3, "a decision under the new budget")
    world.check(spent() >= counted, f"{spent()} after {counted}")
