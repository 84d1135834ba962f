import { get } from "../api";
import { cloudName, count, duration, memory, money, num, perMillion, share } from "../format";
import { useLoad } from "../hooks";
import { PauseButton } from "../pause";
import { Plot } from "../plot";
import { Link } from "../router";
import type { CurvePoint, Endpoint, FunctionCurve, FunctionDetail } from "../types";
import { Card, Cloud, Empty, Facts, Failure, Loading, Page, Table, Tag } from "../ui";

export function FunctionPage({ workload }: { workload: string }) {
  const load = useLoad<FunctionDetail>((signal) => get(["functions", workload], {}, signal), [workload], 5000);
  const detail = load.data;
  const s = detail?.summary;
  return (
    <Page title={workload} lead={<Link to={["functions"]}>All functions</Link>}
      actions={s && <>
        <Link class="button" to={["decisions"]} query={{ workload }}>Its decisions</Link>
        <PauseButton scope="function" name={workload} paused={s.paused} onChange={load.reload} />
      </>}>
      {!detail && !load.error && <Loading />}
      {!detail && <Failure error={load.error} retry={load.reload} />}
      {s && (
        <Facts items={[
          ["Calls", count(s.calls)],
          ["Routed by Vane", count(s.routed)],
          ["95th percentile", num(s.calls) > 0 ? duration(s.p95Ms) : "–"],
          ["Cost", s.usdPerMillion > 0 ? perMillion(s.usdPerMillion) : "–"],
          ["Cheapest endpoint", s.cheapest || "–"],
          ["Policy", s.policy ? <Link to={["policies", s.policy]}>{s.policy}</Link> : "none: the built-in default"],
        ]} />
      )}
      {detail && <EndpointsCard endpoints={detail.endpoints} />}
      {detail && detail.curves.length === 0 && (
        <Card title="Cost and time by memory">
          <Empty why="There is no curve yet.">
            A curve needs a model that has seen this function. It appears after the first training round with its windows.
          </Empty>
        </Card>
      )}
      {detail?.curves.map((curve) => <CurveCard curve={curve} key={curve.account} />)}
    </Page>
  );
}

function EndpointsCard({ endpoints }: { endpoints: Endpoint[] }) {
  return (
    <Card title="Endpoints">
      {endpoints.length === 0 ? (
        <Empty why="This function has no endpoint now.">
          Its account may be offline or revoked; see <Link to={["accounts"]}>Accounts</Link>.
        </Empty>
      ) : (
        <Table label="Endpoints of this function" rows={endpoints} keyOf={(e) => `${e.account}/${e.function}`} columns={[
          { head: "Account", header: true, cell: (e) => <>{e.account}<div class="under"><Cloud cloud={e.cloud} region={e.region} /></div></> },
          { head: "State", wide: true, cell: (e) => <><Tag text={e.state} />{e.note && <div class="under"><small>{e.note}</small></div>}</> },
          { head: "Memory", numeric: true, cell: (e) => memory(e.memoryMb) },
          { head: "Most used", numeric: true, cell: (e) => memory(e.maxMemoryUsedMb) },
          { head: "Calls", numeric: true, cell: (e) => count(e.calls) },
          { head: "Median", numeric: true, cell: (e) => (num(e.calls) > 0 ? duration(e.p50Ms) : "–") },
          { head: "95th percentile", numeric: true, cell: (e) => (num(e.calls) > 0 ? duration(e.p95Ms) : "–") },
          { head: "Cold starts", numeric: true, cell: (e) => (num(e.calls) > 0 ? share(e.coldRate) : "–") },
          { head: "A start takes", wide: true, cell: (e) => (e.coldStartMs > 0 ? <>{duration(e.coldStartMs)}<div class="under"><small>{startSource(e)}</small></div></> : "–") },
          { head: "Errors", numeric: true, cell: (e) => (num(e.calls) > 0 ? share(e.errorRate) : "–") },
          { head: "Per million calls", numeric: true, cell: (e) => (e.usdPerMillion > 0 ? money(e.usdPerMillion) : "–") },
        ]} />
      )}
    </Card>
  );
}

/** How the duration of a cold start is known, from how many, and how old the newest of them is. */
const startSource = (e: Endpoint) =>
  e.coldStartSamples > 0 ? `${e.coldStartSource}: ${count(Math.round(e.coldStartSamples))}, the newest ${duration(e.coldStartAgeS * 1000)} old`
    : e.coldStartSource;

const roleOf = (p: CurvePoint) => [p.current ? "now" : "", p.proposed ? "proposed" : ""].filter(Boolean).join(", ");

function CurveCard({ curve }: { curve: FunctionCurve }) {
  const points = [...curve.points].sort((a, b) => a.memoryMb - b.memoryMb);
  const title = `Cost and time by memory: ${curve.account} (${cloudName(curve.cloud)})`;
  const markers = points.filter((p) => p.current || p.proposed)
    .sort((a, b) => Number(b.current) - Number(a.current))
    .map((p) => ({ x: p.memoryMb, label: `${p.current ? "now" : "proposed"} ${memory(p.memoryMb)}`, colour: p.current ? "--ink" : "--accent" }));
  return (
    <Card title={title}>
      {curve.finding && <p class="finding">{curve.finding}</p>}
      {points.length < 2 ? (
        <p class="muted">{cloudName(curve.cloud)} offers one size here, so there is nothing to choose.</p>
      ) : (
        <Plot label={`${title}. ${curve.finding} The table below has the same figures.`} xLog x={points.map((p) => p.memoryMb)}
          xTicks={points.map((p) => p.memoryMb)} xFormat={(v) => memory(v)} yLabel="time of a call" y2Label="USD per million calls" markers={markers}
          series={[
            { label: "Median", colour: "--plot-a", values: points.map((p) => p.p50Ms), format: duration, points: true },
            { label: "95th percentile", colour: "--plot-a", values: points.map((p) => p.p95Ms), format: duration, dash: [6, 4], points: true },
            { label: "Cost", colour: "--plot-b", values: points.map((p) => p.usdPerMillion), format: money, scale: "y2", points: true },
          ]} />
      )}
      {points.length > 0 && (
        <Table label={`Figures of the curve of ${curve.account}`} rows={points} keyOf={(p) => String(p.memoryMb)}
          mark={(p) => (p.proposed ? "chosen" : p.current ? "current" : "")} columns={[
            { head: "Memory", header: true, cell: (p) => memory(p.memoryMb) },
            { head: "Median", numeric: true, cell: (p) => duration(p.p50Ms) },
            { head: "95th percentile", numeric: true, cell: (p) => duration(p.p95Ms) },
            { head: "Per million calls", numeric: true, cell: (p) => money(p.usdPerMillion) },
            { head: "Role", cell: roleOf },
          ]} />
      )}
    </Card>
  );
}
