"""Bills of random months by the rules of docs/billing.md, in decimal arithmetic, and their comparison with the C code.

Written from that page alone; it shares no code and no constant with platform/bill.c. `months(seed, n)` makes usage,
`bill(month)` the lines {(function, plan, meter, tier): USD}, `compare(program, seed, n)` runs the C side on the same.

Usage: independent.py PROGRAM [SEED [MONTHS]]; exit 1 where a line or a total differs by more than 0.1 %.
"""
import random
import subprocess
import sys
import time
from decimal import ROUND_CEILING, getcontext
from decimal import Decimal as D

getcontext().prec = 40
MAX_ERROR = D("0.001")
MILLION, KB = D(1000000), D(1024)

# What the clouds ask, as on their price pages; a month's own list is this, moved by up to a half.
LISTS = {
    "aws": [(plan, *row) for plan, second, tiers in (
        ("lambda-x86", "0.0000166667", ((6000000000, "0.0000150000"), (15000000000, "0.0000133334"))),
        ("lambda-arm", "0.0000133334", ((7500000000, "0.0000120001"), (18750000000, "0.0000106667"))))
        for row in [("gb_second", 0, second), *(("gb_second", *t) for t in tiers), ("request", 0, "0.0000002"),
                    ("storage_gb_second", 0, "0.0000000309"), ("ready_gb_second", 0, "0.0000041667"),
                    ("ready_run_gb_second", 0, "0.0000097222"), ("ready_request", 0, "0.0000002")]] +
           [("account", "egress_gb", 0, "0"), ("account", "egress_gb", 100, "0.09"),
            ("account", "egress_gb", 10240, "0.085")],
    "azure": [("consumption", "gb_second", 0, "0"), ("consumption", "gb_second", 400000, "0.000016"),
              ("consumption", "request", 0, "0"), ("consumption", "request", 1000000, "0.0000002"),
              ("flex", "gb_second", 0, "0"), ("flex", "gb_second", 100000, "0.000026"),
              ("flex", "request", 0, "0"), ("flex", "request", 250000, "0.0000004"),
              ("flex", "ready_gb_second", 0, "0.000004"), ("flex", "ready_run_gb_second", 0, "0.000016"),
              ("flex", "ready_request", 0, "0.0000004"), ("account", "egress_gb", 0, "0"),
              ("account", "egress_gb", 100, "0.087"), ("account", "egress_gb", 10240, "0.083")],
    "gcp": [("cloud-run", "vcpu_second", 0, "0"), ("cloud-run", "vcpu_second", 180000, "0.000024"),
            ("cloud-run", "gib_second", 0, "0"), ("cloud-run", "gib_second", 360000, "0.0000025"),
            ("cloud-run", "request", 0, "0"), ("cloud-run", "request", 2000000, "0.0000004"),
            ("cloud-run", "ready_vcpu_second", 0, "0.0000025"), ("cloud-run", "ready_gib_second", 0, "0.0000025"),
            ("account", "egress_gb", 0, "0.12"), ("account", "egress_gb", 1024, "0.11")],
}
PLANS = {"aws": ("lambda-x86", "lambda-arm"), "azure": ("consumption", "flex"), "gcp": ("cloud-run",)}
LAMBDA_GRANT = {"gb_second": D(400000), "request": D(1000000)}


