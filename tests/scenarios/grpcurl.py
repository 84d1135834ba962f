"""grpcurl against a running vaned: what reflection tells of it, a call routed with a token, and none without one."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "judges"))
from judge import go_tool

SERVICES = ["Accounts", "Agents", "Audit", "Decisions", "Functions", "Models", "People", "Policies", "Proposals",
            "Routing", "System", "Tenants"]


def run(world):
    tool = go_tool("grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.4")
    world.start()
    where = world.ready["https"].removeprefix("https://")
    with open(world.token_file, encoding="utf-8") as f:
        environment = dict(os.environ, TOKEN=f.read().strip())
    bearer = ["-expand-headers", "-H", "authorization: Bearer ${TOKEN}"]  # not for everybody's ps

    def grpcurl(*arguments, code=0, trust=("-cacert", world.ready["ca_file"])):
        done = subprocess.run([tool, *trust, *arguments], env=environment, capture_output=True, text=True, timeout=30,
                              check=False)
        # grpcurl exits with 64 + the status code.
        world.check(done.returncode == (64 + code if code else 0), f"{arguments}: {done.returncode} {done.stderr}")
        return done

    for trust in (("-cacert", world.ready["ca_file"]), ("-insecure",)):
        listed = grpcurl(where, "list", trust=trust).stdout.split()
        missing = [s for s in SERVICES if f"vane.v1.{s}" not in listed]
        world.check(not missing, f"list lacks {missing}: {listed}")
    for symbol in [s for s in listed if s.startswith("vane.v1.")] + ["vane.v1.RouteRequest", "vane.v1.Outcome.Status"]:
        grpcurl(where, "describe", symbol)

    def call(method, message, code=0, headers=bearer):
        return grpcurl(*headers, "-d", json.dumps(message), where, f"vane.v1.{method}", code=code).stdout

    workload = json.loads(call("Functions/ListFunctions", {}))["functions"][0]["workload"]
    request = {"workload": workload, "payloadBytes": 1000, "requestId": "grpcurl-1"}
    first = json.loads(call("Routing/Route", request))
    world.check(first["decisionId"] and first["account"] in world.accounts, f"route: {first}")
    again = json.loads(call("Routing/Route", request))
    world.check(again["decisionId"] == first["decisionId"], "a retry gets the first decision")

    outcome = {"outcomes": [{"decisionId": first["decisionId"], "status": "STATUS_OK", "latencyUs": "120000"}]}
    world.check(json.loads(call("Routing/Report", outcome)).get("accepted") == 1, "the outcome is accepted")
    second = json.loads(call("Routing/Report", outcome))
    world.check(second.get("refused") == 1 and not second.get("accepted"), f"accepted once a decision: {second}")

    batches = call("Routing/RouteStream", {"requests": [{"workload": workload}, {"workload": "no-such-workload"}]})
    results = json.loads(batches)["results"]
    world.check(results[0]["response"]["decisionId"] and results[1]["code"] == 5, f"a batch, in order: {results}")

    call("Routing/Route", request, code=16, headers=[])
    call("Routing/Route", request, code=16, headers=["-rpc-header", "authorization: Bearer vane_wrong"])
    call("Routing/Route", {"workload": "no-such-workload"}, code=5)
    call("Routing/Route", {"workload": ""}, code=3)
