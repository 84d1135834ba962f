// What the server sends: proto/vane/v1/control.proto as proto3 JSON. 64-bit integers come as strings.

export type Int64 = string | number;

export interface Session { csrfToken: string; name: string; role: string; tenant: string }

export interface CloudStatus {
  cloud: string; accounts: number; online: number; functions: number; routed: Int64; costUsd: number; p95Ms: number;
}
export interface Status {
  version: string; timeUs: Int64; startedUs: Int64; accounts: number; agentsOnline: number; workloads: number;
  decisions: Int64; routed: Int64; outcomes: Int64; failed: Int64; windows: Int64; modelVersion: Int64; rounds: Int64;
  evalLossFirst: number; evalLossLast: number; evalLossBaseline: number; logSize: Int64; proposals: Int64;
  applied: Int64; rolledBack: Int64; clouds: CloudStatus[]; storeBytes: Int64; storeBudgetBytes: Int64;
  viewEpoch: Int64; paused: boolean; gaps: Int64;
}
export interface Account {
  id: string; name: string; cloud: string; region: string; state: string; level: string; createdUs: Int64;
  lastSeenUs: Int64; certificateNotAfterS: Int64; functions: number; windows: Int64; modelVersion: Int64;
  paused: boolean; maxLevel: string;
}
export interface AccountCreated { account: Account; joinToken: string; expiresUs: Int64; joinCommand: string }
export interface AccountList { accounts: Account[]; nextPageToken: string; total: number }

export interface Endpoint {
  account: string; cloud: string; region: string; function: string; memoryMb: number; calls: Int64; errorRate: number;
  coldRate: number; p50Ms: number; p95Ms: number; usdPerMillion: number; maxMemoryUsedMb: number; state: string;
  note: string; coldStartMs: number; coldStartSource: string; coldStartSamples: number; coldStartAgeS: number;
}
export interface FunctionSummary {
  workload: string; endpoints: number; calls: Int64; routed: Int64; p95Ms: number; usdPerMillion: number;
  policy: string; cheapest: string; paused: boolean;
}
export interface FunctionList { functions: FunctionSummary[]; nextPageToken: string; total: number }
export interface CurvePoint {
  memoryMb: number; p50Ms: number; p95Ms: number; usdPerMillion: number; current: boolean; proposed: boolean;
}
export interface FunctionCurve { account: string; cloud: string; points: CurvePoint[]; finding: string }
export interface FunctionDetail { summary: FunctionSummary; endpoints: Endpoint[]; curves: FunctionCurve[] }

export interface PolicyError { line: number; column: number; field: string; message: string }
export interface PolicyCheck { ok: boolean; errors: PolicyError[]; name: string; canonicalJson: string }
export interface Policy {
  name: string; version: Int64; document: string; author: string; timeUs: Int64; sha256: string; decisionId: string;
  scope: string;
}
export interface PolicySpend { name: string; spentTodayUsd: number; budgetUsdPerDay: number }
export interface PolicyList { policies: Policy[]; nextPageToken: string; total: number }
export interface PolicyDiff { changes: { field: string; before: string; after: string }[] }

export interface Decision {
  id: string; kind: string; timeUs: Int64; actor: string; workload: string; mode: string; choice: string;
  runnerUp: string; margin: number; confidence: number; risk: number; summary: string; commit: Int64;
  leafIndex: Int64; inLog: boolean; modelVersion: Int64; policy: string; policyVersion: Int64;
  outcome: { status: string; latencyMs: number } | null;
}
export interface DecisionList { decisions: Decision[]; nextPageToken: string }
export interface Candidate {
  account: string; cloud: string; region: string; costUsd: number; latencyP95Ms: number; coldChance: number;
  errorRate: number; score: number; excludedBy: string[]; chosen: boolean; networkMs: number;
}
export interface Attribution { group: string; value: number; detail: string }
export interface RiskPart { event: string; chance: number; horizon: string; data: string }
export interface Counterfactual {
  feature: string; from: number; to: number; unit: string; wouldChoose: string; sentence: string; verified: boolean;
}
export interface Proof {
  index: Int64; size: Int64; leaf: string; root: string; path: string[]; checkpoint: string; present: boolean;
}
export interface ConsistencyProof { fromSize: Int64; toSize: Int64; fromRoot: string; toRoot: string; path: string[] }
export interface Checkpoint { note: string; size: Int64; root: string; verifierKey: string }
export interface Explanation {
  decision: Decision | null; sentence: string; baseline: string; margin: number; attributionSum: number;
  attributions: Attribution[]; counterfactual: Counterfactual | null; candidates: Candidate[]; risk: number;
  risks: RiskPart[]; blastRadius: number; policyRules: string[]; dataAges: string[]; replayed: boolean;
  replayNote: string; proof: Proof | null; riskComputed: number; calibration: RiskCalibration | null;
}
export interface RiskCalibration { slope: number; intercept: number; outcomes: Int64 }
export interface Replay { identical: boolean; note: string; recorded: string; replayed: string; decideVersion: number }

export interface Proposal {
  id: string; kind: string; state: string; workload: string; account: string; fromMemoryMb: number;
  toMemoryMb: number; savingUsdPerMillion: number; savingShare: number; p95BeforeMs: number; p95AfterMs: number;
  risk: number; confidence: number; reason: string; createdUs: Int64; changedUs: Int64; approvedBy: string;
  decisionId: string; proposedBy: string; history: string[];
}
export interface ProposalList { proposals: Proposal[]; nextPageToken: string; total: number }
export interface Pause { scope: string; name: string; paused: boolean; reason: string; actor: string; timeUs: Int64 }

export interface Round {
  round: Int64; state: string; baseVersion: Int64; newVersion: Int64; quorum: number; updates: number;
  refused: number; evalLossBefore: number; evalLossAfter: number; baselineLoss: number; startedUs: Int64;
  endedUs: Int64; note: string;
}
export interface RoundList { rounds: Round[]; nextPageToken: string }
export interface Person { name: string; role: string; tenant: string; createdUs: Int64; revoked: boolean }
