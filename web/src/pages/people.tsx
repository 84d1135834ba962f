import { useState } from "preact/hooks";
import { get, post } from "../api";
import { time } from "../format";
import { useAction, useApp, useLoad } from "../hooks";
import type { Int64, Person } from "../types";
import { Card, CopyButton, Dialog, Empty, Failure, Field, Loading, Page, Table, Tag, When } from "../ui";

const ROLES: [string, string][] = [
  ["viewer", "reads everything"],
  ["operator", "also adds accounts, routes, pauses"],
  ["approver", "also approves changes of others and writes policies"],
  ["admin", "also revokes accounts and manages people"],
];

export function PeoplePage() {
  const { session } = useApp();
  const list = useLoad<{ people: Person[] }>((signal) => get(["people"], { pageSize: 200 }, signal), []);
  const [tokenFor, setTokenFor] = useState("");
  const [ending, setEnding] = useState("");
  const rows = list.data?.people ?? [];
  return (
    <Page title="People" lead={`Who may do what in the tenant ${session.tenant}.`}>
      <Card title="Everybody">
        {!list.data && !list.error && <Loading />}
        {!list.data && <Failure error={list.error} retry={list.reload} />}
        {list.data && rows.length === 0 && <Empty why="Nobody is listed.">Add a person below.</Empty>}
        {rows.length > 0 && (
          <Table label="People" rows={rows} keyOf={(p) => p.name} columns={[
            { head: "Name", header: true, cell: (p) => <>{p.name}{p.name === session.name && " (you)"}</> },
            { head: "Role", cell: (p) => p.role },
            { head: "Added (UTC)", cell: (p) => <When us={p.createdUs} /> },
            { head: "State", cell: (p) => <Tag text={p.revoked ? "revoked" : "ok"} /> },
            { head: "Actions", cell: (p) => !p.revoked && (
              <div class="row-actions">
                <button type="button" onClick={() => setTokenFor(p.name)}>New token<span class="unseen"> for {p.name}</span></button>
                {p.name !== session.name && <button type="button" class="danger" onClick={() => setEnding(p.name)}>Revoke<span class="unseen"> {p.name}</span></button>}
              </div>
            ) },
          ]} />
        )}
      </Card>
      <AddPerson onAdded={list.reload} />
      {tokenFor && <TokenDialog name={tokenFor} onClose={() => setTokenFor("")} />}
      {ending && <EndDialog name={ending} onClose={() => { setEnding(""); list.reload(); }} />}
    </Page>
  );
}

function AddPerson({ onAdded }: { onAdded: () => void }) {
  const { say } = useApp();
  const [name, setName] = useState("");
  const [role, setRole] = useState("viewer");
  const { busy, error, run } = useAction();
  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      await post<Person>(["people"], { name: name.trim(), role });
      say(`${name.trim()} is added. Make a token for them next.`);
      setName("");
      onAdded();
    });
  };
  return (
    <Card title="Add a person">
      <form class="grid-form" onSubmit={submit}>
        <Field label="Name">
          {(props) => <input {...props} required maxLength={63} autocomplete="off" value={name} onInput={(e) => setName(e.currentTarget.value)} />}
        </Field>
        <Field label="Role">
          {(props) => (
            <select {...props} value={role} onChange={(e) => setRole(e.currentTarget.value)}>
              {ROLES.map(([r, what]) => <option key={r} value={r}>{r}: {what}</option>)}
            </select>
          )}
        </Field>
        <div class="whole">
          <Failure error={error} />
          <button type="submit" class="main" disabled={busy || !name.trim()}>Add</button>
        </div>
      </form>
    </Card>
  );
}

function TokenDialog({ name, onClose }: { name: string; onClose: () => void }) {
  const [made, setMade] = useState<{ token: string; expiresUs: Int64 } | null>(null);
  const { busy, error, run } = useAction();
  const make = () => run(async () => setMade(await post(["people", name, "tokens"], { lifetimeS: 0 })));
  return (
    <Dialog title={`New API token for ${name}`} onClose={onClose}>
      {made ? (
        <>
          <p>This is shown once. It expires at {time(made.expiresUs)} UTC.</p>
          <pre class="command" tabIndex={0} aria-label="API token">{made.token}</pre>
          <CopyButton text={made.token} label="Copy the token" />
        </>
      ) : (
        <>
          <p>A token acts with {name}'s role, for 90 days.</p>
          <Failure error={error} />
          <button type="button" class="main" disabled={busy} onClick={make}>Make a token</button>
        </>
      )}
    </Dialog>
  );
}

function EndDialog({ name, onClose }: { name: string; onClose: () => void }) {
  const { busy, error, run } = useAction();
  const end = () => run(async () => {
    await post<Person>(["people", name, "revoke"], {});
    onClose();
  });
  return (
    <Dialog title={`Revoke ${name}?`} onClose={onClose}>
      <p>All tokens and sessions of {name} end at once. What {name} did stays in the log.</p>
      <Failure error={error} />
      <div class="actions">
        <button type="button" class="danger main" disabled={busy} onClick={end}>Revoke</button>
        <button type="button" onClick={onClose}>Cancel</button>
      </div>
    </Dialog>
  );
}
