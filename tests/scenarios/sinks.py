"""The sinks of an agent against the real things: PostgreSQL, InfluxDB and Prometheus as Debian has them. Servers stop and come
back, the writer is killed with -9 in between, the same windows are handed over again: every count is exact in the end.

`vane-sink-probe` writes; window number i has 1 + i % 7 calls. An agent of its own shows that its windows get there as well.
"""
import glob
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

from lib.invoke import history
from lib.load import take_clock
from world import Skip, free_port

ADMIN = "vane"


def calls_of(numbers):
    return sum(1 + i % 7 for i in numbers)


class Server:
    """A program of Debian's, with a folder of its own, that can be stopped and started again."""

    def __init__(self, name, user=None):
        self.name, self.port, self.process = name, free_port(), None
        self.folder = tempfile.mkdtemp(prefix=f"vane-{name}-")
        self.user = user
        if user:
            shutil.chown(self.folder, user)

    def command(self, arguments, **more):
        rights = {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []} if self.user else {}
        return subprocess.Popen(arguments, cwd=self.folder, stdin=subprocess.DEVNULL, **rights, **more)

    def start(self):
        log = open(os.path.join(self.folder, "log"), "ab")
        self.process = self.command(self.arguments(), stdout=log, stderr=log)
        end = time.time() + 20
        while not self.up():
            if self.process.poll() is not None or time.time() > end:
                raise AssertionError(f"{self.name}: {open(log.name, errors='replace').read()[-1500:]}")
            time.sleep(0.05)

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)
        self.process = None

    def remove(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Postgres(Server):
    def __init__(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
        if not found:
            raise Skip("no PostgreSQL server here")
        self.bin = os.path.dirname(found[-1])
        super().__init__("postgres", "postgres" if os.geteuid() == 0 else None)  # it refuses to run as root
        self.data = os.path.join(self.folder, "data")
        made = self.command([f"{self.bin}/initdb", "-D", self.data, "-A", "trust", "-U", ADMIN, "--no-sync"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        out = made.communicate(timeout=60)[0]
        if made.returncode:
            raise AssertionError(out.decode(errors="replace"))

    def arguments(self):
        return [f"{self.bin}/postgres", "-D", self.data, "-p", str(self.port), "-k", self.folder, "-c",
                "listen_addresses=127.0.0.1"]

    def sql(self, text):
        done = subprocess.run([f"{self.bin}/psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", ADMIN, "-d", "postgres",
                               "-qAtc", text], capture_output=True, text=True, timeout=20, check=False)
        if done.returncode:
            raise AssertionError(done.stderr)
        return done.stdout.strip()

    def up(self):
        return subprocess.run([f"{self.bin}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                              check=False).returncode == 0

    def sink(self, **more):
        return {"kind": "postgres", "conninfo": f"host=127.0.0.1 port={self.port} user={ADMIN} dbname=postgres", **more}


class Influx(Server):
    def __init__(self):
        if not shutil.which("influxd"):
            raise Skip("no InfluxDB server here")
        super().__init__("influx")
        with open(os.path.join(self.folder, "conf"), "w", encoding="utf-8") as f:
            f.write(f'reporting-disabled = true\nbind-address = "127.0.0.1:{free_port()}"\n'
                    f'[meta]\ndir = "{self.folder}/meta"\n[data]\ndir = "{self.folder}/data"\nwal-dir = "{self.folder}/wal"\n'
                    f'[http]\nbind-address = "127.0.0.1:{self.port}"\nlog-enabled = false\n[monitor]\nstore-enabled = false\n')

    def arguments(self):
        return ["influxd", "-config", "conf"]

    def call(self, path, body):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", body.encode(), timeout=10) as answer:
            return answer.read().decode()

    def query(self, text):
        answer = json.loads(self.call("/query?db=vane", urllib.parse.urlencode({"q": text})))
        series = answer["results"][0].get("series", [])
        return [s["values"][0][1:] for s in series]

    def up(self):
        try:
            return bool(self.call("/query", urllib.parse.urlencode({"q": "CREATE DATABASE vane"})))
        except OSError:
            return False

    def sink(self, **more):
        return {"kind": "influx", "url": f"http://127.0.0.1:{self.port}", "database": "vane", **more}


class Prometheus(Server):
    def __init__(self):
        if not shutil.which("prometheus"):
            raise Skip("no Prometheus here")
        super().__init__("prometheus")
        self.target = free_port()
        with open(os.path.join(self.folder, "conf"), "w", encoding="utf-8") as f:
            f.write("global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs:\n- job_name: vane\n"
                    f"  static_configs: [{{targets: ['127.0.0.1:{self.target}']}}]\n")

    def arguments(self):
        return ["prometheus", "--config.file=conf", f"--storage.tsdb.path={self.folder}/data",
                f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"]

    def query(self, text):
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": text})
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = json.loads(answer.read())["data"]["result"]
        return [(r["metric"], float(r["value"][1])) for r in found]

    def up(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def sink(self):
        return {"kind": "prometheus", "listen": f"127.0.0.1:{self.target}"}


class Writer:
    """vane-sink-probe over one state directory."""

    def __init__(self, world, name, sinks):
        self.world, self.name, self.turn = world, name, 0
        os.makedirs(world.path(name), exist_ok=True)
        self.config = world.path(name, "cloud.json")
        with open(self.config, "w", encoding="utf-8") as f:
            json.dump({"cloud": "aws", "region": "us-east-1", "sinks": sinks}, f)

    def spawn(self, *options, fault=None):
        self.turn += 1
        self.label = f"{self.name}-{self.turn}"
        self.out = self.world.path("log", self.label + ".out")
        with open(self.out, "wb") as out:
            process = self.world.spawn(self.label, ["vane-sink-probe", "--config", self.config, "--state",
                                                    self.world.path(self.name), *map(str, options)], stdout=out,
                                       environment={"VANE_FAULT": fault} if fault else None)
        self.world.eventually(lambda: "put" in open(self.out, encoding="utf-8").read(), 20, f"{self.label} to put")
        return process

    def log(self):
        return open(self.world.path("log", self.label + ".log"), encoding="utf-8").read()

    def run(self, *options):
        """Until everything has arrived; the health of each sink at the end."""
        process = self.spawn(*options)
        self.world.check(process.wait(60) == 0, f"{self.label} ended with {process.returncode}: {self.log()}")
        self.world.processes.pop(self.label)
        with open(self.out, encoding="utf-8") as f:
            return {h["sink"]: h for h in map(json.loads, f.readlines()[1:])}

    def kill9(self):
        self.world.kill9(self.label)


def check_exact(world, postgres, influx, table, numbers):
    want = [len(numbers), calls_of(numbers)]
    got = postgres.sql(f"SELECT count(*), sum(calls) FROM {table}").split("|")
    world.check(list(map(int, got)) == want, f"postgres has {got}, want {want}")
    rows = influx.query("SELECT count(calls), sum(calls) FROM vane_window GROUP BY function")
    got = [sum(int(r[i]) for r in rows) for i in (0, 1)]
    world.check(got == want and len(rows) == 5, f"influx has {got} in {len(rows)} functions, want {want}")


def outage_and_kill(world, postgres, influx):
    writer = Writer(world, "writer", [postgres.sink(), influx.sink()])
    health = writer.run("--windows", 1000)
    world.check(all(h["delivered"] == 1000 for h in health.values()), f"after the first thousand: {health}")
    check_exact(world, postgres, influx, "vane_windows", range(1000))
    postgres.stop()
    influx.stop()
    writer.spawn("--windows", 1000, "--first", 1000, "--stay", 1)
    world.eventually(lambda: writer.log().count("sink-down") == 2, 10, "both sinks to be down")
    writer.kill9()
    # The last 200 windows are read from the cloud again, as after a kill before progress was saved.
    killed = writer.spawn("--windows", 700, "--first", 1800, "--stay", 1, fault="sink.arrived=kill@1")
    (postgres, influx)[world.seed % 2].start()
    world.check(killed.wait(20) == -signal.SIGKILL, "it was to die between a server's word and writing it down")
    writer.kill9()
    (influx, postgres)[world.seed % 2].start()
    writer.run("--wait", 30)
    check_exact(world, postgres, influx, "vane_windows", range(2500))
    versions = postgres.sql("SELECT count(DISTINCT (account, function, region, start_at)) FROM vane_windows")
    world.check(versions == "2500", f"{versions} different windows")


def beyond_the_bound(world, postgres):
    writer = Writer(world, "bounded", [postgres.sink(table="small", spool_bytes=262144)])
    postgres.stop()
    writer.spawn("--windows", 3000, "--stay", 1)
    world.eventually(lambda: "sink-full" in writer.log(), 20, "the word that the spool is full")
    writer.kill9()
    postgres.start()
    health = writer.run("--wait", 30)["postgres"]
    rows, dropped = postgres.sql("SELECT (SELECT count(*) FROM small), (SELECT sum(records) FROM small_dropped)").split("|")
    world.check(int(rows) + int(dropped) == 3000 and int(dropped) > 0, f"{rows} rows and {dropped} dropped of 3000")
    world.check(int(rows) == health["delivered"], f"{rows} rows, {health}")
    world.check(f"records={dropped} " in writer.log(), f"{dropped} dropped, and the log says: {writer.log()}")
    kept = postgres.sql("SELECT min(start_at) >= (SELECT max(to_at) FROM small_dropped) FROM small")
    world.check(kept == "t", "the oldest went first")


def refusals(world, postgres, influx):
    """What a server will never take is counted and named, and holds nothing up; a login that may only insert does."""
    influx.call("/write?db=vane&precision=ns", 'conflict calls="text" 1767225540000000000\n')
    writer = Writer(world, "refused", [influx.sink(measurement="conflict"), influx.sink(name="well", measurement="other")])
    health = writer.run("--windows", 100)
    world.check(health["influx"]["refused"] == 100 and health["well"]["delivered"] == 100, f"{health}")
    world.check("sink-refused sink=influx records=" in writer.log() and "type conflict" in writer.log(), writer.log())
    postgres.sql("CREATE ROLE writer LOGIN; REVOKE CREATE ON SCHEMA public FROM public; "
                 "GRANT INSERT ON vane_windows TO writer; GRANT INSERT, SELECT, UPDATE ON vane_windows_dropped TO writer")
    before = int(postgres.sql("SELECT count(*) FROM vane_windows"))
    sink = postgres.sink()
    sink["conninfo"] = sink["conninfo"].replace(f"user={ADMIN}", "user=writer")
    Writer(world, "poor", [sink]).run("--windows", 50, "--first", 10000)
    after = int(postgres.sql("SELECT count(*) FROM vane_windows"))
    world.check(after - before == 50, f"{after - before} rows of a login that may only insert")


def scraped(world, postgres, prometheus):
    writer = Writer(world, "scraped", [prometheus.sink(), postgres.sink(table="beside")])
    process = writer.spawn("--windows", 1000, "--stay", 1)
    want = float(calls_of(range(1000)))
    world.eventually(lambda: prometheus.query("sum(vane_function_calls_total)") == [({}, want)], 20, f"{want} calls")
    by_function = prometheus.query('sum by (function) (vane_function_calls_total{account="probe",cloud="aws"})')
    world.check(len(by_function) == 5 and {"function": 'com,ma="quoted"'} in [m for m, _ in by_function], f"{by_function}")
    world.check(prometheus.query("sum(vane_function_duration_seconds_count)") == [({}, want)], "the histogram counts all")
    median = prometheus.query("histogram_quantile(0.5, sum by (le) (vane_function_duration_seconds_bucket))")[0][1]
    world.check(0 < median <= 0.005, f"median {median}: all runs take a millisecond")
    world.eventually(lambda: prometheus.query('vane_agent_sink_delivered_records_total{sink="postgres"}')[0][1] == 1000, 10,
                     "the other sink's health")
    with urllib.request.urlopen(f"http://127.0.0.1:{prometheus.target}/metrics", timeout=10) as answer:
        text = answer.read()
    lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=20, check=False)
    world.check(lint.returncode == 0, lint.stderr.decode())
    process.terminate()
    world.check(process.wait(10) == 0, "an orderly stop")
    world.processes.pop(writer.label)


def agents_own(world, postgres):
    """A real agent: what the simulator has billed stands in the account's own table, window by window."""
    world.start_clock()
    world.start_sim()
    world.start_server()
    world.log_in()
    account = {**world.sim["aws"]["accounts"][0], "sinks": [postgres.sink(table="own")]}
    world.accounts = [account["name"]]
    world.add_agent(world.api, "aws", account, account["name"])
    world.eventually(lambda: int(world.api.get("/v1/accounts")["accounts"][0]["functions"]) > 0, 30, "its functions")
    take_clock(world)
    history(world, account["name"], ["fn-00", "fn-01"], 40, minutes=4)
    world.kill9("agent-" + account["name"])
    world.start_agent(account["name"])
    history(world, account["name"], ["fn-02"], 20, minutes=2)
    told = "SELECT function, sum(calls), min(account) FROM own GROUP BY function ORDER BY function"
    name = account["name"]
    want = f"fn-00|40|{name}\nfn-01|40|{name}\nfn-02|20|{name}"
    world.eventually(lambda: postgres.sql(told) == want, 20, f"{want} in the agent's own table")


def run(world):
    world.prepare()
    servers = []
    try:
        for make in (Postgres, Influx, Prometheus):
            servers.append(make())
            servers[-1].start()
        postgres, influx, prometheus = servers
        outage_and_kill(world, postgres, influx)
        beyond_the_bound(world, postgres)
        refusals(world, postgres, influx)
        scraped(world, postgres, prometheus)
        agents_own(world, postgres)
        world.stop()
    finally:
        for server in servers:
            server.remove()
