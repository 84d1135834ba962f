// Shared state of pages: loading with polling, the server's status, notices, preferences.

import { createContext } from "preact";
import { useCallback, useContext, useEffect, useRef, useState } from "preact/hooks";
import type { Session, Status } from "./types";
import { num } from "./format";

export interface Loaded<T> {
  data: T | null;
  error: Error | null; // of the last try; `data` then still holds what was known before
  loadedAt: number; // browser time of the last success
  reload: () => void;
}

/** Loads when `deps` change and, with `everyMs`, again and again while the page is visible. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, deps: unknown[], everyMs = 0): Loaded<T> {
  const [state, setState] = useState<{ data: T | null; error: Error | null; loadedAt: number }>({
    data: null,
    error: null,
    loadedAt: 0,
  });
  const [turn, setTurn] = useState(0);
  const before = useRef<string>("");
  const key = JSON.stringify(deps);
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    if (before.current !== key) setState({ data: null, error: null, loadedAt: 0 });
    before.current = key;
    const run = async () => {
      if (document.visibilityState === "visible" || everyMs === 0) {
        try {
          const data = await load(stop.signal);
          if (stop.signal.aborted) return;
          setState({ data, error: null, loadedAt: Date.now() });
        } catch (error) {
          if (stop.signal.aborted) return;
          setState((s) => ({ ...s, error: error as Error }));
        }
      }
      if (everyMs > 0) timer = window.setTimeout(run, everyMs);
    };
    void run();
    return () => {
      stop.abort();
      window.clearTimeout(timer);
    };
  }, [key, turn]);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  return { ...state, reload };
}

/** Runs one action at a time and keeps its error. */
export function useAction(): {
  busy: boolean;
  error: Error | null;
  run: (action: () => Promise<void>) => Promise<void>;
  clear: () => void;
} {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const run = async (action: () => Promise<void>) => {
    setBusy(true);
    setError(null);
    try {
      await action();
    } catch (e) {
      setError(e as Error);
    }
    setBusy(false);
  };
  return { busy, error, run, clear: () => setError(null) };
}

export interface AppState {
  session: Session;
  status: Loaded<Status>;
  nowUs: number; // the server's clock at its last answer
  say: (message: string) => void;
}

export const AppContext = createContext<AppState | null>(null);

export function useApp(): AppState {
  const state = useContext(AppContext);
  if (!state) throw new Error("outside of the app");
  return state;
}

/** Status samples of this visit, for the overview's plot; kept while other pages are shown. */
export const history: Status[] = [];
const MAX_SAMPLES = 600;

export function keepSample(status: Status): void {
  const last = history[history.length - 1];
  if (last && num(last.timeUs) > num(status.timeUs)) history.length = 0; // another server, or a new start
  if (last && num(last.timeUs) === num(status.timeUs)) return;
  history.push(status);
  if (history.length > MAX_SAMPLES) history.shift();
}

export function readPreference(name: string): string {
  try {
    return localStorage.getItem(`vane.${name}`) ?? "";
  } catch {
    return ""; // storage may be forbidden; preferences then last as long as the page
  }
}

export function writePreference(name: string, value: string): void {
  try {
    if (value) localStorage.setItem(`vane.${name}`, value);
    else localStorage.removeItem(`vane.${name}`);
  } catch {
    // As above.
  }
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Vane`;
  }, [title]);
}

/** Roles in rising order; the server decides, this only hides what would be refused. */
const ROLES = ["viewer", "operator", "approver", "admin"];
export const mayAs = (session: Session, role: string) => ROLES.indexOf(session.role) >= ROLES.indexOf(role);
