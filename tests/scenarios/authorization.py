"""Who may call what: every method of /openapi.json and of the protos, tried with every kind of credential.

WHO is written by hand and knows nothing of server/api.def: a method that is missing here, or whose row lets in somebody
else, fails. Requests are empty or name what nobody has, so that who is let in changes nothing but is told so.
"""
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import sandbox
from client import Api

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "judges"))
from judge import python_with

WHO = {
    "viewer": """Accounts_ListAccounts Accounts_GetAccount Accounts_GetAccountPolicy
                 Functions_ListFunctions Functions_GetFunction
                 Policies_CheckPolicy Policies_ListPolicies Policies_GetPolicy Policies_GetPolicySpend Policies_DiffPolicy
                 Decisions_ListDecisions Decisions_GetDecision Decisions_ExplainDecision Decisions_ReplayDecision
                 Decisions_WatchDecisions Proposals_ListProposals Proposals_ListPauses Audit_ExportAudit
                 Audit_GetCheckpoint Audit_ProveInclusion Audit_ProveConsistency Models_ListModels Models_ListRounds
                 People_WhoAmI System_GetStatus Costs_ExplainCost Costs_ListPrices Costs_GetPrices
                 Grants_ListGrants""",
    "operator": """Routing_Route Routing_RouteStream Routing_Report Accounts_CreateAccount Accounts_CreateJoinToken
                   Proposals_SetPause Models_StartRound Grants_WatchGrants Grants_RevokeGrant""",
    "approver": """Accounts_SetLevel Accounts_AcceptPrices Policies_ApplyPolicy Policies_RollbackPolicy Proposals_ApproveProposal
                   Proposals_RejectProposal""",
    "admin": """Accounts_RevokeAccount People_CreatePerson People_ListPeople People_CreateToken
                People_RevokePerson""",
    "installation": "Tenants_CreateTenant Tenants_ListTenants Backups_CreateBackup Backups_ListBackups",
    "agent": """Agents_Renew Agents_ReportInventory Agents_ReportWindows Agents_ReportPrices Agents_ReportCommand Agents_ReportGrant
                Agents_Watch Agents_FetchModel Agents_SubmitUpdate""",
    "join token": "Agents_Enroll",
}
# The credentials that each word lets in; whoever is known but not named here is forbidden, all others unknown.
LETS_IN = {
    "viewer": {"viewer", "operator", "approver", "admin", "admin of beta"},
    "operator": {"operator", "admin", "admin of beta"},
    "approver": {"approver", "admin", "admin of beta"},
    "admin": {"admin", "admin of beta"},
    "installation": {"admin"},
    "agent": {"agent"},
}
KNOWN = {"viewer", "operator", "approver", "admin", "admin of beta", "agent"}
UNKNOWN = {"nothing", "a wrong token", "an expired token", "a revoked token", "a log-in link", "a revoked agent"}
# Served beside the document.
RAW = [("/checkpoint", "GET", "viewer"), ("/v1/audit/export.jsonl", "GET", "viewer"),
       ("/tile/0/000.p/1", "GET", "viewer"), ("/login-link", "POST", "viewer"),
       ("/metrics", "GET", "viewer of default"),
       ("/tile/entries/000.p/1", "GET", "viewer of default")]
LETS_IN["viewer of default"] = LETS_IN["viewer"] - {"admin of beta"}
PUBLIC = ["/openapi.json", "/healthz", "/readyz", "/"]


def who_may(name):
    found = [who for who, names in WHO.items() if name in names.split()]
    assert len(found) == 1, f"{name}: say in WHO, once, who may call it"
    return found[0]


def verdict(who, credential):
    if credential in UNKNOWN:
        return "unknown"
    return "in" if credential in LETS_IN[who] else "forbidden"


class Credential:
    """How one caller shows who it is: a token, a client certificate, or nothing."""

    def __init__(self, world, token=None, certificate=None):
        self.token, self.certificate, self.ca_file = token, certificate, world.ready["ca_file"]
        self.base = world.ready["https"]
        context = ssl.create_default_context(cafile=self.ca_file)
        if certificate:
            context.load_cert_chain(certificate)
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                                  urllib.request.HTTPSHandler(context=context))

    def status(self, verb, path, body=None, headers=()):
        request = urllib.request.Request(self.base + path, method=verb, headers=dict(headers),
                                         data=None if body is None else json.dumps(body).encode())
        if body is not None:
            request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", "Bearer " + self.token)
        try:
            with self.opener.open(request, timeout=3) as answer:
                return answer.status
        except urllib.error.HTTPError as e:
            return e.code
        except TimeoutError:
            return 200  # a live page with nothing to show yet: refusals are told at once

    def described(self):
        return {"token": self.token, "certificate": self.certificate}


