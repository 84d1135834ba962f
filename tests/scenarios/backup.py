"""Backup of a running server under load, kill -9, restore elsewhere: what was acknowledged before it began is there.

And what must be refused: a changed byte, a cut or missing file, a name that leads out, a second one with the name, too many,
no room. VANE_TEST_SEED picks the files and the bytes.
"""
import json
import os
import random
import shutil
import stat
import subprocess
import time

from lib.crash import Line, Load, check_changes, log_size, pages, unique_ids, verify_log


def run(world):
    world.start()
    pick = random.Random(world.seed)
    refusals(world)
    load = Load(world)
    world.eventually(lambda: len(load.routes) > 300 and load.changes > 30, 60, "some load")
    during(world, load)
    interrupted(world)
    stopped(world, pick)
    damaged(world, pick)
    restored(world, load)
    load.stop()


def refusals(world):
    for name in ("../x", "a/b", ".x", "x y", "a" * 64, "%2e"):
        said = world.vanectl("backup", "create", "--", name, expect=1)
        world.check("name: 1 to 63" in said.stderr, f"{name}: {said.stderr}")
    world.vanectl("backup", "create", "small")
    said = world.vanectl("backup", "create", "small", expect=1)
    world.check("there is a backup" in said.stderr, said.stderr)
    world.vanectl("backup", "create", "x", token_file=world.approver_token_file, expect=1)  # no admin
    backups = world.path("vaned", "backups")
    for n in range(15):
        os.mkdir(os.path.join(backups, f"dummy-{n}"))
    said = world.vanectl("backup", "create", "one-more", expect=1)
    world.check("move some away" in said.stderr, said.stderr)
    for n in range(15):
        os.rmdir(os.path.join(backups, f"dummy-{n}"))
    shutil.rmtree(os.path.join(backups, "small"))


def during(world, load):
    """A backup while calls are routed and things change: none of them waits for it, and it holds all that came before."""
    before = [r[0] for r in load.routes]
    load.frozen = (list(load.people), dict(load.policies))
    made = json.loads(world.vanectl("backup", "create", "good", "-o", "json").stdout)
    after = len(load.routes)
    world.check(after > len(before), "nothing was routed while the backup was made")
    world.check(not load.refusals, f"refused meanwhile: {load.refusals[:3]}")
    load.before = before
    world.check(int(made["logSize"]) >= len(before) and int(made["bytes"]) > 100_000 and made["root"], f"made: {made}")
    listed = json.loads(world.vanectl("backup", "list", "-o", "json").stdout)["backups"]
    world.check(listed == [made], f"listed: {listed}, made: {made}")
    decisions = [d for d in pages(world, "/v1/decisions?kind=people", "decisions") if d["workload"] == "backup/good"]
    world.check([d["choice"] for d in decisions] == ["backup made", "backup begun"], f"decisions: {decisions}")
    world.check(all(d["actor"].startswith("person:") for d in decisions), f"whose? {decisions}")
    folder = world.path("vaned", "backups", "good")
    for name, mode in (("", 0o700), ("log.key", 0o600), ("pki/ca.key", 0o600), ("vaned.yaml", 0o600)):
        have = stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode)
        world.check(have == mode, f"{name}: mode {have:o}")
    for name in ("first-login.json", "ready.json", "backups"):
        world.check(not os.path.exists(os.path.join(folder, name)), f"{name} is in the backup")


def interrupted(world):
    """No room in the middle, and a kill just before the end: a clear error or none, nothing under the name, and it goes on."""
    backups = world.path("vaned", "backups")
    for fault, tells in (("store.backup.space=1", "no space"), ("backup.rename=kill@1", "")):
        world.kill9("vaned")
        os.environ["VANE_FAULT"] = fault
        world.restart_server()
        del os.environ["VANE_FAULT"]
        said = world.vanectl("backup", "create", "never", expect=1)
        world.check(tells in said.stderr, f"{fault}: {said.stderr}")
        world.check(os.listdir(backups) == ["good"] if tells else "never" not in os.listdir(backups),
                    f"{fault}: left {os.listdir(backups)}")
        if tells:
            world.vanectl("pause", "list")
            failed = [d["choice"] for d in pages(world, "/v1/decisions?kind=people", "decisions")
                      if d["workload"] == "backup/never"]
            world.check(failed == ["backup failed", "backup begun"], f"decisions: {failed}")
    world.processes.pop("vaned").wait(10)
    budget(world, 16 << 20)
    world.restart_server()
    world.check(os.listdir(backups) == ["good"], f"after a start: {os.listdir(backups)}")
    said = world.vanectl("backup", "create", "too-big", expect=1)
    world.check("disk budget" in said.stderr, said.stderr)
    world.kill9("vaned")
    budget(world, None)
    world.restart_server()


