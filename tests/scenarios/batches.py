"""A streamed batch is one record and one leaf, and each of its decisions still stands on its own: found, listed, explained,
replayed, retried, proven. Spoken with grpcurl, which knows none of our code."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "judges"))
from judge import go_tool

POLICY = """policy: careful
scope: {workloads: '%s'}
routing: {mode: automatic, acknowledge: recorded}
"""


def run(world):
    tool = go_tool("grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.4")
    world.start()
    with open(world.token_file, encoding="utf-8") as f:
        environment = dict(os.environ, TOKEN=f.read().strip())

    def stream(*batches):
        done = subprocess.run([tool, "-cacert", world.ready["ca_file"], "-expand-headers", "-H",
                               "authorization: Bearer ${TOKEN}", "-d", "@", world.ready["https"].removeprefix("https://"),
                               "vane.v1.Routing/RouteStream"],
                              input="".join(json.dumps({"requests": b}) for b in batches), env=environment, text=True,
                              capture_output=True, timeout=60, check=False)
        world.check(done.returncode == 0, f"grpcurl: {done.returncode} {done.stderr[-500:]}")
        decoder, text, answers = json.JSONDecoder(), done.stdout.strip(), []
        while text:
            answer, end = decoder.raw_decode(text)
            answers.append(answer["results"])
            text = text[end:].lstrip()
        world.check([len(a) for a in answers] == [len(b) for b in batches], "an answer for each request, in order")
        return answers

    names = [f["workload"] for f in world.api.get("/v1/functions?pageSize=500")["functions"]]
    records = world.metrics()
    many = [{"workload": names[i % 5], "payloadBytes": 1000 + 37 * i} for i in range(300)]
    many[17] = {"workload": "no-such-workload"}
    mixed, few = stream(many, [{"workload": names[0], "requestId": "b-1"}, {"workload": names[1]},
                               {"workload": names[0], "requestId": "b-1"}])
    world.check(mixed[17]["code"] == 5 and "no-such-workload" in mixed[17]["message"], f"{mixed[17]}")
    ids = [r["response"]["decisionId"] for i, r in enumerate(mixed) if i != 17]
    world.check(len(set(ids)) == 299, "an id was given twice")
    world.check(few[0]["response"]["decisionId"] == few[2]["response"]["decisionId"], "one request id, one decision")
    new_ids = ids + [few[0]["response"]["decisionId"], few[1]["response"]["decisionId"]]

    def grown(name):
        return world.metrics()[name] - records[name]
    world.eventually(lambda: grown("vane_store_decisions_total") >= len(new_ids), 5, "all decisions in the store")
    leaves = grown("vane_store_records_total")
    world.check(leaves < 20, f"{len(new_ids)} decisions of three batches took {leaves} records")

    # Each decision on its own, also in the middle of a record.
    for decision_id in ids[::23] + new_ids[-2:]:
        d = world.api.get(f"/v1/decisions/{decision_id}")
        world.check(d["id"] == decision_id and d["choice"], f"{d}")
        e = world.api.get(f"/v1/decisions/{decision_id}/explanation")
        world.check(e["sentence"] and e["replayed"], f"{decision_id}: {e['replayNote']}")
        if e["attributions"]:
            error = abs(sum(a["value"] for a in e["attributions"]) - e["margin"])
            world.check(error <= 1e-9, f"attributions are off by {error}")
        replay = world.api.get(f"/v1/decisions/{decision_id}/replay")
        world.check(replay["identical"] and replay["recorded"] == replay["replayed"], f"replay: {replay['note']}")

    # Pages of any size cut through the records and lose or double nothing; by workload, too.
    def listed(size, more=""):
        found, token = [], ""
        while True:
            page = world.api.get(f"/v1/decisions?kind=route&pageSize={size}&pageToken={token}{more}")
            world.check(len(page["decisions"]) <= size, "a page is larger than asked for")
            found += [d["id"] for d in page["decisions"]]
            token = page["nextPageToken"]
            if not token:
                return found
    whole = listed(500)
    world.check(len(whole) == len(set(whole)) and set(new_ids) <= set(whole), "the list is not whole")
    world.check([i for i in whole if i in set(ids)] == ids[::-1], "newest first")
    for size in (1, 7, 100):
        world.check(listed(size) == whole, f"pages of {size} are not the same list")
    own = [d for i, d in zip([i for i in range(300) if i != 17], ids) if i % 5 == 2]
    world.check([i for i in listed(9, f"&workload={names[2]}") if i in set(ids)] == own[::-1], "by workload")

    # An outcome, a retry in another call, a policy that waits for the commit.
    report = {"outcomes": [{"decisionId": ids[100], "status": "STATUS_OK", "latencyUs": "120000"}]}
    world.check(world.api.post("/v1/outcomes", report)["accepted"] == 1, "the outcome of a batch's decision")
    again = world.api.post("/v1/route", {"workload": names[0], "requestId": "b-1"})
    world.check(again["decisionId"] == few[0]["response"]["decisionId"], "the unary retry of a batch's request")
    world.approver.post("/v1/policies", {"document": POLICY % names[3]})
    world.eventually(lambda: [f["policy"] for f in world.api.get("/v1/functions?pageSize=500")["functions"]
                              if f["workload"] == names[3]] == ["careful"], 5, "the policy in force")
    for first, second in [stream([{"workload": names[3]}] * 3, [{"workload": names[0]}]) for _ in range(5)]:
        for r in first:  # no waiting: the answer came after the commit
            world.api.get(f"/v1/decisions/{r['response']['decisionId']}")
        world.check(len(second) == 1, "the batch behind it")

    # kill -9: what was answered is there, the retry too, and the log verifies.
    last = stream([{"workload": names[i % 3], "requestId": f"k-{i}"} for i in range(64)])[0]
    world.kill9("vaned")
    world.restart_server()
    for r in last[::9]:
        d = world.api.get(f"/v1/decisions/{r['response']['decisionId']}/replay")
        world.check(d["identical"], f"after kill -9: {d['note']}")
    retry = world.api.post("/v1/route", {"workload": names[2], "requestId": "k-5"})
    world.check(retry["decisionId"] == last[5]["response"]["decisionId"], "a retry after kill -9")
    export = world.path("audit.jsonl")
    with open(export, "w", encoding="utf-8") as f:
        f.write(world.vanectl("audit", "export").stdout)
    world.vanectl("audit", "verify", export)
