"""A proxy between a client and a TLS server that makes trouble of one kind at a time, and remembers which changes the server
has accepted."""
import http.client
import http.server
import json
import os
import random
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.parse

KINDS = ("reset", "lost", "stall", "throttle", "truncate", "oversize", "types", "expired")
STALL_S = 5
OVERSIZE_BYTES = 20 << 20  # a client takes 16 MiB


def certificate(folder, name, days):
    """A key and a certificate for 127.0.0.1 that is its own authority; one of -1 days has expired."""
    key, pem = os.path.join(folder, name + ".key"), os.path.join(folder, name + ".pem")
    if days < 0:  # openssl req makes no certificate of the past
        expired(folder, name, key, pem)
        return key, pem
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                    key, "-out", pem, "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-days", str(days)],
                   check=True, capture_output=True, timeout=20)
    return key, pem


def expired(folder, name, key, pem):
    """By a throw-away `openssl ca`, the one tool that takes an end date of the past."""
    config = os.path.join(folder, name + ".cnf")
    for file in ("index.txt", "serial"):
        with open(os.path.join(folder, name + "." + file), "w", encoding="ascii") as f:
            f.write("" if file == "index.txt" else "01\n")
    with open(config, "w", encoding="ascii") as f:
        f.write(f"[ca]\ndefault_ca=d\n[d]\nnew_certs_dir={folder}\ndatabase={folder}/{name}.index.txt\n"
                f"serial={folder}/{name}.serial\ndefault_md=sha256\npolicy=p\nx509_extensions=e\nunique_subject=no\n"
                "[p]\ncommonName=optional\n[e]\nsubjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:true\n")
    quiet = {"check": True, "capture_output": True, "timeout": 20}
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                    key, "-out", key + ".csr", "-subj", "/CN=" + name], **quiet)
    subprocess.run(["openssl", "ca", "-batch", "-selfsign", "-config", config, "-keyfile", key, "-in", key + ".csr", "-out",
                    pem, "-notext", "-startdate", "20200101000000Z", "-enddate", "20200102000000Z"], **quiet)


def other_types(value):
    """The same JSON with the wrong type in each leaf."""
    if isinstance(value, dict):
        return {k: other_types(v) for k, v in value.items()}
    if isinstance(value, list):
        return {"0": [other_types(v) for v in value]} if len(value) % 2 else [other_types(v) for v in value]
    if isinstance(value, bool) or value is None:
        return [value]
    return {"n": value} if isinstance(value, (int, float)) else 17


class Proxy:
    """Listens on loopback for one upstream. `kind` is the trouble now, `chance` how many requests it hits."""

    def __init__(self, folder, name, upstream, ca_file, seed):
        self.kind, self.chance = None, 1.0
        self.pick = random.Random(seed)
        self.upstream = urllib.parse.urlsplit(upstream).netloc
        self.upstream_context = ssl.create_default_context(cafile=ca_file)
        self.rewrite = None  # (request handler, its body, status, text) -> text that is sent instead
        self.changes = []  # (time_us, method, path, body) of what the upstream accepted
        self.hits = 0
        good, gone = certificate(folder, name, 2), certificate(folder, name + "-gone", -1)
        self.ca_file = os.path.join(folder, name + "-ca.pem")
        with open(self.ca_file, "w", encoding="ascii") as out:
            for _, pem in (good, gone):
                with open(pem, encoding="ascii") as f:
                    out.write(f.read())
        self.contexts = {}
        for what, (key, pem) in (("good", good), ("gone", gone)):
            self.contexts[what] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.contexts[what].load_cert_chain(pem, key)
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.endpoint = f"https://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                plain, address = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(plain, address), daemon=True).start()

    def serve(self, plain, address):
        context = self.contexts["gone" if self.kind == "expired" else "good"]
        try:
            with context.wrap_socket(plain, server_side=True) as secure:
                Handler(self, secure, address)
        except (OSError, ValueError):
            plain.close()

    def close(self):
        self.socket.close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, proxy, secure, address):
        self.proxy = proxy
        super().__init__(secure, address, None)

    def log_message(self, *_):
        pass

    def any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.proxy.kind if self.proxy.pick.random() < self.proxy.chance else None
        if kind == "expired":  # a connection from before
            self.reset()
            return
        self.proxy.hits += kind is not None
        if kind == "reset":
            self.reset()
        elif kind == "throttle":
            self.answer(429, [("Retry-After", "1"), ("Content-Type", "application/json")],
                        b'{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"slow down"}}')
        else:
            if kind == "stall":
                time.sleep(STALL_S)
            status, headers, text = self.forward(body)
            if self.proxy.rewrite:
                text = self.proxy.rewrite(self, body, status, text)
            self.disturb(kind, status, headers, text)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = any

    def forward(self, body):
        upstream = http.client.HTTPSConnection(self.proxy.upstream, context=self.proxy.upstream_context, timeout=20)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("connection", "expect"):
                upstream.putheader(name, value)
        upstream.endheaders(body or None)
        answer = upstream.getresponse()
        text = answer.read()
        upstream.close()
        if self.command in ("PUT", "PATCH") and answer.status < 300:
            self.proxy.changes.append((time.time() * 1e6, self.command, self.path, body))
        return answer.status, answer.getheaders(), text

    def disturb(self, kind, status, headers, text):
        if kind == "lost":
            self.reset()
        elif kind == "truncate":
            self.answer(status, headers, text, sent=len(text) // 2)
        elif kind == "oversize":
            self.answer(status, headers, text + b" " * OVERSIZE_BYTES)
        elif kind == "types":
            try:
                text = json.dumps(other_types(json.loads(text))).encode()
            except ValueError:
                pass
            self.answer(status, headers, text)
        else:
            self.answer(status, headers, text)

    def answer(self, status, headers, text, sent=None):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text if sent is None else text[:sent])
        if sent is not None:
            self.close_connection = True

    def reset(self):
        """RST instead of an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        socket.socket(fileno=os.dup(self.connection.fileno())).close()
        self.connection.close()
