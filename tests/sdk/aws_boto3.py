#!/usr/bin/env python3
"""boto3, the newest, performs every operation that Vane uses on a vane-sim of its own, and meets AWS's errors.

`aws_boto3.py VANE_SIM`. The simulator runs on a clock that this script moves, so that keys can end.
"""
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "judges"))
from judge import check, finish, python_with  # noqa: E402

REQUIREMENTS = ("boto3==1.44.5",)
SHARED_CLOCK = struct.Struct("<8sq")  # base/clock.c: a magic number, then the time in microseconds
MAGIC = b"Vaneclck"


class Clock:
    """What VANE_CLOCK names."""

    def __init__(self, path):
        self.path, self.us = path, int(time.time() * 1e6)

    def write(self):
        with open(self.path, "r+b" if os.path.exists(self.path) else "w+b") as file:
            file.write(SHARED_CLOCK.pack(MAGIC, self.us).ljust(4096, b"\0"))

    def leap(self, seconds):
        self.us += int(seconds * 1e6)
        self.write()


class Client:
    def __init__(self, ready, clock):
        self.ready, self.clock = ready, clock
        self.own, self.other = ready["aws"]["accounts"]

    def __call__(self, service, **change):
        import boto3
        from botocore.config import Config
        keys = {"aws_access_key_id": self.own["access_key_id"], "aws_secret_access_key": self.own["secret_access_key"],
                "region_name": self.own["region"]}
        return boto3.client(service, endpoint_url=self.ready["aws"]["endpoint"], verify=self.ready["aws"]["ca_file"],
                            config=Config(retries={"total_max_attempts": 1}), **{**keys, **change})


def refused(what, call, code, status):
    """The call fails with that code and status; its answer is given back."""
    from botocore.exceptions import ClientError
    try:
        call()
    except ClientError as error:
        got = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        check(f"{what}: {code}", got == (code, status), f"{got} {error}")
        return error.response
    check(f"{what}: {code}", False, "was not refused")
    return {}


def configuration(aws):
    awsl, f = aws("lambda"), "fn-10"
    pages = list(awsl.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 15}))
    names = [item["FunctionName"] for page in pages for item in page["Functions"]]
    check("lists 40 functions in 3 pages", len(pages) == 3 and len(set(names)) == len(names) == 40, names)
    before = awsl.get_function_configuration(FunctionName=f)
    check("reads a configuration with its revision", before["RevisionId"] and before["LastUpdateStatus"] == "Successful")
    check("reads by ARN", awsl.get_function_configuration(FunctionName=before["FunctionArn"])["FunctionName"] == f)
    check("reads the whole function", awsl.get_function(FunctionName=f)["Configuration"]["RevisionId"] == before["RevisionId"])
    changed = awsl.update_function_configuration(FunctionName=f, MemorySize=700, RevisionId=before["RevisionId"])
    check("changes memory, which takes a while", changed["LastUpdateStatus"] == "InProgress", changed)
    refused("a change during a change", lambda: awsl.update_function_configuration(FunctionName=f, MemorySize=701),
            "ResourceConflictException", 409)
    awsl.get_waiter("function_updated_v2").wait(FunctionName=f, WaiterConfig={"Delay": 1})
    after = awsl.get_function_configuration(FunctionName=f)
    check("the waiter sees its end", after["MemorySize"] == 700 and after["RevisionId"] != changed["RevisionId"], after)
    refused("a stale revision", lambda: awsl.update_function_configuration(
        FunctionName=f, MemorySize=702, RevisionId=before["RevisionId"]), "PreconditionFailedException", 412)
    refused("too much memory", lambda: awsl.update_function_configuration(FunctionName=f, MemorySize=10241),
            "InvalidParameterValueException", 400)
    refused("no such function", lambda: awsl.get_function_configuration(FunctionName="none"),
            "ResourceNotFoundException", 404)


