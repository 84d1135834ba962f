"""Accounts: join tokens are single-use and bound to a key; levels, revocation within a second, second person."""
import time

from client import Api, ApiError


def refused(call, *statuses):
    try:
        call()
    except ApiError as e:
        assert e.status in statuses, f"HTTP {e.status}: {e}"
        return str(e)
    raise AssertionError("was not refused")


def run(world):
    world.start()
    status = world.api.get("/v1/status")
    world.check(status["agentsOnline"] == 6, f"agents online: {status['agentsOnline']}")

    # Nobody without a token, nobody with a wrong one, and a viewer changes nothing.
    refused(lambda: Api(world.ready["http"]).get("/v1/accounts"), 401)
    refused(lambda: Api(world.ready["http"], "vane_wrong").get("/v1/accounts"), 401)
    world.api.post("/v1/people", {"name": "vera", "role": "viewer"})
    token = world.api.post("/v1/people/vera/tokens", {})["token"]
    viewer = Api(world.ready["http"], token)
    viewer.get("/v1/accounts")
    refused(lambda: viewer.post("/v1/accounts", {"name": "x", "cloud": "aws", "region": "r"}), 403)

    # Bad input names the field and changes nothing.
    before = world.api.get("/v1/accounts")["total"]
    for body, field in (({"name": "", "cloud": "aws", "region": "r"}, "name"),
                        ({"name": "x", "cloud": "ibm", "region": "r"}, "cloud"),
                        ({"name": "x", "cloud": "aws", "region": "r", "level": "root"}, "level"),
                        ({"name": "x", "cloud": "aws", "region": "r", "colour": "red"}, "colour")):
        world.check(field in refused(lambda b=body: world.api.post("/v1/accounts", b), 400), f"{field} is not named")
    world.check(world.api.get("/v1/accounts")["total"] == before, "a refused account was made")
    refused(lambda: world.api.post("/v1/accounts", {"name": "aws-a", "cloud": "aws", "region": "us-east-1"}), 409)

    # A used token does not enrol a second agent (another key).
    used = world.path("agents", "aws-a", "join-token")
    stolen = world.spawn("agent-thief", ["vane-agent", "--server", world.ready["https"], "--ca-file",
                                         world.ready["ca_file"], "--join-token-file", used, "--state",
                                         world.path("agents", "thief"), "--cloud-config",
                                         world.path("agents", "aws-a", "cloud.json")])
    world.eventually(lambda: any("ALARM" in d["summary"] or "ALARM" in d["choice"] for d in
                                 world.api.get("/v1/decisions?kind=account&pageSize=50")["decisions"]),
                     20, "the alarm about a stolen token")
    stolen.kill()
    stolen.wait()
    world.processes.pop("agent-thief")

    # Revoking ends the agent's stream within a second and keeps it out.
    world.api.post("/v1/accounts/gcp-b/revoke", {})
    started = time.time()
    world.eventually(lambda: world.api.get("/v1/accounts/gcp-b")["state"] == "revoked", 1, "the revocation")
    world.eventually(lambda: world.api.get("/v1/status")["agentsOnline"] == 5, 2, "five agents")
    world.check(time.time() - started < 2, "revoking took too long")
    refused(lambda: world.approver.post("/v1/accounts/gcp-b/level", {"level": "tune"}), 400)
