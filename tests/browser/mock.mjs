// A stand-in for vaned that follows its contract: the real CSP, the one-time link, the cookie, CSRF, error shapes.
// Alone: node mock.mjs [PORT] serves web/dist and prints a log-in link.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { MockLog } from "./mock_log.mjs";
import * as data from "./mock_data.mjs";

const here = dirname(fileURLToPath(import.meta.url));
export const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const FILES = {
  "/": ["index.html", "text/html; charset=utf-8"], "/login": ["index.html", "text/html; charset=utf-8"],
  "/app.js": ["app.js", "text/javascript; charset=utf-8"], "/app.css": ["app.css", "text/css; charset=utf-8"],
  "/icon.svg": ["icon.svg", "image/svg+xml"],
};

class Failure extends Error {
  constructor(status, code, message, details = []) {
    super(message);
    Object.assign(this, { status, code, details });
  }
}
const missing = (what) => new Failure(404, 5, `${what} does not exist`);

/** What a policy checker would say of our two test documents: unknown keys and a number that is none. */
function checkPolicy(document) {
  const errors = [];
  document.split("\n").forEach((line, i) => {
    const slo = /^(\s*latency_slo_ms:\s*)(\S+)/.exec(line);
    if (slo && !/^[\d.]+$/.test(slo[2])) errors.push({ line: i + 1, column: slo[1].length + 1, field: "limits.latency_slo_ms", message: "expected a number above 0" });
    if (/^\w+:/.test(line) && !/^(policy|scope|objective|limits|routing|tuning|latency_value_usd_per_ms):/.test(line)) {
      errors.push({ line: i + 1, column: 1, field: line.split(":")[0], message: "unknown key" });
    }
  });
  return { ok: errors.length === 0, errors, name: /policy:\s*(\S+)/.exec(document)?.[1] ?? "", canonicalJson: "{}" };
}

