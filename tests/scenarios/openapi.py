"""Whatever openapi.json allows, and a good deal that it does not: no 5xx, no undocumented status, content type or shape.

Cases are drawn from the document itself, so a new method is tried without a line here. Repeat with VANE_TEST_SEED.
"""
import json
import random
import re
import urllib.error
import urllib.parse
import urllib.request

CASES = 500
TEXTS = ["aws-a", "demo", "", "x", "\u00e9", "global", "account", "admin", "a" * 300, "../..", "%00", "1", "0", "\u202e", "'\"<", "tune",
         "gcp", '{"a":1}', "policy: x"]
ODD = [None, 1, -1, 1.5, "x", [], {}, True, 2**63, 1e300, "999999999999999999999"]
INTEGERS = [0, 1, -1, 2, 50, 500, 501, 2**31, 2**32 - 1, 2**53, 2**63 - 1, -2**63, 1700000000000000]


class Document:
    def __init__(self, document, seed):
        self.document = document
        self.random = random.Random(seed)
        self.operations = [(path, verb, op) for path, item in document["paths"].items() for verb, op in item.items()]

    def resolve(self, schema):
        while "$ref" in schema:
            node = self.document
            for key in schema["$ref"][2:].split("/"):
                node = node[key]
            schema = node
        return schema

    def value(self, schema, depth=0, odd=0.05):
        pick, schema = self.random, self.resolve(schema)
        if pick.random() < odd:
            return pick.choice(ODD)
        if "enum" in schema:
            return pick.choice(schema["enum"])
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        kind = pick.choice([k for k in kinds if k != "null"])
        if kind == "object":
            return {k: self.value(v, depth + 1, odd) for k, v in schema.get("properties", {}).items()
                    if pick.random() < 0.7 and depth < 6}
        if kind == "array":
            return [self.value(schema["items"], depth + 1, odd) for _ in range(pick.randint(0, 3))] if depth < 6 else []
        if kind == "integer":
            return pick.choice(INTEGERS)
        if kind == "number":
            return pick.choice([0, -1.5, 1e300, 3.14])
        if kind == "boolean":
            return pick.random() < 0.5
        if "int64" in schema.get("format", ""):
            return str(pick.choice([0, 1, 5, 10**18, -1]))
        return pick.choice(["", "AAAA", "AQI=", "!!"] if "contentEncoding" in schema else TEXTS)

    def faults(self, value, schema, where="$"):
        """What of JSON Schema this document uses: type, enum, pattern, required, properties, items, bounds."""
        schema = self.resolve(schema)
        if "enum" in schema and value not in schema["enum"]:
            return f"{where}: {value!r} is not in the enum"
        kinds = schema.get("type", [])
        kinds = kinds if isinstance(kinds, list) else [kinds]
        is_a = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
                "null": type(None)}
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if kinds and not any(isinstance(value, is_a[k]) and (k in ("boolean",) or not isinstance(value, bool))
                             for k in kinds):
            return f"{where}: {value!r} is not {kinds}"
        if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
            return f"{where}: {value!r} does not match {schema['pattern']}"
        if number and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            return f"{where}: {value} is out of bounds"
        if isinstance(value, list) and "items" in schema:
            return next(filter(None, (self.faults(v, schema["items"], f"{where}[{i}]") for i, v in enumerate(value))), "")
        if isinstance(value, dict) and "properties" in schema:
            missing = [k for k in schema.get("required", []) if k not in value]
            unknown = [k for k in value if k not in schema["properties"]]
            if missing or (unknown and schema.get("additionalProperties") is False):
                return f"{where}: missing {missing}, unknown {unknown}"
            return next(filter(None, (self.faults(v, schema["properties"][k], f"{where}.{k}") for k, v in value.items()
                                      if k in schema["properties"])), "")
        return ""

    def case(self):
        """(operation, verb, url, body, headers) of one request."""
        pick = self.random
        path, verb, op = pick.choice(self.operations)
        query, body, headers = [], None, {}
        for parameter in op.get("parameters", []):
            value = self.value(parameter["schema"])
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if parameter["in"] == "path":
                path = path.replace("{%s}" % parameter["name"], urllib.parse.quote(text or "x", safe=""))
            elif pick.random() < 0.5:
                query.append((parameter["name"], text))
        if pick.random() < 0.05:
            query.append(("nope", "1"))
        if query:
            path += "?" + urllib.parse.urlencode(query)
        if "requestBody" in op:
            body = json.dumps(self.value(op["requestBody"]["content"]["application/json"]["schema"])).encode()
            if pick.random() < 0.05:
                body = pick.choice([b"{", b"", b"\xff", b"[" * 100, b'{"a":1,"a":2}'])
            if pick.random() < 0.95:
                headers["Content-Type"] = "application/json"
        return op, verb.upper() if pick.random() < 0.97 else "DELETE", path, body, headers


def send(base, verb, path, body, headers):
    request = urllib.request.Request(base + path, data=body, method=verb, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers.get("content-type", ""), answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.headers.get("content-type", ""), e.read()


def judge(document, op, status, content_type, body):
    if status >= 500:
        return f"status {status}: {body[:300]!r}"
    documented = op["responses"].get(str(status))
    if not documented:
        return f"status {status} is not documented"
    content = document.resolve(documented)["content"]
    kind = content_type.split(";")[0]
    if kind not in content:
        return f"content type {content_type} is not documented for {status}"
    return document.faults(json.loads(body), content[kind]["schema"]) if "json" in kind else ""


def run(world):
    world.start()
    base = world.ready["http"]
    document = Document(json.loads(send(base, "GET", "/openapi.json", None, {})[2]), world.seed)
    token = open(world.token_file, encoding="utf-8").read().strip()
    statuses, done = {}, 0
    while done < CASES:
        op, verb, path, body, headers = document.case()
        if "text/event-stream" in op["responses"]["200"]["content"] or "/revoke" in path:
            continue  # endless by design; and whoever revokes himself is only told 401 from then on
        if document.random.random() < 0.95:
            headers["Authorization"] = "Bearer " + token
        status, content_type, answer = send(base, verb, path, body, headers)
        fault = judge(document, op, status, content_type, answer)
        world.check(not fault, f"{verb} {path} {body!r}: {fault}")
        statuses[status] = statuses.get(status, 0) + 1
        done += 1
    print(f"{done} cases: {dict(sorted(statuses.items()))}")
    world.check(statuses.get(200, 0) > CASES / 10 and statuses.get(400, 0) > CASES / 10, "the cases are too much alike")
