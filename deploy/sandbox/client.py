"""A small HTTP client for vaned and the simulator's control API, on the standard library."""
import http.cookiejar
import json
import ssl
import time
import urllib.error
import urllib.request


class ApiError(Exception):
    def __init__(self, status, body):
        super().__init__(f"HTTP {status}: {body[:400]}")
        self.status = status


def wait_for(check, seconds, what):
    end = time.time() + seconds
    while True:
        try:
            if check():
                return
        except (ApiError, urllib.error.URLError, ConnectionError):
            pass
        if time.time() > end:
            raise RuntimeError(f"waited {seconds} s for {what}")
        time.sleep(0.05)


class Api:
    """Bearer token, or a session after login()."""

    def __init__(self, base, token=None, ca_file=None):
        self.base = base.rstrip("/")
        self.token = token
        self.csrf = None
        context = ssl.create_default_context(cafile=ca_file) if self.base.startswith("https") else None
        handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())]
        if context:
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self.opener = urllib.request.build_opener(*handlers)

    def call(self, verb, path, body=None, timeout=60):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=verb)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", "Bearer " + self.token)
        if self.csrf:
            request.add_header("X-Vane-CSRF", self.csrf)
            request.add_header("Origin", self.base)
        try:
            with self.opener.open(request, timeout=timeout) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as e:
            raise ApiError(e.code, e.read().decode(errors="replace")) from None
        return json.loads(text) if text else {}

    def get(self, path, timeout=60):
        return self.call("GET", path, None, timeout)

    def post(self, path, body, timeout=60):
        return self.call("POST", path, body, timeout)

    def login(self, token):
        answer = self.post("/login", {"token": token})
        self.csrf = answer["csrfToken"]
        return answer

    def login_link(self):
        """A one-time link for a browser, for the person that this session belongs to."""
        return self.post("/login-link", {})["link"]
