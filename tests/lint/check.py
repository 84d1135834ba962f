#!/usr/bin/env python3
"""House rules that a compiler does not see: layers, file sizes, banned functions, READMEs, leftovers.

Usage: tests/lint/check.py   (from anywhere; exits 1 and lists every breach)
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Who may include whom (docs/architecture.md). `proto` is generated and may be used from `net` upwards.
MIDDLE = ["store", "clouds", "platform", "policies", "federation"]
MAY = {
    "proto": [],
    "base": [],
    "net": ["base", "proto"],
    "store": ["base", "net", "proto"],
    "clouds": ["base", "net", "proto"],
    "platform": ["base"],
    "policies": ["base"],
    "federation": ["base"],
    "decide": ["base", "policies", "federation", "platform"],
}
TOP = ["base", "net", "proto", "decide"] + MIDDLE
for program in ["client", "server", "agents", "cli"]:
    MAY[program] = TOP
MAY["sim"] = [m for m in TOP if m != "clouds"]

BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|system|alloca|atoi|atol|atof|rand|srand)\s*\(")
PURE = {"platform", "policies", "federation", "decide"}
IMPURE = re.compile(r"\b(clock_gettime|gettimeofday|time\s*\(NULL|fopen|open|pthread_mutex_lock|vn_clock_real|getenv)\s*\(")
LIBM = re.compile(r"\b(exp|log|log10|log2|pow|sin|cos|tan|tanh|sinh|cosh|cbrt|erf|lgamma|tgamma|expm1|log1p|exp2)f?\s*\(")
NO_LIBM = {"decide", "federation", "platform"}
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
SIZES = {".h": 300}
HARD = 800


def tracked():
    out = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True)
    return [p for p in out.stdout.splitlines() if os.path.isfile(os.path.join(ROOT, p))]


def strip_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.S)
    text = re.sub(r'"(\\.|[^"\\\n])*"', '""', text)
    return re.sub(r"//[^\n]*", "", text)


def check_c(path, text, problems):
    top = path.split("/")[0]
    is_test = path.endswith(("_test.c", "_test.h"))
    if top in MAY:
        for number, line in enumerate(text.split("\n"), 1):
            m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not m:
                continue
            target = m.group(1).split("/")[0]
            if target in ("vane", "grpc"):  # generated
                target = "proto"
            if target == top or (is_test and target == "tests"):
                continue
            if target not in MAY[top]:
                problems.append(f"{path}:{number}: {top} may not include {m.group(1)}")
    code = strip_comments(text)
    for number, line in enumerate(code.split("\n"), 1):
        if BANNED.search(line):
            problems.append(f"{path}:{number}: banned function: {line.strip()}")
        if not is_test and top in PURE and not path.endswith(("_main.c", "_fuzz.c")) and IMPURE.search(line):
            problems.append(f"{path}:{number}: {top} is pure: {line.strip()}")
        if not is_test and top in NO_LIBM and LIBM.search(line):
            problems.append(f"{path}:{number}: no libm here, use base/detmath.h: {line.strip()}")


def main():
    problems = []
    files = tracked()
    for path in files:
        if path.startswith(("tests/data/", "web/package-lock")) or path.endswith((".png", ".gz", ".bin", ".lock", "package-lock.json")):
            continue
        full = os.path.join(ROOT, path)
        try:
            with open(full, encoding="utf-8") as f:
                text = f.read()
        except UnicodeDecodeError:
            continue
        lines = text.count("\n")
        suffix = os.path.splitext(path)[1]
        if suffix in (".c", ".h", ".ts", ".tsx", ".py", ".sh", ".mjs", "") or os.path.basename(path) == "dev":
            limit = SIZES.get(suffix, HARD)
            if lines > limit:
                problems.append(f"{path}: {lines} lines, more than {limit}")
        if suffix in (".c", ".h"):
            check_c(path, text, problems)
        if not path.endswith(".md") and path != "tests/lint/check.py" and LEFTOVER.search(text):
            problems.append(f"{path}: a leftover mark ({LEFTOVER.search(text).group(0)})")
        if re.search(r"(^|[^a-zA-Z0-9_.])/(work|root|home/[a-z]+)/", text):
            problems.append(f"{path}: a machine path")
    for top in sorted({p.split("/")[0] for p in files if "/" in p}):
        if not top.startswith(".") and not os.path.isfile(os.path.join(ROOT, top, "README.md")):
            problems.append(f"{top}/: no README.md")
    for p in problems:
        print(p)
    print(f"house rules: {len(files)} files, {len(problems)} breaches")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
