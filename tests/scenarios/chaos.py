"""Between the agents and their clouds everything goes wrong, one kind of trouble after the other: resets, lost answers, stalls,
throttling, cut and huge bodies, wrong JSON types, an expired certificate. Nothing crashes, no function vanishes, each change is
made at most once and none that was not asked for, and `vanectl account show` says what is wrong until it is over."""
import json
import os
import subprocess
import threading
import time
import urllib.parse

from lib.chaos import KINDS, Proxy
from lib.load import take_clock

CHANGES = 30
SILENT = ("stall",)  # slow is not broken


def go_through(account, proxy):
    """The account's description with the proxy in the place of its cloud."""
    if "key_json" in account:
        key = json.loads(account["key_json"])
        key["token_uri"] = proxy.endpoint + urllib.parse.urlsplit(key["token_uri"]).path
        account["key_json"] = json.dumps(key)
    return {**account, "endpoint": proxy.endpoint, "ca_file": proxy.ca_file}


def memory_of(path, body):
    """What a change asks for, in each cloud's words; None for a request that is no change of memory."""
    try:
        wanted = json.loads(body)
    except ValueError:
        return None
    if "MemorySize" in wanted:
        return wanted["MemorySize"]
    if "functions/" in path and "serviceConfig" in wanted:
        return int(wanted["serviceConfig"]["availableMemory"].removesuffix("Mi"))
    scale = wanted.get("properties", {}).get("functionAppConfig", {}).get("scaleAndConcurrency", {})
    return scale.get("instanceMemoryMB")


def check_changes(world, cloud, proxy, asked):
    """Each change that the cloud accepted was asked for at that time, once; what was said to be done was done."""
    accepted = [(at, memory_of(path, body)) for at, _, path, body in proxy.changes]
    accepted = [(at, mb) for at, mb in accepted if mb]
    used = set()
    for n, change in enumerate(asked):
        inside = [i for i, (at, mb) in enumerate(accepted) if change["from_us"] <= at <= change["to_us"]]
        world.check(len(inside) <= 1, f"{cloud}: change {n} was made {len(inside)} times: {change}")
        for i in inside:
            world.check(accepted[i][1] == change["memory_mb"], f"{cloud}: {accepted[i]} instead of {change}")
        if change["rc"] == "OK":
            world.check(len(inside) == 1, f"{cloud}: said to be done, but was not: {change}")
        else:
            world.check(change["reason"], f"{cloud}: refused without a reason: {change}")
        used.update(inside)
    world.check(len(used) == len(accepted), f"{cloud}: {len(accepted) - len(used)} changes that nobody asked for")
    return len(accepted), sum(c["rc"] != "OK" for c in asked)


def turn_through(world, proxies):
    """One kind after the other, the two accounts of a cloud through half of them each; what they say meanwhile and after."""
    half = len(KINDS) // 2
    for step in range(half):
        begun = time.time()
        kinds = {name: KINDS[step + half * (name.endswith("-b"))] for name in world.accounts}
        for name, proxy in proxies.items():
            proxy.chance, proxy.kind = 0.3 if kinds[name] in SILENT else 1.0, kinds[name]

        def say_so():
            for name in world.accounts:
                told = json.loads(world.vanectl("account", "show", name, "-o", "json").stdout).get("troubles")
                if kinds[name] not in SILENT and not (told and all(t["reason"] and t["work"] for t in told)):
                    return False
            return True
        world.eventually(say_so, 60, f"each account's trouble: {kinds}")
        if set(kinds.values()) & set(SILENT):
            time.sleep(8)
        world.check(world.api.get("/v1/status")["agentsOnline"] == 6, f"agents are taken for gone: {kinds}")
        listed = {a["name"]: int(a["functions"]) for a in world.api.get("/v1/accounts?pageSize=50")["accounts"]}
        world.check(listed == world.listed, f"functions: {listed}, {kinds}")
        for proxy in proxies.values():
            proxy.kind = None

        def well():
            return not any(world.api.get(f"/v1/accounts/{n}").get("troubles") for n in world.accounts)
        world.eventually(well, 60, f"no trouble after {kinds}")
        print(f"{sorted(set(kinds.values()))}: told and over after {time.time() - begun:.1f} s", flush=True)


