"""Two tenants on one server, with accounts, functions, policies and people of the same names: neither sees, changes or
even hears of what the other has.

Each tenant's texts carry a canary. Every reading method of /openapi.json is asked as each of the two, and no answer
may hold the other's canary, in plain text or inside base64; every id of the other gets the answer that nobody's gets.
"""
import base64
import binascii
import json
import os
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import sandbox
from client import Api, ApiError
from lib.crash import Line

# Endless streams are read for a while instead; see watch().
STREAMS = {"Decisions_WatchDecisions"}
# For the installation's own people only, which "default" is and "beta" is not.
INSTALLATION = {"Tenants_ListTenants", "Backups_ListBackups"}
# Methods in whose answers a tenant must find its own canary, or the search for the other's would prove nothing.
TELLING = {"Accounts_ListAccounts", "Accounts_GetAccount", "Policies_ListPolicies", "Policies_GetPolicy",
           "Policies_GetPolicySpend",
           "Decisions_ListDecisions", "Decisions_GetDecision", "Decisions_ReplayDecision", "Proposals_ListPauses",
           "Audit_ExportAudit", "People_ListPeople"}


class Tenant:
    """One tenant's people and what they made."""

    def __init__(self, world, name, canary, logins):
        self.name, self.canary = name, canary
        base = world.ready["http"]
        admin = Api(base)
        admin.login(logins["admin"])
        admin.post("/v1/people", {"name": canary, "role": "admin"})
        self.token = admin.post(f"/v1/people/{canary}/tokens", {})["token"]
        self.api = Api(base, self.token)
        me = self.api.get("/v1/people/me")
        world.check(me["tenant"] == name and me["name"] == canary, f"{me} is not {canary} of {name}")
        other = Api(base)
        other.login(logins["approver"])
        self.approver = Api(base, admin.post("/v1/people/approver/tokens", {})["token"])
        world.check(other.get("/v1/people/me")["tenant"] == name, "the approver belongs to another tenant")

    def furnish(self, world, clouds):
        """Accounts of the simulator's names, each tenant with agents of its own, and one account that only waits."""
        self.accounts = []
        for cloud in clouds:
            account = world.sim[cloud]["accounts"][0]
            world.add_agent(self.api, cloud, account, f"{self.name}-{account['name']}")
            self.accounts.append(account["name"])
        self.api.post("/v1/accounts", {"name": f"{self.canary}-waits", "cloud": "aws", "region": "eu-central-1"})

    def online(self):
        return self.api.get("/v1/status")["agentsOnline"] == len(self.accounts)

    def listed(self):
        return all(int(a["functions"]) > 0 for a in self.api.get("/v1/accounts")["accounts"] if
                   a["name"] in self.accounts)

    def govern(self, latency):
        """A policy of the same name in both, with different content, and one that only this tenant has."""
        for account in self.accounts:
            self.approver.post(f"/v1/accounts/{account}/level", {"level": "invoke"})
        for name, scope in (("house", "*"), (self.canary, "nothing-*")):
            for version in (1, 2):
                self.api.post("/v1/policies", {"document": (
                    f"# {self.canary} {version}\npolicy: {name}\nscope: {{workloads: '{scope}'}}\n"
                    f"objective: {{cost: {1 - latency}, latency: {latency}}}\n"
                    f"limits: {{latency_slo_ms: {version}00000}}\n"
                    "routing: {mode: automatic, fallback: {aws: 1, azure: 1, gcp: 1}}\ntuning: {mode: approval}\n")})

    def governed(self):
        functions = self.api.get("/v1/functions?pageSize=500")["functions"]
        return functions and all(f["policy"] == "house" and f["endpoints"] == len(self.accounts) for f in functions)

    def waiting(self):
        return self.api.get("/v1/proposals?state=waiting")["proposals"]

    def act(self, workload):
        """Routes with a request id that both tenants use; the caller's region is kept in the record only."""
        self.workload = workload
        self.routes = [self.api.post("/v1/route", {"workload": workload, "requestId": f"order-{i}",
                                                   "callerRegion": self.canary}) for i in range(3)]
        self.decision = self.routes[0]["decisionId"]


