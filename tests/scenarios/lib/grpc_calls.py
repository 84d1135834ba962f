"""Calls every method with every credential over gRPC, with an empty message: a job as JSON in, a list of
[service, method, caller, code, details] out. Runs under an interpreter that has grpcio; the scenario does not."""
import json
import sys

import grpc


def channel_of(job, caller):
    with open(job["ca_file"], "rb") as f:
        ca = f.read()
    key = chain = None
    if caller["certificate"]:
        with open(caller["certificate"], "rb") as f:
            key = chain = f.read()
    return grpc.secure_channel(job["target"], grpc.ssl_channel_credentials(ca, key, chain))


def call(channel, path, streams_in, streams_out, metadata):
    kind = {(False, False): channel.unary_unary, (False, True): channel.unary_stream,
            (True, False): channel.stream_unary, (True, True): channel.stream_stream}[streams_in, streams_out]
    invoke = kind(path, request_serializer=bytes, response_deserializer=bytes)
    # A live stream that lets the caller in stays silent: its time-out is the sign.
    answer = invoke(iter(()) if streams_in else b"", metadata=metadata, timeout=1.5 if streams_out else 20)
    if streams_out:
        for _ in answer:
            answer.cancel()
            break


def main():
    job = json.load(sys.stdin)
    answers = []
    for name, caller in job["callers"].items():
        metadata = (("authorization", "Bearer " + caller["token"]),) if caller["token"] else ()
        with channel_of(job, caller) as channel:
            for service, method, streams_in, streams_out in job["methods"]:
                code, details = 0, ""
                try:
                    call(channel, f"/vane.v1.{service}/{method}", streams_in, streams_out, metadata)
                except grpc.RpcError as e:
                    code, details = e.code().value[0], e.details()
                answers.append([service, method, name, code, details])
    json.dump(answers, sys.stdout)


main()