def versions(aws):
    awsl, f = aws("lambda"), "fn-11"
    check("publishes a version", awsl.publish_version(FunctionName=f)["Version"] == "1")
    awsl.update_function_configuration(FunctionName=f, MemorySize=900)
    refused("publishing during a change", lambda: awsl.publish_version(FunctionName=f), "ResourceConflictException", 409)
    awsl.get_waiter("function_updated_v2").wait(FunctionName=f, WaiterConfig={"Delay": 1})
    check("publishes the next", awsl.publish_version(FunctionName=f)["Version"] == "2")
    check("publishes nothing new without a change", awsl.publish_version(FunctionName=f)["Version"] == "2")
    refused("publishing from a stale revision", lambda: awsl.publish_version(FunctionName=f, RevisionId="old"),
            "PreconditionFailedException", 412)
    pages = list(awsl.get_paginator("list_versions_by_function").paginate(FunctionName=f, PaginationConfig={"PageSize": 2}))
    listed = [v["Version"] for page in pages for v in page["Versions"]]
    check("lists versions by pages", len(pages) == 2 and listed == ["$LATEST", "1", "2"], listed)
    check("a version keeps its memory", awsl.get_function_configuration(FunctionName=f, Qualifier="2")["MemorySize"] == 900)


def aliases(aws):
    awsl, f = aws("lambda"), "fn-11"
    made = awsl.create_alias(FunctionName=f, Name="live", FunctionVersion="1")
    check("makes an alias", made["AliasArn"].endswith(":fn-11:live") and "RoutingConfig" not in made, made)
    refused("an alias twice", lambda: awsl.create_alias(FunctionName=f, Name="live", FunctionVersion="1"),
            "ResourceConflictException", 409)
    refused("an alias of no version", lambda: awsl.create_alias(FunctionName=f, Name="x", FunctionVersion="9"),
            "ResourceNotFoundException", 404)
    moved = awsl.update_alias(FunctionName=f, Name="live", RevisionId=made["RevisionId"],
                              RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    check("gives half to another version", moved["RoutingConfig"]["AdditionalVersionWeights"] == {"2": 0.5}, moved)
    check("reads it back", awsl.get_alias(FunctionName=f, Name="live")["RevisionId"] == moved["RevisionId"])
    check("lists it", [a["Name"] for a in awsl.list_aliases(FunctionName=f)["Aliases"]] == ["live"])
    refused("a stale alias", lambda: awsl.update_alias(FunctionName=f, Name="live", RevisionId=made["RevisionId"],
                                                       FunctionVersion="2"), "PreconditionFailedException", 412)
    refused("three versions", lambda: awsl.update_alias(
        FunctionName=f, Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.1, "3": 0.1}}),
        "InvalidParameterValueException", 400)
    refused("no such alias", lambda: awsl.get_alias(FunctionName=f, Name="none"), "ResourceNotFoundException", 404)
    ran = set()
    for _ in range(30):
        aws.clock.leap(5)
        ran.add(awsl.invoke(FunctionName=f, Qualifier="live", Payload=b"{}")["ExecutedVersion"])
    check("calls go to both versions", ran == {"1", "2"}, ran)
    refused("a call of no version", lambda: awsl.invoke(FunctionName=f, Qualifier="7"), "ResourceNotFoundException", 404)
    back = awsl.update_alias(FunctionName=f, Name="live", RoutingConfig={})
    check("takes the weight away", "RoutingConfig" not in back, back)


def reserved(aws):
    awsl, f = aws("lambda"), "fn-12"
    check("has none at first", "ReservedConcurrentExecutions" not in awsl.get_function_concurrency(FunctionName=f))
    put = awsl.put_function_concurrency(FunctionName=f, ReservedConcurrentExecutions=5)
    check("reserves concurrency", put["ReservedConcurrentExecutions"] == 5)
    check("reads it", awsl.get_function_concurrency(FunctionName=f)["ReservedConcurrentExecutions"] == 5)
    check("and with the function", awsl.get_function(FunctionName=f)["Concurrency"]["ReservedConcurrentExecutions"] == 5)
    limits = awsl.get_account_settings()["AccountLimit"]
    check("the account has as much less",
          limits["ConcurrentExecutions"] - limits["UnreservedConcurrentExecutions"] == 5, limits)
    answer = refused("the account keeps a hundred", lambda: awsl.put_function_concurrency(
        FunctionName=f, ReservedConcurrentExecutions=limits["ConcurrentExecutions"] - 99), "InvalidParameterValueException", 400)
    check("and says so", "below its minimum value of [100]" in answer["Error"]["Message"], answer)
    awsl.put_function_concurrency(FunctionName=f, ReservedConcurrentExecutions=0)
    answer = refused("a stopped function", lambda: awsl.invoke(FunctionName=f), "TooManyRequestsException", 429)
    check("with the reason and when to come back",
          answer.get("Reason") == "ReservedFunctionConcurrentInvocationLimitExceeded"
          and answer["ResponseMetadata"]["HTTPHeaders"].get("retry-after") == "1", answer)
    check("takes events all the same", awsl.invoke(FunctionName=f, InvocationType="Event")["StatusCode"] == 202)
    awsl.delete_function_concurrency(FunctionName=f)
    check("gives it back", "ReservedConcurrentExecutions" not in awsl.get_function_concurrency(FunctionName=f))


