import { get } from "../api";
import { count, duration, money } from "../format";
import { useApp, useLoad } from "../hooks";
import { Link, replaceQuery, type Route } from "../router";
import type { FunctionList } from "../types";
import { Card, Empty, Failure, Loading, Page, Pager, Table, Tag, usePages } from "../ui";
import { num } from "../format";

export function FunctionsPage({ route }: { route: Route }) {
  const { status } = useApp();
  const filter = route.query.get("filter") ?? "";
  const pages = usePages(filter);
  const list = useLoad<FunctionList>(
    (signal) => get(["functions"], { pageSize: 50, pageToken: pages.token, filter }, signal), [filter, pages.token], 5000);
  const rows = list.data?.functions ?? [];
  return (
    <Page title="Functions" lead="Each workload, and where it could run.">
      <Card title="Workloads" actions={
        <label class="inline">Name contains <input type="search" data-filter value={filter}
          onInput={(e) => replaceQuery(route, { filter: e.currentTarget.value })} /></label>
      }>
        {!list.data && !list.error && <Loading />}
        {!list.data && <Failure error={list.error} retry={list.reload} />}
        {list.data && rows.length === 0 && (filter ? (
          <Empty why={`No function's name contains “${filter}”.`}>
            <button type="button" onClick={() => replaceQuery(route, {})}>Show all functions</button>
          </Empty>
        ) : (
          <Empty why="No function is known yet.">
            {(status.data?.agentsOnline ?? 0) > 0
              ? "An agent is online; it lists the functions of its account within a minute. This page shows them by itself."
              : <>No agent is online. <Link to={["accounts"]}>Add an account</Link> and start its agent: it lists the functions there.</>}
          </Empty>
        ))}
        {rows.length > 0 && (
          <Table label="Functions" rows={rows} keyOf={(f) => f.workload} columns={[
            { head: "Function", header: true, cell: (f) => <><Link to={["functions", f.workload]}>{f.workload}</Link>{f.paused && <> <Tag text="paused" /></>}</> },
            { head: "Endpoints", numeric: true, cell: (f) => count(f.endpoints) },
            { head: "Calls", numeric: true, cell: (f) => count(f.calls) },
            { head: "Routed by Vane", numeric: true, cell: (f) => count(f.routed) },
            { head: "95th percentile", numeric: true, cell: (f) => (num(f.calls) > 0 ? duration(f.p95Ms) : "–") },
            { head: "Per million calls", numeric: true, cell: (f) => (f.usdPerMillion > 0 ? money(f.usdPerMillion) : "–") },
            { head: "Cheapest", cell: (f) => f.cheapest || "–" },
            { head: "Policy", cell: (f) => (f.policy ? <Link to={["policies", f.policy]}>{f.policy}</Link> : "none") },
          ]} />
        )}
        {rows.length > 0 && (
          <Pager noun="functions" total={list.data?.total} shown={rows.length} hasBack={pages.hasBack}
            hasNext={Boolean(list.data?.nextPageToken)} back={pages.back} next={() => pages.next(list.data?.nextPageToken ?? "")} />
        )}
      </Card>
    </Page>
  );
}
