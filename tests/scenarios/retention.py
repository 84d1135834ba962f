"""What is kept, and for how long: views for replay, segments of records behind tombstones, request ids over a kill."""
import json
import os
import re
import shutil
import signal
import time

from client import Api, ApiError

SETTINGS = "replay_window_s: 240\nrecord_retention_s: 600\nrecord_segment_s: 60\n"  # the clock runs 60 times as fast


def with_settings(world):
    plain, first = world.spawn, []

    def spawn(name, arguments, **more):
        if name == "vaned" and not first:
            first.append(name)
            with open(world.path("vaned.yaml"), "a", encoding="utf-8") as f:
                f.write(SETTINGS)
        return plain(name, arguments, **more)
    world.spawn = spawn


def refusal(call):
    """What the server says no with, or None if it says yes."""
    try:
        call()
        return None
    except ApiError as e:
        return e


def check_replays(world, decision_id):
    world.eventually(lambda: world.api.get(f"/v1/decisions/{decision_id}"), 5, "the record")
    replay = world.api.get(f"/v1/decisions/{decision_id}/replay")
    world.check(replay["identical"], f"replay of a young decision: {replay['note']}")


def check_request_ids(world, names):
    """One decision for one request id: again at once, after a stop, and after kill -9; another caller has another."""
    call = {"workload": names[0], "requestId": "order-7"}
    world.api.post("/v1/people", {"name": "olga", "role": "operator"})
    olga = Api(world.ready["http"], world.api.post("/v1/people/olga/tokens", {})["token"])
    first = world.api.post("/v1/route", call)["decisionId"]
    world.check(world.api.post("/v1/route", call)["decisionId"] == first, "a second decision for the same request id")
    other = olga.post("/v1/route", call)["decisionId"]
    world.check(other != first, "another person got the first one's decision")
    world.check(world.api.post("/v1/route", dict(call, workload=names[1]))["decisionId"] != first,
                "another workload got the decision")
    world.kill9("vaned")
    world.restart_server()
    last = {}

    def again(api):
        last["id"] = api.post("/v1/route", call)["decisionId"]
        return last["id"]
    world.eventually(lambda: again(world.api), 20, "routing after the kill")
    world.check(last["id"] == first, f"after kill -9 the request id gives {last['id']}, it was {first}")
    world.check(again(olga) == other, "after kill -9 another person's request id is lost or mixed up")
    # Once more, with an answer that the kill caught in the journal.
    caught = world.api.post("/v1/route", dict(call, requestId="order-8"))["decisionId"]
    world.kill9("vaned")
    world.restart_server()
    call = dict(call, requestId="order-8")
    world.eventually(lambda: again(world.api), 20, "routing after the second kill")
    world.check(last["id"] == caught, f"after kill -9 at once the request id gives {last['id']}, it was {caught}")


def check_expiry(world, names, old):
    """The old decision's view goes first, and then its record; a young one has both."""
    before = world.api.get(f"/v1/decisions/{old}/explanation")
    world.check(before["replayed"], f"not replayed while it was young: {before['replayNote']}")
    no = world.eventually(lambda: refusal(lambda: world.api.get(f"/v1/decisions/{old}/replay")), 30, "the view's end")
    world.check("view expired" in str(no) and no.status < 500, f"replay without a view: {no}")
    e = world.api.get(f"/v1/decisions/{old}/explanation")
    world.check(e["sentence"] and "view expired" in e["replayNote"] and not e["replayed"], f"explanation: {e}")
    world.check(e["attributions"] == before["attributions"] and e["margin"] == before["margin"],
                "the record explains itself otherwise than before")
    check_replays(world, world.api.post("/v1/route", {"workload": names[1]})["decisionId"])

    def gone():
        world.api.post("/v1/route", {"workload": names[1]})  # records, so that segments end
        no = refusal(lambda: world.api.get(f"/v1/decisions/{old}"))
        return no if no and no.status == 404 else None
    no = world.eventually(gone, 60, "the record's end")
    world.check("retention has ended" in str(no) and "kept from" in str(no), f"an expired record: {no}")
    check_replays(world, world.api.post("/v1/route", {"workload": names[1]})["decisionId"])


def check_audit(world):
    """What is missing from the export, the newest tombstone in it tells of; and all that is there is proven."""
    tombstones = world.api.get("/v1/decisions?kind=tombstone")["decisions"]
    world.check(tombstones, "no tombstone")
    path = world.path("audit.jsonl")
    with open(path, "w", encoding="utf-8") as f:
        f.write(world.vanectl("audit", "export").stdout)
    world.vanectl("audit", "verify", path)
    lines = [json.loads(line) for line in open(path, encoding="utf-8")]
    records = [x for x in lines if x["type"] == "record"]
    seqs = [int(x["seq"]) for x in records]
    world.check(seqs[0] > 0 and seqs == list(range(seqs[0], seqs[-1] + 1)), "the export has holes in its middle")
    world.check(any(x["kind"] == "tombstone" for x in records), "no tombstone in the export")
    told = max(int(re.search(r"entries \d+ to (\d+)", d["summary"])[1]) for d in tombstones)
    world.check(told >= seqs[0] - 1, f"records before {seqs[0]} are gone, tombstones tell of those up to {told}")
    return seqs[0]


def check_backup(world, expired):
    """A stopped server's state with expired records verifies; with one more segment gone it does not."""
    world.processes["vaned"].send_signal(signal.SIGTERM)
    world.processes.pop("vaned").wait(30)
    done = world.vanectl("backup", world.path("vaned"), world.path("backup"))
    counted = int(re.search(r"(\d+) expired", done.stdout)[1])
    world.check(counted >= expired, f"{expired} records had expired, the backup tells of {counted}")
    shutil.copytree(world.path("vaned"), world.path("tampered"))
    folder = world.path("tampered", "store", "segments")
    segments = sorted(os.listdir(folder))
    world.check(len(segments) >= 3, f"only segments {segments}")
    shutil.rmtree(os.path.join(folder, segments[1]))
    done = world.vanectl("backup", world.path("tampered"), world.path("backup-2"), expect=1)
    world.check("no tombstone" in done.stderr, f"a segment was taken away: {done.stderr[-300:]}")


def run(world):
    with_settings(world)
    world.start()
    names = [f["workload"] for f in world.api.get("/v1/functions?pageSize=500")["functions"]]
    check_request_ids(world, names)
    old = world.api.post("/v1/route", {"workload": names[0]})["decisionId"]
    check_replays(world, old)
    began = time.monotonic()
    check_expiry(world, names, old)
    took = time.monotonic() - began
    expired = check_audit(world)
    check_backup(world, expired)
    print(f"view and record of {old} expired within {took:.1f} s; {expired} records had gone behind tombstones")
