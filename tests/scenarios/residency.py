"""What may leave an account: its agent asks before it sends, and the server asks again, whoever sends."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import rpc

PERMISSION_DENIED = 7
MINUTE_US = 60_000_000


def add(world, name, like, *options):
    """A second account for what a simulated one has, with its own agent."""
    made = json.loads(world.vanectl("account", "add", name, "--cloud", "aws", "--region", like["region"], *options, "-o",
                                    "json").stdout)
    os.makedirs(world.path("agents", name), mode=0o700)
    for file, text in (("join-token", made["joinToken"]),
                       ("cloud.json", json.dumps({"cloud": "aws", "ca_file": world.sim["aws"]["ca_file"], **like}))):
        with os.fdopen(os.open(world.path("agents", name, file), os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(text)
    world.start_agent(name)
    world.eventually(lambda: account(world, name)["state"] == "online", 60, name)


def account(world, name):
    return world.api.get(f"/v1/accounts/{name}")


def window(world, payload_bytes):
    start_us = int(world.api.get("/v1/status")["timeUs"]) // MINUTE_US * MINUTE_US - 5 * MINUTE_US
    return rpc.m(1, rpc.m(1, "f", 2, "us-east-1", 3, start_us, 5, 1, 17, float(payload_bytes)))


def run(world):
    world.settings["residency"] = "eu"
    world.start()
    like = world.sim["aws"]["accounts"][0]
    add(world, "home", like, "--data-class", "restricted", "--residency", "eu")
    add(world, "away", like, "--residency", "us")
    shown = world.vanectl("account", "show", "home").stdout
    world.check("restricted" in shown and "eu" in shown, shown)
    refused = world.vanectl("account", "add", "x", "--cloud", "aws", "--region", "r", "--data-class", "secret", expect=None)
    world.check(refused.returncode and "data_class" in refused.stderr, refused.stderr)

    # The one whose data may come here reports; the other says why not, and nothing of it arrives.
    world.eventually(lambda: int(account(world, "home")["functions"]) > 0, 60, "the inventory of the one at home")
    world.eventually(lambda: any("may not leave" in line for line in world.troubles("agent-away")), 60,
                     "the agent's word on what it keeps back")
    world.check(int(account(world, "away")["functions"]) == 0, "an inventory left its residency")
    world.check(not any("vane_data_refused_total{" in name and value for name, value in world.metrics().items()),
                "an agent sent what the server had to refuse")

    # Whoever sends all the same is refused, counted and told why.
    home, away = rpc.identity_of(world, "home"), rpc.identity_of(world, "away")
    answer = rpc.call(world, "Agents/ReportWindows", window(world, 1000), identity=home)
    world.check(answer.status == PERMISSION_DENIED and "payload sizes" in answer.message, f"sizes: {answer}")
    answer = rpc.call(world, "Agents/ReportWindows", window(world, 0), identity=home)
    world.check(answer.status == 0, f"a window without sizes: {answer}")
    for method, message in (("ReportWindows", window(world, 0)), ("ReportInventory", rpc.m(1, 1))):
        answer = rpc.call(world, "Agents/" + method, message, identity=away)
        world.check(answer.status == PERMISSION_DENIED and '"us"' in answer.message, f"{method}: {answer}")
    counted = {name: value for name, value in world.metrics().items() if "vane_data_refused_total{" in name}
    world.check({'payload sizes', 'windows', 'inventory'} <= {name.split('"')[1] for name in counted if counted[name]},
                f"not counted: {counted}")
