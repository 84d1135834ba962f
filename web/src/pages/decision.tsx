// One decision: what was chosen and why, what would have changed it, and the proof that the record is in the log.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { get } from "../api";
import { count, duration, money, num, perMillion, share, signed, significant, words } from "../format";
import { useAction, useLoad } from "../hooks";
import { Link } from "../router";
import type { Candidate, Decision, Explanation, Replay, RiskCalibration } from "../types";
import { Card, Cloud, Empty, Facts, Failure, Loading, Page, Table, Tag, When } from "../ui";
import { ProofCard } from "./proof";
import { Waterfall } from "./waterfall";

export function DecisionPage({ id }: { id: string }) {
  const load = useLoad<Explanation>((signal) => get(["decisions", id, "explanation"], {}, signal), [id]);
  const e = load.data;
  const d = e?.decision;
  return (
    <Page title={d ? titleOf(d) : "Decision"} lead={<><Link to={["decisions"]}>All decisions</Link> · <code>{id}</code></>}>
      {!e && !load.error && <Loading />}
      {!e && <Failure error={load.error} retry={load.reload} />}
      {e && d && (
        <>
          <p class="sentence">{e.sentence || d.summary}</p>
          <DecisionFacts d={d} />
          {(e.attributions.length > 0 || e.candidates.length > 0) && <WhyCard e={e} d={d} />}
          {e.candidates.length > 0 && <AlternativesCard e={e} />}
          {d.kind === "route" && (
            <div class="columns">
              <FlipCard e={e} />
              <RiskCard e={e} />
              <RulesCard e={e} />
              <ReplayCard id={id} e={e} />
            </div>
          )}
          {d.kind !== "route" && e.risks.length > 0 && <RiskCard e={e} />}
          <ProofCard proof={e.proof} decision={d} reload={load.reload} />
        </>
      )}
    </Page>
  );
}

const titleOf = (d: Decision) =>
  d.kind === "route" ? `Call of ${d.workload} to ${d.choice}`
    : `${words(d.kind)[0]?.toUpperCase() ?? ""}${words(d.kind).slice(1)} ${d.workload || d.id}: ${d.choice}`;

const SUBJECT_PAGE: Record<string, string> = { route: "functions", memory: "functions", policy: "policies" };

/** What was decided on, with the way to its page where it has one. */
function Subject({ d }: { d: Decision }) {
  const page = SUBJECT_PAGE[d.kind];
  if (!d.workload) return <>–</>;
  return page ? <Link to={[page, d.workload]}>{d.workload}</Link> : <>{d.workload}</>;
}

function DecisionFacts({ d }: { d: Decision }) {
  const all: [string, ComponentChildren][] = [
    ["Kind", <span class="tag">{words(d.kind)}</span>],
    ["Time (UTC)", <When us={d.timeUs} />],
    ["By", d.actor || "–"],
    [d.kind === "route" ? "Function" : "Subject", <Subject d={d} />],
  ];
  if (d.kind !== "route") return <Facts items={all} />;
  return (
    <Facts items={[
      ...all,
      ["Mode", d.mode || "–"],
      ["Confidence", d.confidence > 0 ? share(d.confidence) : "–"],
      ["Policy", d.policy ? <><Link to={["policies", d.policy]}>{d.policy}</Link> version {String(d.policyVersion)}</> : "none"],
      ["Model", num(d.modelVersion) > 0 ? `version ${d.modelVersion}` : "none"],
      ["Outcome", d.outcome?.status ? <><Tag text={d.outcome.status} /> {d.outcome.latencyMs > 0 && `after ${duration(d.outcome.latencyMs)}`}</> : "not reported"],
    ]} />
  );
}

function WhyCard({ e, d }: { e: Explanation; d: Decision }) {
  if (e.attributions.length === 0) {
    return (
      <Card title="Why">
        <p>
          Only one candidate was possible, so there was nothing to weigh. What excluded the others stands in the table below.
        </p>
      </Card>
    );
  }
  return (
    <Card title={`Why ${d.choice || "this"}${d.runnerUp ? ` and not ${d.runnerUp}` : ""}`}>
      <p>
        The choice is <b>{signed(e.margin)}</b> ahead of {e.baseline || d.runnerUp || "the next"}, in USD per million calls
        with time weighed as the policy says. Each bar is one group's exact (Shapley) share of that margin: to the right it
        speaks for the choice, to the left against it.
      </p>
      <Waterfall parts={e.attributions} margin={e.margin} />
      <Table label="Shares of the margin" rows={e.attributions} keyOf={(a) => a.group} columns={[
        { head: "Group", header: true, cell: (a) => words(a.group) },
        { head: "Share of the margin", numeric: true, cell: (a) => signed(a.value) },
        { head: "Because", wide: true, cell: (a) => a.detail },
      ]} />
      <SumLine e={e} />
    </Card>
  );
}

/** Added up here, from the parts that are shown: the server's own sum is only compared. */
function SumLine({ e }: { e: Explanation }) {
  const sum = e.attributions.reduce((total, a) => total + a.value, 0);
  const off = Math.abs(sum - e.margin);
  return off <= 1e-9
    ? <p class="muted">The shares add up to {significant(sum, 6)}, which is the margin (to within 10<sup>−9</sup>).</p>
    : <p class="note bad">The shares add up to {significant(sum, 9)}, but the margin is {significant(e.margin, 9)}.</p>;
}