def texts(value):
    """Every text of an answer, and what base64 in it holds."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value
        if value.startswith("{"):  # a line of the export
            yield from texts(json.loads(value))
        if len(value) >= 16 and re.fullmatch(r"[A-Za-z0-9+/]+=*", value):
            try:
                yield base64.b64decode(value, validate=True).decode("latin-1")
            except binascii.Error:
                pass


def holds(answer, canary):
    return any(canary in text for text in texts(answer))


def read(api, path, seconds=20):
    """An answer, or the events of a stream that ends."""
    request = urllib.request.Request(api.base + path, headers={"Authorization": "Bearer " + api.token})
    with api.opener.open(request, timeout=seconds) as answer:
        body = answer.read().decode()
        if "event-stream" in answer.headers["content-type"]:
            return [json.loads(line[5:]) for line in body.splitlines() if line.startswith("data:")]
        return json.loads(body)


def status_of(call):
    try:
        call()
    except ApiError as e:
        return e.status, json.loads(str(e).split(": ", 1)[1])["message"]
    return 200, ""


def own_paths(tenant, path, operation):
    """The path with this tenant's own things in it: where there are several, each tells something else."""
    proposals = tenant.waiting()
    values = {"/v1/accounts/{name}": [tenant.accounts[0], f"{tenant.canary}-waits"],
              "/v1/accounts/{account}": [tenant.accounts[0]],
              "/v1/prices/{version}": [p["version"] for p in tenant.api.get("/v1/prices").get("prices", [])],
              "/v1/policies/{name}": ["house", tenant.canary], "/v1/functions/{workload}": [tenant.workload],
              "/v1/decisions/{id}": [r["decisionId"] for r in tenant.routes],
              "/v1/proposals/{id}": [p["id"] for p in proposals]}
    query = {"Policies_DiffPolicy": "?fromVersion=1&toVersion=2",
             "Audit_ProveInclusion": f"?index={tenant.leaf}", "Audit_ProveConsistency": "?fromSize=1"}
    query = query.get(operation["operationId"], "?pageSize=500" if any(
        p["name"] == "pageSize" for p in operation.get("parameters", [])) else "")
    if "{" not in path:
        return [path + query]
    prefix = next((p for p in values if path.startswith(p)), None)
    assert prefix, f"say in own_paths() what stands for the parameter of {path}"
    name = prefix[prefix.index("{"):]
    return [path.replace(name, urllib.parse.quote(v, safe="")) + query for v in values[prefix]]


def walk(world, document, me, other):
    """Every reading method, as one tenant: all of it answers, own canaries are found, the other's are not."""
    telling, asked = set(), 0
    for path, item in document["paths"].items():
        operation = item.get("get")
        if not operation or operation["operationId"] in STREAMS:
            continue
        name = operation["operationId"]
        if name in INSTALLATION and me.name != "default":
            world.check(status_of(lambda: me.api.get(path))[0] == 403, f"{name} is not refused to {me.name}")
            continue
        for url in own_paths(me, path, operation):
            answer = read(me.api, url)
            asked += 1
            if name not in INSTALLATION:
                world.check(not holds(answer, other.canary), f"{name} shows {me.name} what {other.name} has: {url}")
            if holds(answer, me.canary):
                telling.add(name)
            more = isinstance(answer, dict) and answer.get("nextPageToken")
            world.check(not more or name == "Decisions_ListDecisions", f"{name}: a second page that is not read")
    missing = TELLING - telling
    world.check(not missing, f"no canary of {me.name} in its own {missing}")
    return asked


def pages(me, other, world):
    """All decisions, page by page, and the raw export."""
    token, ids = "", []
    while True:
        page = me.api.get("/v1/decisions?pageSize=100&pageToken=" + token)
        world.check(not holds(page, other.canary), f"a page of decisions shows {me.name} the other's")
        ids += [d["id"] for d in page["decisions"]]
        token = page["nextPageToken"]
        if not token:
            break
    request = urllib.request.Request(me.api.base + "/v1/audit/export.jsonl",
                                     headers={"Authorization": "Bearer " + me.token})
    with me.api.opener.open(request, timeout=30) as answer:
        lines = [json.loads(line) for line in answer.read().decode().splitlines()]
    world.check(not holds(lines, other.canary) and holds(lines, me.canary), f"the raw export of {me.name}")
    return set(ids)


