"""The fourth cloud: functions behind plain HTTP endpoints of one's own, listed, priced, learnt from their access log, routed
to beside the others, and never changed."""
import datetime
import http.server
import json
import os
import threading

from lib.load import take_clock

WORKLOAD = "thumbnail"


class Function(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        good = self.headers.get("Authorization") == "Bearer opens-the-door"
        self.send_response(200 if good else 401)
        self.end_headers()
        self.wfile.write(body if good else b"")

    def log_message(self, *_):
        pass


def log_line(now_us, n, status=200):
    moment = datetime.datetime.fromtimestamp(now_us / 1e6, datetime.timezone.utc)
    return json.dumps({"time": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "function": WORKLOAD, "status": status,
                       "duration_ms": 40 + n % 20, "request_bytes": 1000, "response_bytes": 5000,
                       "memory_used_mb": 90}) + "\n"


def write(path, text, mode="w"):
    with open(path, mode, encoding="utf-8") as f:
        f.write(text)


def add_place(world, name, server, functions):
    """An account of this cloud and its agent; returns where its files are."""
    folder = world.path("agents", name)
    os.makedirs(folder, mode=0o700)
    made = world.api.post("/v1/accounts", {"name": name, "cloud": "http", "region": "eu-cellar1", "level": "invoke"})
    write(os.path.join(folder, "join-token"), made["joinToken"])
    write(os.path.join(folder, "token"), "opens-the-door\n")
    write(os.path.join(folder, "access.log"), "")
    write(os.path.join(folder, "functions.json"), json.dumps(functions(server.server_port)))
    write(os.path.join(folder, "cloud.json"), json.dumps({
        "cloud": "http", "region": "eu-cellar1", "functions_file": os.path.join(folder, "functions.json"),
        "token_file": os.path.join(folder, "token"), "log_file": os.path.join(folder, "access.log")}))
    world.start_agent(name)
    world.eventually(lambda: world.api.get(f"/v1/accounts/{name}")["state"] == "online", 20, f"{name} online")
    world.eventually(lambda: int(world.api.get(f"/v1/accounts/{name}")["functions"]) == 1, 20, f"{name}'s function")
    world.approver.post(f"/v1/accounts/{name}/level", {"level": "invoke"})
    return folder


def endpoints(world):
    return {e["account"]: e for e in world.api.get(f"/v1/functions/{WORKLOAD}")["endpoints"]}


def run(world):
    world.prepare()
    world.start_clock()
    world.start_server()
    world.log_in()
    take_clock(world)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Function)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def functions(usd):
        return lambda port: {"functions": [{"name": WORKLOAD, "url": f"http://127.0.0.1:{port}/thumbnail", "memory_mb": 256,
                                            "timeout_s": 30, "concurrency": 20}],
                             "prices": {"usd_per_gb_s": usd, "usd_per_request": 0}}
    free = add_place(world, "cellar", server, functions(0))
    add_place(world, "attic", server, functions(0.002))
    world.eventually(lambda: len(endpoints(world)) == 2, 20, "both places in the view")

    # Cheaper and as quick: the cellar. A policy that names no such cloud never goes there.
    answer = world.eventually(lambda: (lambda r: r if r["account"] == "cellar" else None)(
        world.api.post("/v1/route", {"workload": WORKLOAD, "payloadBytes": 1000})), 20, "the cheaper place")
    world.check(answer["cloud"] == "http" and answer["url"].endswith("/thumbnail"), f"route: {answer}")
    explained = world.eventually(lambda: world.api.get(f"/v1/decisions/{answer['decisionId']}/explanation"), 3, "record")
    world.check(explained["sentence"], "no sentence")
    refused = "policy: clouds-only\nlimits: {clouds: [aws, azure, gcp]}\n"
    world.approver.post("/v1/policies", {"document": refused})
    world.eventually(lambda: "cellar" not in str(try_route(world)), 10, "a policy that forbids places of one's own")
    world.approver.post("/v1/policies", {"document": "policy: clouds-only\nlimits: {clouds: [http], residency: [eu]}\n"})
    world.eventually(lambda: "cellar" in str(try_route(world)), 10, "a policy that wants them, in the EU")

    # The access log is learnt from; a line that is still being written is read when it is whole.
    calls = 0
    for n in range(240):
        write(os.path.join(free, "access.log"), log_line(world.moving.now_us(), n, 500 if n % 20 == 0 else 200), "a")
        calls += 1
        if n % 60 == 59:
            world.moving.leap(1)
    write(os.path.join(free, "access.log"), '{"time":"half', "a")
    world.moving.leap(4)
    world.eventually(lambda: int(endpoints(world)["cellar"]["calls"]) == calls, 30,
                     f"{calls} calls in the windows, {endpoints(world)['cellar']}")
    quick = endpoints(world)["cellar"]
    world.check(40 <= quick["p50Ms"] <= 62, f"durations as logged: {quick}")

    # Nothing can be changed there, and Vane does not propose it.
    world.check(not world.api.get("/v1/proposals").get("proposals"), "a proposal for what cannot be changed")
    server.shutdown()


def try_route(world):
    try:
        return world.api.post("/v1/route", {"workload": WORKLOAD})
    except Exception as e:  # nothing allowed: refused, which is the answer wanted
        return e
