// The proof vectors that the whole project shares (tests/data/merkle), and signed notes.
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign, webcrypto } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import {
  ProofError, base64, hex, leafHash, parseCheckpoint, parseVerifierKey, rootFromInclusion, same, verifyConsistency, verifySignature,
} from "../src/merkle";

if (!globalThis.crypto) Object.defineProperty(globalThis, "crypto", { value: webcrypto });
const root = join(process.env.VANE_DATA ?? "tests/data", "merkle/testdata");

function filesIn(dir: string): string[] {
  return readdirSync(dir).flatMap((name) => {
    const path = join(dir, name);
    return statSync(path).isDirectory() ? filesIn(path) : path.endsWith(".json") ? [path] : [];
  });
}

interface Inclusion { leafIdx: number; treeSize: number; root: string; leafHash: string; proof: string[] | null; wantErr: boolean }
interface Consistency { size1: number; size2: number; root1: string; root2: string; proof: string[] | null; wantErr: boolean }

// Sizes in the vectors may exceed 2^53: they are read as text before JSON would round them.
const parse = <T>(text: string): T => JSON.parse(text.replace(/("(?:leafIdx|treeSize|size1|size2)":\s*)(-?\d+)/g, '$1"$2"')) as T;
const present = existsSync(root) ? false : "no vectors here";

async function holds(check: () => Promise<void>): Promise<boolean> {
  try {
    await check();
    return true;
  } catch (error) {
    assert.ok(error instanceof ProofError, String(error));
    return false;
  }
}

test("inclusion vectors", { skip: present }, async () => {
  const files = filesIn(join(root, "inclusion"));
  assert.ok(files.length > 50, "too few vectors");
  for (const file of files) {
    const v = parse<Inclusion>(readFileSync(file, "utf8"));
    const ok = await holds(async () => {
      const got = await rootFromInclusion(v.leafIdx, v.treeSize, base64(v.leafHash ?? ""), (v.proof ?? []).map(base64));
      if (!same(got, base64(v.root ?? ""))) throw new ProofError("another root");
    });
    assert.equal(ok, !v.wantErr, file);
  }
});

test("consistency vectors", { skip: present }, async () => {
  const files = filesIn(join(root, "consistency"));
  assert.ok(files.length > 50, "too few vectors");
  for (const file of files) {
    const v = parse<Consistency>(readFileSync(file, "utf8"));
    const ok = await holds(() =>
      verifyConsistency(v.size1, v.size2, base64(v.root1 ?? ""), base64(v.root2 ?? ""), (v.proof ?? []).map(base64)));
    assert.equal(ok, !v.wantErr, file);
  }
});

test("a leaf's hash has the leaf prefix", async () => {
  const expected = createHash("sha256").update(Buffer.from([0])).digest("hex");
  assert.equal(hex(await leafHash(new Uint8Array(0))), expected);
});

test("sizes beyond 2^53 keep their bits, and what is no size is refused", async () => {
  const leaf = new Uint8Array(32);
  await assert.rejects(rootFromInclusion("18446744073709551615", "18446744073709551615", leaf, []), ProofError);
  await assert.rejects(rootFromInclusion("x", 4, leaf, []), ProofError);
  await assert.rejects(rootFromInclusion(-1, 4, leaf, []), ProofError);
  await assert.rejects(rootFromInclusion(0, "18446744073709551616", leaf, []), ProofError);
});

function keyPair(name: string) {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = Buffer.concat([Buffer.of(1), Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url")]);
  const id = createHash("sha256").update(`${name}\n`).update(raw).digest().subarray(0, 4);
  const note = (text: string) => `${text}\n\u2014 ${name} ${Buffer.concat([id, sign(null, Buffer.from(text), privateKey)]).toString("base64")}\n`;
  return { key: `${name}+${id.toString("hex")}+${raw.toString("base64")}`, note };
}
const ROOT = "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=";

test("a signed checkpoint verifies, another text or key does not", async () => {
  const a = keyPair("vane.test/log");
  const note = a.note(`vane.test/log\n7\n${ROOT}\n`);
  const key = await parseVerifierKey(a.key);
  const checkpoint = parseCheckpoint(note);
  assert.equal(checkpoint.size, 7n);
  assert.equal(await verifySignature(checkpoint, key), "valid");
  assert.equal(await verifySignature(parseCheckpoint(note.replace("\n7\n", "\n8\n")), key), "invalid");
  const other = await parseVerifierKey(keyPair("vane.test/log").key);
  assert.equal(await verifySignature(checkpoint, other), "missing");
  const renamed = a.note(`elsewhere\n7\n${ROOT}\n`);
  assert.equal(await verifySignature(parseCheckpoint(renamed), key), "missing");
});

test("lines of other signers (witnesses) are ignored", async () => {
  const a = keyPair("vane.test/log");
  const text = `vane.test/log\n7\n${ROOT}\n`;
  const witness = keyPair("witness.example").note(text).split("\n\n")[1];
  assert.equal(await verifySignature(parseCheckpoint(a.note(text) + witness), await parseVerifierKey(a.key)), "valid");
});

test("malformed notes and keys are refused", async () => {
  for (const note of ["", "a\n1\n", `a\n01\n${ROOT}\n\n\u2014 a AAAAAAAA\n`, `a\n1\nAAAA\n\n\u2014 a AAAAAAAA\n`, `a\n1\n${ROOT}\n\nx a AAAAAAAA\n`, `a\n1\n${ROOT}\n\n\u2014 a AAAA\n`]) {
    assert.throws(() => parseCheckpoint(note), ProofError, JSON.stringify(note));
  }
  const { key } = keyPair("n");
  for (const text of ["", "n", "n+00000000", key.replace(/\+[0-9a-f]{8}\+/, "+00000000+"), key.slice(0, -6)]) {
    await assert.rejects(parseVerifierKey(text), ProofError, text);
  }
});