def months(seed, count):
    """Months of one account: its price list and what its functions did. Sizes are spread over many orders, so that
    some stay within the grants and some cross every tier."""
    draw = random.Random(seed)
    for number in range(count):
        cloud = draw.choice(("aws", "azure", "gcp"))
        factor = D(draw.randint(50, 150)) / 100
        prices = [(plan, meter, start, format((D(usd) * factor).quantize(D("1e-12")), "f"))
                  for plan, meter, start, usd in LISTS[cloud]]
        draw.shuffle(prices)
        size = 10 ** draw.uniform(0, 10.5)
        calls, kept = [], []
        for function in range(draw.randint(1, 5)):
            plan = draw.choice(PLANS[cloud])
            memory = {"lambda-x86": draw.randint(128, 10240), "lambda-arm": draw.randint(128, 10240), "consumption": 1536,
                      "flex": draw.choice((512, 2048, 4096)), "cloud-run": draw.choice((128, 256, 512, 1024, 2048, 8192))}[plan]
            vcpu = draw.choice((83, 167, 333, 583, 1000, 2000, 4000)) if plan == "cloud-run" else 0
            storage = draw.choice((512, 512, 1024, draw.randint(512, 10240)))
            for _ in range(draw.randint(1, 4)):
                run = int(10 ** draw.uniform(2, 8.9)) + draw.randint(0, 999)
                share = max(1, int(size * draw.random() * 1e5 / max(run, 1000000)))
                calls.append((function, plan, memory, draw.randint(1, 1700), storage, vcpu, run,
                              draw.choice((0, 0, draw.randint(1, 9000000))), int(10 ** draw.uniform(0, 6.7)), share,
                              int(plan != "consumption" and draw.random() < 0.3)))
            if plan != "consumption" and draw.random() < 0.4:
                for _ in range(draw.randint(1, 3)):
                    kept.append((function, plan, memory, vcpu, draw.randint(1, 200), draw.randint(1, 2678400) * 1000000 +
                                 draw.choice((0, draw.randint(0, 999999)))))
        yield {"id": number, "cloud": cloud, "grant": draw.random() < 0.8, "prices": prices, "calls": calls, "kept": kept}


def up(value, step):
    """Rounded up to whole steps."""
    return (D(value) / step).to_integral_value(ROUND_CEILING) * step


def billed_seconds(plan, run_us, init_us):
    run, init = D(run_us) / MILLION, D(init_us) / MILLION
    if plan.startswith("lambda"):
        return up(run + init, D("0.001"))
    if plan == "consumption":
        return max(D("0.1"), up(run, D("0.001")))
    whole = up(run + init, D("0.1"))
    return max(D(1), whole) if plan == "flex" else whole


def quantities(month):
    """{function: {(plan, meter): units}}"""
    used, idle = {}, {}

    def add(where, key, amount):
        where[key] = where.get(key, D(0)) + amount

    for function, plan, memory, peak, storage, vcpu, run, init, sent, count, ready in month["calls"]:
        mine = used.setdefault(function, {})
        seconds = billed_seconds(plan, run, init) * count
        if plan == "consumption":
            memory = min(1536, max(128, up(peak, 128)))
        gb = D(memory) / KB
        add(mine, ("account", "egress_gb"), D(sent) * count / 10 ** 9)
        if plan == "cloud-run":
            add(mine, (plan, "vcpu_second"), seconds * vcpu / 1000)
            add(mine, (plan, "gib_second"), seconds * gb)
            add(mine, (plan, "request"), D(count))
            if ready:
                add(idle, (function, "ready_vcpu_second"), -seconds * vcpu / 1000)
                add(idle, (function, "ready_gib_second"), -seconds * gb)
            continue
        add(mine, (plan, "ready_run_gb_second" if ready else "gb_second"), seconds * gb)
        add(mine, (plan, "ready_request" if ready else "request"), D(count))
        if plan.startswith("lambda") and storage > 512:
            add(mine, (plan, "storage_gb_second"), seconds * (storage - 512) / KB)
    for function, plan, memory, vcpu, instances, microseconds in month["kept"]:
        seconds = D(microseconds) / MILLION
        if plan == "cloud-run":
            seconds = up(seconds, D("0.1")) * instances
            add(idle, (function, "ready_vcpu_second"), seconds * vcpu / 1000)
            add(idle, (function, "ready_gib_second"), seconds * D(memory) / KB)
        else:
            seconds = up(seconds, D(300)) if plan.startswith("lambda") else seconds
            add(used.setdefault(function, {}), (plan, "ready_gb_second"), seconds * instances * D(memory) / KB)
    for (function, meter), amount in idle.items():
        if amount > 0:
            used.setdefault(function, {})[("cloud-run", meter)] = amount
    return used


