// A text field with line numbers. Every pause in typing asks the server to check; its errors are shown at their lines.

import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ApiError, post } from "../api";
import { plural } from "../format";
import { useAction } from "../hooks";
import type { Policy, PolicyCheck, PolicyError } from "../types";
import { Failure } from "../ui";

const CHECK_AFTER_MS = 500;

/** Errors of a refused apply come as details of the same shape as the reply of a check. */
function errorsOf(error: Error | null): PolicyError[] {
  if (!(error instanceof ApiError)) return [];
  return error.details
    .filter((d) => typeof d.line === "number" && typeof d.message === "string")
    .map((d) => ({ line: d.line ?? 0, column: d.column ?? 0, field: d.field ?? "", message: d.message ?? "" }));
}

function offsetOf(text: string, line: number, column: number): number {
  const lines = text.split("\n");
  let at = 0;
  for (let i = 0; i < Math.min(line - 1, lines.length - 1); i += 1) at += lines[i].length + 1;
  return Math.min(text.length, at + Math.max(0, column - 1));
}

export function PolicyEditor({ initial, version, readOnly = false, onApplied }: {
  initial: string; version: string; readOnly?: boolean; onApplied: (policy: Policy) => void;
}) {
  const [text, setText] = useState(initial);
  const [checked, setChecked] = useState<{ text: string; result: PolicyCheck } | null>(null);
  const [checkError, setCheckError] = useState<Error | null>(null);
  const { busy, error, run, clear } = useAction();
  const area = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLPreElement>(null);
  const id = useId();
  const changed = text !== initial;

  const check = async (document: string): Promise<PolicyCheck | null> => {
    try {
      const result = await post<PolicyCheck>(["policies", "check"], { document, expectedVersion: version });
      setChecked({ text: document, result });
      setCheckError(null);
      return result;
    } catch (e) {
      setCheckError(e as Error);
      return null;
    }
  };
  useEffect(() => {
    if (!changed) return;
    const timer = window.setTimeout(() => void check(text), CHECK_AFTER_MS);
    return () => window.clearTimeout(timer);
  }, [text]);

  const apply = () => run(async () => {
    const result = await check(text);
    if (result?.ok) onApplied(await post<Policy>(["policies"], { document: text, expectedVersion: version }));
  });
  const current = checked?.text === text ? checked.result : null;
  const refused = errorsOf(error);
  const errors = refused.length ? refused : current && !current.ok ? current.errors : [];
  const bad = new Set(errors.map((e) => e.line));
  const lines = text.split("\n").length;
  const show = (e: PolicyError) => {
    const at = offsetOf(text, e.line, e.column);
    area.current?.focus();
    area.current?.setSelectionRange(at, at);
  };
  return (
    <div class="editor-block">
      <div class="editor">
        <pre class="gutter" ref={gutter} aria-hidden="true">
          {Array.from({ length: lines }, (_, i) => <span key={i} class={bad.has(i + 1) ? "bad" : ""}>{i + 1}{"\n"}</span>)}
        </pre>
        <textarea id={id} ref={area} aria-label="Policy document (YAML)" aria-describedby={`${id}-errors`}
          aria-invalid={errors.length > 0 ? "true" : undefined} spellcheck={false} autocomplete="off" wrap="off" readOnly={readOnly}
          rows={Math.min(32, Math.max(12, lines + 1))} value={text}
          onInput={(e) => { setText(e.currentTarget.value); clear(); }}
          onScroll={(e) => { if (gutter.current) gutter.current.scrollTop = e.currentTarget.scrollTop; }} />
      </div>
      <div id={`${id}-errors`} role="status" class="editor-errors">
        {errors.length > 0 && (
          <>
            <p class="error-text">{plural(errors.length, "error")}. Nothing is applied until the document is right.</p>
            <ul>
              {errors.map((e, i) => (
                <li key={i}>
                  <button type="button" class="quiet" onClick={() => show(e)}>Line {e.line}, column {e.column}</button>
                  {e.field && <code>{e.field}</code>} {e.message}
                </li>
              ))}
            </ul>
          </>
        )}
        {current?.ok && <p class="ok-text">No errors: this is policy “{current.name}”.</p>}
        {!readOnly && !changed && <p class="muted">Edit the document; it is checked as you type.</p>}
      </div>
      <Failure error={refused.length ? null : error ?? checkError} />
      {!readOnly && (
        <div class="actions">
          <button type="button" onClick={() => void check(text)}>Check</button>
          <button type="button" class="main" disabled={busy || (!changed && version !== "0") || errors.length > 0} onClick={apply}>
            {busy ? "Applying…" : version === "0" ? "Check and apply" : `Check and apply as version ${Number(version) + 1}`}
          </button>
          {changed && <button type="button" class="quiet" onClick={() => { setText(initial); clear(); }}>Discard the changes</button>}
        </div>
      )}
    </div>
  );
}
