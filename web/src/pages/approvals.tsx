import { useState } from "preact/hooks";
import { get, post } from "../api";
import { ago, duration, memory, money, share } from "../format";
import { mayAs, useAction, useApp, useLoad } from "../hooks";
import { Link, replaceQuery, type Route } from "../router";
import type { Proposal, ProposalList } from "../types";
import { Card, Dialog, Empty, Facts, Failure, Field, Loading, Page, Pager, Tag, usePages } from "../ui";

const STATES = ["waiting", "proposed", "shadow", "applying", "verifying", "kept", "rolled-back", "rejected", "failed"];

const NONE: Record<string, string> = {
  waiting: "Nothing waits for an approval.",
  "": "Vane has not proposed a change yet.",
};
const NEXT: Record<string, string> = {
  waiting: "Proposals wait here when a policy's tuning mode asks for an approval. Other states show what became of earlier ones.",
  "": "Proposals come from the model once it has seen enough windows of a function, and only in accounts at level tune or above.",
};

export function ApprovalsPage({ route }: { route: Route }) {
  const state = route.query.get("state") ?? "waiting";
  const wanted = state === "all" ? "" : state;
  const pages = usePages(state);
  const list = useLoad<ProposalList>(
    (signal) => get(["proposals"], { pageSize: 20, pageToken: pages.token, state: wanted }, signal), [wanted, pages.token], 4000);
  const rows = list.data?.proposals ?? [];
  return (
    <Page title="Approvals" lead="Changes of a function's memory that Vane proposes, and what became of them.">
      <Card title="Proposals" actions={
        <label class="inline">State <select value={state} data-filter onChange={(e) => replaceQuery(route, { state: e.currentTarget.value })}>
          {STATES.map((s) => <option key={s} value={s}>{s.replace("-", " ")}</option>)}
          <option value="all">all</option>
        </select></label>
      }>
        {!list.data && !list.error && <Loading />}
        {!list.data && <Failure error={list.error} retry={list.reload} />}
        {list.data && rows.length === 0 && (
          <Empty why={NONE[wanted] ?? `No proposal is in the state “${wanted.replace("-", " ")}”.`}>
            {NEXT[wanted] ?? "Choose another state above."}
          </Empty>
        )}
        <ul class="proposals">{rows.map((p) => <li key={p.id}><ProposalItem p={p} reload={list.reload} /></li>)}</ul>
        {(pages.hasBack || list.data?.nextPageToken) && (
          <Pager noun="proposals" total={list.data?.total} shown={rows.length} hasBack={pages.hasBack}
            hasNext={Boolean(list.data?.nextPageToken)} back={pages.back} next={() => pages.next(list.data?.nextPageToken ?? "")} />
        )}
      </Card>
    </Page>
  );
}

function ProposalItem({ p, reload }: { p: Proposal; reload: () => void }) {
  const { session, nowUs } = useApp();
  const [deciding, setDeciding] = useState<"" | "approve" | "reject">("");
  const close = () => {
    setDeciding("");
    reload();
  };
  return (
    <article aria-labelledby={`p-${p.id}`}>
      <div class="card-head">
        <h3 id={`p-${p.id}`}>{p.workload} in {p.account}: {memory(p.fromMemoryMb)} → {memory(p.toMemoryMb)} <Tag text={p.state} /></h3>
        {p.state === "waiting" && mayAs(session, "approver") && (
          <div class="actions">
            <button type="button" class="main" onClick={() => setDeciding("approve")}>Approve<span class="unseen"> {p.workload}</span></button>
            <button type="button" onClick={() => setDeciding("reject")}>Reject<span class="unseen"> {p.workload}</span></button>
          </div>
        )}
      </div>
      <p>{p.reason}</p>
      <Facts items={[
        ["Saving", `${money(p.savingUsdPerMillion)} per million calls (${share(p.savingShare)})`],
        ["95th percentile", `${duration(p.p95BeforeMs)} → ${duration(p.p95AfterMs)}`],
        ["Risk", share(p.risk)],
        ["Confidence", share(p.confidence)],
        ["Proposed", `${ago(p.createdUs, nowUs)}${p.proposedBy ? ` by ${p.proposedBy}` : ""}`],
        ["Approved by", p.approvedBy || "–"],
      ]} />
      {p.history.length > 0 && (
        <details><summary>History</summary><ol>{p.history.map((h, i) => <li key={i}>{h}</li>)}</ol></details>
      )}
      {p.decisionId && <Link to={["decisions", p.decisionId]}>Why, and the record<span class="unseen"> of {p.workload}</span></Link>}
      {deciding && <DecideDialog p={p} what={deciding} onClose={close} />}
    </article>
  );
}

function DecideDialog({ p, what, onClose }: { p: Proposal; what: "approve" | "reject"; onClose: () => void }) {
  const { say } = useApp();
  const [comment, setComment] = useState("");
  const { busy, error, run } = useAction();
  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      await post<Proposal>(["proposals", p.id, what], { comment: comment.trim() });
      say(what === "approve" ? "Approved: the agent is told now." : "Rejected.");
      onClose();
    });
  };
  return (
    <Dialog title={`${what === "approve" ? "Approve" : "Reject"} ${memory(p.fromMemoryMb)} → ${memory(p.toMemoryMb)} for ${p.workload}?`} onClose={onClose}>
      <form onSubmit={submit}>
        <p>{what === "approve" ? "The change is applied, measured against what was before, and rolled back if it got worse."
          : "The proposal ends here. The reason helps whoever reads the log."}</p>
        <Field label={what === "approve" ? "Comment" : "Reason"} help="It is recorded with your name.">
          {(props) => <textarea {...props} rows={3} maxLength={500} required={what === "reject"} value={comment}
            onInput={(e) => setComment(e.currentTarget.value)} />}
        </Field>
        <Failure error={error} />
        <div class="actions">
          <button type="submit" class={what === "approve" ? "main" : "danger main"} disabled={busy || (what === "reject" && !comment.trim())}>
            {what === "approve" ? "Approve" : "Reject"}
          </button>
          <button type="button" onClick={onClose}>Cancel</button>
        </div>
      </form>
    </Dialog>
  );
}
