import { useState } from "preact/hooks";
import { get, post } from "../api";
import { ago, count, num, time } from "../format";
import { mayAs, useAction, useApp, useLoad } from "../hooks";
import { PauseButton } from "../pause";
import type { Account, AccountCreated, AccountList } from "../types";
import { Card, Cloud, Dialog, Empty, Failure, Field, Loading, Page, Pager, Table, Tag, When, usePages } from "../ui";
import { AddAccount, JoinCommand } from "./account-add";

const LEVELS = ["observe", "tune", "invoke"];
export const LEVEL_MEANING: Record<string, string> = {
  observe: "only look: list functions and report figures",
  tune: "also change the memory of functions",
  invoke: "also receive calls",
};

export function AccountsPage() {
  const { session } = useApp();
  const [adding, setAdding] = useState(false);
  const pages = usePages("accounts");
  const list = useLoad<AccountList>((signal) => get(["accounts"], { pageSize: 50, pageToken: pages.token }, signal), [pages.token], 3000);
  const accounts = list.data?.accounts ?? [];
  const mayAdd = mayAs(session, "operator");
  return (
    <Page title="Accounts" lead="The cloud accounts that an agent stands beside."
      actions={mayAdd && !adding && <button type="button" class="main" onClick={() => setAdding(true)}>Add an account</button>}>
      {adding && <AddAccount onDone={() => { setAdding(false); list.reload(); }} />}
      <Card title="Registered accounts">
        {!list.data && !list.error && <Loading />}
        {!list.data && <Failure error={list.error} retry={list.reload} />}
        {list.data && accounts.length === 0 && (
          <Empty why="No account is registered yet.">
            {mayAdd ? "Add one: Vane then shows the command that starts its agent beside the cloud account."
              : "Somebody with the role operator can add one."}
          </Empty>
        )}
        {accounts.length > 0 && <AccountTable accounts={accounts} reload={list.reload} />}
        {(pages.hasBack || list.data?.nextPageToken) && (
          <Pager noun="accounts" total={list.data?.total} shown={accounts.length} hasBack={pages.hasBack}
            hasNext={Boolean(list.data?.nextPageToken)} back={pages.back} next={() => pages.next(list.data?.nextPageToken ?? "")} />
        )}
      </Card>
    </Page>
  );
}

function AccountTable({ accounts, reload }: { accounts: Account[]; reload: () => void }) {
  const { nowUs } = useApp();
  return (
    <Table label="Registered accounts" rows={accounts} keyOf={(a) => a.id || a.name} columns={[
      { head: "Account", header: true, cell: (a) => <>{a.name}<div class="under"><Cloud cloud={a.cloud} region={a.region} /></div></> },
      { head: "State", cell: (a) => <><Tag text={a.state} />{a.paused && <> <Tag text="paused" /></>}</> },
      { head: "Last seen", cell: (a) => ago(a.lastSeenUs, nowUs) },
      { head: "Level", cell: (a) => <Tag text={a.level} /> },
      { head: "Functions", numeric: true, cell: (a) => <>{count(a.functions)}<div class="under"><small>{count(a.windows)} windows</small></div></> },
      { head: "Model", numeric: true, cell: (a) => (num(a.modelVersion) > 0 ? `v${a.modelVersion}` : "–") },
      { head: "Certificate until", cell: (a) => <When us={num(a.certificateNotAfterS) * 1e6} /> },
      { head: "Actions", cell: (a) => <AccountActions account={a} reload={reload} /> },
    ]} />
  );
}

