// Checks of the audit log, done here and not by the server that is being checked.
// RFC 6962 (Merkle tree), C2SP signed-note and tlog-checkpoint; hashes and signatures by the browser's WebCrypto.

export class ProofError extends Error {}

export function base64(text: string): Uint8Array<ArrayBuffer> {
  let binary: string;
  try {
    binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  } catch {
    throw new ProofError("a field is not base64");
  }
  return Uint8Array.from(binary, (c) => c.charCodeAt(0));
}

export const hex = (data: Uint8Array) => Array.from(data, (b) => b.toString(16).padStart(2, "0")).join("");

export const same = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, i) => byte === b[i]);

function join(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

async function sha256(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

export const leafHash = (leaf: Uint8Array) => sha256(join(Uint8Array.of(0), leaf));
const nodeHash = (left: Uint8Array, right: Uint8Array) => sha256(join(Uint8Array.of(1), left, right));

function checkHashes(hashes: Uint8Array[]): void {
  if (hashes.some((h) => h.length !== 32)) throw new ProofError("a hash does not have 32 bytes");
}

function size64(value: string | number | bigint): bigint {
  let n: bigint;
  try {
    n = BigInt(value);
  } catch {
    throw new ProofError("a size or an index is not a number");
  }
  if (n < 0n || n >= 1n << 64n) throw new ProofError("a size or an index is out of range");
  return n;
}

/** The root that follows from a leaf's hash and its path (RFC 9162, 2.1.3.2). */
export async function rootFromInclusion(
  index: string | number | bigint,
  size: string | number | bigint,
  leaf: Uint8Array,
  path: Uint8Array[],
): Promise<Uint8Array> {
  let fn = size64(index);
  let sn = size64(size);
  if (fn >= sn) throw new ProofError("the index lies beyond the tree");
  checkHashes([leaf, ...path]);
  sn -= 1n;
  let hash = leaf;
  for (const sibling of path) {
    if (sn === 0n) throw new ProofError("the path is too long");
    if ((fn & 1n) === 1n || fn === sn) {
      hash = await nodeHash(sibling, hash);
      while ((fn & 1n) === 0n && fn !== 0n) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else {
      hash = await nodeHash(hash, sibling);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  if (sn !== 0n) throw new ProofError("the path is too short");
  return hash;
}

/** Throws unless the tree of `to` leaves begins with the tree of `from` leaves (RFC 9162, 2.1.4.2). */
export async function verifyConsistency(
  from: string | number | bigint,
  to: string | number | bigint,
  fromRoot: Uint8Array,
  toRoot: Uint8Array,
  path: Uint8Array[],
): Promise<void> {
  const first = size64(from);
  const second = size64(to);
  if (first > second) throw new ProofError("the log has shrunk");
  if (first === 0n) throw new ProofError("every tree begins with the empty one: this proves nothing");
  if (first === second) {
    if (path.length) throw new ProofError("the path should be empty");
    if (!same(fromRoot, toRoot)) throw new ProofError("two roots for one size");
    return;
  }
  checkHashes([fromRoot, toRoot, ...path]);
  const steps = (first & (first - 1n)) === 0n ? [fromRoot, ...path] : path;
  if (!path.length) throw new ProofError("the path is empty");
  let fn = first - 1n;
  let sn = second - 1n;
  while ((fn & 1n) === 1n) {
    fn >>= 1n;
    sn >>= 1n;
  }
  let fr: Uint8Array = steps[0];
  let sr: Uint8Array = steps[0];
  for (const step of steps.slice(1)) {
    if (sn === 0n) throw new ProofError("the path is too long");
    if ((fn & 1n) === 1n || fn === sn) {
      fr = await nodeHash(step, fr);
      sr = await nodeHash(step, sr);
      while ((fn & 1n) === 0n && fn !== 0n) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else {
      sr = await nodeHash(sr, step);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  if (sn !== 0n) throw new ProofError("the path is too short");
  if (!same(fr, fromRoot)) throw new ProofError("the earlier root does not match");
  if (!same(sr, toRoot)) throw new ProofError("the later root does not match");
}

export interface CheckpointText {
  origin: string;
  size: bigint;
  root: Uint8Array;
  text: string; // what is signed, with its last newline
  signatures: { name: string; keyId: Uint8Array; signature: Uint8Array<ArrayBuffer> }[];
}

export function parseCheckpoint(note: string): CheckpointText {
  const split = note.lastIndexOf("\n\n");
  if (split < 0) throw new ProofError("the checkpoint is not a signed note");
  const text = note.slice(0, split + 1);
  const [origin, size, root] = text.split("\n");
  if (!origin || !/^(0|[1-9]\d{0,19})$/.test(size ?? "")) throw new ProofError("the checkpoint's text is malformed");
  const rootBytes = base64(root ?? "");
  if (rootBytes.length !== 32) throw new ProofError("the checkpoint's root does not have 32 bytes");
  const signatures = note
    .slice(split + 2)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const match = /^\u2014 ([^ +]+) (\S+)$/.exec(line);
      const data = match ? base64(match[2]) : new Uint8Array(0);
      if (!match || data.length < 5) throw new ProofError("a signature line is malformed");
      return { name: match[1], keyId: data.slice(0, 4), signature: data.slice(4) };
    });
  return { origin, size: BigInt(size), root: rootBytes, text, signatures };
}

export interface VerifierKey {
  name: string;
  keyId: Uint8Array;
  publicKey: Uint8Array<ArrayBuffer>;
}

/** NAME+HASH8+BASE64(0x01 || 32 bytes); the hash is recomputed, so that a key cannot pose under another's id. */
export async function parseVerifierKey(text: string): Promise<VerifierKey> {
  const match = /^([^ +]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text.trim());
  if (!match) throw new ProofError("the verifier key is malformed");
  const key = base64(match[3]);
  if (key.length !== 33 || key[0] !== 1) throw new ProofError("the verifier key is not an Ed25519 key");
  const id = (await sha256(join(new TextEncoder().encode(`${match[1]}\n`), key))).slice(0, 4);
  if (hex(id) !== match[2]) throw new ProofError("the verifier key's id does not match the key");
  return { name: match[1], keyId: id, publicKey: key.slice(1) };
}

export type SignatureResult = "valid" | "invalid" | "missing" | "unsupported";

/** Whether the checkpoint is signed by `key`; "unsupported" where the browser has no Ed25519. */
export async function verifySignature(checkpoint: CheckpointText, key: VerifierKey): Promise<SignatureResult> {
  const line = checkpoint.signatures.find((s) => s.name === key.name && same(s.keyId, key.keyId));
  if (!line || checkpoint.origin !== key.name) return "missing";
  let publicKey: CryptoKey;
  try {
    publicKey = await crypto.subtle.importKey("raw", key.publicKey, { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return "unsupported";
  }
  const text = new TextEncoder().encode(checkpoint.text);
  return (await crypto.subtle.verify({ name: "Ed25519" }, publicKey, line.signature, text)) ? "valid" : "invalid";
}
