"""The demonstration: drive a real trace through the sandbox, then sum up what happened, measured."""
import json
import os
import secrets
import subprocess
import sys
import threading
import time

from client import ApiError
from sandbox import BIN, CLOUDS, DATA, Sandbox, say

EXPLAINED = 400  # routed decisions that are explained again for the summary, spread over the run; changes: all


def progress(box, stop):
    """One line on stderr that is written over; nothing when stderr is no terminal."""
    started = time.time()
    while not stop.wait(1):
        try:
            status = box.api.get("/v1/status")
        except (ApiError, OSError):
            continue
        line = (f"{time.time() - started:5.0f} s  {status['routed']} routed, {status['windows']} windows, "
                f"{status['rounds']} rounds, model {status['modelVersion']}, {status['applied']} changes applied")
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K" + line)
            sys.stderr.flush()
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")


def drive(box, seconds):
    out = box.path("drive.json")
    with open(out, "wb") as stdout:
        p = box.spawn("drive", ["vane-drive", "--clock", box.path("clock"), "--trace",
                                os.path.join(DATA, "azure-functions", "azure2019-500"), "--seed", str(box.seed), "--server", box.ready["https"],
                                "--ca-file", box.ready["ca_file"], "--token-file", box.token_file,
                                "--sim", box.path("sim", "sim.json"), "--seconds", str(seconds)], stdout=stdout)
        while p.poll() is None:
            box.check_alive(*[n for n in box.processes if n != "drive"])
            time.sleep(0.2)
    box.processes.pop("drive")
    if p.returncode != 0:
        raise RuntimeError("vane-drive failed:\n" + open(box.path("log", "drive.log"), errors="replace").read()[-1500:])
    with open(out, encoding="utf-8") as f:
        return json.load(f)


