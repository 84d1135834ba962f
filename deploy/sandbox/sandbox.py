#!/usr/bin/env python3
"""The sandbox: three simulated clouds, vaned and six agents on loopback. `./dev demo|up|down|status` call this.

Uses the standard library only. Everything it starts is a child that it also stops; state lives under .vane/.
"""
import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time

from client import Api, ApiError, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STATE = os.environ.get("VANE_SANDBOX_STATE", os.path.join(ROOT, ".vane"))
BIN = os.environ.get("VANE_BIN", os.path.join(ROOT, "build", "release", "bin"))
DATA = os.environ.get("VANE_DATA", os.path.join(ROOT, "tests", "data"))
CLOUDS = ("aws", "azure", "gcp")
START_US = 1_752_537_600_000_000  # 2025-07-15T00:00Z: the sandbox's first moment, so that runs are repeatable
HTTP_PORT = int(os.environ.get("VANE_HTTP_PORT", "8420"))
HTTPS_PORT = int(os.environ.get("VANE_HTTPS_PORT", "8443"))


def say(text):
    print(text, file=sys.stderr, flush=True)


class Sandbox:
    """Starts and stops the processes; keeps their pids in .vane/pids.json for `down`."""

    def __init__(self, seed, state=STATE):
        self.seed = seed
        self.state = state
        self.pids = {}
        self.processes = {}
        self.api = None
        self.shuffle_labels = False  # the control experiment: nothing must be learnt
        self.clock_speed = 60  # seconds of the sandbox a second of the machine, while no load drives the clock
        self.policy = os.path.join(ROOT, "policies", "examples", "demo.yaml")
        self.settings = {"round_interval_s": 600, "round_deadline_s": 300, "round_quorum": 4, "tuning_interval_s": 600}

    def path(self, *parts):
        return os.path.join(self.state, *parts)

    def spawn(self, name, arguments, own_session=True, stdout=None, environment=None):
        log = open(self.path("log", name + ".log"), "ab")
        env = dict(os.environ, VANE_CLOCK=self.path("clock"), VANE_DATA=DATA)
        env.update(environment or {})
        p = subprocess.Popen([os.path.join(BIN, arguments[0])] + arguments[1:], stdin=subprocess.DEVNULL, env=env,
                             stdout=stdout or log, stderr=log, start_new_session=own_session)
        self.processes[name] = p
        self.pids[name] = p.pid
        with open(self.path("pids.json"), "w", encoding="utf-8") as f:
            json.dump(self.pids, f)
        return p

    def check_alive(self, *names):
        for name in names or list(self.processes):
            p = self.processes[name]
            if p.poll() is not None:
                tail = open(self.path("log", name + ".log"), errors="replace").read()[-1500:]
                raise RuntimeError(f"{name} ended with {p.returncode}:\n{tail}")

    def prepare(self):
        stop_recorded(self.state)
        shutil.rmtree(self.state, ignore_errors=True)
        os.makedirs(self.path("log"))
        os.makedirs(self.path("sim"))
        os.makedirs(self.path("vaned"), mode=0o700)

    def start_clock(self, start_us=START_US):
        """The driver owns the shared clock; in its idle mode it lets time pass so that agents work before the load."""
        self.spawn("clock", ["vane-drive", "--clock", self.path("clock"), "--start-us", str(start_us), "--idle",
                             "--speed", str(self.clock_speed)])
        wait_for(lambda: os.path.exists(self.path("clock")), 10, "the sandbox clock")
        time.sleep(0.1)

    def stop_clock(self):
        p = self.processes.pop("clock", None)
        if p:
            p.terminate()
            p.wait(10)
            self.pids.pop("clock", None)

    def start_sim(self):
        self.spawn("sim", ["vane-sim", "--state", self.path("sim"), "--seed", str(self.seed)])
        wait_for(lambda: self.alive_and(os.path.exists, "sim", self.path("sim", "sim.json")), 30, "vane-sim")
        with open(self.path("sim", "sim.json"), encoding="utf-8") as f:
            self.sim = json.load(f)

    def alive_and(self, check, name, *arguments):
        self.check_alive(name)
        return check(*arguments)

    def start_server(self):
        with open(self.path("vaned.yaml"), "w", encoding="utf-8") as f:
            f.write(f"state_dir: {self.path('vaned')}\n"
                    f"http_port: {HTTP_PORT}\nhttps_host: 127.0.0.1\nhttps_port: {HTTPS_PORT}\n"
                    f"ui_dir: {os.path.join(ROOT, 'web', 'dist')}\n")
            f.writelines(f"{key}: {value}\n" for key, value in self.settings.items())
        self.spawn("vaned", ["vaned", "--config", self.path("vaned.yaml")])
        ready = self.path("vaned", "ready.json")
        wait_for(lambda: self.alive_and(os.path.exists, "vaned", ready), 30, "vaned")
        with open(ready, encoding="utf-8") as f:
            self.ready = json.load(f)

    def log_in(self):
        """Redeems the two one-time links of the first start for API tokens, as the two people would."""
        with open(self.path("vaned", "first-login.json"), encoding="utf-8") as f:
            people = json.load(f)["people"]
        self.tokens = {}
        for person in people:
            api = Api(self.ready["http"])
            api.login(person["token"])
            if not self.tokens:
                admin = api
            answer = admin.post(f"/v1/people/{person['name']}/tokens", {"lifetimeS": 86400})
            name = self.path(f"token-{person['name']}")
            with os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
                f.write(answer["token"])
            self.tokens[person["name"]] = name
        self.token_file = self.tokens[people[0]["name"]]
        self.approver_token_file = self.tokens[people[1]["name"]]
        self.api = Api(self.ready["http"], open(self.token_file).read().strip())
        self.approver = Api(self.ready["http"], open(self.approver_token_file).read().strip())
        # The links are used up; one more is made for whoever opens the UI.
        self.ui_link = admin.login_link()

    def start_agent(self, name):
        folder = self.path("agents", name)
        return self.spawn("agent-" + name, ["vane-agent", "--server", self.ready["https"], "--ca-file",
                                            self.ready["ca_file"], "--join-token-file",
                                            os.path.join(folder, "join-token"), "--state", folder, "--cloud-config",
                                            os.path.join(folder, "cloud.json")] +
                          (["--shuffle-labels"] if self.shuffle_labels else []))

    def add_agent(self, api, cloud, account, folder):
        """Registers one simulated account for the tenant that `api` belongs to, and starts its agent."""
        made = api.post("/v1/accounts", {"name": account["name"], "cloud": cloud, "region": account["region"],
                                         "level": "invoke"})
        os.makedirs(self.path("agents", folder), mode=0o700)
        token = self.path("agents", folder, "join-token")
        with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(made["joinToken"])
        config = self.path("agents", folder, "cloud.json")
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            json.dump({"cloud": cloud, "endpoint": self.sim[cloud]["endpoint"],
                       "endpoints": self.sim[cloud].get("endpoints", {}),
                       "ca_file": self.sim[cloud]["ca_file"], **account}, f)
        self.start_agent(folder)

    def enrol(self):
        self.accounts = []
        for cloud in CLOUDS:
            for account in self.sim[cloud]["accounts"]:
                self.add_agent(self.api, cloud, account, account["name"])
                self.accounts.append(account["name"])

        def online():
            self.check_alive()
            return self.api.get("/v1/status")["agentsOnline"] >= len(self.accounts)
        wait_for(online, 60, "six agents online")

        def listed():
            self.check_alive()
            return all(int(a["functions"]) > 0 for a in self.api.get("/v1/accounts")["accounts"])
        wait_for(listed, 60, "every account's functions")
        for name in self.accounts:
            # New accounts only observe; the second person promotes them.
            self.approver.post(f"/v1/accounts/{name}/level", {"level": "invoke"})

    def apply_policy(self):
        with open(self.policy, encoding="utf-8") as f:
            self.approver.post("/v1/policies", {"document": f.read()})

        def in_force():
            listed = self.api.get("/v1/functions?pageSize=500")["functions"]
            return listed and all(x["policy"] == "demo" and x["endpoints"] == len(self.accounts) for x in listed)
        wait_for(in_force, 20, "views of all functions under the policy")

    def start(self):
        self.prepare()
        self.start_clock()
        self.start_sim()
        self.start_server()
        self.log_in()
        self.enrol()
        self.apply_policy()
        self.write_status()

    def write_status(self):
        status = {"http": self.ready["http"], "https": self.ready["https"], "ca_file": self.ready["ca_file"],
                  "token_file": self.token_file, "approver_token_file": self.approver_token_file, "seed": self.seed,
                  "ui": self.ui_link, "sim": {}}
        for cloud in CLOUDS:
            status["sim"][cloud] = self.sim[cloud]
        status["sim"]["control"] = self.sim["control"]
        with os.fdopen(os.open(self.path("status.json"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            json.dump(status, f, indent=1)

    def control(self, path, body=None):
        c = self.sim["control"]
        api = Api(c["endpoint"], c["token"], ca_file=c.get("ca_file"))
        return api.get(path) if body is None else api.post(path, body)

    def stop(self):
        # Servers last: an agent in the middle of a call waits ten seconds for one that is gone.
        servers = [self.processes.pop(name) for name in ("vaned", "sim", "clock") if name in self.processes]
        stop_processes(list(self.processes.values()))
        stop_processes(servers)
        self.processes.clear()
        pids = self.path("pids.json")
        if os.path.exists(pids):
            os.remove(pids)


def stop_processes(processes):
    for p in processes:
        if p.poll() is None:
            p.terminate()
    end = time.time() + 10
    for p in processes:
        try:
            p.wait(max(0.1, end - time.time()))
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


def stop_recorded(state):
    """Stops what an earlier `up` recorded, if those pids are still ours."""
    try:
        with open(os.path.join(state, "pids.json"), encoding="utf-8") as f:
            pids = json.load(f)
    except (OSError, ValueError):
        return 0
    mine = []
    for name, pid in pids.items():
        try:
            command = open(f"/proc/{pid}/cmdline", "rb").read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "vane" in command:
            os.kill(pid, signal.SIGTERM)
            mine.append(pid)
    end = time.time() + 10
    while mine and time.time() < end:
        mine = [p for p in mine if os.path.exists(f"/proc/{p}") and "Z" not in
                open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()[0]]
        time.sleep(0.05)
    for pid in mine:
        os.kill(pid, signal.SIGKILL)
    os.remove(os.path.join(state, "pids.json"))
    return len(pids)


def cmd_up(arguments):
    box = Sandbox(arguments.seed if arguments.seed is not None else secrets.randbelow(1 << 31))
    try:
        box.start()
    except BaseException:
        box.stop()
        raise
    say(f"the sandbox is up (seed {box.seed}): {box.ready['http']}\nlog in once with {box.ui_link}\n"
        "./dev status --json names everything; ./dev down stops it")
    return 0


def cmd_down(_arguments):
    say(f"stopped {stop_recorded(STATE)} processes")
    return 0


def cmd_status(arguments):
    try:
        with open(os.path.join(STATE, "status.json"), encoding="utf-8") as f:
            status = json.load(f)
        with open(os.path.join(STATE, "pids.json"), encoding="utf-8") as f:
            pids = json.load(f)
    except OSError:
        say("nothing runs; ./dev up starts the sandbox")
        return 1
    status["running"] = {n: os.path.exists(f"/proc/{p}") for n, p in pids.items()}
    if arguments.json:
        print(json.dumps(status, indent=1))
    else:
        print(f"UI      {status['http']}\ngRPC    {status['https']}\nCA      {status['ca_file']}\n"
              f"token   {status['token_file']}")
        for name, up in status["running"].items():
            print(f"{name:16}{'running' if up else 'gone'}")
    return 0 if all(status["running"].values()) else 1


def main():
    parser = argparse.ArgumentParser(prog="./dev", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="run the demonstration")
    demo.add_argument("--once", action="store_true", help="exit after the summary")
    demo.add_argument("--json", action="store_true", help="print one JSON object and nothing else on stdout")
    demo.add_argument("--seconds", type=int, default=60, help="bound of the load phase (default 60)")
    demo.add_argument("--seed", type=int, help="simulator seed (default: random, printed)")
    demo.add_argument("--shuffle-labels", action="store_true", help=argparse.SUPPRESS)
    up = commands.add_parser("up", help="start the sandbox in the background")
    up.add_argument("--seed", type=int)
    commands.add_parser("down", help="stop it")
    status = commands.add_parser("status", help="what runs, and how to reach it")
    status.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if arguments.command == "demo":
        from demo import cmd_demo
        return cmd_demo(arguments)
    return {"up": cmd_up, "down": cmd_down, "status": cmd_status}[arguments.command](arguments)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, ApiError) as e:
        say(f"sandbox: {e}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