def check_foreign_ids(world, me, other):
    """Whatever belongs to the other is, to this one, not there: the same answer as for what nobody has."""
    proposal = other.waiting()[0]["id"]
    nobody = re.sub("[0-9a-f]", "7", other.decision.split("-")[0]) + "-" + other.decision.split("-", 1)[1]
    admin = [
        ("GET", "/v1/decisions/{}", other.decision, nobody, None),
        ("GET", "/v1/decisions/{}/explanation", other.decision, nobody, None),
        ("GET", "/v1/decisions/{}/replay", other.decision, nobody, None),
        ("GET", "/v1/accounts/{}", f"{other.canary}-waits", "nobody", None),
        ("POST", "/v1/accounts/{}/join-token", f"{other.canary}-waits", "nobody", {}),
        ("POST", "/v1/accounts/{}/revoke", f"{other.canary}-waits", "nobody", {}),
        ("POST", "/v1/accounts/{}/level", f"{other.canary}-waits", "nobody", {"level": "observe"}),
        ("GET", "/v1/policies/{}", other.canary, "nobody", None),
        ("GET", "/v1/policies/{}?version=1", other.canary, "nobody", None),
        ("GET", "/v1/policies/{}/spend", other.canary, "nobody", None),
        ("GET", "/v1/policies/{}/diff?fromVersion=1", other.canary, "nobody", None),
        ("POST", "/v1/policies/{}/rollback", other.canary, "nobody", {"toVersion": "1"}),
        ("POST", "/v1/proposals/{}/approve", proposal, "m-0-0", {"comment": "mine now"}),
        ("POST", "/v1/proposals/{}/reject", proposal, "m-0-0", {"comment": "mine now"}),
        ("POST", "/v1/people/{}/tokens", other.canary, "nobody", {}),
        ("POST", "/v1/people/{}/revoke", other.canary, "nobody", {}),
    ]
    for verb, path, theirs, none, body in admin:
        got = status_of(lambda: me.api.call(verb, path.format(theirs), body))
        want = status_of(lambda: me.api.call(verb, path.format(none), body))
        world.check(got[0] == 404, f"{verb} {path} with {other.name}'s {theirs}, as {me.name}: {got}")
        world.check(got[1].replace(theirs, "X") == want[1].replace(none, "X"),
                    f"{verb} {path} tells {me.name} that {theirs} exists: {got} against {want}")
    got = status_of(lambda: me.api.post("/v1/pauses", {"scope": "account", "name": f"{other.canary}-waits",
                                                       "paused": True}))
    world.check(got[0] == 404, f"a pause of the other's account: {got}")
    got = status_of(lambda: me.api.get(f"/v1/audit/inclusion?index={other.leaf}"))
    world.check(got[0] == 404, f"the other's entry of the log: {got}")

    # An outcome for the other's decision is refused like one for nobody's.
    reasons = []
    for decision in (other.routes[1]["decisionId"], nobody):
        answer = me.api.post("/v1/outcomes", {"outcomes": [{"decisionId": decision, "status": "STATUS_ERROR",
                                                            "latencyUs": "5"}]})
        world.check(answer["accepted"] == 0 and answer["refused"] == 1, f"testimony about another's call: {answer}")
        reasons.append(answer["reasons"][0].replace(decision, "X"))
    world.check(reasons[0] == reasons[1], f"the reasons tell which decisions others have: {reasons}")


def watch(tenant, found):
    request = urllib.request.Request(tenant.api.base + "/v1/decisions:watch",
                                     headers={"Authorization": "Bearer " + tenant.token})
    try:
        with tenant.api.opener.open(request, timeout=4) as stream:
            for line in stream:
                if line.startswith(b"data:"):
                    found.append(json.loads(line[5:]))
    except OSError:
        pass  # nothing for four seconds: the end of the show


