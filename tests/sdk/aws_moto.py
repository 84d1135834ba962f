#!/usr/bin/env python3
"""Vane's own AWS adapter against moto, a server that other people wrote from AWS's documentation.

`aws_moto.py VANE_AWS_PROBE`. moto gives functions no RevisionId, and its aliases keep theirs for ever. Vane reads nothing without a
revision, which is checked first against moto as it is; then a layer in front of moto adds what is missing, a revision that
changes with the configuration and is compared, and every operation that moto has must pass. What moto has not is named.
"""
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "judges"))
from judge import check, finish, python_with  # noqa: E402

REQUIREMENTS = ("moto[server]==5.2.5", "boto3==1.44.5")
STEPS = "list memory reserved publish split invoke async logs metrics".split()
NOT_COMPARED = {
    "provisioned concurrency": "moto has no such path (404)",
    "account settings, and the hundred that an account keeps": "moto has no such path (404), and no limit",
    "a function's revision, stale or not": "moto has none: added here in front of it",
    "INIT and billed time of a call": "moto answers an invocation without a log's tail",
    "prices": "moto does not answer GetProducts (500)",
    "signatures": "moto does not check them",
}


def revision_of(text):
    """The body with a revision that is made of everything else in it; the revision."""
    body = json.loads(text)
    if not isinstance(body, dict) or ("FunctionArn" not in body and "AliasArn" not in body):
        return text, None
    body.pop("RevisionId", None)
    body["RevisionId"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:36]
    return json.dumps(body).encode(), body["RevisionId"]


class Revisions:
    """WSGI: adds revisions to what moto says of functions and aliases, and compares those that come with a PUT."""

    def __init__(self, app):
        self.app = app

    def ask(self, environ, **change):
        seen = {}

        def start(status, headers, _exc_info=None):
            seen.update(status=status, headers=headers)

        body = b"".join(self.app({**environ, **change}, start))
        return seen["status"], seen["headers"], body

    def __call__(self, environ, start_response):
        path, sent = environ["PATH_INFO"], environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        whose = path.endswith("/configuration") or "/aliases/" in path
        if whose and environ["REQUEST_METHOD"] == "PUT" and json.loads(sent).get("RevisionId"):
            _, _, now = self.ask(environ, REQUEST_METHOD="GET", CONTENT_LENGTH="0", **{"wsgi.input": io.BytesIO()})
            if revision_of(now)[1] != json.loads(sent)["RevisionId"]:
                body = json.dumps({"Type": "User", "message": "The Revision Id provided does not match"}).encode()
                start_response("412 Precondition Failed", [("x-amzn-ErrorType", "PreconditionFailedException"),
                                                           ("Content-Length", str(len(body)))])
                return [body]
        status, headers, body = self.ask(environ, **{"wsgi.input": io.BytesIO(sent)})
        if whose and status.startswith("20"):
            body = revision_of(body)[0]
        elif path.endswith("/aliases") and status.startswith("200"):
            listed = json.loads(body)
            listed["Aliases"] = [json.loads(revision_of(json.dumps(a))[0]) for a in listed["Aliases"]]
            body = json.dumps(listed).encode()
        start_response(status, [h for h in headers if h[0].lower() != "content-length"] + [("Content-Length", str(len(body)))])
        return [body]


def serve(app):
    from werkzeug.serving import make_server
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.port}"


def prepare(endpoint):
    """A function, its log and its metrics, by boto3."""
    import boto3
    import urllib.request
    def client(service):
        return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="AKIAEXAMPLE",
                            aws_secret_access_key="secret")
    urllib.request.urlopen(urllib.request.Request(endpoint + "/moto-api/config", method="POST",
                                                  data=b'{"lambda":{"use_docker":false}}')).read()
    role = client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): return event")
    for name in [f"f-{i:03}" for i in range(60)]:
        client("lambda").create_function(FunctionName=name, Runtime="python3.12", Role=role, Handler="index.handler",
                                         Code={"ZipFile": code.getvalue()}, MemorySize=256, Publish=False)
    now_ms, group, stream = int(time.time() * 1000), "/aws/lambda/f-007", "2026/11/24/[$LATEST]ab"
    logs = client("logs")
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    report = "REPORT RequestId: q%d\tDuration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\t\n"
    lines = ["START RequestId: q0 Version: $LATEST", *(report % i for i in range(5)), "END RequestId: q0"]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[
        {"timestamp": now_ms - 60000 + i, "message": line} for i, line in enumerate(lines)])
    client("cloudwatch").put_metric_data(Namespace="AWS/Lambda", MetricData=[
        {"MetricName": "Invocations", "Dimensions": [{"Name": "FunctionName", "Value": "f-007"}],
         "Timestamp": now_ms / 1000 - 120, "Value": 9}])


def judge(probe):
    from moto.server import DomainDispatcherApplication, create_backend_app
    app = DomainDispatcherApplication(create_backend_app)
    plain, revised = serve(app), serve(Revisions(app))
    prepare(plain)
    account = {"cloud": "aws", "region": "us-east-1", "access_key_id": "AKIAEXAMPLE", "secret_access_key": "secret",
               "function": "f-007", "log_records": 5, "metric_calls": 9}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "account.json")
        for endpoint, steps in ((plain, ["health", "list", "refused-without-revision"]), (revised, STEPS)):
            with open(path, "w", encoding="utf-8") as file:
                json.dump({**account, "endpoint": endpoint}, file)
            done = subprocess.run([probe, path, *steps], capture_output=True, text=True, timeout=120, check=False)
            said = [line.removeprefix("ok   vane ") for line in done.stdout.splitlines()]
            for step in steps:
                check(f"moto {step}", step in said, done.stderr[-500:])
            check("moto nothing else went wrong", done.returncode == 0, done.stderr[-500:])
    for what, why in NOT_COMPARED.items():
        print(f"not compared: {what}: {why}")
    finish()


def main():
    if sys.argv[1:2] == ["--client"]:
        import logging
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        judge(sys.argv[2])
    python = python_with("moto", *REQUIREMENTS)
    done = subprocess.run([python, os.path.abspath(__file__), "--client", os.path.abspath(sys.argv[1])], timeout=240,
                          check=False)
    sys.exit(done.returncode)


main()
