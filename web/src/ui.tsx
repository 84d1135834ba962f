// Small building blocks that all pages share. Text goes in as children: nothing here writes markup from data.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ApiError, messageOf } from "./api";
import { cloudName, time, words } from "./format";
import type { Int64 } from "./types";
import { useTitle } from "./hooks";

let arrived = false;

/** A page's frame. On a change of page its heading takes the focus, so that keyboard and screen reader start there. */
export function Page({ title, lead, actions, children }: {
  title: string; lead?: ComponentChildren; actions?: ComponentChildren; children: ComponentChildren;
}) {
  useTitle(title);
  const heading = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => {
    if (arrived) heading.current?.focus({ preventScroll: true });
    arrived = true; // the first page is left to the browser: Tab then begins at the skip link
    window.scrollTo(0, 0);
  }, []);
  return (
    <>
      <div class="page-head">
        <div>
          <h1 tabIndex={-1} ref={heading}>{title}</h1>
          {lead && <p class="lead">{lead}</p>}
        </div>
        {actions && <div class="actions">{actions}</div>}
      </div>
      {children}
    </>
  );
}

export function Card({ title, actions, children, id }: {
  title: string; actions?: ComponentChildren; children: ComponentChildren; id?: string;
}) {
  const heading = useId();
  return (
    <section class="card" aria-labelledby={heading} id={id}>
      <div class="card-head">
        <h2 id={heading}>{title}</h2>
        {actions && <div class="actions">{actions}</div>}
      </div>
      {children}
    </section>
  );
}

/** Why there is nothing here, and what to do next. */
export function Empty({ why, children }: { why: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p><strong>{why}</strong></p>
      {children && <p>{children}</p>}
    </div>
  );
}

export function Failure({ error, retry }: { error: Error | null; retry?: () => void }) {
  if (!error) return null;
  const details = error instanceof ApiError ? error.details.filter((d) => d.message) : [];
  return (
    <div class="note bad" role="alert">
      <p>{messageOf(error)}</p>
      {details.length > 0 && (
        <ul>{details.map((d, i) => <li key={i}>{d.field ? `${d.field}: ` : ""}{d.message}</li>)}</ul>
      )}
      {retry && <button type="button" onClick={retry}>Try again</button>}
    </div>
  );
}

export const Loading = () => <p class="muted" role="status">Loading…</p>;

export interface Column<T> {
  head: string;
  cell: (row: T) => ComponentChildren;
  numeric?: boolean;
  header?: boolean; // the cell that names its row
  wide?: boolean; // running text: not squeezed by its neighbours
}

