"""The real load, a trace routed, invoked and reported by vane-drive, and the shared clock before and after it."""
import json
import mmap
import os
import struct
import threading
import time

TIME_AT = 8  # base/clock.c: a magic number, then the time in microseconds


class Clock:
    """Moves the shared clock from where it stands, until stop()."""

    def __init__(self, world, speed):
        with open(world.path("clock"), "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 0)
        self.speed = speed
        self.going = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def now_us(self):
        return struct.unpack_from("<q", self.page, TIME_AT)[0]

    def run(self):
        from_us, began = self.now_us(), time.monotonic()
        while self.going:
            struct.pack_into("<q", self.page, TIME_AT, from_us + int((time.monotonic() - began) * 1e6 * self.speed))
            time.sleep(0.005)

    def stop(self):
        self.going = False
        self.thread.join()


class Drive:
    """The trace on its way. It waits up to ten seconds for a vaned that is away."""

    def __init__(self, world, seconds):
        import sandbox
        self.world = world
        self.seconds = seconds
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
