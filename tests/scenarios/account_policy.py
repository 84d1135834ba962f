"""The printed least-privilege policies are enough for their level and for no more, on all three clouds; an agent that may only
observe says so, works as observer, and is sent nothing that it could not carry out."""
import json
import os
import subprocess

import sandbox

from lib import invoke, load


def attach(world, account, document):
    world.control("/control/permissions", {"account": account, "document": document})


def probe(world, account, level):
    environment = dict(os.environ, VANE_CLOCK=world.path("clock"))
    done = subprocess.run([os.path.join(sandbox.BIN, "vane-clouds-probe"), world.path("sim", "sim.json"), account, level],
                          env=environment, text=True, capture_output=True, timeout=60, check=False)
    world.check(done.returncode == 0, f"{account} as {level}: {done.stdout} {done.stderr}")


def check_documents(world):
    """Each level's document, as it is printed, lets its level work and refuses the rest with the cloud's own code."""
    for account in ("aws-a", "azure-a", "gcp-a"):
        for level in ("observe", "tune", "invoke"):
            for form in ((), ("-o", "json")):
                document = world.vanectl("account", "policy", account, "--level", level, *form).stdout
                attach(world, account, document)
            probe(world, account, level)
        attach(world, account, None)
    with_bucket = json.loads(world.vanectl("account", "policy", "aws-a", "--level", "observe", "--bucket", "own").stdout)
    world.check(with_bucket["Statement"][-1] == {"Sid": "VaneWriteBucket", "Effect": "Allow", "Action": ["s3:PutObject"],
                                                 "Resource": "arn:aws:s3:::own/*"}, f"{with_bucket['Statement'][-1]}")
    # The account's own level is the default, and what is not one is refused.
    level = world.api.get("/v1/accounts/aws-a/policy")["level"]
    world.check(level == "invoke", f"the default is {level}")
    world.vanectl("account", "policy", "aws-a", "--level", "root", expect=1)
    world.vanectl("account", "policy", "aws-a", "--bucket", "own/*", expect=1)
    world.vanectl("account", "policy", "nobody", expect=1)


def check_observer(world, account, permission):
    """Its cloud allows less than its level: it says what is refused, goes on observing, and nothing is proposed for it."""
    document = world.vanectl("account", "policy", account, "--level", "observe").stdout
    attach(world, account, document)
    for level in ("observe", "invoke"):  # a new level lets it ask its cloud again
        world.approver.post(f"/v1/accounts/{account}/level", {"level": level})
    note = f"may only observe: {permission} is refused"

    def noted():  # whatever it was asked while the documents were tried is past
        shown = world.api.get(f"/v1/accounts/{account}")
        return shown if shown.get("note") == note else None
    shown = world.eventually(noted, 60, f"{account} as observer")
    world.check(shown["ability"] == "observe" and shown["level"] == "invoke", f"{shown}")
    world.check(note in world.vanectl("account", "show", account).stdout, "vanectl does not show it")
    with open(world.path("log", f"agent-{account}.log"), encoding="utf-8") as f:
        said = f.read()
    world.check(f"capability: observe, refused: {permission}" in said, f"the agent's log: {said[-500:]}")


def run(world):
    world.start()
    check_documents(world)
    check_observer(world, "azure-a", "Microsoft.Web/sites/write")
    check_observer(world, "gcp-a", "cloudfunctions.functions.update")
    check_observer(world, "aws-a", "lambda:UpdateFunctionConfiguration")

    # Both accounts have the same history; one may only observe. Proposals come for the other alone.
    load.take_clock(world)
    load.ask_before_tuning(world)
    functions = [f["workload"] for f in world.api.get("/v1/functions?pageSize=500")["functions"]][:8]
    document = json.loads(world.vanectl("account", "policy", "aws-a", "--level", "observe").stdout)
    document["Statement"].append({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"})  # the test's calls
    attach(world, "aws-a", json.dumps(document))
    for account in ("aws-a", "aws-b"):
        invoke.history(world, account, functions, 200)
    world.eventually(lambda: load.waiting(world, "aws-b"), 60, "proposals for the account that may be tuned")
    world.moving.leap(2)
    world.eventually(lambda: len(load.waiting(world, "aws-b")) > 1, 60, "more of them")
    world.check(not load.waiting(world, "aws-a"), "a change was proposed that the cloud would refuse")
    world.moving.stop()
