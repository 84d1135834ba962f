// A small Merkle log with signed checkpoints, so that the page under test has something true to verify.
import { createHash, generateKeyPairSync, sign } from "node:crypto";

const sha256 = (...parts) => {
  const h = createHash("sha256");
  for (const p of parts) h.update(p);
  return h.digest();
};
const leafHash = (leaf) => sha256(Buffer.of(0), leaf);
const nodeHash = (a, b) => sha256(Buffer.of(1), a, b);

function split(n) {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

function rootOf(hashes) {
  if (hashes.length === 0) return sha256();
  if (hashes.length === 1) return hashes[0];
  const k = split(hashes.length);
  return nodeHash(rootOf(hashes.slice(0, k)), rootOf(hashes.slice(k)));
}

function pathOf(index, hashes) {
  if (hashes.length <= 1) return [];
  const k = split(hashes.length);
  return index < k
    ? [...pathOf(index, hashes.slice(0, k)), rootOf(hashes.slice(k))]
    : [...pathOf(index - k, hashes.slice(k)), rootOf(hashes.slice(0, k))];
}

function consistency(m, hashes, whole = true) {
  if (m === hashes.length) return whole ? [] : [rootOf(hashes)];
  const k = split(hashes.length);
  return m <= k
    ? [...consistency(m, hashes.slice(0, k), whole), rootOf(hashes.slice(k))]
    : [...consistency(m - k, hashes.slice(k), false), rootOf(hashes.slice(0, k))];
}

export class MockLog {
  constructor(name) {
    this.name = name;
    this.leaves = [];
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    this.privateKey = privateKey;
    const raw = Buffer.from(publicKey.export({ format: "jwk" }).x, "base64url");
    this.keyBytes = Buffer.concat([Buffer.of(1), raw]);
    this.keyId = sha256(`${name}\n`, this.keyBytes).subarray(0, 4);
    this.verifierKey = `${name}+${this.keyId.toString("hex")}+${this.keyBytes.toString("base64")}`;
  }
  append(text) {
    this.leaves.push(Buffer.from(text));
    return this.leaves.length - 1;
  }
  hashes(size) {
    return this.leaves.slice(0, size).map(leafHash);
  }
  note(size) {
    const text = `${this.name}\n${size}\n${rootOf(this.hashes(size)).toString("base64")}\n`;
    const signature = Buffer.concat([this.keyId, sign(null, Buffer.from(text), this.privateKey)]);
    return `${text}\n\u2014 ${this.name} ${signature.toString("base64")}\n`;
  }
  checkpoint() {
    const size = this.leaves.length;
    return {
      note: size ? this.note(size) : "", size: String(size), root: rootOf(this.hashes(size)).toString("base64"),
      verifierKey: this.verifierKey,
    };
  }
  proof(index, size) {
    const hashes = this.hashes(size);
    return {
      index: String(index), size: String(size), leaf: this.leaves[index].toString("base64"),
      root: rootOf(hashes).toString("base64"), path: pathOf(index, hashes).map((h) => h.toString("base64")),
      checkpoint: this.note(size), present: true,
    };
  }
  consistency(from, to) {
    return {
      fromSize: String(from), toSize: String(to), fromRoot: rootOf(this.hashes(from)).toString("base64"),
      toRoot: rootOf(this.hashes(to)).toString("base64"),
      path: consistency(from, this.hashes(to)).map((h) => h.toString("base64")),
    };
  }
}