def check_live(world, both):
    """Live pages: each shows its own new decisions and nothing else."""
    found = {t.name: [] for t in both}
    threads = [threading.Thread(target=watch, args=(t, found[t.name]), daemon=True) for t in both]
    for thread in threads:
        thread.start()
    time.sleep(1)
    want = {}
    for tenant in both:
        tenant.api.post("/v1/people", {"name": f"{tenant.canary}-live", "role": "viewer"})
        want[tenant.name] = tenant.api.post("/v1/route", {"workload": tenant.workload})["decisionId"]
    for thread in threads:
        thread.join(30)
    for me, other in (both, both[::-1]):
        seen = found[me.name]
        world.check(want[me.name] in [d["id"] for d in seen] and holds(seen, f"{me.canary}-live"),
                    f"the live page of {me.name} lacks its own decisions")
        world.check(want[other.name] not in [d["id"] for d in seen] and not holds(seen, other.canary),
                    f"the live page of {me.name} shows {other.name}'s")


def check_load(world, beta, default):
    """One tenant's load does not push the other's decisions off its live page."""
    found = []
    thread = threading.Thread(target=watch, args=(beta, found), daemon=True)
    thread.start()
    time.sleep(1)
    beta.api.post("/v1/people", {"name": f"{beta.canary}-quiet", "role": "viewer"})
    line = Line(default.api.base, default.token)
    for _ in range(400):  # more than a page shows a turn, in the same half second
        line.call("POST", "/v1/route", {"workload": default.workload})
    thread.join(30)
    world.check(holds(found, f"{beta.canary}-quiet"), "a busy tenant hides another's decisions")


def check_rounds(world, beta, default):
    """A round is one tenant's: the other neither sees it nor is kept from its own."""
    number = beta.api.post("/v1/rounds", {})["round"]
    world.check(number == "1" and len(beta.api.get("/v1/rounds")["rounds"]) == 1, "beta's first round")
    world.check(default.api.get("/v1/rounds")["rounds"] == [], "the default tenant sees beta's round")
    world.check(default.api.post("/v1/rounds", {})["round"] == "1", "beta's round stands in the way of another")
    world.check(status_of(lambda: beta.api.post("/v1/rounds", {}))[0] == 400, "two rounds of one tenant")
    for tenant in (beta, default):
        models = tenant.api.get("/v1/models")["models"]
        world.check([m["version"] for m in models] == ["1"] and tenant.api.get(
            f"/v1/decisions/{models[0]['decisionId']}")["kind"] == "model", f"models of {tenant.name}: {models}")


def check_making(world):
    """Names are strict and unique; only the installation's admins make tenants; it is all in the record."""
    for name in ("default", "beta"):
        world.check(status_of(lambda n=name: world.api.post("/v1/tenants", {"name": n}))[0] == 409, f"{name} twice")
    for name in ("", "Beta", "a_b", "-a", "a b", "a" * 64, "\u00e9", "_", "a/b", "a.b"):
        world.check(status_of(lambda n=name: world.api.post("/v1/tenants", {"name": n}))[0] == 400, f"name {name!r}")
    world.check(status_of(lambda: world.approver.post("/v1/tenants", {"name": "gamma"}))[0] == 403, "an approver's")
    listed = [t["name"] for t in world.api.get("/v1/tenants")["tenants"]]
    world.check(listed == ["beta", "default"], f"tenants: {listed}")
    world.check("beta" in world.vanectl("tenant", "list").stdout, "vanectl tenant list")
    recorded = [d for d in world.api.get("/v1/decisions?kind=people")["decisions"] if d["workload"] == "beta"]
    world.check(len(recorded) == 1 and recorded[0]["actor"] == "person:admin", f"the record of beta: {recorded}")