def agent_certificate(world, name):
    """An agent's own certificate and key, as one file."""
    with open(world.path("agents", name, "identity.json"), encoding="utf-8") as f:
        identity = json.load(f)
    path = world.path(f"{name}.pem")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(identity["cert_pem"] + identity["key_pem"])
    return path


def make_credentials(world):
    tokens = {}
    for role in ("viewer", "operator", "approver", "admin"):
        world.api.post("/v1/people", {"name": f"a-{role}", "role": role})
        tokens[role] = world.api.post(f"/v1/people/a-{role}/tokens", {})["token"]
    tokens["an expired token"] = world.api.post("/v1/people/a-admin/tokens", {"lifetimeS": 1})["token"]
    world.api.post("/v1/people", {"name": "gone", "role": "admin"})
    tokens["a revoked token"] = world.api.post("/v1/people/gone/tokens", {})["token"]
    gone = Credential(world, tokens["a revoked token"])
    world.check(gone.status("GET", "/v1/people") == 200, "the token that is revoked next")
    world.api.post("/v1/people/gone/revoke", {})
    beta = world.api.post("/v1/tenants", {"name": "beta"})["people"]
    session = Api(world.ready["http"])
    session.login(beta[0]["token"])
    tokens["admin of beta"] = session.post("/v1/people/admin/tokens", {})["token"]
    tokens["a log-in link"] = beta[1]["token"]  # logs in once, in a browser; no token for calls
    tokens["a wrong token"] = tokens["admin"][:-1] + ("A" if tokens["admin"][-1] != "A" else "B")
    callers = {name: Credential(world, token) for name, token in tokens.items()}
    callers["nothing"] = Credential(world)
    callers["agent"] = Credential(world, certificate=agent_certificate(world, "aws-a"))
    callers["a revoked agent"] = Credential(world, certificate=agent_certificate(world, "gcp-a"))
    world.api.post("/v1/accounts/gcp-a/revoke", {})
    world.check(set(callers) == KNOWN | UNKNOWN, "a credential is missing")
    time.sleep(1.1)  # until the one has expired
    return callers


def heard(status):
    return {401: "unknown", 403: "forbidden"}.get(status, "in")


def check_document(world, callers):
    """The JSON API: every operation with every credential, and no verb that the document does not name."""
    with urllib.request.urlopen(world.ready["http"] + "/openapi.json", timeout=20) as answer:
        document = json.load(answer)
    wrong, tried = [], 0
    for path, item in document["paths"].items():
        url = re.sub(r"\{\w+\}", "nobody", path)
        for verb, operation in item.items():
            name = operation["operationId"]
            who = who_may(name)
            for caller, credential in callers.items():
                status = credential.status(verb.upper(), url, None if verb == "get" else {})
                tried += 1
                if heard(status) != verdict(who, caller) or status >= 500:
                    wrong.append(f"{verb} {path} ({name}, {who}) with {caller}: {status}")
        for verb in {"get", "post", "put", "patch", "delete"} - set(item):
            status = callers["admin"].status(verb.upper(), url, None if verb == "get" else {})
            if status not in (404, 405):
                wrong.append(f"{verb} {path}, which no document names: {status}")
    world.check(not wrong, f"{len(wrong)} of {tried} answers are not as WHO says:\n" + "\n".join(wrong[:20]))
    return tried


def check_raw(world, callers):
    for path, verb, who in RAW:
        for caller, credential in callers.items():
            status = credential.status(verb, path, None if verb == "GET" else {})
            world.check(heard(status) == verdict(who, caller), f"{verb} {path} with {caller}: {status}")
    for path in PUBLIC:
        world.check(callers["nothing"].status("GET", path) == 200, f"{path} is not public")
    world.check(callers["nothing"].status("GET", "/v1/nothing") == 404, "a path that is not served")


def check_session(world):
    """A browser's session reads with its cookie; a write needs the page's word too."""
    session = Api(world.ready["http"])
    csrf = session.login(world.api.token)["csrfToken"]
    for word, expected in ((None, 403), ("0" * 64, 403), (csrf, 400)):
        session.csrf = word
        try:
            session.post("/v1/people", {})
            status = 200
        except Exception as e:
            status = e.status
        world.check(status == expected, f"a session's write with its word ({word == csrf}): {status}")
        world.check(session.get("/v1/people/me")["name"] == "admin", "a session reads")


