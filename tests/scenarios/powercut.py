"""Power cuts under load: the state directory becomes what a disk would have kept, and the machine boots anew.

No acknowledged change is lost. Routes are acknowledged from the journal in memory, so the newest of them may be lost,
and then a gap record says so. VANE_CRASH_INSTANTS sets the number of cuts (15; CI: 50), VANE_TEST_SEED the instants and what the
disk kept.
"""
import os
import random
import subprocess
import time

from lib.crash import Load, check_changes, log_size, pages, unique_ids, verify_log
from world import Skip

CUTS = int(os.environ.get("VANE_CRASH_INSTANTS", "15"))
NEWEST_S = 2.0  # routes may be lost only if they were answered in this last time before the cut
JUMP = 1 << 32  # after a cut a journal's sequence goes on at the next multiple of this


def tools():
    folder = os.path.join(os.path.dirname(os.path.abspath(os.environ["VANE_BIN"])), "tests", "shims")
    found = [os.path.join(folder, name) for name in ("powercut.so", "powercut-apply")]
    if not all(os.path.exists(f) for f in found):
        raise Skip(f"no powercut.so and powercut-apply in {folder}")
    return found


def under_shim(world, library):
    """Every vaned of this world runs on the shim, each one in a boot of its own."""
    plain, boots = world.spawn, []

    def spawn(name, arguments, **more):
        if name != "vaned":
            return plain(name, arguments, **more)
        boots.append(name)
        if len(boots) == 1:
            with open(world.path("vaned.yaml"), "a", encoding="utf-8") as f:
                f.write("ring_slots: 4096\n")  # small journals: each cut copies them
        return plain(name, arguments, environment={
            "LD_PRELOAD": library, "VANE_POWERCUT_DIR": world.path("vaned"),
            "VANE_POWERCUT_SHADOW": world.path("shadow"), "VANE_POWERCUT_BOOT": f"boot-{len(boots)}",
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}, **more)
    world.spawn = spawn
    prepare = world.prepare

    def prepare_with_shadow():
        prepare()
        os.makedirs(world.path("shadow"), mode=0o700)
    world.prepare = prepare_with_shadow


def parts(decision_id):
    origin, loop, sequence = decision_id.split("-")
    return origin, int(loop, 16), int(sequence, 16)


def check_lost(world, load, kept, cut_at, seeds):
    """Lost routes: the newest before their cut, and each in the span of a gap record of its journal."""
    gaps = pages(world, "/v1/decisions?kind=gap", "decisions")
    spans = {(loop - 0x10000, first // JUMP): first for _, loop, first in (parts(g["id"]) for g in gaps)}
    lost = [r for r in load.routes if r[0] not in kept]
    for decision_id, life, answered in lost:
        world.check(life < len(cut_at), f"{decision_id} was answered after the last cut and is lost")
        world.check(cut_at[life] - answered < NEWEST_S,
                    f"{decision_id} was answered {cut_at[life] - answered:.2f} s before the cut and is lost")
        _, loop, sequence = parts(decision_id)
        first = spans.get((loop, sequence // JUMP))
        world.check(first is not None and sequence >= first, f"{decision_id} is lost and no gap record says so")
    oldest = {}
    for decision_id, life, _ in lost:
        _, loop, sequence = parts(decision_id)
        oldest[life, loop] = min(sequence, oldest.get((life, loop), sequence))
    for decision_id, life, _ in load.routes:
        if decision_id not in kept or life >= len(seeds) or seeds[life]:
            continue  # a disk that keeps some pages and not others may keep a newer route and lose an older one
        _, loop, sequence = parts(decision_id)
        world.check(sequence < oldest.get((life, loop), JUMP ** 2), f"{decision_id} was kept, an older one was lost")
    return len(lost), len(gaps)


def run(world):
    library, apply = tools()
    under_shim(world, library)
    world.start()
    pick = random.Random(world.seed)
    load = Load(world)
    size, cut_at, seeds = log_size(world), [], []
    began = time.monotonic()
    for cut in range(CUTS):
        time.sleep(pick.uniform(0.1, 0.8))
        size = max(size, log_size(world))
        time.sleep(pick.uniform(0, 0.1))
        world.kill9("vaned")
        cut_at.append(time.monotonic())
        seeds.append(0 if cut % 2 == 0 else pick.randrange(1, 1 << 32))
        subprocess.run([apply, world.path("vaned"), world.path("shadow"), str(seeds[-1])], check=True, timeout=60)
        load.life += 1
        world.restart_server()
        after = log_size(world)
        world.check(after >= size, f"the log shrank from {size} to {after} entries (seed {seeds[-1]})")
    took = time.monotonic() - began
    load.stop()
    world.check(not load.refusals, f"{len(load.refusals)} calls were refused: {load.refusals[:3]}")
    world.check(load.routes and load.people and load.policies and load.pauses, "there was no load")

    check_changes(world, load)
    time.sleep(1)  # the newest answers reach the store
    lost, gaps = check_lost(world, load, unique_ids(world), cut_at, seeds)
    lines = verify_log(world)
    print(f"{CUTS} power cuts in {took:.1f} s: {load.changes} acknowledged changes all there; of {len(load.routes)} "
          f"acknowledged routes {lost} lost, each among the newest and told by {gaps} gap records; "
          f"log of {size} entries ({lines} lines verified)")
