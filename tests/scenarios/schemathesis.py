"""schemathesis, which reads /openapi.json in its own way: no 5xx, and no answer that the document does not promise."""
import json
import math
import os
import re
import subprocess
import sys
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "judges"))
from judge import python_with

CASES = 500
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def run(world):
    python = python_with("schemathesis", "schemathesis==4.32.5", "hypothesis==6.170.17")
    world.start()
    base = world.ready["http"]
    with urllib.request.urlopen(base + "/openapi.json", timeout=20) as answer:
        document = json.load(answer)
    operations = [(path, op) for path, item in document["paths"].items() for op in item.values()]
    for _, op in operations:
        op["responses"].pop("default", None)  # or every status would be a promised one
    with open(world.path("openapi.json"), "w", encoding="utf-8") as f:
        json.dump(document, f)
    # Streams are endless by design; and whoever revokes himself is only told 401 from then on.
    left_out = sorted({path for path, op in operations
                       if "text/event-stream" in op["responses"]["200"]["content"] or "/revoke" in path})
    each = math.ceil(CASES / (len(operations) - len(left_out)))
    with open(world.token_file, encoding="utf-8") as f:
        token = f.read().strip()
    words = [os.path.join(os.path.dirname(python), "schemathesis"), "run", world.path("openapi.json"), "--url", base,
             "--phases", "coverage,fuzzing", "--checks", CHECKS, "--mode", "all", "--max-examples", str(each),
             "--seed", str(world.seed), "--continue-on-failure", "--request-timeout", "20", "--generation-database",
             "none", "--suppress-health-check", "all", "--warnings", "off", "-H", f"Authorization: Bearer {token}"]
    for path in left_out:
        words += ["--exclude-path", path]
    done = subprocess.run(words, cwd=world.state, capture_output=True, text=True, timeout=240, check=False)
    print(done.stdout[-6000:] + done.stderr[-1000:])
    world.check(done.returncode == 0, f"schemathesis ended with {done.returncode}")
    generated = re.search(r"(\d+) generated", done.stdout)
    world.check(generated and int(generated.group(1)) >= CASES, f"fewer than {CASES} cases")
