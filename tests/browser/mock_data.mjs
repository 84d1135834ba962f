// The mock's world: plausible, fixed, and with one name that tries to be markup.
export const HOSTILE = '<img src=x onerror="document.title=1">';
export const T0_US = 1_795_000_000_000_000; // 2026-11-18
const at = (seconds) => String(T0_US + seconds * 1e6);

export const account = (name, cloud, region, change = {}) => ({
  id: String(name.length * 7), name, cloud, region, state: "online", level: "invoke", createdUs: at(-90000), lastSeenUs: at(598),
  certificateNotAfterS: String(T0_US / 1e6 + 86400), functions: 12, windows: "5321", modelVersion: "4", paused: false,
  maxLevel: "invoke", ...change,
});

export const accounts = () => [
  account("aws-a", "aws", "eu-central-1"),
  account("aws-b", "aws", "us-east-1", { level: "tune" }),
  account("azure-a", "azure", "westeurope"),
  account("gcp-a", "gcp", "europe-west1", { state: "offline", lastSeenUs: at(200) }),
  account(HOSTILE, "gcp", "us-central1", { state: "waiting", level: "observe", lastSeenUs: "0", functions: 0, windows: "0", modelVersion: "0", certificateNotAfterS: "0" }),
];

const fn = (workload, change = {}) => ({
  workload, endpoints: 3, calls: "1284003", routed: "83012", p95Ms: 412.3, usdPerMillion: 0.41, policy: "demo",
  cheapest: "gcp-a", paused: false, ...change,
});
export const functions = () => [
  fn("checkout"),
  fn("thumbnail", { usdPerMillion: 8.234, p95Ms: 1834, cheapest: "aws-a", calls: "90211" }),
  fn("nightly-report", { calls: "0", routed: "0", p95Ms: 0, usdPerMillion: 0, cheapest: "", policy: "" }),
  fn(HOSTILE, { paused: true }),
  ...Array.from({ length: 60 }, (_, i) => fn(`worker-${String(i).padStart(2, "0")}`, { p95Ms: 40 + i * 13, usdPerMillion: 0.2 + i / 7 })),
];

const endpoint = (name, cloud, region, change = {}) => ({
  account: name, cloud, region, function: "checkout", memoryMb: 512, calls: "428001", errorRate: 0.0004, coldRate: 0.021,
  p50Ms: 92.1, p95Ms: 388, usdPerMillion: 0.47, maxMemoryUsedMb: 211, state: "ok", note: "",
  coldStartMs: 1210, coldStartSource: "outcomes of this function", coldStartSamples: 83, coldStartAgeS: 95, ...change,
});
const curve = (name, cloud, now, proposed) => ({
  account: name, cloud,
  points: [128, 256, 512, 1024, 2048, 3072].map((m) => ({
    memoryMb: m, p50Ms: 60 + 26000 / m, p95Ms: 110 + 61000 / m, usdPerMillion: 0.2 + (60 + 26000 / m) * m * 1.63e-5,
    current: m === now, proposed: m === proposed,
  })),
  finding: proposed
    ? `At ${proposed} MB a call is expected to cost 31% less at a 95th percentile of ${Math.round(110 + 61000 / proposed)} ms, within the policy's 800 ms.`
    : "Nothing is proposed: each smaller size breaks the latency limit.",
});
export const functionDetail = (workload) => ({
  summary: functions().find((f) => f.workload === workload) ?? fn(workload),
  endpoints: [
    endpoint("aws-a", "aws", "eu-central-1"),
    endpoint("azure-a", "azure", "westeurope", { p95Ms: 612, usdPerMillion: 0.66, state: "observe-only", note: "the account is at level observe" }),
    endpoint("gcp-a", "gcp", "europe-west1", { p95Ms: 430, usdPerMillion: 0.41 }),
  ],
  curves: [
    curve("aws-a", "aws", 1024, 512),
    curve("gcp-a", "gcp", 512, 0),
    { account: "azure-a", cloud: "azure", points: [{ memoryMb: 1536, p50Ms: 98, p95Ms: 612, usdPerMillion: 0.66, current: true, proposed: false }], finding: "Azure's consumption plan has one size." },
  ],
});

export const candidates = () => [
  { account: "gcp-a", cloud: "gcp", region: "europe-west1", costUsd: 4.1e-7, latencyP95Ms: 430, coldChance: 0.02, errorRate: 0.0004, score: 0.5211, excludedBy: [], chosen: true, networkMs: 14.2 },
  { account: "aws-a", cloud: "aws", region: "eu-central-1", costUsd: 6.6e-7, latencyP95Ms: 388, coldChance: 0.021, errorRate: 0.0004, score: 0.7604, excludedBy: [], chosen: false, networkMs: 9.8 },
  { account: "aws-b", cloud: "aws", region: "us-east-1", costUsd: 5.9e-7, latencyP95Ms: 501, coldChance: 0.034, errorRate: 0.001, score: 0.8112, excludedBy: ["residency"], chosen: false, networkMs: 96.1 },
  { account: "azure-a", cloud: "azure", region: "westeurope", costUsd: 6.9e-7, latencyP95Ms: 612, coldChance: 0.08, errorRate: 0.0009, score: 0, excludedBy: ["observe-only", "slo"], chosen: false, networkMs: 12 },
];
export const attributions = () => [
  { group: "price", value: 0.25, detail: "$0.41 against $0.66 per million calls" },
  { group: "duration", value: -0.0412, detail: "mean 121 ms against 92 ms" },
  { group: "cold start", value: 0.0181, detail: "2.0% against 2.1%" },
  { group: "network", value: -0.0044, detail: "14 ms against 10 ms" },
  { group: "load", value: 0.0168, detail: "12 calls in flight against 31" },
  { group: "egress", value: 0, detail: "none on either side" },
];
export const margin = attributions().reduce((sum, a) => sum + a.value, 0);