def check_pauses(world, beta, default):
    """Beta stops everything: that is everything of its own."""
    beta.api.post("/v1/pauses", {"scope": "global", "paused": True, "reason": beta.canary})
    default.api.post("/v1/pauses", {"scope": "function", "name": "nothing", "paused": True, "reason": default.canary})
    world.eventually(lambda: beta.api.post("/v1/route", {"workload": beta.workload})["mode"] == "split", 2, "the pause")
    world.check(default.api.post("/v1/route", {"workload": default.workload})["mode"] == "automatic",
                "beta's pause stops the default tenant")
    world.check(beta.api.get("/v1/status")["paused"] and not default.api.get("/v1/status")["paused"], "status.paused")
    accounts = default.api.get("/v1/accounts")["accounts"]
    world.check(not any(a["paused"] for a in accounts), "an account of the default tenant is paused")


def check_figures(world, beta, default):
    """Counters are the tenant's own: what beta routed is known exactly."""
    before = {t.name: t.api.get("/v1/status") for t in (beta, default)}
    for _ in range(5):
        beta.api.post("/v1/route", {"workload": beta.workload})
    after = {t.name: t.api.get("/v1/status") for t in (beta, default)}

    def grew(tenant, field):
        return int(after[tenant.name][field]) - int(before[tenant.name][field])
    world.check(grew(beta, "routed") == 5 and grew(default, "routed") == 0, "status.routed counts across tenants")
    world.check(grew(beta, "decisions") == 5 and grew(default, "decisions") == 0, "status.decisions does too")
    world.check(sum(int(c["routed"]) for c in after["beta"]["clouds"]) == int(after["beta"]["routed"]), "by cloud")
    for tenant in (beta, default):
        s = after[tenant.name]
        world.check(s["accounts"] == len(tenant.accounts) + 1 and s["agentsOnline"] == len(tenant.accounts), f"{s}")
        world.check(s["workloads"] == tenant.api.get("/v1/functions")["total"], "workloads")
        world.check(int(s["windows"]) == sum(int(a["windows"]) for a in tenant.api.get("/v1/accounts")["accounts"]),
                    f"windows of {tenant.name}")
        world.check(int(s["proposals"]) == tenant.api.get("/v1/proposals")["total"], f"proposals of {tenant.name}")
    world.check(after["beta"]["storeBytes"] == "0" and int(after["default"]["storeBytes"]) > 0, "the machine's figures")


