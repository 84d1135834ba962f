// What a new policy begins with: valid as it stands, each line a decision that the writer can see.
export const POLICY_TEMPLATE = `# What to steer for, and within which limits. The name is the policy's identity: applying
# another document under the same name makes its next version.
policy: my-policy
scope:
  workloads: "*"           # the functions it governs; * and ? stand for any text, any letter
objective: cost            # or latency, or weights: {cost: 0.7, latency: 0.3}
limits:
  latency_slo_ms: 800      # calls should end within this time ...
  slo_quantile: 0.95       # ... in this share of cases
  # budget_usd_per_day: 5  # when so much is spent, cost alone decides until 00:00 UTC
routing:
  mode: advisory           # shadow, advisory or automatic
  fallback: {aws: 1, azure: 1, gcp: 1}   # the split while changes are paused
tuning:
  mode: approval           # off, shadow, approval or automatic
  max_step: 0.5            # at most 50 % more or less memory in one step
`;