def stopped(world, pick):
    """A stop in the middle breaks the backup off, whose caller is told, and waits for nothing."""
    environment = dict(os.environ, VANE_SERVER=world.ready["https"], VANE_CA_FILE=world.ready["ca_file"],
                       VANE_TOKEN_FILE=world.token_file)
    backups = world.path("vaned", "backups")
    for n in range(4):
        caller = subprocess.Popen([os.path.join(os.environ["VANE_BIN"], "vanectl"), "backup", "create", f"stopped-{n}"],
                                  env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        making = os.path.join(backups, ".making")
        world.eventually(lambda: os.path.exists(making) or caller.poll() is not None, 10, "a backup's begin")
        time.sleep(pick.uniform(0, 0.05))
        server = world.processes.pop("vaned")
        server.terminate()
        code = server.wait(15)
        said = caller.communicate(timeout=15)[1]
        world.check(code == 0, f"the server ended with {code}")
        left = sorted(os.listdir(backups))
        whole = ["good", f"stopped-{n}"]
        world.check(left == (whole if caller.returncode == 0 else ["good"]) or left == whole,
                    f"exit {caller.returncode} ({said.strip()}), left: {left}")
        world.check(caller.returncode == 0 or "stopping" in said or "unavailable" in said.lower(), said)
        shutil.rmtree(os.path.join(backups, f"stopped-{n}"), ignore_errors=True)
        world.restart_server()


def budget(world, size):
    path = world.path("vaned.yaml")
    lines = [x for x in open(path, encoding="utf-8") if not x.startswith("disk_budget_bytes")]
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(lines + ([f"disk_budget_bytes: {size}\n"] if size else []))


def files_of(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


def damaged(world, pick):
    """One byte, or the end, of every file of the backup: refused, the file is named, and nothing is left behind."""
    good, bad, to = world.path("vaned", "backups", "good"), world.path("bad"), world.path("refused")
    shutil.copytree(good, bad)
    names = files_of(bad)
    world.check(len(names) > 12 and "store/keyed/data.mdb" in names, f"files: {names}")
    for name in names:
        path = os.path.join(bad, name)
        whole = open(path, "rb").read()
        if not whole:
            continue
        at = pick.randrange(len(whole))
        changed = bytearray(whole)
        changed[at] ^= 1 << pick.randrange(8)
        for what, content in (("a byte", changed), ("the end", whole[:pick.randrange(len(whole))]), ("all", None)):
            os.remove(path)
            if content is not None:
                with open(path, "wb") as f:
                    f.write(content)
            said = world.vanectl("restore", bad, to, expect=1).stderr
            world.check(name in said, f"{name}, {what} at {at}: {said}")
            world.check(not os.path.exists(to) and not os.path.exists(to + ".partial"), "a refused restore left something")
            with open(path, "wb") as f:
                f.write(whole)
    print(f"{len(names)} files, each changed, cut and removed: refused by name")


def restored(world, load):
    """Everything that was answered before the backup began is in a server made from it, which its agents know again."""
    load.stop()
    good, new = world.path("vaned", "backups", "good"), world.path("again")
    said = world.vanectl("restore", good, new).stdout
    world.check("verified" in said, said)
    world.check(os.path.exists(os.path.join(new, "vaned.yaml")) and not os.path.exists(os.path.join(new, "BACKUP")),
                f"restored: {os.listdir(new)}")
    world.kill9("vaned")
    os.rename(world.path("vaned"), world.path("lost"))
    os.rename(new, world.path("vaned"))
    world.restart_server()
    with open(world.path("vaned", "ready.json"), encoding="utf-8") as f:
        world.ready = json.load(f)
    world.eventually(lambda: world.api.get("/v1/status")["agentsOnline"] == 6, 60, "six agents on the restored server")
    ids = unique_ids(world)
    missing = [i for i in load.before if i not in ids]
    world.check(not missing, f"{len(missing)} of {len(load.before)} routes are missing: {missing[:3]}")
    line = Line(world.ready["http"], load.tokens[0])
    for i in load.before[:: max(1, len(load.before) // 20)]:
        world.check(line.call("GET", f"/v1/decisions/{i}")["id"] == i, f"decision {i} cannot be fetched")
    load.people, load.policies, load.pauses = set(load.frozen[0]), load.frozen[1], {}
    check_changes(world, load)
    lines = verify_log(world)
    size = log_size(world)
    workload = load.workloads[0]
    world.eventually(lambda: world.api.post("/v1/route", {"workload": workload})["decisionId"], 20, "a route again")
    print(f"{len(load.before)} routes and {len(load.frozen[0]) + len(load.frozen[1])} changes from before the backup are"
          f" there, log of {size} entries ({lines} lines verified)")