function AlternativesCard({ e }: { e: Explanation }) {
  const rows = [...e.candidates].sort((a, b) =>
    Number(b.chosen) - Number(a.chosen) || Number(a.excludedBy.length > 0) - Number(b.excludedBy.length > 0));
  const excluded = rows.filter((c) => c.excludedBy.length > 0).length;
  return (
    <Card title="Alternatives">
      <p>{count(rows.length)} candidates{excluded > 0 ? `, of which ${count(excluded)} were excluded before scoring` : ", all of them possible"}. The lowest score wins.</p>
      <Table label="Candidates of this decision" rows={rows} keyOf={(c) => `${c.account}/${c.region}`}
        mark={(c) => (c.chosen ? "chosen" : c.excludedBy.length ? "excluded" : "")} columns={[
          { head: "Account", header: true, cell: (c) => <>
            {c.account}{c.chosen && <> <span class="tag good">chosen</span></>}
            <div class="under"><Cloud cloud={c.cloud} region={c.region} /></div>
          </> },
          { head: "Per million calls", numeric: true, cell: (c) => money(c.costUsd * 1e6) },
          { head: "95th percentile", numeric: true, cell: (c) => duration(c.latencyP95Ms) },
          { head: "of it network", numeric: true, cell: (c) => duration(c.networkMs) },
          { head: "Cold start", numeric: true, cell: (c) => share(c.coldChance) },
          { head: "Errors", numeric: true, cell: (c) => share(c.errorRate) },
          { head: "Score", numeric: true, cell: scoreOf },
          { head: "Excluded by", wide: true, cell: (c) => c.excludedBy.map(words).join("; ") || "–" },
        ]} />
    </Card>
  );
}

const scoreOf = (c: Candidate) => (c.excludedBy.length ? "–" : significant(c.score, 4));

function FlipCard({ e }: { e: Explanation }) {
  const c = e.counterfactual;
  return (
    <Card title="What would have changed it">
      {c?.sentence ? (
        <>
          <p>{c.sentence}</p>
          <Facts items={[
            ["Figure", words(c.feature)],
            ["From, to", `${inUnit(c.from, c.unit)} → ${inUnit(c.to, c.unit)}`],
            ["Then", c.wouldChoose],
          ]} />
          <p class="muted">{c.verified ? "Verified: deciding again with this one change gives the other choice." : "Not verified by deciding again."}</p>
        </>
      ) : <Empty why="No single change was found that flips this decision." />}
    </Card>
  );
}

function inUnit(value: number, unit: string): string {
  if (unit === "ms") return duration(value);
  if (unit === "%") return `${significant(value)}%`;
  if (unit === "USD a million calls") return perMillion(value);
  return `${significant(value)} ${unit}`.trim();
}

function calibrationText(computed: number, c: RiskCalibration): string {
  const from = `${count(c.outcomes)} outcome${num(c.outcomes) === 1 ? "" : "s"}`;
  if (c.slope === 1 && c.intercept === 0)
    return `Together ${share(computed)}, told as computed: ${num(c.outcomes) > 0 ? `${from} gave no reason to change it.` : "no outcomes yet to hold it against."}`;
  return `Together ${share(computed)}; calibrated on ${from} (log-odds times ${significant(c.slope)}, plus ${significant(c.intercept)}).`;
}

function RiskCard({ e }: { e: Explanation }) {
  return (
    <Card title={`Risk: ${share(e.risk)}`}>
      {e.risks.length === 0 ? <Empty why="No risk was computed for this kind of decision." /> : (
        <Table label="Parts of the risk" rows={e.risks} keyOf={(r) => r.event} columns={[
          { head: "Event", header: true, cell: (r) => words(r.event) },
          { head: "Chance", numeric: true, cell: (r) => share(r.chance) },
          { head: "Within", cell: (r) => r.horizon },
          { head: "From", cell: (r) => r.data },
        ]} />
      )}
      {e.calibration && <p>{calibrationText(e.riskComputed, e.calibration)}</p>}
      {e.blastRadius > 0 && <p>Severity: about {count(Math.round(e.blastRadius))} calls a minute go the same way.</p>}
    </Card>
  );
}

function RulesCard({ e }: { e: Explanation }) {
  return (
    <Card title="Rules and data">
      <h3>Policy rules that mattered</h3>
      {e.policyRules.length ? <ul>{e.policyRules.map((r) => <li key={r}>{r}</li>)}</ul> : <p class="muted">None: the built-in defaults applied.</p>}
      <h3>Age of the data</h3>
      {e.dataAges.length ? <ul>{e.dataAges.map((a) => <li key={a}>{a}</li>)}</ul> : <p class="muted">This kind of decision reads no measurements.</p>}
    </Card>
  );
}

function ReplayCard({ id, e }: { id: string; e: Explanation }) {
  const [replay, setReplay] = useState<Replay | null>(null);
  const { busy, error, run } = useAction();
  const again = () => run(async () => setReplay(await get<Replay>(["decisions", id, "replay"])));
  const same = replay && replay.identical && replay.recorded === replay.replayed;
  return (
    <Card title="Decide again" actions={<button type="button" disabled={busy} onClick={again}>{busy ? "Deciding…" : "Replay now"}</button>}>
      <p>From the recorded inputs the same code must give the same bytes.</p>
      {!replay && e.replayNote && <p class="muted">{e.replayNote}</p>}
      <Failure error={error} />
      <div role="status">
        {replay && (same
          ? <p class="verdict good">Identical: {count(bytesIn(replay.recorded))} bytes, decided by version {String(replay.decideVersion)}.</p>
          : <p class={`verdict ${replay.recorded && replay.replayed ? "bad" : "wait"}`}>{replay.note || "The bytes differ from the recorded ones."}</p>)}
        {same && replay.note && <p class="muted">{replay.note}</p>}
      </div>
    </Card>
  );
}

/** How many bytes a base64 text stands for. */
const bytesIn = (text: string) => Math.floor((text.replace(/=+$/, "").length * 3) / 4);
