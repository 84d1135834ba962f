// The frame around all pages: session, navigation, the server's pulse, theme, notices, keyboard.

import { useCallback, useEffect, useState } from "preact/hooks";
import { currentSession, get, login, logout, messageOf, setSession, setSessionLostHandler } from "./api";
import { num } from "./format";
import { AppContext, keepSample, readPreference, useLoad, writePreference } from "./hooks";
import { HelpDialog, useShortcuts } from "./help";
import { LoginPage } from "./pages/login";
import { Pages, SECTIONS } from "./pages";
import { Link, takeLoginToken, useRoute } from "./router";
import { Loading } from "./ui";
import type { Session, Status } from "./types";

const STATUS_EVERY_MS = 2000;
const linkToken = takeLoginToken(); // before anything else looks at the address

function applyTheme(theme: string): void {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  window.dispatchEvent(new Event("vane-theme"));
}
applyTheme(readPreference("theme"));

export function App() {
  const [session, setSessionState] = useState<Session | null>(null);
  const [state, setState] = useState<"starting" | "out" | "in">("starting");
  const [problem, setProblem] = useState("");

  const enter = useCallback((next: Session) => {
    setSession(next);
    setSessionState(next);
    setState("in");
    setProblem("");
  }, []);
  const leave = useCallback((why: string) => {
    setSession(null);
    setSessionState(null);
    setState("out");
    setProblem(why);
  }, []);

  useEffect(() => {
    setSessionLostHandler(() => leave("Your session has ended. Log in again."));
    const start = async () => {
      try {
        enter(linkToken ? await login(linkToken) : await currentSession());
      } catch (error) {
        leave(linkToken ? messageOf(error) : "");
      }
    };
    void start();
  }, []);

  if (state === "starting") return <main class="centre"><Loading /></main>;
  if (state === "out" || !session) return <LoginPage problem={problem} onSession={enter} />;
  const quit = async () => {
    try {
      await logout();
    } finally {
      leave("You are logged out.");
    }
  };
  return <Frame session={session} onLogout={quit} />;
}

function Frame({ session, onLogout }: { session: Session; onLogout: () => void }) {
  const route = useRoute();
  const [help, setHelp] = useState(false);
  const [notice, setNotice] = useState("");
  const status = useLoad<Status>(async (signal) => {
    const next = await get<Status>(["status"], {}, signal);
    keepSample(next);
    return next;
  }, [], STATUS_EVERY_MS);
  useShortcuts(() => setHelp(true));
  const say = useCallback((message: string) => {
    setNotice(message);
    window.setTimeout(() => setNotice((m) => (m === message ? "" : m)), 6000);
  }, []);
  const section = route.path[0] ?? "overview";
  const nowUs = status.data ? num(status.data.timeUs) : Date.now() * 1000;
  return (
    <AppContext.Provider value={{ session, status, nowUs, say }}>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById("main")?.focus(); }}>
        Skip to the page
      </a>
      <header class="top">
        <Link to={[]} class="brand"><img src="/icon.svg" alt="" width="26" height="26" />Vane</Link>
        {pulse()}
        <div class="actions">
          <ThemeButton />
          <button type="button" class="quiet" aria-label="Help" title="Help (?)" onClick={() => setHelp(true)}>?</button>
          <span class="who" title={`Tenant ${session.tenant}`}>{session.name} <small>{session.role}</small></span>
          <button type="button" class="quiet" onClick={onLogout}>Log out</button>
        </div>
      </header>
      <nav class="side" aria-label="Main">
        <ul>
          {SECTIONS.filter((s) => !s.role || s.role === session.role).map((s) => (
            <li key={s.id}>
              <Link to={s.id === "overview" ? [] : [s.id]} aria-current={s.id === section ? "page" : undefined}>{s.name}</Link>
            </li>
          ))}
        </ul>
      </nav>
      <main id="main" tabIndex={-1}>
        {staleBanner()}
        <Pages route={route} key={section + "/" + route.path.slice(1).join("/")} />
      </main>
      <div class="toast" role="status">{notice && <p>{notice}</p>}</div>
      {help && <HelpDialog onClose={() => setHelp(false)} />}
    </AppContext.Provider>
  );

  function pulse() {
    if (!status.data) return <span class="pulse muted">…</span>;
    return status.data.paused
      ? <span class="pulse"><span class="tag wait">changes paused</span></span>
      : <span class="pulse"><span class="tag good">steering</span></span>;
  }

  function staleBanner() {
    if (!status.error) return null;
    const since = status.loadedAt ? new Date(status.loadedAt).toLocaleTimeString() : "";
    return (
      <div class="note wait" role="status">
        <p>
          {messageOf(status.error)} {since
            ? `What you see is as of ${since}, and is refreshed as soon as the server answers.`
            : "Nothing could be loaded yet; this page keeps trying."}
        </p>
      </div>
    );
  }
}

function ThemeButton() {
  const [theme, setTheme] = useState(readPreference("theme"));
  const next = theme === "" ? "light" : theme === "light" ? "dark" : "";
  const name = (t: string) => t || "system";
  const change = () => {
    setTheme(next);
    writePreference("theme", next);
    applyTheme(next);
  };
  return (
    <button type="button" class="quiet" onClick={change} aria-label={`Theme: ${name(theme)}. Change to ${name(next)}`}
      title={`Theme: ${name(theme)}`}>
      {theme === "" ? "◐" : theme === "light" ? "☀" : "☾"}
    </button>
  );
}