def provisioned(aws):
    awsl, f = aws("lambda"), "fn-11"
    refused("nothing warm on $LATEST", lambda: awsl.put_provisioned_concurrency_config(
        FunctionName=f, Qualifier="$LATEST", ProvisionedConcurrentExecutions=2), "InvalidParameterValueException", 400)
    refused("nothing warm on no alias", lambda: awsl.put_provisioned_concurrency_config(
        FunctionName=f, Qualifier="none", ProvisionedConcurrentExecutions=2), "ResourceNotFoundException", 404)
    put = awsl.put_provisioned_concurrency_config(FunctionName=f, Qualifier="live", ProvisionedConcurrentExecutions=2)
    check("provisions, which takes a while", put["Status"] == "IN_PROGRESS"
          and put["AvailableProvisionedConcurrentExecutions"] == 0 and put["ResponseMetadata"]["HTTPStatusCode"] == 202, put)
    aws.clock.leap(10)
    got = awsl.get_provisioned_concurrency_config(FunctionName=f, Qualifier="live")
    check("is ready in the end", got["Status"] == "READY" and got["AllocatedProvisionedConcurrentExecutions"] == 2, got)
    listed = awsl.list_provisioned_concurrency_configs(FunctionName=f)["ProvisionedConcurrencyConfigs"]
    check("lists it", [c["FunctionArn"].rsplit(":", 1)[1] for c in listed] == ["live"], listed)
    refused("less reserved than provisioned", lambda: awsl.put_function_concurrency(
        FunctionName=f, ReservedConcurrentExecutions=1), "InvalidParameterValueException", 400)
    awsl.delete_provisioned_concurrency_config(FunctionName=f, Qualifier="live")
    refused("gone", lambda: awsl.get_provisioned_concurrency_config(FunctionName=f, Qualifier="live"),
            "ProvisionedConcurrencyConfigNotFoundException", 404)


def invocations(aws):
    import base64
    awsl, f = aws("lambda"), "fn-13"
    cold = awsl.invoke(FunctionName=f, Payload=b'{"a":1}', LogType="Tail")
    tail = base64.b64decode(cold["LogResult"]).decode()
    check("invokes and waits", cold["StatusCode"] == 200 and json.loads(cold["Payload"].read())["ok"] is True)
    check("the log's tail tells a cold start", "REPORT RequestId:" in tail and "Init Duration:" in tail, tail)
    aws.clock.leap(5)
    warm = base64.b64decode(awsl.invoke(FunctionName=f, LogType="Tail")["LogResult"]).decode()
    check("and then a warm one", "REPORT RequestId:" in warm and "Init Duration:" not in warm, warm)
    check("hands over an event", awsl.invoke(FunctionName=f, InvocationType="Event", Payload=b"{}")["StatusCode"] == 202)
    check("tries whether it might", awsl.invoke(FunctionName=f, InvocationType="DryRun")["StatusCode"] == 204)
    refused("calls nothing unknown", lambda: awsl.invoke(FunctionName="none"), "ResourceNotFoundException", 404)
    refused("no such kind of call", lambda: awsl.invoke(FunctionName=f, InvocationType="Later"),
            "InvalidParameterValueException", 400)


