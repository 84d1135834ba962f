#!/usr/bin/env python3
"""Python's grpcio (the C core as a client): all four kinds, deadlines, metadata, compression refused, many at once."""
import subprocess

from judge import Server, check, finish, python_with, server_program

CLIENT = r"""
import concurrent.futures, sys
import grpc
port, tls_port, ca = sys.argv[1:4]
pb = lambda field, data: bytes([field << 3 | 2]) + varint(len(data)) + data
def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128]); n >>= 7
    return out + bytes([n])
same = lambda b: b
S = "/grpc.testing.TestService/"
def check(what, good):
    print(("ok   " if good else "FAIL ") + what, flush=True)
def code_of(call):
    try:
        call(); return None
    except grpc.RpcError as e:
        return e.code()
creds = grpc.ssl_channel_credentials(open(ca, "rb").read())
for side, channel in (("plain", grpc.insecure_channel("127.0.0.1:" + port)),
                      ("tls", grpc.secure_channel("localhost:" + tls_port, creds))):
    unary = channel.unary_unary(S + "UnaryCall", same, same)
    body = b"x" * 200
    answer = unary(pb(3, pb(2, body)), timeout=10)
    check(side + " echo", body in answer)
    big = unary(b"\x10" + varint(3000000), timeout=20)
    check(side + " 3 MB answer", len(big) > 3000000)
    check(side + " 3 MB request", len(unary(pb(3, pb(2, b"y" * 3000000)), timeout=20)) > 3000000)
    check(side + " too large a request", code_of(lambda: unary(pb(3, pb(2, b"y" * (5 << 20))), timeout=20))
          == grpc.StatusCode.RESOURCE_EXHAUSTED)
    check(side + " malformed request", code_of(lambda: unary(b"\xff\xff\xff", timeout=10))
          == grpc.StatusCode.INVALID_ARGUMENT)
    check(side + " compressed request", code_of(lambda: unary(pb(3, pb(2, body * 20)), timeout=10,
          compression=grpc.Compression.Gzip)) == grpc.StatusCode.UNIMPLEMENTED)
    check(side + " no such method", code_of(lambda: channel.unary_unary(S + "Nope", same, same)(b"", timeout=10))
          == grpc.StatusCode.UNIMPLEMENTED)
    out = channel.unary_stream(S + "StreamingOutputCall", same, same)
    got = list(out(pb(2, b"\x08\x05") * 50, timeout=10))
    check(side + " server stream", len(got) == 50)
    check(side + " deadline", code_of(lambda: list(out(pb(2, b"\x08\x05\x10" + varint(5000000)), timeout=0.3)))
          == grpc.StatusCode.DEADLINE_EXCEEDED)
    inp = channel.stream_unary(S + "StreamingInputCall", same, same)
    check(side + " client stream", inp(iter([pb(1, pb(2, body))] * 1000), timeout=20) == b"\x08" + varint(200000))
    duplex = channel.stream_stream(S + "FullDuplexCall", same, same)
    got = list(duplex(iter([pb(2, b"\x08" + varint(60000))] * 300), timeout=30))
    check(side + " duplex under flow control", len(got) == 300 and all(len(g) > 60000 for g in got))
    call = unary.with_call(pb(3, pb(2, body)), timeout=10, metadata=(("x-grpc-test-echo-initial", "a"),
                           ("x-grpc-test-echo-trailing-bin", b"\0\1\xff")))[1]
    check(side + " metadata", ("x-grpc-test-echo-initial", "a") in [tuple(m) for m in call.initial_metadata()]
          and ("x-grpc-test-echo-trailing-bin", b"\0\1\xff") in [tuple(m) for m in call.trailing_metadata()])
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda i: body in unary(pb(3, pb(2, body)), timeout=30), range(2000)))
    check(side + " 2000 calls at once", all(results))
"""


def main():
    python = python_with("grpcio", "grpcio==1.66.2")
    with Server(server_program(), "--loops", "2") as server:
        done = subprocess.run([python, "-c", CLIENT, str(server.plain), str(server.tls), server.ca],
                              capture_output=True, text=True, timeout=300)
        for line in done.stdout.splitlines():
            check(line[5:], line.startswith("ok"))
        check("the client ran to its end", done.returncode == 0, done.stderr[-1000:])
    finish()


if __name__ == "__main__":
    main()
