// Decisions as they are made. The list is loaded once and then fed by the server's event stream.

import { useEffect, useRef, useState } from "preact/hooks";
import { get, path } from "../api";
import { clock, num, share, significant, words } from "../format";
import { useLoad } from "../hooks";
import { Link, replaceQuery, type Route } from "../router";
import type { Decision, DecisionList } from "../types";
import { Card, Empty, Failure, Loading, Page, Pager, Table, Tag, usePages } from "../ui";

const KINDS = ["route", "memory", "model", "policy", "account", "pause", "people", "gap"];
const MAX_ROWS = 100;
const PAINT_EVERY_MS = 500; // a busy server sends thousands a second; the eye reads two a second

interface Stream {
  state: "connecting" | "live" | "stale";
  since: number; // browser time of the last sign of life
  fresh: Decision[];
  skipped: number;
  opens: number; // how often the stream began: each time after the first, something may have been missed
}

const newStream = (): Stream => ({ state: "connecting", since: Date.now(), fresh: [], skipped: 0, opens: 0 });

/** Newest first, at most MAX_ROWS; what arrives while paused is dropped and counted. */
function useStream(kind: string, workload: string, on: boolean): Stream {
  const [stream, setStream] = useState<Stream>(() => newStream());
  const paused = useRef(!on);
  paused.current = !on;
  useEffect(() => {
    setStream(newStream());
    let waiting: Decision[] = [];
    let skipped = 0;
    let alive = Date.now();
    const source = new EventSource(path(["v1", "decisions:watch"], { kind, workload }).replace("%3A", ":"));
    source.onopen = () => {
      alive = Date.now();
      setStream((s) => ({ ...s, state: "live", since: alive, opens: s.opens + 1 }));
    };
    source.onmessage = (event) => {
      alive = Date.now();
      if (paused.current) {
        skipped += 1;
        return;
      }
      try {
        waiting.unshift(JSON.parse(String(event.data)) as Decision);
      } catch {
        return; // a broken event is not worth the page
      }
      if (waiting.length > MAX_ROWS) waiting.length = MAX_ROWS;
    };
    source.onerror = () => setStream((s) => ({ ...s, state: "stale", since: alive }));
    const paint = window.setInterval(() => {
      if (!waiting.length && !skipped) return;
      const batch = waiting;
      const missed = skipped;
      waiting = [];
      skipped = 0;
      setStream((s) => ({
        ...s, state: "live", since: alive, skipped: s.skipped + missed, fresh: [...batch, ...s.fresh].slice(0, MAX_ROWS),
      }));
    }, PAINT_EVERY_MS);
    return () => {
      source.close();
      window.clearInterval(paint);
    };
  }, [kind, workload]);
  return stream;
}

function merge(fresh: Decision[], known: Decision[]): Decision[] {
  const seen = new Set<string>();
  return [...fresh, ...known]
    .filter((d) => !seen.has(d.id) && seen.add(d.id))
    .sort((a, b) => num(b.commit) - num(a.commit))
    .slice(0, MAX_ROWS);
}

export function DecisionsPage({ route }: { route: Route }) {
  const kind = route.query.get("kind") ?? "";
  const workload = route.query.get("workload") ?? "";
  const [live, setLive] = useState(true);
  const pages = usePages(`${kind}/${workload}`);
  const stream = useStream(kind, workload, live);
  const list = useLoad<DecisionList>(
    (signal) => get(["decisions"], { pageSize: 50, pageToken: pages.token, kind, workload }, signal), [kind, workload, pages.token]);
  useEffect(() => {
    if (stream.opens > 1 || (live && stream.skipped > 0)) list.reload();
  }, [stream.opens, live]);
  const set = (change: Record<string, string>) => replaceQuery(route, { kind, workload, ...change });
  const newest = !pages.hasBack;
  const rows = newest ? merge(stream.fresh, list.data?.decisions ?? []) : list.data?.decisions ?? [];
  return (
    <Page title="Decisions" lead="What Vane decided, newest first."
      actions={<button type="button" aria-pressed={!live} onClick={() => setLive(!live)}>{live ? "Pause the list" : "Resume the list"}</button>}>
      <LiveLine stream={stream} live={live} />
      <Card title="Recorded decisions" actions={<>
        <label class="inline">Kind <select value={kind} onChange={(e) => set({ kind: e.currentTarget.value })}>
          <option value="">all</option>
          {KINDS.map((k) => <option key={k} value={k}>{k}</option>)}
        </select></label>
        <label class="inline">Function <input type="search" data-filter value={workload} placeholder="exact name"
          onChange={(e) => set({ workload: e.currentTarget.value.trim() })} /></label>
      </>}>
        {!list.data && !list.error && <Loading />}
        {!list.data && <Failure error={list.error} retry={list.reload} />}
        {list.data && rows.length === 0 && (kind || workload ? (
          <Empty why="No decision matches this filter.">
            <button type="button" onClick={() => replaceQuery(route, {})}>Show all decisions</button>
          </Empty>
        ) : (
          <Empty why="Nothing has been decided yet.">
            A decision is recorded with each routed call and each change. Send a first call
            with <code>vanectl route WORKLOAD</code>, or look whether an <Link to={["accounts"]}>account</Link> is at
            level invoke.
          </Empty>
        ))}
        {rows.length > 0 && <DecisionTable rows={rows} />}
        {rows.length > 0 && (
          <Pager noun="decisions" shown={rows.length} hasBack={pages.hasBack} hasNext={Boolean(list.data?.nextPageToken)}
            back={pages.back} next={() => pages.next(list.data?.nextPageToken ?? "")} />
        )}
      </Card>
    </Page>
  );
}

function LiveLine({ stream, live }: { stream: Stream; live: boolean }) {
  const since = new Date(stream.since).toLocaleTimeString();
  if (stream.state === "stale") {
    return (
      <div class="note wait" role="status">
        <p>Stale since {since}: the live stream is cut. The browser keeps trying, and the list goes on when it succeeds.</p>
      </div>
    );
  }
  if (!live) {
    return (
      <p class="live" role="status"><span class="dot" aria-hidden="true" />
        Paused. {stream.skipped > 0 ? `${stream.skipped.toLocaleString("en-US")} newer decisions are not shown here; reload to see them.` : ""}
      </p>
    );
  }
  return (
    <p class="live" role="status"><span class={`dot ${stream.state}`} aria-hidden="true" />
      {stream.state === "live" ? "Live" : "Connecting…"}
    </p>
  );
}

function DecisionTable({ rows }: { rows: Decision[] }) {
  return (
    <Table label="Decisions, newest first" rows={rows} keyOf={(d) => d.id} columns={[
      { head: "Time (UTC)", cell: (d) => clock(d.timeUs) },
      { head: "Decision", header: true, cell: (d) => <Link to={["decisions", d.id]} title={d.id}>{d.summary || d.id}</Link> },
      { head: "Kind", cell: (d) => <span class="tag">{words(d.kind)}</span> },
      { head: "Subject", cell: (d) => d.workload || "–" },
      { head: "Choice", cell: (d) => d.choice || "–" },
      { head: "Margin", numeric: true, cell: (d) => (d.runnerUp ? significant(d.margin, 2) : "–") },
      { head: "Risk", numeric: true, cell: (d) => (d.kind === "route" || d.risk > 0 ? share(d.risk) : "–") },
      { head: "Outcome", cell: (d) => (d.outcome?.status ? <Tag text={d.outcome.status} /> : "–") },
      { head: "In the log", cell: (d) => (d.inLog ? `entry ${num(d.leafIndex).toLocaleString("en-US")}` : "soon") },
    ]} />
  );
}
