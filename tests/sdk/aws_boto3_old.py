#!/usr/bin/env python3
"""An older boto3, which speaks CloudWatch's query form, against vane-sim: `aws_boto3_old.py VANE_SIM`.

Run by a plain Python it finds or makes an environment with boto3 1.26 and runs itself again there. 77: it cannot be had.
"""
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REQUIREMENTS = ("boto3==1.26.165", "botocore==1.29.165")
passed = failed = 0


def check(good, what):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("FAILED", what)


def code_of(call, **arguments):
    from botocore.exceptions import ClientError
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "no error"


def cloudwatch(client, function, invoked):
    now = datetime.datetime.now(datetime.timezone.utc)
    window = {"StartTime": now - datetime.timedelta(minutes=10), "EndTime": now + datetime.timedelta(minutes=1)}
    dimensions = [{"Name": "FunctionName", "Value": function}]
    query = lambda name, stat: {"Id": name.lower()[:8] + stat.lower(), "MetricStat": {
        "Metric": {"Namespace": "AWS/Lambda", "MetricName": name, "Dimensions": dimensions}, "Period": 60, "Stat": stat}}
    data = client.get_metric_data(MetricDataQueries=[query("Invocations", "Sum"), query("Duration", "p95"),
                                                     query("Duration", "Average")], ScanBy="TimestampAscending", **window)
    by_id = {r["Id"]: r for r in data["MetricDataResults"]}
    check(sum(by_id["invocatisum"]["Values"]) == invoked, "GetMetricData counts the invocations")
    check(all(isinstance(t, datetime.datetime) for t in by_id["invocatisum"]["Timestamps"]), "times are times")
    check(by_id["durationp95"]["Values"][0] >= by_id["durationaverage"]["Values"][0] > 0, "durations are there")
    check(by_id["durationp95"]["StatusCode"] == "Complete", "the status is told")
    check(data["ResponseMetadata"]["HTTPHeaders"]["content-type"].startswith("text/xml"), "the answer is XML")

    statistics = client.get_metric_statistics(Namespace="AWS/Lambda", MetricName="Duration", Dimensions=dimensions, Period=60,
                                              Statistics=["Sum", "SampleCount", "Maximum"], **window)
    check(sum(p["SampleCount"] for p in statistics["Datapoints"]) == invoked, "GetMetricStatistics counts them")
    check(all(p["Unit"] == "Milliseconds" and p["Maximum"] <= p["Sum"] for p in statistics["Datapoints"]), "with units")
    statistics = client.get_metric_statistics(Namespace="AWS/Lambda", MetricName="Duration", Dimensions=dimensions, Period=60,
                                              ExtendedStatistics=["p90"], **window)
    check(statistics["Datapoints"][0]["ExtendedStatistics"]["p90"] > 0, "percentiles come as a map")

    metrics = [m for page in client.get_paginator("list_metrics").paginate(Namespace="AWS/Lambda") for m in page["Metrics"]]
    check({m["MetricName"] for m in metrics} == {"Invocations", "Errors", "Throttles", "Duration"}, "ListMetrics")
    check(metrics[0]["Dimensions"][0]["Value"] == function, "ListMetrics names the function")
    check(not client.list_metrics(Namespace="AWS/Other")["Metrics"], "another namespace has none")

    check(code_of(client.get_metric_data, MetricDataQueries=[{"Id": "x", "Expression": "1+1"}], **window)
          == "ValidationError", "an error's code is read from the XML")
    check(code_of(client.get_metric_statistics, Namespace="AWS/Lambda", MetricName="Duration", Dimensions=dimensions,
                  Period=61, Statistics=["Sum"], **window) == "InvalidParameterValue", "a period is checked")
    check(code_of(client.get_metric_statistics, Namespace="AWS/Lambda", MetricName="Duration", Dimensions=dimensions,
                  Period=60, Statistics=["Sum"], StartTime=now - datetime.timedelta(days=3), EndTime=now)
          == "InvalidParameterCombination", "too many points are refused")
    check(code_of(client.describe_alarms) == "InvalidAction", "an unknown action is named so")


def judge(sim):
    import boto3
    account = sim["aws"]["accounts"][0]
    common = {"region_name": account["region"], "endpoint_url": sim["aws"]["endpoint"], "verify": sim["aws"]["ca_file"],
              "aws_access_key_id": account["access_key_id"], "aws_secret_access_key": account["secret_access_key"]}
    functions = boto3.client("lambda", **common)
    function = functions.list_functions()["Functions"][0]["FunctionName"]
    for _ in range(7):
        check(functions.invoke(FunctionName=function, Payload=b"{}")["StatusCode"] == 200, "invoke")
    cloudwatch(boto3.client("cloudwatch", **common), function, 7)
    wrong = boto3.client("cloudwatch", **{**common, "aws_secret_access_key": "wrong"})
    check(code_of(wrong.list_metrics) == "SignatureDoesNotMatch", "a wrong signature")
    elsewhere = boto3.client("cloudwatch", **{**common, "region_name": "eu-west-1"})
    check(code_of(elsewhere.list_metrics) == "SignatureDoesNotMatch", "another region's scope")
    logs = boto3.client("logs", **common)
    events = [e for page in logs.get_paginator("filter_log_events").paginate(
        logGroupName="/aws/lambda/" + function, filterPattern='"REPORT"') for e in page["events"]]
    check(len(events) == 7, "a REPORT line for each invocation")
    who = boto3.client("sts", **common).get_caller_identity()
    check(who["Account"] == account["account_id"], "the token service is still there")


def main():
    if "--inside" not in sys.argv:
        sys.path.insert(0, os.path.join(os.path.dirname(HERE), "judges"))
        from judge import python_with
        python = python_with("boto3-old", *REQUIREMENTS)
        return subprocess.run([python, __file__, *sys.argv[1:], "--inside"], check=False).returncode
    with tempfile.TemporaryDirectory() as state:
        process = subprocess.Popen([sys.argv[1], "--state", state])
        try:
            path = os.path.join(state, "sim.json")
            while not os.path.exists(path) and process.poll() is None:
                time.sleep(0.05)
            with open(path, encoding="utf-8") as file:
                judge(json.load(file))
        finally:
            process.terminate()
            code = process.wait()
    check(code == 0, f"vane-sim ended with {code}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
