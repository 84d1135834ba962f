import { useState } from "preact/hooks";
import { login } from "../api";
import { useAction } from "../hooks";
import type { Session } from "../types";
import { Failure, Field } from "../ui";

export function LoginPage({ problem, onSession }: { problem: string; onSession: (session: Session) => void }) {
  const [token, setToken] = useState("");
  const { busy, error, run } = useAction();
  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => onSession(await login(token.trim().replace(/^.*#/, ""))));
  };
  return (
    <main class="centre">
      <form class="card login" onSubmit={submit}>
        <h1><img src="/icon.svg" alt="" width="34" height="34" /> Log in to Vane</h1>
        {problem && !error && <div class="note wait" role="alert"><p>{problem}</p></div>}
        <Failure error={error} />
        <p>
          On its first start vaned prints a link that works once. Open that link, or paste it here. An API token works too.
        </p>
        <Field label="Link or token" help="The first links also stand in first-login.json, in the folder where vaned keeps its state.">
          {(props) => (
            <input {...props} type="password" autocomplete="off" spellcheck={false} required value={token}
              onInput={(e) => setToken(e.currentTarget.value)} />
          )}
        </Field>
        <button type="submit" class="main" disabled={busy || !token.trim()}>{busy ? "Logging in…" : "Log in"}</button>
      </form>
    </main>
  );
}
