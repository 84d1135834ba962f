"""vanectl against a running sandbox: what it shows, its exit codes, audit offline, backup and restore."""
import json
import os


def run(world):
    world.start()
    accounts = json.loads(world.vanectl("account", "list", "-o", "json").stdout)
    world.check(accounts["total"] == 6, f"accounts: {accounts['total']}")
    table = world.vanectl("account", "list").stdout.splitlines()
    world.check(table[0].split()[:2] == ["NAME", "CLOUD"] and len(table) == 7, f"table: {table}")
    world.check("name: " in world.vanectl("person", "me").stdout, "who am I")

    # Exit codes: 1 failed, 2 wrong usage or not confirmed, 4 log in first. Messages never on standard output.
    for expected, words in ((1, ["account", "show", "nobody"]), (2, ["acount", "list"]),
                            (2, ["account", "revoke", accounts["accounts"][0]["name"]])):
        done = world.vanectl(*words, expect=expected)
        world.check(not done.stdout and done.stderr, f"{words}: a message belongs on standard error")
    wrong = world.path("wrong-token")
    with open(wrong, "w", encoding="utf-8") as f:
        f.write("vane_wrong")
    world.vanectl("status", token_file=wrong, expect=4)

    # A call is routed, explained and replayed.
    workload = json.loads(world.vanectl("function", "list", "-o", "json").stdout)["functions"][0]["workload"]
    route = json.loads(world.vanectl("route", workload, "--payload-bytes", "1000", "-o", "json").stdout)
    world.check(route["decisionId"] and route["account"], f"route: {route}")
    world.eventually(lambda: world.vanectl("decision", "explain", route["decisionId"], expect=None).returncode == 0, 10,
                     "the explanation")
    replay = json.loads(world.vanectl("decision", "replay", route["decisionId"], "-o", "json").stdout)
    world.check(replay["identical"] and replay["recorded"] == replay["replayed"], f"replay: {replay['note']}")

    # Policies: an error has its place; a diff says 1.
    bad = world.path("bad.yaml")
    with open(bad, "w", encoding="utf-8") as f:
        f.write("policy: bad\nobjektive: {cost: 1}\n")
    world.check("objektive" in world.vanectl("policy", "check", "-f", bad, expect=1).stdout, "the field at fault")

    # Pause and back.
    world.vanectl("pause", "function", workload, "--reason", "test")
    world.check(workload in world.vanectl("pause", "list").stdout, "the pause is listed")
    world.vanectl("resume", "function", workload)

    # The export verifies offline; one changed byte and it does not.
    export = world.vanectl("audit", "export").stdout
    path = world.path("audit.jsonl")
    at = export.index('"leaf":"') + len('"leaf":"')
    changed = export[:at] + ("B" if export[at] == "A" else "A") + export[at + 1:]
    for text, expected in ((export, 0), (changed, 1), (export[:export.rindex("\n", 0, -1) + 1], 1)):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        world.vanectl("audit", "verify", path, expect=expected)

    backup_and_restore(world)


def backup_and_restore(world):
    state, copy = world.path("vaned"), world.path("copy")
    before = json.loads(world.vanectl("status", "-o", "json").stdout)
    world.vanectl("backup", state, copy, expect=1)  # the server has it open
    world.check(not os.path.exists(copy) and not os.path.exists(copy + ".partial"), "a refused backup left something")
    server = world.processes.pop("vaned")
    server.terminate()
    server.wait(30)
    world.vanectl("backup", state, copy)
    world.vanectl("backup", state, copy, expect=1)  # never over another
    os.rename(state, state + ".lost")
    world.vanectl("restore", copy, state)
    world.restart_server()
    with open(world.path("vaned", "ready.json"), encoding="utf-8") as f:
        world.ready = json.load(f)
    after = json.loads(world.vanectl("status", "-o", "json").stdout)
    world.check(int(after["logSize"]) >= int(before["logSize"]) and after["accounts"] == 6,
                f"after the restore: {after['logSize']} entries, {after['accounts']} accounts")
