// Adding an account: a form, then the join command, then the wait for the agent's first sign of life.

import { useState } from "preact/hooks";
import { ApiError, get, post } from "../api";
import { time } from "../format";
import { useAction, useLoad } from "../hooks";
import type { Account, AccountCreated } from "../types";
import { Card, CopyButton, Failure, Field } from "../ui";

const REGION_EXAMPLE: Record<string, string> = { aws: "eu-central-1", azure: "westeurope", gcp: "europe-west1", http: "eu-cellar1" };

export function AddAccount({ onDone }: { onDone: () => void }) {
  const [name, setName] = useState("");
  const [cloud, setCloud] = useState("aws");
  const [region, setRegion] = useState("");
  const [level, setLevel] = useState("invoke");
  const [made, setMade] = useState<AccountCreated | null>(null);
  const { busy, error, run } = useAction();
  const errorOf = (field: string) =>
    error instanceof ApiError ? error.details.find((d) => d.field === field)?.message : undefined;
  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => setMade(await post<AccountCreated>(["accounts"], { name: name.trim(), cloud, region: region.trim(), level })));
  };
  if (made) {
    return (
      <Card title={`Start the agent of ${made.account?.name ?? name}`} actions={<button type="button" onClick={onDone}>Done</button>}>
        <JoinCommand made={made} />
        <p class="muted">The command carries a secret that works once and expires at {time(made.expiresUs)} UTC.</p>
      </Card>
    );
  }
  return (
    <Card title="Add an account" actions={<button type="button" class="quiet" onClick={onDone}>Cancel</button>}>
      <form class="grid-form" onSubmit={submit}>
        <Field label="Name" help="Small letters, digits and hyphens, for example aws-prod." error={errorOf("name")}>
          {(props) => <input {...props} required maxLength={63} autocomplete="off" spellcheck={false} value={name}
            onInput={(e) => setName(e.currentTarget.value)} />}
        </Field>
        <Field label="Cloud" error={errorOf("cloud")}>
          {(props) => (
            <select {...props} value={cloud} onChange={(e) => setCloud(e.currentTarget.value)}>
              <option value="aws">AWS</option>
              <option value="azure">Azure</option>
              <option value="gcp">GCP</option>
              <option value="http">Own HTTP endpoints</option>
            </select>
          )}
        </Field>
        <Field label="Region" help={`As the cloud names it, for example ${REGION_EXAMPLE[cloud]}.`} error={errorOf("region")}>
          {(props) => <input {...props} required maxLength={63} autocomplete="off" spellcheck={false} value={region}
            onInput={(e) => setRegion(e.currentTarget.value)} />}
        </Field>
        <Field label="At most" help="Every account begins by observing. This is as far as it may be promoted later." error={errorOf("level")}>
          {(props) => (
            <select {...props} value={level} onChange={(e) => setLevel(e.currentTarget.value)}>
              <option value="observe">observe</option>
              <option value="tune">tune</option>
              <option value="invoke">invoke</option>
            </select>
          )}
        </Field>
        <div class="whole">
          <Failure error={error} />
          <button type="submit" class="main" disabled={busy}>{busy ? "Adding…" : "Add and show the join command"}</button>
        </div>
      </form>
    </Card>
  );
}

export function JoinCommand({ made }: { made: AccountCreated }) {
  const name = made.account?.name ?? "";
  const account = useLoad<Account>((signal) => get(["accounts", name], {}, signal), [name], 1500);
  const online = account.data?.state === "online";
  return (
    <>
      <p>Run this where the account's credentials are, on a machine that can reach this server:</p>
      <pre class="command" tabIndex={0} aria-label="Join command"><code>{made.joinCommand}</code></pre>
      <CopyButton text={made.joinCommand} label="Copy the command" />
      <p role="status" class={`waiting ${online ? "there" : ""}`}>
        {online ? `The agent of ${name} is online and observes. Promote it when its figures look right.`
          : "Waiting for the agent's first sign of life…"}
      </p>
      <Failure error={account.error} />
    </>
  );
}
