"""Exports are complete or refused: every single change of a real one, parts of it by time, expired and deleted records."""
import json
import os
import subprocess
import urllib.request


def run(world):
    world.start()
    for n in range(20):
        world.api.post("/v1/people", {"name": f"person-{n}", "role": "viewer"})
    workload = world.api.get("/v1/functions")["functions"][0]["workload"]
    for n in range(20):
        world.api.post("/v1/route", {"workload": workload, "payloadBytes": 1000 + n})
    every_single_change(world)
    parts_by_time(world)
    other_stores(world)


def export(world, name, *arguments):
    path = world.path(name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(world.vanectl("audit", "export", *arguments).stdout)
    return path


def download(world, path):
    request = urllib.request.Request(world.ready["http"] + path)
    with open(world.token_file, encoding="utf-8") as f:
        request.add_header("Authorization", "Bearer " + f.read().strip())
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read()


def test_program(module, *arguments, **environment):
    """One of the unit tests' programs, which stand beside the folder of the programs."""
    build = os.path.dirname(os.path.abspath(os.environ["VANE_BIN"]))
    done = subprocess.run([os.path.join(build, module, f"{module}-test"), *arguments], text=True, timeout=120,
                          env=dict(os.environ, **environment), capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(f"{module}-test {arguments}: exit {done.returncode}\n{done.stderr[-1500:]}")
    return done.stderr


def every_single_change(world):
    path = export(world, "whole.jsonl")
    world.vanectl("audit", "verify", path)
    said = test_program("cli", "--only", "audit_verify_refuses_every_single_change", VANE_AUDIT_EXPORT=path,
                        VANE_TEST_SEED=str(world.seed))
    print(said.strip().splitlines()[-2].strip())


def parts_by_time(world):
    """What a part leaves out it tells of, and it cannot be passed off as the whole."""
    lines = [json.loads(x) for x in open(world.path("whole.jsonl"), encoding="utf-8")]
    records = [x for x in lines if x["type"] == "record"]
    now = int(world.api.get("/v1/status")["timeUs"])
    decisions = world.api.get("/v1/decisions?pageSize=500")["decisions"]
    middle = int(sorted(int(d["timeUs"]) for d in decisions)[len(decisions) // 2])
    raw = {}
    for name, query in (("early", f"to={middle}"), ("late", f"from={middle}&to={now}")):
        raw[name] = world.path(name + ".jsonl")
        with open(raw[name], "wb") as f:
            f.write(download(world, f"/v1/audit/export.jsonl?{query}"))
        said = json.loads(world.vanectl("audit", "verify", raw[name], "-o", "json").stdout)
        world.check(0 < said["records"] < len(records), f"{name}: {said}, the whole has {len(records)}")
    parts = sum(1 for name in raw for x in open(raw[name], encoding="utf-8") if x.startswith('{"type":"record"'))
    world.check(parts >= len(records), f"{parts} records in two halves, {len(records)} in the whole")


def other_stores(world):
    """Stores that the server's own test makes: with another tenant, expired days, and a day that somebody deleted."""
    os.makedirs(world.path("stores"))
    test_program("server", "--file", "export_test.c", VANE_EXPORT_DIR=world.path("stores"))
    refused = {"missing.jsonl", "missing-day.jsonl"}
    made = set(os.listdir(world.path("stores")))
    world.check(refused < made and len(made) > 8, f"exports: {sorted(made)}")
    for name in sorted(made):
        done = world.vanectl("audit", "verify", world.path("stores", name), expect=1 if name in refused else 0)
        world.check(("no tombstone says why" in done.stderr) == (name in refused), f"{name}: {done.stderr}")
    said = world.vanectl("audit", "verify", world.path("stores", "expired.jsonl")).stdout
    world.check("12 expired" in said and "records older than 2 days (system:retention)" in said, said)