def check_open_stream(world):
    """A live page that is open when its reader is revoked ends within a second, and another reader's does not."""
    streams = {}
    for name in ("leaves", "stays"):
        world.api.post("/v1/people", {"name": name, "role": "viewer"})
        token = world.api.post(f"/v1/people/{name}/tokens", {})["token"]
        request = urllib.request.Request(world.ready["http"] + "/v1/decisions:watch",
                                         headers={"Authorization": "Bearer " + token})
        ended, seen = threading.Event(), []
        streams[name] = ended, seen

        def read(request=request, ended=ended, seen=seen):
            try:
                with urllib.request.urlopen(request, timeout=20) as stream:
                    for line in stream:
                        if line.startswith(b"data:"):
                            seen.append(line)
            except OSError:
                pass
            ended.set()
        threading.Thread(target=read, daemon=True).start()
    time.sleep(0.5)
    world.api.post("/v1/people", {"name": "news", "role": "viewer"})
    world.eventually(lambda: all(seen for _, seen in streams.values()), 5, "news on both live pages")
    world.api.post("/v1/people/leaves/revoke", {})
    world.check(streams["leaves"][0].wait(1), "a revoked person goes on reading")
    world.check(not streams["stays"][0].wait(0.5), "another person's live page ended too")


def proto_methods():
    """service, method, streams in, streams out: of the protos, so that none is forgotten."""
    found = []
    folder = os.path.join(sandbox.ROOT, "proto", "vane", "v1")
    for name in sorted(os.listdir(folder)):
        service = None
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            for line in f:
                if match := re.match(r"service (\w+)", line):
                    service = match[1]
                elif match := re.match(r"\s+rpc (\w+)\s*\((stream )?\w+\)\s*returns\s*\((stream )?\w+\)", line):
                    found.append((service, match[1], bool(match[2]), bool(match[3])))
    return found


def check_grpc(world, callers):
    methods = proto_methods()
    named = {f"{service}_{method}" for service, method, *_ in methods}
    listed = {name for names in WHO.values() for name in names.split()}
    world.check(named == listed, f"only in the protos {named - listed}, only in WHO {listed - named}")
    python = python_with("grpcio", "grpcio==1.66.2")
    job = {"target": world.ready["https"].removeprefix("https://"), "ca_file": world.ready["ca_file"],
           "methods": methods, "callers": {name: c.described() for name, c in callers.items()}}
    helper = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib", "grpc_calls.py")
    done = subprocess.run([python, helper], input=json.dumps(job), capture_output=True, text=True, timeout=240,
                          check=False)
    world.check(done.returncode == 0, f"the gRPC calls failed: {done.stderr[-1500:]}")
    answers = json.loads(done.stdout)
    wrong = []
    for service, method, caller, code, details in answers:
        who = who_may(f"{service}_{method}")
        got = {16: "unknown", 7: "forbidden"}.get(code, "in")
        if who == "join token":
            # No credential is needed beside the join token, which is empty here; a false one is false all the same.
            ok = details.startswith("token:") == (caller in KNOWN | {"nothing"}) and code == 16
        else:
            ok = got == verdict(who, caller) and code not in (2, 13)
        if not ok:
            wrong.append(f"{service}.{method} with {caller}: {code} {details}")
    world.check(len(answers) == len(methods) * len(callers), "calls are missing")
    world.check(not wrong, f"{len(wrong)} of {len(answers)} are not as WHO says:\n" + "\n".join(wrong[:20]))
    return len(answers)


def run(world):
    world.prepare()
    world.start_clock()
    world.start_sim()
    world.start_server()
    world.log_in()
    for cloud in ("aws", "gcp"):
        account = world.sim[cloud]["accounts"][0]
        world.add_agent(world.api, cloud, account, account["name"])
    world.eventually(lambda: world.api.get("/v1/status")["agentsOnline"] == 2, 60, "two agents")
    callers = make_credentials(world)
    before = {p["name"] for p in world.api.get("/v1/people")["people"]} | {"leaves", "stays", "news"}
    tried = check_document(world, callers)
    check_raw(world, callers)
    check_session(world)
    check_open_stream(world)
    calls = check_grpc(world, callers)
    after = {p["name"] for p in world.api.get("/v1/people")["people"]}
    world.check(after == before and world.api.get("/v1/tenants")["total"] == 2,
                "a refused or an empty request changed something")
    print(f"{tried} JSON and {calls} gRPC calls, each let in or refused as written down")
