"""What the judges share: tools at pinned versions, the server under judgement, SKIP with its reason, counting.

A judge is a script `x.py SERVER_PROGRAM`. It prints what it ran and closes with "N passed, N failed"; it exits 0, 1, or
77 with "SKIP why" when its tool cannot be had. Tools live in $VANE_TOOLS (default .cache/tools in the tree).
"""
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOLS = os.environ.get("VANE_TOOLS") or os.path.join(ROOT, ".cache", "tools")


def skip(why):
    print("SKIP", why)
    sys.exit(77)


@contextlib.contextmanager
def installing():
    """Tests run side by side and share the tools: one installs, the others wait and find what it has installed."""
    os.makedirs(TOOLS, exist_ok=True)
    with open(os.path.join(TOOLS, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def go_tool(name, package, version):
    """A Go program built at that version; the version is in its file name, so that a new pin builds anew."""
    with installing():
        return go_tool_made(name, package, version)


def go_tool_made(name, package, version):
    path = os.path.join(TOOLS, f"{name}-{version}")
    if os.path.exists(path):
        return path
    if not shutil.which("go"):
        skip(f"{name}: there is no go on this machine")
    with tempfile.TemporaryDirectory(dir=TOOLS) as bin_dir:
        done = subprocess.run(["go", "install", f"{package}@{version}"], env={**os.environ, "GOBIN": bin_dir},
                              capture_output=True, text=True)
        if done.returncode:
            skip(f"{name}: go install failed: {done.stderr.strip().splitlines()[-1:]}")
        os.replace(os.path.join(bin_dir, os.path.basename(package)), path)
    return path


def python_with(name, *requirements):
    """The interpreter of a virtual environment that has these packages."""
    with installing():
        return python_made(name, requirements)


def python_made(name, requirements):
    venv = os.path.join(TOOLS, "py-" + name)
    python = os.path.join(venv, "bin", "python")
    stamp = os.path.join(venv, "requirements.txt")
    if os.path.exists(stamp) and open(stamp, encoding="utf-8").read() == "\n".join(requirements):
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True, capture_output=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *requirements], check=True, capture_output=True,
                       timeout=600)
    except (subprocess.SubprocessError, OSError) as error:
        skip(f"{name}: {error}")
    with open(stamp, "w", encoding="utf-8") as file:
        file.write("\n".join(requirements))
    return python


class Server:
    """The interop server, for the length of a `with`; its sanitizers' reports fail the judge."""

    def __init__(self, program, *arguments, quarantine=True):
        self.dir = tempfile.TemporaryDirectory()
        options = os.environ.get("ASAN_OPTIONS", "")
        # Where memory is measured: what a sanitizer keeps of freed memory is no memory of the server's.
        if not quarantine:
            options += ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
        self.errors = open(os.path.join(self.dir.name, "stderr"), "w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen([program, "--tls-dir", self.dir.name, *arguments], stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True, env={**os.environ, "ASAN_OPTIONS": options})
        ports = json.loads(self.process.stdout.readline())
        self.plain, self.tls = ports["plain"], ports["tls"]
        self.ca = os.path.join(self.dir.name, "ca.pem")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stats(self):
        self.process.send_signal(signal.SIGUSR1)
        return json.loads(self.process.stdout.readline())

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            code = self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process = None
        self.errors.seek(0)
        report = self.errors.read()
        if code or report:
            print(report[-4000:])
            print(f"the server ended with {code}")
            Tally.failed += 1
        self.dir.cleanup()


class Tally:
    passed = 0
    failed = 0


def check(what, good, detail=""):
    if good:
        Tally.passed += 1
    else:
        Tally.failed += 1
    print(("ok   " if good else "FAIL ") + what + ("" if good or not detail else f": {detail}"), flush=True)
    return good


def finish():
    print(f"{Tally.passed} passed, {Tally.failed} failed")
    sys.exit(1 if Tally.failed or not Tally.passed else 0)


def server_program():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    return sys.argv[1]