def explain_some(box):
    """Explains changes all, routes a spread sample; returns counts and the worst error of the sums."""
    ids = []
    for kind in ("memory", "model", "policy"):
        page = box.api.get(f"/v1/decisions?pageSize=500&kind={kind}")
        ids += [d["id"] for d in page["decisions"]]
    token, routes = "", []
    while True:
        page = box.api.get(f"/v1/decisions?pageSize=500&kind=route&pageToken={token}")
        routes += [d["id"] for d in page["decisions"]]
        token = page["nextPageToken"]
        if not token or len(routes) >= 20000:
            break
    step = max(1, len(routes) // EXPLAINED)
    explained, worst = 0, 0.0
    for decision_id in ids + routes[::step]:
        e = box.api.get(f"/v1/decisions/{decision_id}/explanation")
        explained += 1 if e["sentence"] else 0
        if e["attributions"]:
            worst = max(worst, abs(sum(a["value"] for a in e["attributions"]) - e["margin"]))
    return len(ids) + len(routes[::step]), explained, worst


def verify_log(box):
    """Exports everything and verifies it offline with vanectl, as an auditor would."""
    environment = dict(os.environ, VANE_SERVER=box.ready["https"], VANE_CA_FILE=box.ready["ca_file"],
                       VANE_TOKEN_FILE=box.token_file)
    vanectl = os.path.join(BIN, "vanectl")
    export = box.path("audit.jsonl")
    with open(export, "wb") as f:
        done = subprocess.run([vanectl, "audit", "export"], stdout=f, stderr=subprocess.PIPE, env=environment, check=False)
    if done.returncode:
        raise RuntimeError("vanectl audit export: " + done.stderr.decode()[-800:])
    done = subprocess.run([vanectl, "audit", "verify", export], capture_output=True, env={"PATH": os.environ["PATH"]},
                          check=False)
    if done.returncode:
        say("vanectl audit verify: " + done.stderr.decode()[-800:])
    return done.returncode == 0


def summary(box, driven, started):
    status = box.api.get("/v1/status")
    ledger = box.control("/control/ledger")
    alone = {c: box.control("/control/alone", {"cloud": c}) for c in CLOUDS}
    thirds = box.control("/control/alone", {"cloud": "thirds"})
    working = {c: a for c, a in alone.items() if a["failed"] == 0} or alone
    best = min(working, key=lambda c: working[c]["cost_usd"])
    asked, explained, worst = explain_some(box)
    return {
        "accounts": status["accounts"], "agents_online": status["agentsOnline"], "clouds": len(CLOUDS),
        "functions": status["workloads"], "invocations": driven["invocations"], "failed": driven["failed"],
        "routed": {c: driven["routed"].get(c, 0) for c in CLOUDS},
        "cost_usd": ledger["total"]["cost_usd"], "cost_usd_best_single_cloud": alone[best]["cost_usd"],
        "p95_ms": ledger["total"]["p95_ms"], "p95_ms_best_single_cloud": alone[best]["p95_ms"],
        "rounds": int(status["rounds"]), "model_version": int(status["modelVersion"]),
        "eval_loss_first": status["evalLossFirst"], "eval_loss_last": status["evalLossLast"],
        "eval_loss_baseline": status["evalLossBaseline"], "decisions": int(status["decisions"]),
        "explained": explained, "attribution_sum_error_max": worst, "log_size": int(status["logSize"]),
        "log_verified": verify_log(box), "proposals": int(status["proposals"]), "applied": int(status["applied"]),
        "seconds": round(time.time() - started, 1), "ui": box.ui_link, "seed": box.seed,
        "best_single_cloud": best, "explanations_asked": asked,
        "alone": alone, "static_thirds": thirds, "virtual_hours": driven.get("virtual_s", 0) / 3600,
        "rolled_back": int(status["rolledBack"]),
    }


def table(s):
    rows = [("accounts / agents online", f"{s['accounts']} / {s['agents_online']} in {s['clouds']} clouds"),
            ("functions", s["functions"]),
            ("invocations (failed)", f"{s['invocations']} ({s['failed']}) over {s['virtual_hours']:.1f} h of the trace"),
            ("routed", ", ".join(f"{c} {n}" for c, n in s["routed"].items())),
            ("cost", f"${s['cost_usd']:.4f}; best single cloud ({s['best_single_cloud']}) "
                     f"${s['cost_usd_best_single_cloud']:.4f}: "
                     f"{100 * (1 - s['cost_usd'] / max(s['cost_usd_best_single_cloud'], 1e-12)):.1f} % less"),
            ("p95", f"{s['p95_ms']:.0f} ms; best single cloud {s['p95_ms_best_single_cloud']:.0f} ms"),
            ("a static third each", f"${s['static_thirds']['cost_usd']:.4f}, p95 {s['static_thirds']['p95_ms']:.0f} ms"),
            ("rounds / model version", f"{s['rounds']} / {s['model_version']}"),
            ("held-out loss", f"first {s['eval_loss_first']:.4f}, last {s['eval_loss_last']:.4f}, "
                              f"baseline {s['eval_loss_baseline']:.4f}"),
            ("decisions / explained", f"{s['decisions']} / {s['explained']} asked, "
                                      f"worst sum error {s['attribution_sum_error_max']:.1e}"),
            ("log", f"{s['log_size']} entries, {'verified' if s['log_verified'] else 'NOT VERIFIED'}"),
            ("memory changes", f"{s['proposals']} proposed, {s['applied']} applied, {s['rolled_back']} rolled back"),
            ("seed / seconds", f"{s['seed']} / {s['seconds']}")]
    return "\n".join(f"  {name:26}{value}" for name, value in rows)


def cmd_demo(arguments):
    started = time.time()
    box = Sandbox(arguments.seed if arguments.seed is not None else secrets.randbelow(1 << 31))
    box.shuffle_labels = arguments.shuffle_labels
    say(f"seed {box.seed} (--seed {box.seed} repeats this run)")
    try:
        say("starting three clouds, vaned and six agents")
        box.start()
        box.stop_clock()
        say(f"driving the trace for at most {arguments.seconds} s")
        stop = threading.Event()
        watcher = threading.Thread(target=progress, args=(box, stop), daemon=True)
        watcher.start()
        try:
            driven = drive(box, arguments.seconds)
        finally:
            stop.set()
            watcher.join()
        s = summary(box, driven, started)
        if arguments.json:
            print(json.dumps(s, indent=1), flush=True)
        else:
            print("\n" + table(s) + "\n", flush=True)
        if not arguments.once:
            say(f"the UI: {box.ready['http']}   log in with {box.ui_link}\nCtrl-C stops everything")
            while True:
                time.sleep(1)
                box.check_alive()
    except KeyboardInterrupt:
        say("stopping")
    finally:
        box.stop()
    return 0