export function Table<T>({ label, columns, rows, keyOf, mark }: {
  label: string; columns: Column<T>[]; rows: T[]; keyOf: (row: T) => string; mark?: (row: T) => string;
}) {
  return (
    <div class="table" role="group" aria-label={label} tabIndex={0}>
      <table>
        <caption class="unseen">{label}</caption>
        <thead>
          <tr>{columns.map((c) => <th scope="col" class={c.numeric ? "n" : ""} key={c.head}>{c.head}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)} class={mark?.(row) ?? ""}>
              {columns.map((c) => c.header
                ? <th scope="row" key={c.head}>{c.cell(row)}</th>
                : <td class={c.numeric ? "n" : c.wide ? "wide" : ""} key={c.head}>{c.cell(row)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const GOOD = ["online", "ok", "kept", "promoted", "success", "invoke", "automatic"];
const BAD = ["revoked", "failed", "breaker-open", "error", "rolled-back", "refused"];
const WAIT = ["waiting", "paused", "offline", "proposed", "verifying", "applying", "collecting", "aggregating", "timeout"];

export function Tag({ text }: { text: string }) {
  const tone = GOOD.includes(text) ? "good" : BAD.includes(text) ? "bad" : WAIT.includes(text) ? "wait" : "";
  return <span class={`tag ${tone}`}>{words(text) || "none"}</span>;
}

const CLOUDS = ["aws", "azure", "gcp", "http"];
export const cloudClass = (cloud: string) => (CLOUDS.includes(cloud) ? `cloud-${cloud}` : "cloud-other");

export function Cloud({ cloud, region }: { cloud: string; region?: string }) {
  return <span class={`cloud ${cloudClass(cloud)}`}>{cloudName(cloud)}{region ? <small> {region}</small> : null}</span>;
}

export function When({ us }: { us: Int64 }) {
  const text = time(us);
  return text === "never" ? <>never</> : <time dateTime={`${text.replace(" ", "T")}Z`} title={`${text} UTC`}>{text}</time>;
}

export function Facts({ items }: { items: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {items.map(([term, value]) => <div key={term}><dt>{term}</dt><dd>{value}</dd></div>)}
    </dl>
  );
}

export function Tile({ label, value, unit, note, tone }: {
  label: string; value: ComponentChildren; unit?: string; note?: ComponentChildren; tone?: string;
}) {
  return (
    <div class={`tile ${tone ?? ""}`}>
      <dt>{label}</dt>
      <dd><span class="figure">{value}</span>{unit ? <span class="unit"> {unit}</span> : null}</dd>
      {note && <dd class="tile-note">{note}</dd>}
    </div>
  );
}

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [state, setState] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setState("Copied");
    } catch {
      setState("Could not copy: select the text instead");
    }
    window.setTimeout(() => setState(""), 3000);
  };
  return (
    <span class="copy">
      <button type="button" onClick={copy}>{label}</button>
      <span role="status" class="muted">{state}</span>
    </span>
  );
}

export function Field({ label, help, error, children }: {
  label: string; help?: string; error?: string;
  children: (props: { id: string; "aria-describedby"?: string; "aria-invalid"?: "true" }) => ComponentChildren;
}) {
  const id = useId();
  const about = [help ? `${id}-help` : "", error ? `${id}-error` : ""].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, "aria-describedby": about || undefined, "aria-invalid": error ? "true" : undefined })}
      {help && <small id={`${id}-help`}>{help}</small>}
      {error && <small id={`${id}-error`} class="error-text">{error}</small>}
    </div>
  );
}

/** A modal dialog of the browser's own: it keeps the focus inside and gives it back. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }) {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = box.current;
    const opener = document.activeElement as HTMLElement | null;
    dialog?.showModal();
    return () => {
      dialog?.close();
      opener?.focus();
    };
  }, []);
  return (
    <dialog ref={box} aria-labelledby={id} onCancel={(e) => { e.preventDefault(); onClose(); }}
      onClick={(e) => { if (e.target === box.current) onClose(); }}>
      <div class="dialog-body">
        <div class="card-head">
          <h2 id={id}>{title}</h2>
          <button type="button" class="quiet" aria-label="Close" onClick={onClose}>✕</button>
        </div>
        {children}
      </div>
    </dialog>
  );
}

export function Pager({ total, shown, hasBack, hasNext, back, next, noun }: {
  total?: number; shown: number; hasBack: boolean; hasNext: boolean; back: () => void; next: () => void; noun: string;
}) {
  return (
    <nav class="pager" aria-label={`Pages of ${noun}`}>
      <button type="button" disabled={!hasBack} onClick={back}>Back</button>
      <span class="muted">{total === undefined ? `${shown} ${noun}` : `${shown} of ${total.toLocaleString("en-US")} ${noun}`}</span>
      <button type="button" disabled={!hasNext} onClick={next}>Next</button>
    </nav>
  );
}

/** Page tokens walked so far, so that "Back" works with a server that only knows "next". */
export function usePages(resetKey: string) {
  const [state, setState] = useState<{ key: string; tokens: string[] }>({ key: resetKey, tokens: [""] });
  if (state.key !== resetKey) setState({ key: resetKey, tokens: [""] });
  const tokens = state.key === resetKey ? state.tokens : [""];
  const set = (next: string[]) => setState({ key: resetKey, tokens: next });
  return {
    token: tokens[tokens.length - 1],
    hasBack: tokens.length > 1,
    back: () => set(tokens.slice(0, -1)),
    next: (token: string) => set([...tokens, token]),
  };
}
