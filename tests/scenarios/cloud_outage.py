"""One cloud goes out under load: within two seconds calls go elsewhere, its prices are said to be old once they are, and it
is called again when it is back.

VANE_TEST_SEED sets the sandbox and the load.
"""
import time

from lib.load import Drive

BEFORE_S, WITHIN_S, WATCHED_S = 4, 2.0, 2.0
OUTAGE_MINUTES = 5 * 60  # of the shared clock: longer than a price is fresh
STALE_MINUTES = 125


def routed(world):
    return {c["cloud"]: int(c["routed"]) for c in world.api.get("/v1/status")["clouds"]}


def share(before, after, cloud):
    return (after[cloud] - before[cloud]) / max(1, sum(after.values()) - sum(before.values()))


def clouds_with(world, what):
    """How many endpoints of each cloud are so."""
    found = {}
    for f in world.api.get("/v1/functions?pageSize=500")["functions"]:
        for e in world.api.get(f"/v1/functions/{f['workload']}")["endpoints"]:
            found[e["cloud"]] = found.get(e["cloud"], 0) + bool(what(e))
    return {cloud for cloud, count in found.items() if count}


def check_away(world, cloud, usual):
    """The share of the cloud in what is routed from two seconds after its end on."""
    world.control("/control/outage", {"cloud": cloud, "share": 1.0, "from_s": 0, "seconds": OUTAGE_MINUTES * 60})
    time.sleep(WITHIN_S)
    after = routed(world)
    time.sleep(WATCHED_S)
    during = share(after, routed(world), cloud)
    # What is left are the tries, a tenth of a second every five minutes of the shared clock.
    world.check(during < usual / 5, f"{cloud} has {during:.2f} of the calls while it is out, {usual:.2f} before")
    state = clouds_with(world, lambda e: e["state"] == "breaker-open")
    world.check(state <= {cloud}, f"breakers are open in {state}")
    return during


def run(world):
    world.start()
    drive = Drive(world, BEFORE_S + WITHIN_S + WATCHED_S + 2)
    world.eventually(lambda: sum(routed(world).values()) > 100, 10, "the load")
    time.sleep(BEFORE_S)
    before = routed(world)
    cloud = max(before, key=before.get)
    usual = before[cloud] / sum(before.values())
    world.check(not clouds_with(world, lambda e: e["priceStale"]), "prices are old from the start")
    during = check_away(world, cloud, usual)
    driven = drive.end()
    world.check(driven["failed"] == 0, f"calls failed for good: {driven}")

    world.moving.leap(STALE_MINUTES)
    world.eventually(lambda: clouds_with(world, lambda e: e["priceStale"]) == {cloud}, 10,
                     f"old prices of {cloud}, and of no other")
    world.check(any("503" in line or "out of service" in line for a in world.accounts
                    for line in world.troubles("agent-" + a)), "no agent says what it cannot read")
    world.moving.leap(OUTAGE_MINUTES)
    world.eventually(lambda: not clouds_with(world, lambda e: e["priceStale"]), 15, "fresh prices")
    before = routed(world)
    drive = Drive(world, 5)
    drive.end()
    again = share(before, routed(world), cloud)
    world.check(again > usual / 2, f"{cloud} is back and gets {again:.2f} of the calls, {usual:.2f} before")
    print(f"{cloud}: {usual:.2f} of the calls before, {during:.2f} from {WITHIN_S:.0f} s after its end on, "
          f"{again:.2f} when it was back; {driven['retried']} calls were tried elsewhere, none failed")
