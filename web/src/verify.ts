// The steps of a proof, each with what was compared, so that the page can show where one fails.

import { get } from "./api";
import {
  ProofError, base64, hex, leafHash, parseCheckpoint, parseVerifierKey, rootFromInclusion, same, verifyConsistency,
  verifySignature,
} from "./merkle";
import { num } from "./format";
import { readPreference, writePreference } from "./hooks";
import type { Checkpoint, ConsistencyProof, Decision, Proof } from "./types";

export interface Step {
  name: string;
  state: "good" | "bad" | "unknown";
  note: string;
  accept?: () => void; // what a person may settle with a button
}

export interface Verdict {
  state: "verified" | "mismatch" | "partly"; // partly: nothing is wrong, but something could not be checked
  steps: Step[];
}

export const canVerify = () => typeof crypto !== "undefined" && crypto.subtle !== undefined;

const short = (data: Uint8Array) => `${hex(data).slice(0, 16)}…`;

async function step(steps: Step[], name: string, check: () => Promise<string | Step>): Promise<boolean> {
  try {
    const result = await check();
    steps.push(typeof result === "string" ? { name, state: "good", note: result } : result);
  } catch (error) {
    const note = error instanceof Error ? error.message : String(error);
    steps.push({ name, state: error instanceof ProofError ? "bad" : "unknown", note });
  }
  return steps[steps.length - 1].state !== "bad";
}

export function verdictOf(steps: Step[]): Verdict {
  const state = steps.some((s) => s.state === "bad") ? "mismatch" : steps.some((s) => s.state === "unknown") ? "partly" : "verified";
  return { state, steps };
}

/**
 * The key that signs the log is remembered at first sight. Another one later is either a server that was set up anew
 * or one that poses as the old: only a person can tell, so it is shown until somebody accepts it.
 */
export function pinned(verifierKey: string): Step {
  const name = "The key is the one seen before";
  const place = `log-key.${location.host}`;
  const known = readPreference(place);
  if (known && known !== verifierKey) {
    const note = "this address signed with another key before; that is right only if the server was set up anew";
    return { name, state: "unknown", note, accept: () => writePreference(place, verifierKey) };
  }
  if (!known) writePreference(place, verifierKey);
  return { name, state: "good", note: known ? "same as at this browser's first visit" : "first visit: remembered from now on" };
}

export async function checkSignature(note: string, verifierKey: string): Promise<Step> {
  const name = "The checkpoint's signature holds";
  const key = await parseVerifierKey(verifierKey);
  const result = await verifySignature(parseCheckpoint(note), key);
  if (result === "valid") return { name, state: "good", note: `Ed25519, key ${key.name}+${hex(key.keyId)}` };
  if (result === "unsupported") {
    return { name, state: "unknown", note: "this browser has no Ed25519; `vanectl audit verify` checks it" };
  }
  throw new ProofError(result === "missing" ? `the checkpoint is not signed by ${key.name}` : "the signature is wrong");
}

/** Leaf to root, root to checkpoint, checkpoint to signature, and that checkpoint to the newest one. */
export async function verifyDecision(proof: Proof, decision: Decision): Promise<Verdict> {
  const steps: Step[] = [];
  let root: Uint8Array = new Uint8Array(0);
  const climbed = await step(steps, "The record's leaf leads to the root", async () => {
    if (num(proof.index) !== num(decision.leafIndex)) throw new ProofError("the proof is of another entry");
    const leaf = await leafHash(base64(proof.leaf));
    root = await rootFromInclusion(proof.index, proof.size, leaf, proof.path.map(base64));
    if (!same(root, base64(proof.root))) throw new ProofError(`the path leads to ${short(root)}, the server says ${short(base64(proof.root))}`);
    return `${proof.path.length} hashes from ${short(leaf)} to ${short(root)}`;
  });
  if (!climbed) return verdictOf(steps);
  const matches = await step(steps, "The root is the checkpoint's", async () => {
    const checkpoint = parseCheckpoint(proof.checkpoint);
    if (checkpoint.size !== BigInt(proof.size)) throw new ProofError("the checkpoint has another size");
    if (!same(checkpoint.root, root)) throw new ProofError(`the checkpoint's root is ${short(checkpoint.root)}`);
    return `${checkpoint.origin}, ${checkpoint.size} entries`;
  });
  if (!matches) return verdictOf(steps);
  let newest: Checkpoint | null = null;
  await step(steps, "The newest checkpoint was fetched", async () => {
    newest = await get<Checkpoint>(["audit", "checkpoint"]);
    return `${newest.size} entries`;
  });
  const last = newest as Checkpoint | null;
  if (!last) return verdictOf(steps);
  await step(steps, "The checkpoint's signature holds", () => checkSignature(proof.checkpoint, last.verifierKey));
  steps.push(pinned(last.verifierKey));
  await step(steps, "The log has only grown since", () => grown(proof, last));
  return verdictOf(steps);
}

async function grown(proof: Proof, newest: Checkpoint): Promise<string> {
  const now = parseCheckpoint(newest.note);
  const from = BigInt(proof.size);
  await checkSignature(newest.note, newest.verifierKey);
  if (now.size === from) {
    if (!same(now.root, base64(proof.root))) throw new ProofError("two roots for one size");
    return "it is the newest checkpoint";
  }
  const consistency = await get<ConsistencyProof>(["audit", "consistency"], { fromSize: String(from), toSize: String(now.size) });
  await verifyConsistency(from, now.size, base64(proof.root), now.root, consistency.path.map(base64));
  return `from ${from} to ${now.size} entries`;
}
