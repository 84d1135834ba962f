import { useEffect, useState } from "preact/hooks";
import { get, path } from "../api";
import { count, fieldToUs, num, usToField } from "../format";
import { useApp, useLoad } from "../hooks";
import type { Checkpoint } from "../types";
import { Card, CopyButton, Empty, Facts, Failure, Field, Loading, Page } from "../ui";
import { canVerify, checkSignature, pinned, verdictOf, type Step, type Verdict } from "../verify";
import { Steps } from "./proof";

export function AuditPage() {
  const load = useLoad<Checkpoint>((signal) => get(["audit", "checkpoint"], {}, signal), [], 10_000);
  return (
    <Page title="Audit log" lead="Every decision stands in an append-only, signed log that anybody can check offline.">
      {!load.data && !load.error && <Loading />}
      {!load.data && <Failure error={load.error} retry={load.reload} />}
      {load.data && <CheckpointCard checkpoint={load.data} />}
      <ExportCard />
    </Page>
  );
}

async function verify(c: Checkpoint): Promise<Verdict> {
  let signature: Step;
  try {
    signature = await checkSignature(c.note, c.verifierKey);
  } catch (error) {
    signature = { name: "The checkpoint's signature holds", state: "bad", note: (error as Error).message };
  }
  return verdictOf([signature, pinned(c.verifierKey)]);
}

function CheckpointCard({ checkpoint }: { checkpoint: Checkpoint }) {
  const [verdict, setVerdict] = useState<Verdict | null>(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let stopped = false;
    if (checkpoint.note && canVerify()) void verify(checkpoint).then((v) => { if (!stopped) setVerdict(v); });
    return () => { stopped = true; };
  }, [checkpoint.note, checkpoint.verifierKey, turn]);
  if (num(checkpoint.size) === 0 || !checkpoint.note) {
    return (
      <Card title="Newest checkpoint">
        <Empty why="The log is empty.">It begins with the first recorded decision, for example when an account is added.</Empty>
      </Card>
    );
  }
  return (
    <Card title="Newest checkpoint">
      <Facts items={[["Entries", count(checkpoint.size)], ["Root (base64)", <code>{checkpoint.root}</code>]]} />
      <div role="status">{verdict && <Steps steps={verdict.steps} again={() => setTurn(turn + 1)} />}</div>
      <h3>Signed note</h3>
      <pre class="command" tabIndex={0} aria-label="Signed note of the checkpoint">{checkpoint.note}</pre>
      <h3>Key to verify with</h3>
      <pre class="command" tabIndex={0} aria-label="Verifier key">{checkpoint.verifierKey}</pre>
      <CopyButton text={checkpoint.verifierKey} label="Copy the key" />
    </Card>
  );
}

const PRESETS: [string, number][] = [["Last hour", 3600], ["Last day", 86_400], ["Last 30 days", 2_592_000]];

function ExportCard() {
  const { nowUs, status } = useApp();
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  const fromUs = fieldToUs(from);
  const toUs = fieldToUs(to);
  const backwards = fromUs !== null && toUs !== null && num(fromUs) >= num(toUs);
  const preset = (seconds: number) => {
    setFrom(usToField(Math.max(1e6, nowUs - seconds * 1e6)));
    setTo("");
  };
  const url = path(["v1", "audit", "export.jsonl"], { from: fromUs ?? undefined, to: toUs ?? undefined });
  const empty = num(status.data?.logSize) === 0;
  return (
    <Card title="Export">
      <p>
        JSON lines: each record with its leaf and its path to the checkpoint, every other entry accounted for, and a
        signed end. Check offline that it is genuine and complete with <code>vanectl audit verify FILE</code>.
      </p>
      <div class="row-actions">
        {PRESETS.map(([name, seconds]) => <button type="button" key={name} onClick={() => preset(seconds)}>{name}</button>)}
        <button type="button" onClick={() => { setFrom(""); setTo(""); }}>Everything</button>
      </div>
      <div class="grid-form">
        <Field label="From (UTC)" help="Empty: from the beginning.">
          {(props) => <input {...props} type="datetime-local" step="1" value={from} onInput={(e) => setFrom(e.currentTarget.value)} />}
        </Field>
        <Field label="To (UTC)" help="Empty: until now." error={backwards ? "This is not after the beginning." : undefined}>
          {(props) => <input {...props} type="datetime-local" step="1" value={to} onInput={(e) => setTo(e.currentTarget.value)} />}
        </Field>
      </div>
      {empty && <p class="muted">The log is empty now, so the file would be too.</p>}
      {backwards ? <button type="button" disabled>Download</button>
        : <a class="button main" href={url} download="vane-audit.jsonl">Download</a>}
    </Card>
  );
}