export class Mock {
  constructor({ empty = false, dist = join(here, "../../web/dist") } = {}) {
    Object.assign(this, { empty, dist, tamper: "", down: false, paused: false, polls: new Map(), streams: new Set(), calls: [] });
    this.link = randomBytes(16).toString("hex");
    this.session = "";
    this.csrf = randomBytes(16).toString("hex");
    this.log = new MockLog("vane.local/log");
    this.accounts = empty ? [] : data.accounts();
    this.proposals = empty ? [] : data.proposals();
    this.policies = empty ? [] : [1, 2, 3].map(data.policy);
    this.decisions = empty ? [] : Array.from({ length: 120 }, (_, i) => data.decision(i, i === 7 ? { workload: data.HOSTILE, summary: data.HOSTILE } : i === 8 ? data.policyChange : {}));
    if (!empty) for (let i = 0; i < 133; i += 1) this.log.append(`leaf ${i}`);
    this.started = Date.now();
  }
  async start(port = 0) {
    this.server = createServer((q, s) => this.answer(q, s));
    await new Promise((done) => this.server.listen(port, "127.0.0.1", done));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    this.loginLink = `${this.url}/login#${this.link}`;
    this.ticker = setInterval(() => this.tick(), 700);
    return this;
  }
  async stop() {
    clearInterval(this.ticker);
    this.server.closeAllConnections?.();
    await new Promise((done) => this.server.close(done));
  }
  cutStreams() {
    for (const s of this.streams) s.destroy();
    this.streams.clear();
  }
  tick() {
    if (this.empty) return;
    const next = data.decision(this.decisions.length, { inLog: false, workload: "thumbnail", summary: "thumbnail to aws-a: the only one within its limits", choice: "aws-a" });
    this.decisions.push(next);
    for (const s of this.streams) s.write(`data: ${JSON.stringify(next)}\n\n`);
  }
  async answer(request, response) {
    const url = new URL(request.url, this.url);
    response.setHeader("content-security-policy", CSP);
    response.setHeader("x-content-type-options", "nosniff");
    if (this.down && url.pathname !== "/") return request.destroy();
    try {
      const file = FILES[url.pathname];
      if (file && request.method === "GET") {
        response.setHeader("content-type", file[1]);
        return response.end(await readFile(join(this.dist, file[0])));
      }
      let text = "";
      for await (const chunk of request) text += chunk;
      const reply = this.route(request, response, url, text ? JSON.parse(text) : {});
      if (reply !== undefined) this.json(response, 200, reply);
    } catch (e) {
      if (!(e instanceof Failure)) console.error(e);
      this.json(response, e.status ?? 500, { code: e.code ?? 13, message: e.message, details: e.details ?? [] });
    }
  }
  json(response, status, body) {
    response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
    response.end(JSON.stringify(body));
  }
  route(request, response, url, body) {
    const { method } = request;
    const who = { csrfToken: this.csrf, name: "ada", role: "admin", tenant: "default" };
    if (url.pathname === "/login") {
      if (body.token !== this.link && body.token !== "vane_api_token") throw new Failure(401, 16, "this link or token is not known, was used, or has expired");
      if (body.token === this.link) this.link = "";
      this.session = randomBytes(16).toString("hex");
      response.setHeader("set-cookie", `vane_session=${this.session}; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200`);
      return who;
    }
    if (!this.session || !(request.headers.cookie ?? "").includes(`vane_session=${this.session}`)) throw new Failure(401, 16, "not logged in");
    if (url.pathname === "/session") return who;
    if (method !== "GET" && request.headers["x-vane-csrf"] !== this.csrf) throw new Failure(403, 7, "a write from a browser needs the X-Vane-CSRF header");
    if (url.pathname === "/logout") {
      this.session = "";
      return {};
    }
    this.calls.push(`${method} ${url.pathname}`);
    const [version, ...segments] = url.pathname.slice(1).split("/").map(decodeURIComponent);
    if (version !== "v1") throw missing(url.pathname);
    const q = Object.fromEntries(url.searchParams);
    const handler = this[`${method.toLowerCase()}_${segments[0].replace(/[:.]/g, "_")}`];
    if (!handler) throw missing(url.pathname);
    return handler.call(this, segments, q, body, request, response);
  }
  page(key, rows, q, size) {
    const from = Number(q.pageToken || 0);
    const n = Math.min(500, Number(q.pageSize || 50), size ?? 500);
    return { [key]: rows.slice(from, from + n), nextPageToken: from + n < rows.length ? String(from + n) : "", total: rows.length };
  }
  get_status() {
    const s = Math.floor((Date.now() - this.started) / 100); // ten times as fast as the wall's clock
    const wave = (k) => Math.floor(20000 + s * (30 + k * 11) + 160 * Math.sin(s / 19 + k));
    const cloud = (name, k) => ({ cloud: name, accounts: 2, online: k === 2 ? 1 : 2, functions: 12 + k, routed: String(wave(k)), costUsd: wave(k) * (4.1e-7 + k * 1e-7), p95Ms: 380 + 60 * k + 25 * Math.sin(s / 31 + k) });
    const idle = (name) => ({ cloud: name, accounts: 0, online: 0, functions: 0, routed: "0", costUsd: 0, p95Ms: 0 });
    const clouds = this.empty ? ["aws", "azure", "gcp"].map(idle) : [cloud("aws", 0), cloud("azure", 1), cloud("gcp", 2)];
    const n = (value) => (this.empty ? "0" : String(value));
    return {
      version: "0.1.0", timeUs: String(data.T0_US + 600e6 + s * 1e6), startedUs: String(data.T0_US - 86400e6), accounts: this.accounts.length,
      agentsOnline: this.accounts.filter((a) => a.state === "online").length, workloads: this.empty ? 0 : 64, decisions: n(1284003), routed: n(clouds.reduce((t, c) => t + Number(c.routed), 0)),
      outcomes: n(83000), failed: n(12), windows: n(31926), modelVersion: n(4), rounds: n(4), evalLossFirst: this.empty ? 0 : 0.45, evalLossLast: this.empty ? 0 : 0.18,
      evalLossBaseline: this.empty ? 0 : 0.41, logSize: String(this.log.leaves.length), proposals: n(3), applied: n(1), rolledBack: n(0), clouds,
      storeBytes: "73400320", storeBudgetBytes: "1073741824", viewEpoch: "99", paused: this.paused, gaps: "0",
    };
  }
  get_accounts([, name], q) {
    if (!name) return this.page("accounts", this.accounts, q);
    const found = this.accounts.find((a) => a.name === name);
    if (!found) throw missing(`account ${name}`);
    const polls = (this.polls.get(name) ?? 0) + 1;
    this.polls.set(name, polls);
    if (found.state === "waiting" && polls > 2) Object.assign(found, { state: "online", lastSeenUs: String(data.T0_US + 601e6) });
    return found;
  }
  post_accounts([, name, verb], q, body) {
    if (!name) {
      if (!/^[a-z][a-z0-9-]*$/.test(body.name)) throw new Failure(400, 3, "name: small letters, digits and hyphens", [{ field: "name", message: "small letters, digits and hyphens" }]);
      if (this.accounts.some((a) => a.name === body.name)) throw new Failure(409, 6, `account ${body.name} exists already`);
      this.accounts.push(data.account(body.name, body.cloud, body.region, { state: "waiting", level: "observe", lastSeenUs: "0", maxLevel: body.level }));
      return this.joinOf(body.name);
    }
    const found = this.accounts.find((a) => a.name === name);
    if (!found) throw missing(`account ${name}`);
    if (verb === "join-token") return this.joinOf(name);
    if (verb === "revoke") found.state = "revoked";
    if (verb === "level") found.level = body.level;
    return found;
  }
  joinOf(name) {
    return {
      account: this.accounts.find((a) => a.name === name), joinToken: "vj1.abcdefghijkl", expiresUs: String(data.T0_US + 1200e6),
      joinCommand: `vane-agent join --server 127.0.0.1:8421 --token vj1.abcdefghijkl --name '${name}'`,
    };
  }
  get_functions([, workload], q) {
    const all = this.empty ? [] : data.functions();
    if (!workload) return this.page("functions", all.filter((f) => f.workload.includes(q.filter ?? "")), q);
    if (!all.some((f) => f.workload === workload)) throw missing(`function ${workload}`);
    return data.functionDetail(workload);
  }
  get_policies([, name, verb], q) {
    if (!name) return this.page("policies", this.policies.slice(-1), q);
    if (verb === "diff") return { changes: [{ field: "limits.latency_slo_ms", before: String(600 + q.fromVersion * 100), after: String(600 + q.toVersion * 100) }] };
    const found = Number(q.version) ? this.policies.find((p) => p.version === q.version) : this.policies[this.policies.length - 1];
    if (!found || found.name !== name) throw missing(`policy ${name}`);
    return found;
  }
  post_policies([, name, verb], q, body) {
    if (name === "check") return checkPolicy(body.document);
    if (verb === "rollback") body.document = this.policies[body.toVersion - 1].document;
    const checked = checkPolicy(body.document);
    if (!checked.ok) throw new Failure(400, 3, "the policy has errors", checked.errors);
    const next = { ...data.policy(this.policies.length + 1), name: checked.name, document: body.document };
    this.policies.push(next);
    return next;
  }
  get_decisions([, id, verb], q) {
    if (!id) {
      const rows = [...this.decisions].reverse().filter((d) => (!q.kind || d.kind === q.kind) && (!q.workload || d.workload === q.workload));
      return this.page("decisions", rows, q);
    }
    const found = this.decisions.find((d) => d.id === id);
    if (!found) throw missing(`decision ${id}`);
    if (verb === "replay") return { identical: true, note: "", recorded: "AAEC", replayed: "AAEC", decideVersion: 1 };
    return verb === "explanation" ? data.explanationOf(found, this.proofOf(found)) : found;
  }
  proofOf(decision) {
    if (!decision.inLog) return { index: "0", size: "0", leaf: "", root: "", path: [], checkpoint: "", present: false };
    const proof = this.log.proof(Number(decision.leafIndex), 121);
    const flip = (text) => {
      const raw = Buffer.from(text, "base64");
      raw[0] ^= 1;
      return raw.toString("base64");
    };
    if (this.tamper === "leaf") proof.leaf = flip(proof.leaf);
    if (this.tamper === "path") proof.path[0] = flip(proof.path[0]);
    if (this.tamper === "checkpoint") proof.checkpoint = proof.checkpoint.replace(/^121$/m, "122");
    if (this.tamper === "signature") proof.checkpoint = proof.checkpoint.replace(/(local\/log )(\S+)/, (_, head, tail) => head + tail.slice(0, 20) + (tail[20] === "A" ? "B" : "A") + tail.slice(21));
    return proof;
  }
  "get_decisions_watch"(segments, q, body, request, response) {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write(": hello\n\n");
    this.streams.add(response);
    request.on("close", () => this.streams.delete(response));
    return undefined;
  }
  get_proposals(segments, q) {
    return this.page("proposals", this.proposals.filter((p) => !q.state || p.state === q.state), q);
  }
  post_proposals([, id, verb], q, body) {
    const found = this.proposals.find((p) => p.id === id);
    if (!found) throw missing(`proposal ${id}`);
    if (verb === "approve" && found.proposedBy === "person:ada") throw new Failure(403, 7, "somebody else has to approve what you proposed");
    return Object.assign(found, { state: verb === "approve" ? "applying" : "rejected", approvedBy: verb === "approve" ? "person:ada" : "", history: [...found.history, `${verb}: ${body.comment}`] });
  }
  get_pauses() {
    return { pauses: this.paused ? [{ scope: "global", name: "", paused: true, reason: "test", actor: "person:ada", timeUs: "1" }] : [] };
  }
  post_pauses(segments, q, body) {
    if (body.scope === "global") this.paused = body.paused;
    for (const a of this.accounts) if (body.scope === "account" && a.name === body.name) a.paused = body.paused;
    return { ...body, actor: "person:ada", timeUs: String(data.T0_US) };
  }
  get_audit([, what], q, body, request, response) {
    if (what === "checkpoint") return this.log.checkpoint();
    if (what === "consistency") return this.log.consistency(Number(q.fromSize), Number(q.toSize));
    if (what !== "export.jsonl") throw missing(what);
    response.writeHead(200, { "content-type": "application/jsonl", "content-disposition": 'attachment; filename="vane-audit.jsonl"' });
    response.end(`${JSON.stringify({ from: q.from ?? "", to: q.to ?? "" })}\n`);
    return undefined;
  }
  get_rounds(segments, q) {
    return this.page("rounds", this.empty ? [] : data.rounds(), q);
  }
  post_rounds() {
    return { ...data.round(5), state: "collecting" };
  }
  get_people(segments, q) {
    const person = (name, role) => ({ name, role, tenant: "default", createdUs: String(data.T0_US), revoked: false });
    return this.page("people", [person("ada", "admin"), person("grace", "approver")], q);
  }
  post_people([, name, verb], q, body) {
    if (verb === "tokens") return { token: "vt1.secret", expiresUs: String(data.T0_US + 7776e9) };
    return { name: name ?? body.name, role: body.role ?? "viewer", tenant: "default", createdUs: String(data.T0_US), revoked: verb === "revoke" };
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const mock = await new Mock({ empty: process.argv.includes("--empty") }).start(Number(process.argv[2] ?? 8420) || 8420);
  console.log(mock.loginLink);
}
