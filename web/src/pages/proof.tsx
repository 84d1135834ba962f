import { useEffect, useState } from "preact/hooks";
import { count } from "../format";
import type { Decision, Proof } from "../types";
import { Card, Empty, Facts } from "../ui";
import { canVerify, verifyDecision, type Step, type Verdict } from "../verify";

const SYMBOL: Record<Step["state"], string> = { good: "✓", bad: "✗", unknown: "?" };
const WORD: Record<Step["state"], string> = { good: "holds", bad: "fails", unknown: "not checked" };

export function Steps({ steps, again }: { steps: Step[]; again: () => void }) {
  return (
    <ol class="steps">
      {steps.map((s) => (
        <li key={s.name} class={s.state}>
          <span class="mark" aria-hidden="true">{SYMBOL[s.state]}</span>
          <span>{s.name}<span class="unseen">: {WORD[s.state]}</span> <small>{s.note}</small>
            {s.accept && <> <button type="button" onClick={() => { s.accept?.(); again(); }}>It was set up anew: accept the key</button></>}
          </span>
        </li>
      ))}
    </ol>
  );
}

const VERDICT = {
  verified: { tone: "good", text: "Verified in this browser: the record stands in the signed log." },
  mismatch: { tone: "bad", text: "Does not match: the server's proof is wrong. Keep an export and tell whoever audits this log." },
  partly: { tone: "wait", text: "Nothing is wrong, but not everything could be checked here." },
} as const;

export function VerdictLine({ verdict }: { verdict: Verdict }) {
  return <p class={`verdict ${VERDICT[verdict.state].tone}`} data-verdict={verdict.state}>{VERDICT[verdict.state].text}</p>;
}

/** Checked by this page, from bytes to root, each time it is shown: the server's word is not taken for it. */
export function ProofCard({ proof, decision, reload }: { proof: Proof | null; decision: Decision; reload: () => void }) {
  const [verdict, setVerdict] = useState<Verdict | null>(null);
  useEffect(() => {
    let stopped = false;
    setVerdict(null);
    if (proof?.present && canVerify()) {
      void verifyDecision(proof, decision).then((v) => { if (!stopped) setVerdict(v); });
    }
    return () => { stopped = true; };
  }, [proof]);
  if (!proof?.present) {
    return (
      <Card title="Proof" actions={<button type="button" onClick={reload}>Look again</button>}>
        <Empty why="This record is not in the log yet.">It is stored; the next checkpoint, a moment away, takes it in.</Empty>
      </Card>
    );
  }
  return (
    <Card title="Proof" actions={<button type="button" onClick={reload}>Check again</button>}>
      {!canVerify() && (
        <div class="note wait"><p>
          This page was not loaded over https or from this machine, so the browser offers no hashes to check with.
          Use <code>vanectl audit verify</code>.
        </p></div>
      )}
      <div role="status">
        {verdict ? <VerdictLine verdict={verdict} /> : canVerify() && <p class="muted">Checking…</p>}
      </div>
      {verdict && <Steps steps={verdict.steps} again={reload} />}
      <details>
        <summary>The proof itself</summary>
        <Facts items={[["Entry", count(proof.index)], ["Tree size", count(proof.size)], ["Root (base64)", <code>{proof.root}</code>]]} />
        <p>Leaf, path and checkpoint, as received:</p>
        <pre class="command" tabIndex={0} aria-label="Proof as received">{[proof.leaf, "", ...proof.path, "", proof.checkpoint].join("\n")}</pre>
      </details>
    </Card>
  );
}
