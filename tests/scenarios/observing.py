"""What observing costs is shown: calls and dollars by account, and a budget that is used up is said, not hidden."""
import json
import re

LINE = re.compile(r"^[\d,]+ calls, \d+\.\d{4} USD since \d{4}-\S+Z; budget ([\d,]+)/h, (\d+) % used$")


def show(world, name):
    return world.api.get(f"/v1/accounts/{name}")


def reasons(world, name):
    return "; ".join(t["reason"] for t in show(world, name).get("troubles", []))


def calls(world, name, kind):
    return world.metrics().get('vane_agent_cloud_api_calls_total{tenant="default",account="%s",class="%s"}' % (name, kind), 0)


def run(world):
    world.start()
    for name in ("aws-a", "azure-a", "gcp-a"):
        found = world.eventually(lambda n=name: LINE.match(show(world, n)["observing"]), 20, f"{name} tells its calls")
        world.check(found.group(1) == "20,000", f"{name}: {found.group(0)}")
        world.check(show(world, name)["inventory"] == "complete", show(world, name)["inventory"])
        world.check(not reasons(world, name), reasons(world, name))
    world.eventually(lambda: calls(world, "aws-a", "list") > 0 and calls(world, "aws-a", "logs") > 0, 20, "aws-a's calls")
    world.check(calls(world, "aws-a", "change") == 0, "an account that only observes has made changes")
    world.check(calls(world, "azure-a", "credentials") > 0, "azure-a has fetched no token")
    shown = world.vanectl("account", "show", "aws-a").stdout
    world.check("budget 20,000/h" in shown, shown)

    # A budget far too small: the agent says so to the server, again and again asks for nothing, and stays online.
    world.kill9("agent-aws-b")
    path = world.path("agents", "aws-b", "cloud.json")
    with open(path, encoding="utf-8") as f:
        account = json.load(f)
    with open(path, "w", encoding="utf-8") as f:
        json.dump({**account, "calls_per_hour": 2}, f)
    world.start_agent("aws-b")
    world.eventually(lambda: "budget of 2 calls an hour" in reasons(world, "aws-b"), 30, "the trouble")
    world.check(show(world, "aws-b")["state"] == "online", "the agent is away")
    found = LINE.match(show(world, "aws-b")["observing"])
    world.check(found and found.group(1) == "2", show(world, "aws-b")["observing"])
    world.check("calls_per_hour" in "".join(world.troubles("agent-aws-b")), "the agent's own log says nothing")
    world.check("nothing was asked" in world.vanectl("account", "show", "aws-b").stdout, "vanectl does not show it")
