// What the federated model has learnt: error on data that it was not trained on, round by round.

import { get, post } from "../api";
import { count, num, share, significant, clock } from "../format";
import { mayAs, useAction, useApp, useLoad } from "../hooks";
import { Plot } from "../plot";
import type { Round, RoundList, Status } from "../types";
import { Card, Empty, Failure, Table, Tag, Tile } from "../ui";

const change = (now: number, then: number) => (then > 0 && now > 0 ? 1 - now / then : NaN);
const better = (x: number, what: string) =>
  Number.isFinite(x) ? `${share(Math.abs(x))} ${x >= 0 ? "better" : "worse"} than ${what}` : "";

export function LearningCard({ status }: { status: Status }) {
  const { session, say } = useApp();
  const rounds = useLoad<RoundList>((signal) => get(["rounds"], { pageSize: 50 }, signal), [], 5000);
  const { busy, error, run } = useAction();
  const list = rounds.data?.rounds ?? [];
  const start = () => run(async () => {
    const round = await post<Round>(["rounds"], {});
    say(`Round ${round.round} has started.`);
    rounds.reload();
  });
  const measured = list.filter((r) => r.evalLossAfter > 0).sort((a, b) => num(a.round) - num(b.round));
  const every = Math.ceil(measured.length / 10);
  const ticks = measured.filter((_, i) => i % every === 0).map((r) => num(r.round));
  return (
    <Card title="Learning" actions={mayAs(session, "operator") &&
      <button type="button" disabled={busy} onClick={start}>Start a round now</button>}>
      <Failure error={error ?? (list.length ? null : rounds.error)} />
      {status.evalLossLast > 0 && (
        <dl class="tiles small">
          <Tile label="Error at first" value={significant(status.evalLossFirst)} note="evaluation loss of the first model" />
          <Tile label="Error now" value={significant(status.evalLossLast)} note={better(change(status.evalLossLast, status.evalLossFirst), "at first")} />
          <Tile label="Baseline" value={significant(status.evalLossBaseline)}
            note={`each function's own history; the model is ${better(change(status.evalLossLast, status.evalLossBaseline), "this")}`} />
        </dl>
      )}
      {list.length === 0 && rounds.data && (
        <Empty why="No training round has run yet.">
          Rounds start by themselves once enough agents have sent windows of figures. Nothing has to be done.
        </Empty>
      )}
      {measured.length > 1 && (
        <Plot label="Evaluation loss after each round, with the baseline. The table below has the same figures." height={190}
          x={measured.map((r) => num(r.round))} xTicks={ticks} xFormat={(v) => `round ${v}`} yLabel="evaluation loss, lower is better"
          series={[
            { label: "Model", colour: "--accent", values: measured.map((r) => r.evalLossAfter), format: (v) => significant(v), points: true },
            { label: "Baseline", colour: "--muted", values: measured.map((r) => r.baselineLoss || null), format: (v) => significant(v), dash: [6, 4] },
          ]} />
      )}
      {list.length > 0 && (
        <Table label="Training rounds, newest first" rows={list.slice(0, 8)} keyOf={(r) => String(r.round)} columns={[
          { head: "Round", header: true, cell: (r) => count(r.round) },
          { head: "State", cell: (r) => <Tag text={r.state} /> },
          { head: "Updates", numeric: true, cell: (r) => `${r.updates} of ${r.quorum} needed` },
          { head: "Refused", numeric: true, cell: (r) => count(r.refused) },
          { head: "Loss before", numeric: true, cell: (r) => (r.evalLossBefore > 0 ? significant(r.evalLossBefore) : "–") },
          { head: "Loss after", numeric: true, cell: (r) => (r.evalLossAfter > 0 ? significant(r.evalLossAfter) : "–") },
          { head: "Model", cell: (r) => (num(r.newVersion) > 0 ? `version ${r.newVersion}` : "–") },
          { head: "Ended", cell: (r) => clock(r.endedUs) },
          { head: "Note", wide: true, cell: (r) => r.note },
        ]} />
      )}
    </Card>
  );
}
