// "?" and the keyboard. Single-key shortcuts can be switched off (WCAG 2.1.4) and never act while one types.

import { useEffect, useState } from "preact/hooks";
import { readPreference, writePreference } from "./hooks";
import { navigate } from "./router";
import { Dialog } from "./ui";

const GO: Record<string, [string[], string]> = {
  o: [[], "Overview"],
  a: [["accounts"], "Accounts"],
  f: [["functions"], "Functions"],
  d: [["decisions"], "Decisions"],
  p: [["policies"], "Policies"],
  r: [["approvals"], "Approvals"],
  l: [["audit"], "Audit log"],
};

const typing = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

export const shortcutsOn = () => readPreference("shortcuts") !== "off";

export function useShortcuts(onHelp: () => void): void {
  useEffect(() => {
    let going = 0;
    const pressed = (event: KeyboardEvent) => {
      if (!shortcutsOn() || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
      if (document.querySelector("dialog[open]")) return;
      if (Date.now() - going < 1500 && GO[event.key]) {
        going = 0;
        event.preventDefault();
        navigate(GO[event.key][0]);
      } else if (event.key === "g") {
        going = Date.now();
      } else if (event.key === "?") {
        event.preventDefault();
        onHelp();
      } else if (event.key === "/") {
        const filter = document.querySelector<HTMLElement>("[data-filter]");
        if (filter) {
          event.preventDefault();
          filter.focus();
        }
      }
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, []);
}

export function HelpDialog({ onClose }: { onClose: () => void }) {
  const [on, setOn] = useState(shortcutsOn());
  const change = () => {
    writePreference("shortcuts", on ? "off" : "");
    setOn(!on);
  };
  return (
    <Dialog title="Help" onClose={onClose}>
      <p>
        Vane decides where each call of a serverless function runs and how much memory it gets. Each decision has a page
        that says why, what would have changed it, and proves that it stands in the audit log.
      </p>
      <h3>Keyboard</h3>
      <dl class="keys">
        <div><dt><kbd>?</kbd></dt><dd>This help</dd></div>
        <div><dt><kbd>/</kbd></dt><dd>To the page's filter</dd></div>
        {Object.entries(GO).map(([key, [, name]]) => (
          <div key={key}><dt><kbd>g</kbd> <kbd>{key}</kbd></dt><dd>{name}</dd></div>
        ))}
        <div><dt><kbd>Esc</kbd></dt><dd>Closes a dialog</dd></div>
      </dl>
      <label class="check"><input type="checkbox" checked={on} onChange={change} /> Single-key shortcuts</label>
      <h3>Words</h3>
      <dl class="words">
        <div><dt>Margin</dt><dd>How much better the choice scored than the best other candidate.</dd></div>
        <div><dt>Level</dt><dd>What Vane may do in an account: observe, tune its functions, or also send it calls.</dd></div>
        <div><dt>Checkpoint</dt><dd>The signed size and root hash of the audit log at one moment.</dd></div>
      </dl>
      <p class="muted">All times are the server's, in UTC. Everything here can also be done with <code>vanectl</code>.</p>
    </Dialog>
  );
}
