#!/usr/bin/env python3
"""gRPC's own interoperability client (the Go project's), every case that needs no cloud credentials, plain and TLS."""
import subprocess

from judge import Server, check, finish, go_tool, server_program

CASES = ["empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
         "timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response",
         "status_code_and_message", "special_status_message", "custom_metadata", "unimplemented_method",
         "unimplemented_service"]


def main():
    client = go_tool("client", "google.golang.org/grpc/interop/client", "v1.85.0")
    with Server(server_program()) as server:
        sides = {"plain": ["--server_host=127.0.0.1", f"--server_port={server.plain}"],
                 "tls": ["--server_host=localhost", f"--server_port={server.tls}", "--use_tls", "--use_test_ca",
                         f"--ca_file={server.ca}", "--server_host_override=localhost"]}
        for side, where in sides.items():
            for case in CASES:
                done = subprocess.run([client, *where, f"--test_case={case}"], capture_output=True, text=True,
                                      timeout=60)
                check(f"{side} {case}", done.returncode == 0, done.stderr[-300:])
    finish()


if __name__ == "__main__":
    main()
