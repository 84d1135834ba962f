// The brake: stops all changes within a second; routing falls back to the declared split.

import { useState } from "preact/hooks";
import { post } from "./api";
import { mayAs, useAction, useApp } from "./hooks";
import type { Pause } from "./types";
import { Dialog, Failure, Field } from "./ui";

export function PauseButton({ scope = "global", name = "", paused, onChange }: {
  scope?: string; name?: string; paused?: boolean; onChange?: () => void;
}) {
  const { session, status, say } = useApp();
  const [open, setOpen] = useState(false);
  const [reason, setReason] = useState("");
  const { busy, error, run, clear } = useAction();
  const is = paused ?? status.data?.paused ?? false;
  const what = scope === "global" ? "all changes" : `changes to ${name}`;
  if (!mayAs(session, "operator")) return null;
  const close = () => {
    setOpen(false);
    clear();
  };
  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      await post<Pause>(["pauses"], { scope, name, paused: !is, reason: reason.trim() });
      say(is ? `Resumed ${what}.` : `Paused ${what}.`);
      setReason("");
      setOpen(false);
      status.reload();
      onChange?.();
    });
  };
  return (
    <>
      <button type="button" class={is && scope === "global" ? "main" : ""} onClick={() => setOpen(true)}>
        {is ? "Resume" : "Pause"}{scope === "account" ? <span class="unseen"> {what}</span> : ` ${what}`}
      </button>
      {open && (
        <Dialog title={is ? `Resume ${what}?` : `Pause ${what}?`} onClose={close}>
          <form onSubmit={submit}>
            <p>
              {is ? "Vane decides and changes again as its policies allow."
                : "Within a second no change is made any more, and calls are split as the policy declares. What runs keeps running."}
            </p>
            <Field label="Reason" help="It is recorded with your name in the audit log.">
              {(props) => <input {...props} required maxLength={200} value={reason} onInput={(e) => setReason(e.currentTarget.value)} />}
            </Field>
            <Failure error={error} />
            <div class="actions">
              <button type="submit" class="main" disabled={busy || !reason.trim()}>{is ? "Resume" : "Pause"}</button>
              <button type="button" onClick={close}>Cancel</button>
            </div>
          </form>
        </Dialog>
      )}
    </>
  );
}
