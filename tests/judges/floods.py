#!/usr/bin/env python3
"""HTTP/2 floods and slow clients: rapid reset, CONTINUATION, SETTINGS, PING, empty DATA, trickled headers.

Each attack must be cut off, the server's memory may grow by no more than the figure beside it, and a well-behaved
client is served all the while.
"""
import os
import select
import socket
import struct
import threading
import time
import urllib.request

from judge import Server, check, finish, server_program

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ATTEMPTS = 100_000
MB = 1 << 20


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def head(port):
    authority = f"127.0.0.1:{port}".encode()
    return b"\x82\x86\x84\x01" + bytes([len(authority)]) + authority


class Attack:
    """A connection that only pushes; `run` ends when the server closes, resets or says GOAWAY."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.sock.sendall(PREFACE + frame(4, 0, 0))
        self.inbox = b""
        self.goaway = None
        self.closed = False

    def look(self):
        while select.select([self.sock], [], [], 0)[0]:
            try:
                more = self.sock.recv(65536)
            except OSError:
                more = b""
            if not more:
                self.closed = True
                return
            self.inbox += more
            while len(self.inbox) >= 9:
                size = int.from_bytes(self.inbox[:3], "big")
                if len(self.inbox) < 9 + size:
                    break
                if self.inbox[3] == 7 and self.goaway is None:
                    last, code = struct.unpack(">II", self.inbox[9:17])
                    if last != 0x7fffffff:
                        self.goaway = (last, code)
                self.inbox = self.inbox[9 + size:]

    def run(self, make, read=True, batch=100):
        """Sends make(i) for i in turn; returns how many were sent when the server had enough."""
        sent = 0
        try:
            while sent < ATTEMPTS and not self.closed and self.goaway is None:
                self.sock.sendall(b"".join(make(i) for i in range(sent, sent + batch)))
                sent += batch
                if read:
                    self.look()
        except OSError:
            self.closed = True
        until = time.time() + 5
        while time.time() < until and not self.closed:
            self.look()
            time.sleep(0.01)
        self.sock.close()
        return sent


class GoodClient(threading.Thread):
    def __init__(self, port):
        super().__init__(daemon=True)
        self.url = f"http://127.0.0.1:{port}/hello"
        self.served = self.failed = 0
        self.stopping = False

    def run(self):
        while not self.stopping:
            try:
                good = urllib.request.urlopen(self.url, timeout=5).read() == b"hello\n"
            except OSError:
                good = False
            self.served += good
            self.failed += not good
            time.sleep(0.005)


def attack(program, name, limit_bytes, make, goaway_within=None, read=True):
    with Server(program, quarantine=False) as server:
        good = GoodClient(server.plain)
        good.start()
        time.sleep(0.3)
        before = server.rss_bytes()
        opponent = Attack(server.plain)
        sent = opponent.run(make(server.plain), read=read)
        time.sleep(0.2)
        grown = server.rss_bytes() - before
        stats = server.stats()
        good.stopping = True
        good.join()
        print(f"     {name}: {sent} sent, goaway {opponent.goaway}, closed {opponent.closed}, "
              f"memory +{grown / MB:.1f} MB, good client {good.served}/{good.served + good.failed}")
        # What was sent after the GOAWAY is only read away, so that the GOAWAY arrives.
        check(f"{name}: cut off", opponent.closed and (opponent.goaway or sent < ATTEMPTS))
        if "TSAN_OPTIONS" not in os.environ:  # whose shadow of each byte touched is several times as large
            check(f"{name}: memory grew by less than {limit_bytes // MB} MB", grown < limit_bytes, grown)
        check(f"{name}: the good client is served", good.served > 10 and not good.failed, good.failed)
        if goaway_within:
            streams = (opponent.goaway[0] + 1) // 2 if opponent.goaway else ATTEMPTS
            check(f"{name}: GOAWAY within {goaway_within} streams", streams <= goaway_within, streams)
        elif name != "CONTINUATION":
            check(f"{name}: counted", stats["floods"] >= 1, stats)


def rapid_reset(port):
    block = head(port)
    return lambda i: frame(1, 5, 2 * i + 1, block) + frame(3, 0, 2 * i + 1, struct.pack(">I", 8))


def continuation(port):
    block = head(port)
    return lambda i: frame(1, 1, 1, block) if i == 0 else frame(9, 0, 1, b"\x00\x01a" + b"\x64" + b"b" * 100)


def settings(_):
    return lambda i: frame(4, 0, 0, struct.pack(">HI", 4, 65535 + i % 2))


def pings(_):
    return lambda i: frame(6, 0, 0, struct.pack(">Q", i))


def empty_data(port):
    block = head(port)
    return lambda i: frame(1, 4, 1, block.replace(b"\x82", b"\x83")) if i == 0 else frame(0, 0, 1)


def slow_headers(program):
    with Server(program, "--header-timeout-ms", "1000") as server:
        good = GoodClient(server.plain)
        good.start()
        start = time.time()
        slow = [socket.create_connection(("127.0.0.1", server.plain)) for _ in range(200)]
        text = b"GET /hello HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1000
        alive, at = list(slow), 0
        while alive and time.time() - start < 10:
            for sock in list(alive):
                try:
                    sock.send(text[at:at + 1])
                    if select.select([sock], [], [], 0)[0] and not sock.recv(1):
                        alive.remove(sock)
                except OSError:
                    alive.remove(sock)
            at += 1
            time.sleep(0.1)
        took = time.time() - start
        stats = server.stats()
        good.stopping = True
        good.join()
        check("slow headers: all cut off by their total time", not alive and took < 3, took)
        check("slow headers: counted", stats["head_timeouts"] == 200, stats["head_timeouts"])
        check("slow headers: the good client is served", good.served > 10 and not good.failed, good.failed)
        for sock in slow:
            sock.close()


def main():
    program = server_program()
    attack(program, "rapid reset", 10 * MB, rapid_reset, goaway_within=1400)
    attack(program, "CONTINUATION", 50 * MB, continuation)
    attack(program, "SETTINGS", 50 * MB, settings)
    attack(program, "SETTINGS, never reading", 50 * MB, settings, read=False)
    attack(program, "PING", 50 * MB, pings)
    attack(program, "PING, never reading", 50 * MB, pings, read=False)
    attack(program, "empty DATA", 50 * MB, empty_data)
    slow_headers(program)
    finish()


if __name__ == "__main__":
    main()