/** A change explains itself: it has no candidates, no margin and nothing to decide again. */
const changeExplained = (decision, proof) => ({
  decision, sentence: decision.summary, baseline: "", margin: 0, attributionSum: 0, attributions: [], counterfactual: null, candidates: [],
  risk: 0, risks: [], blastRadius: 0, policyRules: [], dataAges: [], replayed: false, replayNote: "", proof,
});
export const policyChange = {
  kind: "policy", workload: "demo", mode: "", choice: "version 3", runnerUp: "", margin: 0, confidence: 0, risk: 0, policy: "",
  policyVersion: "0", modelVersion: "0", outcome: null, summary: "demo: version 3, was version 2, by person:ada.",
};

export const explanationOf = (decision, proof) => decision.kind !== "route" ? changeExplained(decision, proof) : ({
  decision,
  sentence: "The call of checkout went to gcp-a, because it is expected to cost $0.41 per million calls against $0.66 at aws-a, which outweighs 42 ms more at the 95th percentile.",
  baseline: "aws-a", margin, attributionSum: margin, attributions: attributions(),
  counterfactual: {
    feature: "rounding", from: 0.41, to: 0.65, unit: "USD a million calls", wouldChoose: "aws-a",
    sentence: "With rounding at gcp-a of $0.65 per million calls instead of $0.41 the call would have gone to aws-a.", verified: true,
  },
  candidates: candidates(), risk: 0.034, riskComputed: 0.051, calibration: { slope: 0.87, intercept: -0.71, outcomes: "5321" },
  risks: [
    { event: "slo-miss", chance: 0.031, horizon: "this call", data: "5,321 windows, calibrated 10 min ago" },
    { event: "throttle", chance: 0.002, horizon: "this call", data: "no throttle in 24 h" },
    { event: "stale-prices", chance: 0.001, horizon: "1 day", data: "prices of 2 h ago" },
  ],
  blastRadius: 1284, policyRules: ["demo: objective cost 0.8, latency 0.2", "demo: limits.latency_slo_ms 800"],
  dataAges: ["prices 2 h", "latency windows 40 s", "model version 4, 11 min"], replayed: true,
  replayNote: "Decided again when this page was made: the same bytes.", proof,
});

export const decision = (i, change = {}) => ({
  id: `d-${String(i).padStart(6, "0")}`, kind: "route", timeUs: at(i), actor: "person:ada", workload: "checkout",
  mode: "automatic", choice: "gcp-a", runnerUp: "aws-a", margin, confidence: 0.93, risk: 0.034,
  summary: "checkout to gcp-a: cheaper by 38% within its latency limit", commit: String(1000 + i), leafIndex: String(i),
  inLog: true, modelVersion: "4", policy: "demo", policyVersion: "3", outcome: { status: "success", latencyMs: 118.4 }, ...change,
});

export const proposal = (id, change = {}) => ({
  id, kind: "memory", state: "waiting", workload: "checkout", account: "aws-a", fromMemoryMb: 1024, toMemoryMb: 512,
  savingUsdPerMillion: 0.83, savingShare: 0.31, p95BeforeMs: 169, p95AfterMs: 229, risk: 0.04, confidence: 0.88,
  reason: "At 512 MB a call costs 31% less and stays within the 800 ms of the policy.", createdUs: at(100), changedUs: at(100),
  approvedBy: "", decisionId: "d-000003", proposedBy: "person:ada", history: ["proposed", "waiting: the policy asks for an approval"], ...change,
});
export const proposals = () => [
  proposal("p-1"),
  proposal("p-2", { workload: HOSTILE, account: "gcp-a", proposedBy: "vane" }),
  proposal("p-3", { state: "kept", workload: "thumbnail", approvedBy: "person:grace", history: ["proposed", "approved by grace", "applied", "kept: 29% cheaper, 95th percentile 221 ms"] }),
];

export const policyDocument = (slo) => `policy: demo
scope: {workloads: '*'}
objective: {cost: 0.8, latency: 0.2}
limits:
  latency_slo_ms: ${slo}
routing: {mode: automatic, exploration: 0.02}
tuning: {mode: approval, max_step: 0.5}
`;
export const policy = (version) => ({
  name: "demo", version: String(version), document: policyDocument(600 + version * 100), author: "person:ada", timeUs: at(version * 50),
  sha256: String(version).repeat(64).slice(0, 64), decisionId: "d-000005", scope: "*",
});

export const round = (n) => ({
  round: String(n), state: "promoted", baseVersion: String(n - 1), newVersion: String(n), quorum: 4, updates: 6, refused: n === 2 ? 1 : 0,
  evalLossBefore: 0.9 / n, evalLossAfter: 0.9 / (n + 1), baselineLoss: 0.41, startedUs: at(n * 100), endedUs: at(n * 100 + 40),
  note: n === 2 ? "1 update refused: norm too large" : "",
});
export const rounds = () => [4, 3, 2, 1].map(round);
