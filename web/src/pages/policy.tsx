// One policy: its document in an editor, its versions, what changed between two of them, and the way back.

import { useState } from "preact/hooks";
import { get, post } from "../api";
import { count, money, num, plural } from "../format";
import { mayAs, useAction, useApp, useLoad } from "../hooks";
import { Link, navigate } from "../router";
import type { Policy, PolicyDiff, PolicySpend } from "../types";
import { Card, Dialog, Empty, Facts, Failure, Loading, Page, Table, When } from "../ui";
import { NEW_POLICY } from "./policies";
import { PolicyEditor } from "./policy-editor";
import { POLICY_TEMPLATE } from "./policy-template";

const HISTORY_STEP = 8;

export function PolicyPage({ name }: { name: string }) {
  return name === NEW_POLICY ? <NewPolicy /> : <KnownPolicy name={name} />;
}

function NewPolicy() {
  const { say } = useApp();
  const applied = (policy: Policy) => {
    say(`${policy.name} is in force, version ${policy.version}.`);
    navigate(["policies", policy.name]);
  };
  return (
    <Page title="Write a policy" lead={<Link to={["policies"]}>All policies</Link>}>
      <Card title="Document">
        <PolicyEditor initial={POLICY_TEMPLATE} version="0" onApplied={applied} />
      </Card>
    </Page>
  );
}

function KnownPolicy({ name }: { name: string }) {
  const { session, say } = useApp();
  const load = useLoad<Policy>((signal) => get(["policies", name], {}, signal), [name]);
  const spend = useLoad<PolicySpend>((signal) => get(["policies", name, "spend"], {}, signal), [name]);
  const policy = load.data;
  const applied = (next: Policy) => {
    say(`${next.name} is in force, version ${next.version}.`);
    load.reload();
    spend.reload();
  };
  return (
    <Page title={name} lead={<Link to={["policies"]}>All policies</Link>}>
      {!policy && !load.error && <Loading />}
      {!policy && <Failure error={load.error} retry={load.reload} />}
      {policy && (
        <>
          <Facts items={[
            ["Version", count(policy.version)],
            ["Scope", policy.scope || "–"],
            ["Spent today", spend.data ? spentText(spend.data) : "–"],
            ["Written by", policy.author],
            ["At (UTC)", <When us={policy.timeUs} />],
            ["SHA-256", <code title={policy.sha256}>{policy.sha256.slice(0, 16)}</code>],
            ["Decision", policy.decisionId ? <Link to={["decisions", policy.decisionId]}>record</Link> : "–"],
          ]} />
          <Card title={mayAs(session, "approver") ? "Edit" : "Document"}>
            <PolicyEditor key={String(policy.version)} initial={policy.document} version={String(policy.version)}
              readOnly={!mayAs(session, "approver")} onApplied={applied} />
          </Card>
          <HistoryCard key={`h${policy.version}`} policy={policy} onChange={applied} />
        </>
      )}
    </Page>
  );
}

/** Expected cost since 00:00 UTC, which is what a budget is held against. */
function spentText(spend: PolicySpend): string {
  const spent = `${money(spend.spentTodayUsd)} expected since 00:00 UTC`;
  if (!(spend.budgetUsdPerDay > 0)) return spent;
  const over = spend.spentTodayUsd >= spend.budgetUsdPerDay ? ": cost alone decides" : "";
  return `${spent}, of a budget of ${money(spend.budgetUsdPerDay)}${over}`;
}