def change_all_the_while(world, cloud, proxy, seed):
    """Changes through their own proxy, whose trouble comes and goes by the request."""
    path = world.path(f"chaos-{cloud}.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"cloud": cloud, **go_through(dict(world.sim[cloud]["accounts"][0]), proxy)}, f)
    done = subprocess.Popen([os.path.join(os.environ["VANE_BIN"], "vane-clouds-chaos"), path, str(CHANGES)],
                            stdout=subprocess.PIPE, text=True, env=dict(os.environ, VANE_CLOCK=world.path("clock")))
    lines = []
    kinds = [k for k in KINDS if k not in SILENT]
    proxy.chance = 0.25
    for line in done.stdout:
        lines.append(json.loads(line))
        proxy.kind = kinds[(seed + len(lines)) % len(kinds)]
        # A certificate that expires stays so for a moment, not for two minutes of reading.
        if proxy.kind == "expired":
            threading.Timer(0.3, setattr, (proxy, "kind", "lost")).start()
    world.check(done.wait(60) == 0, f"{cloud}: the changing program ended with {done.returncode}")
    return lines


def start_behind(world, folder):
    """The world, with a proxy before each account; and one more a cloud for the changes."""
    start_sim, proxies, own = world.start_sim, {}, {}

    def start_sim_behind_proxies():
        start_sim()
        os.makedirs(folder, exist_ok=True)
        for cloud in ("aws", "azure", "gcp"):
            at, ca = world.sim[cloud]["endpoint"], world.sim[cloud]["ca_file"]
            own[cloud] = Proxy(folder, cloud, at, ca, world.seed)
            for n, account in enumerate(world.sim[cloud]["accounts"]):
                name = account["name"]
                proxies[name] = Proxy(folder, name, at, ca, world.seed + 1 + n)
    add_agent = world.add_agent

    def add_agent_behind_proxy(api, cloud, account, name):
        kept, world.sim[cloud]["ca_file"] = world.sim[cloud]["ca_file"], proxies[name].ca_file
        add_agent(api, cloud, go_through(dict(account), proxies[name]), name)
        world.sim[cloud]["ca_file"] = kept
    world.start_sim, world.add_agent = start_sim_behind_proxies, add_agent_behind_proxy
    world.start()
    return proxies, own


def run(world):
    world.settings.update(tuning_interval_s=31622400, round_interval_s=31622400, round_deadline_s=86400)
    proxies, own = start_behind(world, world.path("chaos"))
    world.listed = {a["name"]: int(a["functions"]) for a in world.api.get("/v1/accounts?pageSize=50")["accounts"]}
    take_clock(world, speed=600)
    results = {}

    def one(cloud):
        results[cloud] = change_all_the_while(world, cloud, own[cloud], world.seed)
    threads = [threading.Thread(target=one, args=(cloud,)) for cloud in own]
    for t in threads:
        t.start()
    turn_through(world, proxies)
    for t in threads:
        t.join(120)
    world.check(not any(memory_of(p, b) for proxy in proxies.values() for _, _, p, b in proxy.changes), "agents changed memory")
    for cloud, proxy in own.items():
        world.check(len(results.get(cloud, [])) == CHANGES, f"{cloud}: {len(results.get(cloud, []))} changes")
        made, refused = check_changes(world, cloud, proxy, results[cloud])
        print(f"{cloud}: {made} of {CHANGES} changes made, {refused} refused with a reason, {proxy.hits} requests disturbed")
        world.check(made >= CHANGES // 4 and proxy.hits >= 20, f"{cloud}: too little happened")
    world.check_alive()
    for proxy in (*proxies.values(), *own.values()):
        proxy.close()
