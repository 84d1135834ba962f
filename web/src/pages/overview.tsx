import { useState } from "preact/hooks";
import { messageOf } from "../api";
import { count, duration, money, bytes, num, perMillion, share, significant, time, plural, clock, cloudName } from "../format";
import { history, mayAs, useApp } from "../hooks";
import { PauseButton } from "../pause";
import { Plot } from "../plot";
import { Link } from "../router";
import type { CloudStatus, Status } from "../types";
import { Card, Cloud, Empty, Loading, Page, Table, Tile, cloudClass } from "../ui";
import { LearningCard } from "./learning";

export function OverviewPage() {
  const { status } = useApp();
  const s = status.data;
  return (
    <Page title="Overview" lead={s ? `vaned ${s.version}, up since ${time(s.startedUs)} UTC` : ""} actions={<PauseButton />}>
      {!s ? (status.error ? <p class="muted">{messageOf(status.error)}</p> : <Loading />) : (
        <>
          <Tiles status={s} />
          <CloudsCard status={s} />
          <LearningCard status={s} />
        </>
      )}
    </Page>
  );
}

function Tiles({ status: s }: { status: Status }) {
  const cost = s.clouds.reduce((sum, c) => sum + c.costUsd, 0);
  const routed = num(s.routed);
  const failed = num(s.failed);
  const outcomes = num(s.outcomes);
  const machine = num(s.storeBudgetBytes) > 0; // its figures go to the installation's own tenant only
  const full = machine ? num(s.storeBytes) / num(s.storeBudgetBytes) : 0;
  return (
    <dl class="tiles">
      <Tile label="Agents online" value={`${s.agentsOnline} of ${s.accounts}`} note={<Link to={["accounts"]}>Accounts</Link>}
        tone={s.accounts > 0 && s.agentsOnline < s.accounts ? "wait" : ""} />
      <Tile label="Calls routed" value={count(s.routed)} note={`${plural(s.workloads, "function")}, ${count(s.decisions)} decisions`} />
      <Tile label="Calls failed" value={count(s.failed)} tone={failed > 0 ? "bad" : ""}
        note={outcomes > 0 ? `${share(failed / outcomes)} of ${count(s.outcomes)} reported` : "no outcomes reported yet"} />
      <Tile label="Cost of routed calls" value={money(cost)} note={routed > 0 ? perMillion((cost / routed) * 1e6) : "nothing routed yet"} />
      <Tile label="Audit log" value={count(s.logSize)} unit="entries" tone={num(s.gaps) > 0 ? "wait" : ""}
        note={num(s.gaps) > 0 ? <>{plural(num(s.gaps), "gap")} recorded. <Link to={["audit"]}>Audit log</Link></> : <>{machine ? "no gaps. " : ""}<Link to={["audit"]}>Audit log</Link></>} />
      <Tile label="Memory changes" value={`${count(s.applied)} kept`} tone=""
        note={<>{count(s.proposals)} proposed, {count(s.rolledBack)} rolled back. <Link to={["approvals"]}>Approvals</Link></>} />
      {machine && <Tile label="Store" value={bytes(s.storeBytes)} tone={full > 0.8 ? "wait" : ""}
        note={`${share(full)} of ${bytes(s.storeBudgetBytes)}`} />}
      <Tile label="Model" value={num(s.modelVersion) > 0 ? `version ${s.modelVersion}` : "none yet"}
        note={`${plural(num(s.rounds), "round")}, server time ${clock(s.timeUs)}`} />
    </dl>
  );
}

const METRICS = [
  { id: "calls", name: "Calls", axis: "calls routed per minute" },
  { id: "cost", name: "Cost", axis: "USD per million calls" },
  { id: "p95", name: "95th percentile", axis: "time of a call, 95th percentile" },
] as const;
type MetricId = (typeof METRICS)[number]["id"];

const costPerMillion = (c: CloudStatus) => (num(c.routed) > 0 ? (c.costUsd / num(c.routed)) * 1e6 : NaN);

/** One value a sample: rates between neighbours, in the server's own time. */
function valuesOf(metric: MetricId, cloud: string): (number | null)[] {
  return history.map((now, i) => {
    const c = now.clouds.find((x) => x.cloud === cloud);
    if (!c) return null;
    if (metric === "p95") return c.p95Ms > 0 ? c.p95Ms : null;
    const before = history[i - 1]?.clouds.find((x) => x.cloud === cloud);
    if (!before) return null;
    const calls = num(c.routed) - num(before.routed);
    const minutes = (num(now.timeUs) - num(history[i - 1].timeUs)) / 6e7;
    if (metric === "calls") return minutes > 0 && calls >= 0 ? calls / minutes : null;
    return calls > 0 ? ((c.costUsd - before.costUsd) / calls) * 1e6 : null;
  });
}

const FORMAT: Record<MetricId, (v: number) => string> = {
  calls: (v) => significant(v),
  cost: money,
  p95: duration,
};

function CloudsCard({ status }: { status: Status }) {
  const [metric, setMetric] = useState<MetricId>("calls");
  const { session } = useApp();
  const clouds = status.clouds;
  const about = METRICS.find((m) => m.id === metric) ?? METRICS[0];
  if (clouds.length === 0 || status.accounts === 0) {
    return (
      <Card title="Clouds">
        <Empty why="No cloud account has been added yet.">
          {mayAs(session, "operator")
            ? <><Link to={["accounts"]}>Add the first account</Link>: Vane makes the command that starts its agent.</>
            : "Somebody with the role operator can add the first account."}
        </Empty>
      </Card>
    );
  }
  return (
    <Card title="Clouds" actions={
      <fieldset class="choices">
        <legend class="unseen">Plotted figure</legend>
        {METRICS.map((m) => (
          <label key={m.id}>
            <input type="radio" name="metric" checked={metric === m.id} onChange={() => setMetric(m.id)} /><span>{m.name}</span>
          </label>
        ))}
      </fieldset>
    }>
      {history.length < 3
        ? <p class="muted plot-wait" role="status">Collecting the first samples; the plot begins in a few seconds.</p>
        : <Plot label={`${about.axis}, by cloud, over the time that this page is open. The table below has the totals.`}
            x={history.map((h) => num(h.timeUs) / 1e6)} xTime xFormat={(v) => clock(v * 1e6)} yLabel={about.axis}
            series={clouds.map((c) => ({
              label: cloudName(c.cloud), colour: `--${cloudClass(c.cloud)}`, values: valuesOf(metric, c.cloud), format: FORMAT[metric],
            }))} />}
      <Table label="Figures of each cloud" rows={clouds} keyOf={(c) => c.cloud} columns={[
        { head: "Cloud", header: true, cell: (c) => <Cloud cloud={c.cloud} /> },
        { head: "Agents online", numeric: true, cell: (c) => `${c.online} of ${c.accounts}` },
        { head: "Functions", numeric: true, cell: (c) => count(c.functions) },
        { head: "Calls routed", numeric: true, cell: (c) => count(c.routed) },
        { head: "Share", numeric: true, cell: (c) => share(num(status.routed) > 0 ? num(c.routed) / num(status.routed) : NaN) },
        { head: "Cost", numeric: true, cell: (c) => money(c.costUsd) },
        { head: "Per million calls", numeric: true, cell: (c) => money(costPerMillion(c)) },
        { head: "95th percentile", numeric: true, cell: (c) => (c.p95Ms > 0 ? duration(c.p95Ms) : "–") },
      ]} />
      <p class="muted small-print">Rates are in the server's own time, which a sandbox may run faster than yours.</p>
    </Card>
  );
}