function HistoryCard({ policy, onChange }: { policy: Policy; onChange: (next: Policy) => void }) {
  const { session } = useApp();
  const newest = num(policy.version);
  const [depth, setDepth] = useState(HISTORY_STEP);
  const [diff, setDiff] = useState<[number, number] | null>(newest > 1 ? [newest - 1, newest] : null);
  const [back, setBack] = useState<number | null>(null);
  const oldest = Math.max(1, newest - depth + 1);
  const versions = useLoad<Policy[]>(async (signal) => {
    const wanted = [];
    for (let v = newest; v >= oldest; v -= 1) wanted.push(get<Policy>(["policies", policy.name], { version: v }, signal));
    return Promise.all(wanted);
  }, [policy.name, newest, depth]);
  return (
    <Card title="History">
      <p>{plural(newest, "version")}. A way back makes the old document the newest again; nothing is deleted.</p>
      <Failure error={versions.error} retry={versions.reload} />
      {versions.data && (
        <Table label={`Versions of ${policy.name}`} rows={versions.data} keyOf={(p) => String(p.version)} columns={[
          { head: "Version", header: true, cell: (p) => `${p.version}${num(p.version) === newest ? " (in force)" : ""}` },
          { head: "Written by", cell: (p) => p.author },
          { head: "At (UTC)", cell: (p) => <When us={p.timeUs} /> },
          { head: "SHA-256", cell: (p) => <code title={p.sha256}>{p.sha256.slice(0, 12)}</code> },
          { head: "Actions", cell: (p) => {
            const v = num(p.version);
            return (
              <div class="row-actions">
                {v < newest && <button type="button" onClick={() => setDiff([v, newest])}>Compare<span class="unseen"> version {v}</span> with the newest</button>}
                {v > 1 && <button type="button" onClick={() => setDiff([v - 1, v])}>What<span class="unseen"> version {v}</span> changed</button>}
                {v < newest && mayAs(session, "approver") && <button type="button" onClick={() => setBack(v)}>Roll back to {v}</button>}
              </div>
            );
          } },
        ]} />
      )}
      {oldest > 1 && <button type="button" onClick={() => setDepth(depth + HISTORY_STEP)}>Show older versions</button>}
      {diff && <Diff name={policy.name} from={diff[0]} to={diff[1]} />}
      {back !== null && <RollbackDialog policy={policy} to={back} onClose={() => setBack(null)} onChange={onChange} />}
    </Card>
  );
}

function Diff({ name, from, to }: { name: string; from: number; to: number }) {
  const load = useLoad<PolicyDiff>((signal) => get(["policies", name, "diff"], { fromVersion: from, toVersion: to }, signal), [name, from, to]);
  const changes = load.data?.changes ?? [];
  return (
    <div class="diff" aria-live="polite">
      <h3>From version {from} to {to}</h3>
      <Failure error={load.error} retry={load.reload} />
      {load.data && changes.length === 0 && <Empty why="These versions mean the same.">They differ at most in comments and layout.</Empty>}
      {changes.length > 0 && (
        <Table label={`Changes from version ${from} to ${to}`} rows={changes} keyOf={(c) => c.field} columns={[
          { head: "Field", header: true, cell: (c) => <code>{c.field}</code> },
          { head: "Before", cell: (c) => (c.before ? <del>{c.before}</del> : <span class="muted">absent</span>) },
          { head: "After", cell: (c) => (c.after ? <ins>{c.after}</ins> : <span class="muted">absent</span>) },
        ]} />
      )}
    </div>
  );
}

function RollbackDialog({ policy, to, onClose, onChange }: {
  policy: Policy; to: number; onClose: () => void; onChange: (next: Policy) => void;
}) {
  const { busy, error, run } = useAction();
  const go = () => run(async () => {
    const next = await post<Policy>(["policies", policy.name, "rollback"], { toVersion: String(to) });
    onClose();
    onChange(next);
  });
  return (
    <Dialog title={`Roll ${policy.name} back to version ${to}?`} onClose={onClose}>
      <Diff name={policy.name} from={num(policy.version)} to={to} />
      <Failure error={error} />
      <div class="actions">
        <button type="button" class="main" disabled={busy} onClick={go}>Roll back</button>
        <button type="button" onClick={onClose}>Cancel</button>
      </div>
    </Dialog>
  );
}
