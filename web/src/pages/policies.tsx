import { get } from "../api";
import { count } from "../format";
import { mayAs, useApp, useLoad } from "../hooks";
import { Link } from "../router";
import type { PolicyList } from "../types";
import { Card, Empty, Failure, Loading, Page, Pager, Table, When, usePages } from "../ui";

export const NEW_POLICY = "new";

export function PoliciesPage() {
  const { session } = useApp();
  const pages = usePages("policies");
  const list = useLoad<PolicyList>((signal) => get(["policies"], { pageSize: 50, pageToken: pages.token }, signal), [pages.token], 10_000);
  const rows = list.data?.policies ?? [];
  const mayWrite = mayAs(session, "approver");
  return (
    <Page title="Policies" lead="What each function is steered for, and within which limits."
      actions={mayWrite && <Link class="button main" to={["policies", NEW_POLICY]}>Write a policy</Link>}>
      <Card title="Policies in force">
        {!list.data && !list.error && <Loading />}
        {!list.data && <Failure error={list.error} retry={list.reload} />}
        {list.data && rows.length === 0 && (
          <Empty why="No policy has been written yet.">
            Until then every function follows the built-in default. {mayWrite
              ? <Link to={["policies", NEW_POLICY]}>Write the first policy.</Link>
              : "Somebody with the role approver can write one."}
          </Empty>
        )}
        {rows.length > 0 && (
          <Table label="Policies" rows={rows} keyOf={(p) => p.name} columns={[
            { head: "Policy", header: true, cell: (p) => <Link to={["policies", p.name]}>{p.name}</Link> },
            { head: "Version", numeric: true, cell: (p) => count(p.version) },
            { head: "Scope", cell: (p) => p.scope || "–" },
            { head: "Written by", cell: (p) => p.author },
            { head: "At (UTC)", cell: (p) => <When us={p.timeUs} /> },
            { head: "Decision", cell: (p) => (p.decisionId ? <Link to={["decisions", p.decisionId]}>record</Link> : "–") },
          ]} />
        )}
        {(pages.hasBack || list.data?.nextPageToken) && (
          <Pager noun="policies" total={list.data?.total} shown={rows.length} hasBack={pages.hasBack}
            hasNext={Boolean(list.data?.nextPageToken)} back={pages.back} next={() => pages.next(list.data?.nextPageToken ?? "")} />
        )}
      </Card>
    </Page>
  );
}
