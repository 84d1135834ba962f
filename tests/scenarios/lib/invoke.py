"""Calls of functions in the simulated AWS, signed as AWS wants it: for scenarios that need functions with a history."""
import datetime
import hashlib
import hmac
import http.client
import ssl
import time
import urllib.parse

PATH = "/2015-03-31/functions/{}/invocations"


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Aws:
    """One account, over one connection. `now_us` tells the shared clock."""

    def __init__(self, world, name, now_us):
        cloud = world.sim["aws"]
        self.account = next(a for a in cloud["accounts"] if a["name"] == name)
        self.now_us = now_us
        self.host = urllib.parse.urlsplit(cloud["endpoint"]).netloc
        self.connection = http.client.HTTPSConnection(
            self.host, context=ssl.create_default_context(cafile=cloud["ca_file"]), timeout=10)

    def sign(self, path, body):
        moment = datetime.datetime.fromtimestamp(self.now_us() // 1_000_000, datetime.timezone.utc)
        stamp, day = moment.strftime("%Y%m%dT%H%M%SZ"), moment.strftime("%Y%m%d")
        scope = f"{day}/{self.account['region']}/lambda/aws4_request"
        request = f"POST\n{path}\n\nhost:{self.host}\nx-amz-date:{stamp}\n\nhost;x-amz-date\n" + \
            hashlib.sha256(body).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = ("AWS4" + self.account["secret_access_key"]).encode()
        for part in scope.split("/"):
            key = _hmac(key, part)
        return {"Host": self.host, "X-Amz-Date": stamp, "Authorization":
                f"AWS4-HMAC-SHA256 Credential={self.account['access_key_id']}/{scope}, SignedHeaders=host;x-amz-date, "
                f"Signature={hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}"}

    def invoke(self, function, body=b"1"):
        """The HTTP status."""
        path = PATH.format(function)
        self.connection.request("POST", path, body, self.sign(path, body))
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


def history(world, account, functions, calls, minutes=1):
    """That many calls of each function, spread over minutes, and the windows of them in vaned: enough for tuning to have
    an opinion (calls), or for an agent to learn from (minutes)."""
    aws = Aws(world, account, world.moving.now_us)
    for n in range(calls):
        if n and n % (calls // minutes) == 0:
            world.moving.leap(1)
            time.sleep(0.02)
        for f in functions:
            status = aws.invoke(f)
            world.check(status == 200, f"{f} in {account} answers {status}")
    world.moving.leap(3)  # the last minute ends, and the log's lag
    for f in functions:
        def told(name=f):
            return sum(e["account"] == account and int(e["calls"]) >= calls
                       for e in world.api.get(f"/v1/functions/{name}")["endpoints"])
        world.eventually(told, 20, f"the windows of {calls} calls of {f} in {account}")
