"""gRPC with bare hands: curl's HTTP/2, messages put together by field number, an agent's identity from its own state.

For what no well-behaved client would send, and for streams whose end is timed. A message is bytes; `m(1, "x", 3, 5)` makes
one of field numbers and values (text, bytes, int, or float for a double).
"""
import json
import os
import struct
import subprocess
import urllib.parse


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def m(*parts):
    out = b""
    for number, value in zip(parts[::2], parts[1::2]):
        if isinstance(value, float):
            out += varint(number << 3 | 1) + struct.pack("<d", value)
        elif isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def fields(message):
    """The newest value of each field by number; submessages and texts as bytes."""
    found, at = {}, 0

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = message[at]
            at += 1
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n
    while at < len(message):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        elif key & 7 == 1:
            found[key >> 3] = struct.unpack("<d", message[at:at + 8])[0]
            at += 8
        else:
            size = number()
            found[key >> 3] = message[at:at + size]
            at += size
    return found


def frame(message):
    return b"\0" + struct.pack(">I", len(message)) + message


class Identity:
    """Key and certificate in files of their own, as TLS libraries want them."""

    def __init__(self, world, name, key_pem, cert_pem):
        self.key = world.path(f"identity-{name}.key")
        self.cert = world.path(f"identity-{name}.pem")
        for path, text in ((self.key, key_pem), (self.cert, cert_pem)):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
                f.write(text)


def identity_of(world, account, name=None):
    """A copy of what an agent proves itself with now."""
    with open(world.path("agents", account, "identity.json"), encoding="utf-8") as f:
        own = json.load(f)
    return Identity(world, name or account, own["key_pem"], own["cert_pem"])


class Answer:
    def __init__(self, status, message, replies, note):
        self.status, self.message, self.replies, self.note = status, message, replies, note

    def __repr__(self):
        return f"grpc-status {self.status}, {self.message!r}, {len(self.replies)} messages, {self.note!r}"


class Call:
    """One call under way. Its end is awaited by end(); `status` None: it had no gRPC end, and `note` is curl's why."""

    def __init__(self, world, method, body, identity=None, token=None, trust=None):
        arguments = ["curl", "-sSN", "--http2", "--cacert", trust or world.ready["ca_file"], "-D", "/dev/stderr", "-H",
                     "content-type: application/grpc", "-H", "te: trailers", "--data-binary", "@-"]
        if identity:
            arguments += ["--cert", identity.cert, "--key", identity.key]
        if token:
            arguments += ["-H", f"authorization: Bearer {token}"]
        self.process = subprocess.Popen(arguments + [world.ready["https"] + "/vane.v1." + method],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            self.process.stdin.write(body)
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # refused before it had all
        self.process.stdin = None

    def end(self, seconds=20):
        try:
            body, head = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            raise AssertionError(f"a call did not end within {seconds} s") from None
        found, note = {}, []
        for line in head.decode(errors="replace").splitlines():
            name, _, value = line.partition(": ")
            if line.startswith("curl:"):
                note.append(line)
            elif value:
                found[name.lower()] = urllib.parse.unquote(value.strip())
        replies = []
        while len(body) >= 5:
            size = struct.unpack(">I", body[1:5])[0]
            replies.append(body[5:5 + size])
            body = body[5 + size:]
        status = found.get("grpc-status")
        return Answer(None if status is None else int(status), found.get("grpc-message", ""), replies, " ".join(note))

    def stop(self):
        self.process.kill()
        self.process.communicate()


def call(world, method, *messages, identity=None, token=None, body=None):
    for _ in range(10):
        answer = Call(world, method, body or b"".join(frame(x) for x in messages), identity, token).end()
        # A refusal that comes before curl has sent its message is an error to curl, without the answer: once more.
        if answer.status is not None or "(92)" not in answer.note:
            break
    return answer


def refusal(world, identity):
    """Why no connection is made with this certificate: the server's alert, read before anything is sent that it might
    answer with a reset."""
    line = Line(world, identity)
    try:
        line.connection.sock.recv(1)
    except OSError as e:
        return str(e)
    return "was let in"


class Line:
    """One TLS connection that stays open, HTTP/1.1, with a client certificate."""

    def __init__(self, world, identity):
        import http.client
        import ssl
        context = ssl.create_default_context(cafile=world.ready["ca_file"])
        context.load_cert_chain(identity.cert, identity.key)
        where = urllib.parse.urlsplit(world.ready["https"])
        self.connection = http.client.HTTPSConnection("localhost", where.port, context=context, timeout=10)
        self.connection.connect()
        self.connection.auto_open = 0

    def get(self, path):
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