function AccountActions({ account, reload }: { account: Account; reload: () => void }) {
  const { session } = useApp();
  const [open, setOpen] = useState<"" | "level" | "revoke" | "token">("");
  if (account.state === "revoked") return <span class="muted">ended</span>;
  const close = () => {
    setOpen("");
    reload();
  };
  return (
    <div class="row-actions">
      {mayAs(session, "approver") && <button type="button" onClick={() => setOpen("level")}>Level<span class="unseen"> of {account.name}</span></button>}
      {mayAs(session, "operator") && account.state === "waiting" &&
        <button type="button" onClick={() => setOpen("token")}>Join command<span class="unseen"> for {account.name}</span></button>}
      {account.state !== "waiting" && <PauseButton scope="account" name={account.name} paused={account.paused} onChange={reload} />}
      {mayAs(session, "admin") && <button type="button" class="danger" onClick={() => setOpen("revoke")}>Revoke<span class="unseen"> {account.name}</span></button>}
      {open === "level" && <LevelDialog account={account} onClose={close} />}
      {open === "revoke" && <RevokeDialog account={account} onClose={close} />}
      {open === "token" && <TokenDialog account={account} onClose={close} />}
    </div>
  );
}

function LevelDialog({ account, onClose }: { account: Account; onClose: () => void }) {
  const { say } = useApp();
  const [level, setLevel] = useState(account.level);
  const { busy, error, run } = useAction();
  const most = LEVELS.indexOf(account.maxLevel || "invoke");
  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      await post<Account>(["accounts", account.name, "level"], { level });
      say(`${account.name} is now at level ${level}.`);
      onClose();
    });
  };
  return (
    <Dialog title={`Level of ${account.name}`} onClose={onClose}>
      <form onSubmit={submit}>
        <fieldset class="stack">
          <legend>What Vane may do in this account</legend>
          {LEVELS.map((l, i) => (
            <label class="check" key={l}>
              <input type="radio" name="level" value={l} checked={level === l} disabled={i > most} onChange={() => setLevel(l)} />
              <span><b>{l}</b>: {LEVEL_MEANING[l]}{i > most ? " (beyond what this account was added for)" : ""}</span>
            </label>
          ))}
        </fieldset>
        <Failure error={error} />
        <div class="actions">
          <button type="submit" class="main" disabled={busy || level === account.level}>Change the level</button>
          <button type="button" onClick={onClose}>Cancel</button>
        </div>
      </form>
    </Dialog>
  );
}

function RevokeDialog({ account, onClose }: { account: Account; onClose: () => void }) {
  const { say } = useApp();
  const [typed, setTyped] = useState("");
  const { busy, error, run } = useAction();
  const submit = (event: Event) => {
    event.preventDefault();
    void run(async () => {
      await post<Account>(["accounts", account.name, "revoke"], {});
      say(`${account.name} is revoked.`);
      onClose();
    });
  };
  return (
    <Dialog title={`Revoke ${account.name}?`} onClose={onClose}>
      <form onSubmit={submit}>
        <p>
          Its agent is cut off within a second and its certificate is refused for good. Calls are no longer sent there.
          To use the cloud account again, add it under a new name.
        </p>
        <Field label={`Type the account's name, ${account.name}, to confirm`}>
          {(props) => <input {...props} autocomplete="off" spellcheck={false} value={typed} onInput={(e) => setTyped(e.currentTarget.value)} />}
        </Field>
        <Failure error={error} />
        <div class="actions">
          <button type="submit" class="danger main" disabled={busy || typed !== account.name}>Revoke for good</button>
          <button type="button" onClick={onClose}>Cancel</button>
        </div>
      </form>
    </Dialog>
  );
}

function TokenDialog({ account, onClose }: { account: Account; onClose: () => void }) {
  const { busy, error, run } = useAction();
  const [made, setMade] = useState<AccountCreated | null>(null);
  const make = () => run(async () => setMade(await post<AccountCreated>(["accounts", account.name, "join-token"], {})));
  return (
    <Dialog title={`New join command for ${account.name}`} onClose={onClose}>
      {made ? <JoinCommand made={made} /> : (
        <>
          <p>A join command works once and for a few minutes. A new one makes the one before it worthless.</p>
          <Failure error={error} />
          <button type="button" class="main" disabled={busy} onClick={make}>Make a new command</button>
        </>
      )}
      {made && <p class="muted">It expires at {time(made.expiresUs)} UTC.</p>}
    </Dialog>
  );
}