def raw_status(tenant, path):
    request = urllib.request.Request(tenant.api.base + path, headers={"Authorization": "Bearer " + tenant.token})
    try:
        with tenant.api.opener.open(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code


def check_installation(world, beta, default):
    """What adds up over tenants is for the installation's own people."""
    for path in ("/metrics", "/tile/entries/000.p/1"):
        world.check(raw_status(beta, path) == 403, f"{path} is not refused to beta")
        world.check(raw_status(default, path) == 200, f"{path} is refused to the default tenant")
    refused = status_of(lambda: beta.api.post("/v1/tenants", {"name": "gamma"}))
    world.check(refused[0] == 403 and '"default"' in refused[1], f"an admin of beta makes tenants: {refused}")


def check_same_names(world, beta, default):
    """Acting on one's own account leaves the other's of the same name alone."""
    name = default.accounts[0]
    beta.approver.post(f"/v1/accounts/{name}/level", {"level": "observe"})
    world.check(default.api.get(f"/v1/accounts/{name}")["level"] == "invoke", "a demotion reached the other tenant")
    beta.api.post("/v1/policies/house/rollback", {"toVersion": "1"})
    house = {t.name: t.api.get("/v1/policies/house") for t in (beta, default)}
    world.check(house["beta"]["version"] == "3" and house["default"]["version"] == "2", f"versions: {house}")
    endpoints = {t.name: {e["account"] for e in t.api.get(f"/v1/functions/{t.workload}")["endpoints"]}
                 for t in (beta, default)}
    world.check(endpoints == {t.name: set(t.accounts) for t in (beta, default)}, f"endpoints: {endpoints}")
    ids = {r["decisionId"] for t in (beta, default) for r in t.routes}
    world.check(len(ids) == 6, "one tenant's request id is answered with the other's decision")
    beta.api.post(f"/v1/accounts/{name}/revoke", {})
    world.eventually(lambda: beta.api.get(f"/v1/accounts/{name}")["state"] == "revoked", 2, "the revocation")
    time.sleep(1)
    world.check(default.api.get(f"/v1/accounts/{name}")["state"] == "online", "and the other's agent is still online")


def start(world):
    world.settings.update(round_interval_s=86400, round_quorum=3, tuning_interval_s=120)
    world.prepare()
    world.start_clock()
    world.start_sim()
    world.start_server()
    with open(world.path("vaned", "first-login.json"), encoding="utf-8") as f:
        first = {p["name"]: p["token"] for p in json.load(f)["people"]}
    default = Tenant(world, "default", "canary-alba", first)
    world.api, world.approver = default.api, default.approver
    world.token_file = world.path("token-default")
    with open(world.token_file, "w", encoding="utf-8") as f:
        f.write(Api(world.ready["http"], default.token).post("/v1/people/admin/tokens", {})["token"])
    made = json.loads(world.vanectl("tenant", "create", "beta", "-o", "json").stdout)
    world.check([(p["name"], p["role"]) for p in made["people"]] == [("admin", "admin"), ("approver", "approver")] and
                all(p["link"].endswith("#" + p["token"]) for p in made["people"]), "beta's first people")
    beta = Tenant(world, "beta", "canary-boreas", {p["name"]: p["token"] for p in made["people"]})
    world.check(status_of(lambda: Api(world.ready["http"]).login(made["people"][0]["token"]))[0] == 401,
                "a link logs in twice")
    default.furnish(world, ("aws", "gcp"))
    beta.furnish(world, ("aws", "gcp", "azure"))
    for tenant in (default, beta):
        world.eventually(tenant.online, 60, f"the agents of {tenant.name}")
        world.eventually(tenant.listed, 60, f"the functions of {tenant.name}")
    default.govern(0.25)
    beta.govern(0.75)
    for tenant in (default, beta):
        world.eventually(tenant.governed, 20, f"the policy of {tenant.name}")
    return beta, default


def drive(world, beta, default):
    """Calls of one tenant until both have a proposal: their agents read the same clouds' logs."""
    trace = os.path.join(sandbox.DATA, "azure-functions", "azure2019-500")
    world.stop_clock()
    world.spawn("drive", ["vane-drive", "--clock", world.path("clock"), "--trace", trace, "--seed", str(world.seed),
                          "--server", world.ready["https"], "--ca-file", world.ready["ca_file"], "--token-file",
                          world.token_file, "--sim", world.path("sim", "sim.json"), "--seconds", "90"])
    world.eventually(lambda: default.waiting() and beta.waiting(), 100, "a proposal in each tenant")


def run(world):
    beta, default = start(world)
    check_making(world)
    check_rounds(world, beta, default)
    drive(world, beta, default)
    workload = default.api.get("/v1/functions")["functions"][0]["workload"]
    for tenant in (beta, default):
        tenant.act(workload)
    for tenant in (beta, default):
        world.eventually(lambda t=tenant: t.api.get(f"/v1/decisions/{t.decision}")["inLog"], 5, "the records")
        tenant.leaf = tenant.api.get(f"/v1/decisions/{tenant.decision}")["leafIndex"]
        world.eventually(lambda t=tenant: t.api.get(f"/v1/audit/inclusion?index={t.leaf}")["present"], 5, "the proof")
    p = world.processes.pop("drive")
    p.terminate()
    p.wait(20)
    check_pauses(world, beta, default)
    with urllib.request.urlopen(world.ready["http"] + "/openapi.json", timeout=20) as answer:
        document = json.load(answer)
    asked = walk(world, document, beta, default) + walk(world, document, default, beta)
    ids = pages(beta, default, world), pages(default, beta, world)
    world.check(ids[0] and ids[1] and not ids[0] & ids[1], "a decision is in both lists")
    check_foreign_ids(world, beta, default)
    check_foreign_ids(world, default, beta)
    check_live(world, (beta, default))
    check_load(world, beta, default)
    check_figures(world, beta, default)
    check_installation(world, beta, default)
    check_same_names(world, beta, default)
    print(f"{asked} readings, {len(ids[0])} and {len(ids[1])} decisions: nothing of the other tenant")
