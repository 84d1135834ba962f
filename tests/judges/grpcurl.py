#!/usr/bin/env python3
"""grpcurl, which knows nothing but what reflection tells it: lists, describes and calls."""
import json
import subprocess

from judge import Server, check, finish, go_tool, server_program


def main():
    tool = go_tool("grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.4")

    def run(*arguments):
        return subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=30)

    with Server(server_program()) as server:
        plain, tls = ["-plaintext", f"127.0.0.1:{server.plain}"], ["-cacert", server.ca, f"localhost:{server.tls}"]
        for side, where in {"plain": plain, "tls": tls}.items():
            listed = run(*where, "list").stdout.split()
            check(f"{side} list", listed == ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                                             "grpc.reflection.v1alpha.ServerReflection",
                                             "grpc.testing.TestService"], listed)
            for symbol in ("grpc.testing.TestService", "grpc.testing.SimpleRequest", "grpc.testing.PayloadType",
                           "grpc.testing.TestService.UnaryCall", "grpc.health.v1.Health",
                           "grpc.reflection.v1alpha.ServerReflection"):
                done = run(*where, "describe", symbol)
                check(f"{side} describe {symbol}", done.returncode == 0, done.stderr)
            check(f"{side} describe of nothing fails", run(*where, "describe", "no.such.Thing").returncode != 0)
            done = run(*where, "grpc.health.v1.Health/Check")
            check(f"{side} health", json.loads(done.stdout or "{}") == {"status": "SERVING"}, done.stderr)
            done = run("-d", '{"responseSize": 3}', *where, "grpc.testing.TestService/UnaryCall")
            check(f"{side} unary", json.loads(done.stdout or "{}").get("payload") == {"body": "AAAA"}, done.stderr)
            done = run("-d", '{"responseParameters":[{"size":1},{"size":2}]}', *where,
                       "grpc.testing.TestService/StreamingOutputCall")
            check(f"{side} stream", done.stdout.count("payload") == 2, done.stderr)
            done = run("-d", '{"service":"nobody"}', *where, "grpc.health.v1.Health/Check")
            check(f"{side} status", "NotFound" in done.stderr, done.stderr)
    finish()


if __name__ == "__main__":
    main()