def telemetry(aws):
    now = aws.clock.us / 1e6
    ask = lambda name: aws("cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "m", "MetricStat": {"Metric": {"Namespace": "AWS/Lambda", "MetricName": "Invocations",
                            "Dimensions": [{"Name": "FunctionName", "Value": name}]}, "Period": 60, "Stat": "Sum"}}],
        StartTime=now - 3600, EndTime=now + 60)["MetricDataResults"][0]
    check("metrics count the calls", sum(ask("fn-13")["Values"]) == 3, ask("fn-13"))
    check("and have no points where there were none", ask("fn-14")["Values"] == [])
    pages = list(aws("logs").get_paginator("filter_log_events").paginate(
        logGroupName="/aws/lambda/fn-13", filterPattern="REPORT", startTime=int((now - 3600) * 1000)))
    events = [e for page in pages for e in page["events"]]
    check("logs come over an empty page", len(events) == 3 and not pages[0]["events"], (len(pages), len(events)))
    check("and hold reports", all(e["message"].startswith("REPORT RequestId: ") for e in events))
    refused("no such log group", lambda: aws("logs").filter_log_events(logGroupName="/aws/lambda/none"),
            "ResourceNotFoundException", 400)
    products = aws("pricing", region_name="us-east-1").get_products(
        ServiceCode="AWSLambda", Filters=[{"Type": "TERM_MATCH", "Field": "regionCode", "Value": aws.own["region"]}])
    tiers = [d for item in products["PriceList"] for term in json.loads(item)["terms"]["OnDemand"].values()
             for d in term["priceDimensions"].values()]
    check("prices have their tiers", len(products["PriceList"]) == 2 and len(tiers) >= 4
          and any(d["endRange"] == "Inf" for d in tiers), tiers)
    refused("no prices of others", lambda: aws("pricing", region_name="us-east-1").get_products(ServiceCode="AmazonEC2"),
            "InvalidParameterException", 400)


def identity(aws):
    sts = aws("sts")
    check("says who calls", sts.get_caller_identity()["Account"] == aws.own["account_id"])
    role = f"arn:aws:iam::{aws.other['account_id']}:role/vane-agent"
    keys = sts.assume_role(RoleArn=role, RoleSessionName="judge", DurationSeconds=900)["Credentials"]
    session = {"aws_access_key_id": keys["AccessKeyId"], "aws_secret_access_key": keys["SecretAccessKey"],
               "aws_session_token": keys["SessionToken"]}
    there = {**session, "region_name": aws.other["region"]}
    check("a role's keys work in its account", aws.other["account_id"] in aws("lambda", **there).get_function_configuration(
        FunctionName="fn-00")["FunctionArn"])
    refused("a role without its external id", lambda: sts.assume_role(RoleArn=role + "-by-id", RoleSessionName="judge"),
            "AccessDenied", 403)
    get = lambda **change: lambda: aws("lambda", **change).get_function_configuration(FunctionName="fn-00")
    refused("a wrong secret", get(aws_secret_access_key="wrong"), "InvalidSignatureException", 403)
    refused("an unknown key", get(aws_access_key_id="AKIAUNKNOWN000000000"), "UnrecognizedClientException", 403)
    refused("another region", get(region_name="eu-west-1"), "InvalidSignatureException", 403)
    refused("a token that is not the session's", get(**{**there, "aws_session_token": "other"}),
            "UnrecognizedClientException", 403)
    aws.clock.leap(901)
    refused("an expired token", get(**there), "ExpiredTokenException", 403)
    refused("an expired token at STS", lambda: aws("sts", **there).get_caller_identity(), "ExpiredToken", 403)


def judge_as_client(folder):
    with open(os.path.join(folder, "sim.json"), encoding="utf-8") as file:
        aws = Client(json.load(file), Clock(os.path.join(folder, "clock")))
    for part in (configuration, versions, aliases, reserved, provisioned, invocations, telemetry, identity):
        part(aws)
    finish()


def main():
    if sys.argv[1:2] == ["--client"]:
        judge_as_client(sys.argv[2])
    python = python_with("boto3", *REQUIREMENTS)
    with tempfile.TemporaryDirectory() as folder:
        Clock(os.path.join(folder, "clock")).write()
        sim = subprocess.Popen([sys.argv[1], "--state", folder, "--seed", "11"],
                               env={**os.environ, "VANE_CLOCK": os.path.join(folder, "clock")})
        try:
            for _ in range(300):
                if os.path.exists(os.path.join(folder, "sim.json")) or sim.poll() is not None:
                    break
                time.sleep(0.1)
            code = subprocess.run([python, os.path.abspath(__file__), "--client", folder], timeout=240, check=False).returncode
        finally:
            sim.send_signal(signal.SIGTERM)
            ended = sim.wait(timeout=30)
        sys.exit(code or ended)


main()