def account_lines(month, total):
    """[(plan, meter, tier, share of the quantity, USD)]"""
    lines = []
    for (plan, meter), amount in total.items():
        if not amount:
            continue
        grant = D(0)
        if month["grant"] and plan.startswith("lambda") and meter in LAMBDA_GRANT:
            both = sum(total.get((p, meter), D(0)) for p in PLANS["aws"])
            grant = amount * min(D(1), LAMBDA_GRANT[meter] / both)
            lines.append((plan, meter, "grant", grant / amount, D(0)))
        tiers = sorted((start, D(usd)) for p, m, start, usd in month["prices"] if (p, m) == (plan, meter))
        for at, (start, usd) in enumerate(tiers):
            end = D(tiers[at + 1][0]) if at + 1 < len(tiers) else amount
            units = min(end, amount) - max(D(start), grant)
            if units > 0:
                lines.append((plan, meter, str(start), units / amount, units * usd))
    return lines


def bill(month):
    used, total, parts = quantities(month), {}, {}
    for mine in used.values():
        for key, amount in mine.items():
            total[key] = total.get(key, D(0)) + amount
    for plan, meter, tier, _, usd in account_lines(month, total):
        for function, mine in used.items():
            amount = mine.get((plan, meter), D(0))
            if amount:
                parts[(function, plan, meter, tier)] = usd * amount / total[(plan, meter)]
    return parts


def as_text(month):
    lines = [f"month {month['id']}"]
    if month["cloud"] == "aws" and month["grant"]:
        lines.append("free 400000 1000000")
    lines += [" ".join(map(str, ("rate", *row))) for row in month["prices"]]
    lines += [" ".join(map(str, ("call", *row))) for row in month["calls"]]
    lines += [" ".join(map(str, ("keep", *row))) for row in month["kept"]]
    return "\n".join(lines + ["end", ""])


def run_program(program, text):
    """The C side's lines by month, and how long it took."""
    start = time.perf_counter()
    done = subprocess.run([program], input=text, capture_output=True, text=True, timeout=300, check=True)
    seconds = time.perf_counter() - start
    lines = {}
    for line in done.stdout.splitlines():
        month, function, plan, meter, tier, usd = line.split()
        lines.setdefault(int(month), {})[(int(function), plan, meter, tier)] = D(usd)
    return lines, seconds


def error(ours, theirs):
    """Relative to the independent one; of less than a ten-millionth of a dollar, to that: lines end at 1e-12 USD."""
    return abs(ours - theirs) / max(abs(theirs), D("1e-7"))


def compare(program, seed=1, count=10000):
    made = list(months(seed, count))
    ours, c_seconds = run_program(program, "".join(map(as_text, made)))
    start = time.perf_counter()
    theirs = {month["id"]: bill(month) for month in made}
    seconds = time.perf_counter() - start
    worst_line, worst_total, lines, where = D(0), D(0), 0, None
    for number, expected in theirs.items():
        got = ours.get(number, {})
        for key in expected.keys() | got.keys():
            e = error(got.get(key, D(0)), expected.get(key, D(0)))
            lines += 1
            if e > worst_line:
                worst_line, where = e, (number, key, got.get(key), expected.get(key))
        worst_total = max(worst_total, error(sum(got.values()), sum(expected.values())))
    met = {(key[2], key[3]) for expected in theirs.values() for key in expected}
    return {"lines": lines, "error_line": float(worst_line), "error_total": float(worst_total), "where": where, "met": met,
            "months_per_s": count / c_seconds, "independent_months_per_s": count / seconds}


def main():
    program = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    result = compare(program, seed, int(sys.argv[3]) if len(sys.argv) > 3 else 10000)
    print(f"seed {seed}: {result['lines']} lines, largest error of a line {result['error_line']:.3g}, of a month "
          f"{result['error_total']:.3g}; {result['months_per_s']:.0f} months/s, independent "
          f"{result['independent_months_per_s']:.0f}")
    # A comparison that never met a tier would agree about nothing.
    meant = {(meter, str(start)) for rows in LISTS.values() for _, meter, start, _ in rows}
    missing = meant - result["met"]
    if max(result["error_line"], result["error_total"]) > MAX_ERROR or missing:
        print(f"FAILED: worst {result['where']}; never met: {sorted(missing)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
