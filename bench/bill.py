#!/usr/bin/env python3
"""The `bill` bench: platform/bill.h beside the independent computation in decimal arithmetic, over random months.

Usage: bill.py BILL_MONTHS_PROGRAM. Prints one JSON object a line.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "bill"))
import independent  # noqa: E402

MONTHS, SEEDS = 10000, (1, 2, 3)
GOAL = 0.001


def main():
    runs = [independent.compare(sys.argv[1], seed, MONTHS) for seed in SEEDS]
    worst = max(max(r["error_line"], r["error_total"]) for r in runs)
    case = f"{MONTHS} random months, {len(SEEDS)} seeds"
    print(json.dumps({"bench": "bill", "case": case, "metric": "error_max", "value": worst, "unit": "share",
                      "goal": GOAL, "lines": sum(r["lines"] for r in runs)}))
    ours, peer = (sorted(r[name] for r in runs)[1] for name in ("months_per_s", "independent_months_per_s"))
    print(json.dumps({"bench": "bill", "case": case, "metric": "months_per_s", "value": round(ours), "unit": "1/s",
                      "peer": "independent.py", "peer_value": round(peer), "ratio": round(ours / peer, 2)}))
    return 0 if worst <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
