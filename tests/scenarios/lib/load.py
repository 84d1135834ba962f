"""The real load, a trace routed, invoked and reported by vane-drive, and the shared clock before and after it."""
import ctypes
import json
import mmap
import os
import threading
import time

TIME_AT = 8  # base/clock.c: a magic number, then the time in microseconds


class Clock:
    """Moves the shared clock from where it stands, until stop()."""

    def __init__(self, world, speed):
        with open(world.path("clock"), "r+b") as f:
            self.time = ctypes.c_int64.from_buffer(mmap.mmap(f.fileno(), 0), TIME_AT)  # whole stores: others read it
        self.speed = speed  # 0: it stands, but for leaps
        self.leapt_us = 0
        self.going = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        from_us, passed_us, last = self.time.value, 0.0, time.monotonic()
        while self.going:
            now = time.monotonic()
            passed_us += (now - last) * 1e6 * self.speed
            last = now
            self.time.value = from_us + self.leapt_us + int(passed_us)
            time.sleep(0.005)

    def now_us(self):
        return self.time.value

    def leap(self, minutes):
        self.leapt_us += minutes * 60_000_000

    def stop(self):
        self.going = False
        self.thread.join()


def ask_before_tuning(world):
    """The demonstration's policy, but a person approves each change of memory."""
    with open(world.policy, encoding="utf-8") as f:
        document = f.read().replace("tuning: {mode: automatic", "tuning: {mode: approval")
    world.check("mode: approval" in document, "the demonstration's policy has changed its words")
    world.approver.post("/v1/policies", {"document": document})


def take_clock(world, speed=60):
    """From here on the scenario moves the shared clock itself."""
    world.stop_clock()
    world.moving = Clock(world, speed)
    return world.moving


def waiting(world, account):
    """Proposals of an account that wait for somebody, newest first."""
    found = world.api.get("/v1/proposals?state=waiting&pageSize=500")["proposals"]
    return [p for p in found if p["account"] == account]


class Drive:
    """The trace on its way. It waits up to ten seconds for a vaned that is away."""

    def __init__(self, world, seconds):
        import sandbox
        self.world = world
        self.seconds = seconds
        if getattr(world, "moving", None):
            world.moving.stop()
        world.stop_clock()
        with open(world.path("drive.json"), "wb") as out:
            self.process = world.spawn("drive", [
                "vane-drive", "--clock", world.path("clock"), "--trace",
                os.path.join(sandbox.DATA, "azure-functions", "azure2019-500"), "--seed", str(world.seed), "--server",
                world.ready["https"], "--ca-file", world.ready["ca_file"], "--token-file", world.token_file, "--sim",
                world.path("sim", "sim.json"), "--seconds", str(seconds)], stdout=out)

    def over(self):
        return self.process.poll() is not None

    def end(self, speed=60):
        """Its summary; from then on time passes at that speed."""
        world = self.world
        world.eventually(self.over, self.seconds + 40, "the end of the load")
        del world.processes["drive"]
        world.check(self.process.returncode == 0, f"vane-drive ended with {self.process.returncode}")
        world.moving = Clock(world, speed)
        with open(world.path("drive.json"), encoding="utf-8") as f:
            return json.load(f)
