#!/usr/bin/env python3
"""Hostile HTTP/1.1: every vector must get 400 and a close, and nothing after it may be taken for a request."""
import socket

from judge import Server, check, finish, server_program

SMUGGLED = b"GET /hello?smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = b"hello"
VECTORS = {
    "two lengths that differ": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + BODY,
    "two lengths that agree": b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n" + BODY,
    "length +5": b"Content-Length: +5\r\n\r\n" + BODY,
    "length -1": b"Content-Length: -1\r\n\r\n",
    "length 0x5": b"Content-Length: 0x5\r\n\r\n" + BODY,
    "length with a list": b"Content-Length: 5, 5\r\n\r\n" + BODY,
    "chunk +5": b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    "chunk -1": b"Transfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n",
    "chunk 0x5": b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "chunk too long for its type": b"Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
    "chunk without its end": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloworld\r\n0\r\n\r\n",
    "chunk extension broken": b"Transfer-Encoding: chunked\r\n\r\n5;\r\nhello\r\n0\r\n\r\n",
    "chunk line with bare LF": b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
    "length and coding": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding unknown": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding with a tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"X: a\nY: b\r\n\r\n",
    "bare CR": b"X: a\rY: b\r\n\r\n",
    "blank before the colon": b"X : a\r\n\r\n",
    "folded line": b"X: a\r\n b\r\n\r\n",
    "NUL in a value": b"X: a\0b\r\n\r\n",
    "name with a control byte": b"X\x01: a\r\n\r\n",
    "empty name": b": a\r\n\r\n",
    "two Hosts": b"Host: localhost\r\n\r\n",
}


def talk(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(data)
        out = b""
        try:
            while True:
                more = sock.recv(65536)
                if not more:
                    return out, True
                out += more
        except socket.timeout:
            return out, False


def main():
    with Server(server_program()) as server:
        host = f"Host: localhost:{server.plain}\r\n".encode()
        vectors = {name: b"POST /hello HTTP/1.1\r\n" + host + tail for name, tail in VECTORS.items()}
        vectors["no Host"] = b"GET /hello HTTP/1.1\r\n\r\n"
        vectors["coding in HTTP/1.0"] = (b"POST /hello HTTP/1.0\r\n" + host +
                                         b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        vectors["blank line first"] = b"\r\nGET /hello HTTP/1.1\r\n" + host + b"\r\n"
        for name, data in vectors.items():
            out, closed = talk(server.plain, data + SMUGGLED)
            good = out.startswith(b"HTTP/1.1 400 ") and closed and out.count(b"HTTP/1.1 ") == 1
            check(name, good, (out[:80], closed))
        out, _ = talk(server.plain, b"GET /hello HTTP/1.1\r\nConnection: close\r\n" + host + b"\r\n")
        check("a good client is still served", out.endswith(b"hello\n"), out[:80])
    finish()


if __name__ == "__main__":
    main()
