// The clouds' own storage clients on vane-sim; and they read back what the agent's sinks wrote: every line once, however often
// it was sent and whatever its function is called.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { ClientSecretCredential } from '@azure/identity';
import { BlobServiceClient } from '@azure/storage-blob';
import { Storage } from '@google-cloud/storage';
import { control, ready } from './helper.mjs';

const probe = process.env.VANE_SINK_PROBE;
const aws = ready.aws.accounts[0], azure = ready.azure.accounts[0], gcp = ready.gcp.accounts[0];
const bucketOf = (account) => `vane-logs-${account.name}`;
const storeOf = (account) => `vane${account.name.replace('-', '')}`;

const s3 = (change = {}) => new S3Client({
  endpoint: ready.aws.endpoint, region: aws.region, forcePathStyle: true, maxAttempts: 1,
  credentials: { accessKeyId: aws.access_key_id, secretAccessKey: aws.secret_access_key, ...change },
});
const login = () => new ClientSecretCredential(azure.tenant_id, azure.client_id, azure.client_secret,
  { authorityHost: ready.azure.endpoint, disableInstanceDiscovery: true });
const container = (credential = login(), account = azure) =>
  new BlobServiceClient(`${ready.azure.endpoint}/${storeOf(account)}`, credential, { retryOptions: { maxTries: 1 } })
    .getContainerClient('vane-logs');
// A key's signed JWT is its token: this client's library would fetch one from Google's own host only.
const { JWT } = createRequire(createRequire(import.meta.url).resolve('@google-cloud/storage'))('google-auth-library');
function storage(key = JSON.parse(gcp.key_json)) {
  const authClient = new JWT({ email: key.client_email, key: key.private_key, scopes: ['https://www.googleapis.com/auth/cloud-platform'] });
  authClient.useJWTAccessWithScope = true;
  return new Storage({
    apiEndpoint: ready.gcp.endpoint, projectId: gcp.project_id, authClient, useAuthWithCustomEndpoint: true,
    retryOptions: { autoRetry: false },
  });
}

async function bytesOf(stream) {
  const parts = [];
  for await (const part of stream) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

// One store a cloud: list(prefix) gives names, get(name) bytes, put(name, bytes).
const stores = {
  s3: {
    account: aws, cloud: 'aws', sink: { kind: 's3', bucket: bucketOf(aws) },
    async list(Prefix, MaxKeys) {
      const names = [];
      let ContinuationToken;
      do {
        const page = await s3().send(new ListObjectsV2Command({ Bucket: bucketOf(aws), Prefix, MaxKeys, ContinuationToken }));
        names.push(...(page.Contents ?? []).map((o) => o.Key));
        ContinuationToken = page.NextContinuationToken;
      } while (ContinuationToken);
      return names;
    },
    async get(Key) {
      const got = await s3().send(new GetObjectCommand({ Bucket: bucketOf(aws), Key }));
      return Buffer.from(await got.Body.transformToByteArray());
    },
    put: (Key, Body) => s3().send(new PutObjectCommand({ Bucket: bucketOf(aws), Key, Body })),
  },
  blob: {
    account: azure, cloud: 'azure', sink: { kind: 'blob', account: storeOf(azure), container: 'vane-logs' },
    async list(prefix, maxPageSize) {
      const names = [];
      for await (const page of container().listBlobsFlat({ prefix }).byPage({ maxPageSize }))
        names.push(...page.segment.blobItems.map((b) => b.name));
      return names;
    },
    get: async (name) => bytesOf((await container().getBlobClient(name).download()).readableStreamBody),
    put: (name, bytes) => container().getBlockBlobClient(name).upload(bytes, bytes.length),
  },
  gcs: {
    account: gcp, cloud: 'gcp', sink: { kind: 'gcs', bucket: bucketOf(gcp) },
    async list(prefix, maxResults) {
      const names = [];
      let query = { prefix, maxResults, autoPaginate: false }, files;
      while (query) {
        [files, query] = await storage().bucket(bucketOf(gcp)).getFiles(query);
        names.push(...files.map((f) => f.name));
      }
      return names;
    },
    get: async (name) => (await storage().bucket(bucketOf(gcp)).file(name).download({ decompress: false }))[0],
    put: (name, bytes) => storage().bucket(bucketOf(gcp)).file(name).save(bytes, { resumable: false }),
  },
};

for (const [kind, store] of Object.entries(stores)) {
  test(`${kind}: the client puts, gets and lists, a page at a time, with names that need encoding`, async () => {
    const names = ['own/a b+c=1/ü&x', 'own/one', 'own/two', 'own/%41'].sort();
    for (const name of names) await store.put(name, Buffer.from(`<${name}>\0\xff`, 'latin1'));
    await store.put(names[1], Buffer.from('again'));
    assert.deepEqual((await store.list('own/', 2)).sort(), names);
    for (const name of names)
      assert.deepEqual(await store.get(name), name === names[1] ? Buffer.from('again') : Buffer.from(`<${name}>\0\xff`, 'latin1'));
    assert.deepEqual(await store.list('nothing/'), []);
    await assert.rejects(store.get('own/none'), (e) => [e.statusCode, e.code, e.$metadata?.httpStatusCode].includes(404));
  });
}

test('s3: a head, a wrong secret, an unknown key, a bucket of another account', async () => {
  await s3().send(new PutObjectCommand({ Bucket: bucketOf(aws), Key: 'h', Body: 'four', ContentType: 'text/x' }));
  const head = await s3().send(new HeadObjectCommand({ Bucket: bucketOf(aws), Key: 'h' }));
  assert.deepEqual([head.ContentLength, head.ContentType], [4, 'text/x']);
  const put = (Bucket) => new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' });
  await assert.rejects(s3({ secretAccessKey: 'wrong' }).send(put(bucketOf(aws))), { name: 'SignatureDoesNotMatch' });
  await assert.rejects(s3({ accessKeyId: 'AKIAUNKNOWN000000000' }).send(put(bucketOf(aws))), { name: 'InvalidAccessKeyId' });
  await assert.rejects(s3().send(put(bucketOf(ready.aws.accounts[1]))), { name: 'NoSuchBucket' });
});

test('blob: a token for something else, and the store of another account', async () => {
  const arm = { getToken: () => login().getToken('https://management.azure.com/.default') };
  await assert.rejects(container(arm).getBlobClient('x').download(), { statusCode: 401 });
  await assert.rejects(container(login(), ready.azure.accounts[1]).getBlobClient('x').download(), { statusCode: 403 });
});

test('gcs: the key of another account', async () => {
  const other = storage(JSON.parse(ready.gcp.accounts[1].key_json)).bucket(bucketOf(gcp));
  await assert.rejects(other.file('x').download(), { code: 404 });
});

// --- what the sinks write ---

function run(state, sink, account, cloud, options) {
  const config = path.join(state, 'cloud.json');
  writeFileSync(config, JSON.stringify({ ...account, ca_file: ready[cloud].ca_file, cloud, sinks: [{ flush_s: 0, ...sink }] }));
  const child = spawn(probe, ['--config', config, '--state', state, ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '', log = '';
  child.stdout.on('data', (part) => { out += part; });
  child.stderr.on('data', (part) => { log += part; });
  child.ended = new Promise((done) => child.once('close', (code) => done({ code, out, log })));
  child.log = () => log;
  child.said = async () => { while (!out.includes('put')) await new Promise((wake) => setTimeout(wake, 10)); };
  return child;
}

// All of it stands in the spool then, and none of it in the store: nothing listens at that address.
async function putAndKill(state, sink, account, cloud, options) {
  const child = run(state, sink, { ...account, endpoint: 'https://localhost:1' }, cloud, [...options, '--stay', '1']);
  await child.said();
  child.kill('SIGKILL');
  await child.ended;
}

const outage = (cloud) => control('/control/outage', { cloud, share: 1, from_s: 0, seconds: 1.5 });

async function linesOf(store) {
  const prefix = `vane/v1/account=${store.account.name}/`;
  const lines = [];
  for (const name of await store.list(prefix)) {
    const done = spawnSync('zstd', ['-dc'], { input: await store.get(name), maxBuffer: 1 << 28 });
    assert.equal(done.status, 0, `${name}: ${done.stderr}`);
    for (const text of done.stdout.toString().trimEnd().split('\n')) lines.push({ name, ...JSON.parse(text) });
  }
  return lines;
}

const wanted = ['plain', 'with space', 'com,ma="quoted"', 'sl/ash?&%41#', 'ü-\\'];

for (const [kind, store] of Object.entries(stores)) {
  test(`${kind}: an agent's lines arrive once each, over an outage and a kill -9`, { skip: !probe }, async () => {
    const state = mkdtempSync(path.join(tmpdir(), 'vane-sink-'));
    try {
      const first = await run(state, store.sink, store.account, store.cloud, ['--lines', '3000']).ended;
      assert.equal(first.code, 0, first.log);
      await putAndKill(state, store.sink, store.account, store.cloud, ['--lines', '3000', '--first', '3000']);
      await outage(store.cloud);
      const child = run(state, store.sink, store.account, store.cloud, ['--lines', '500', '--first', '6000', '--wait', '60']);
      for (let i = 0; i < 20 && !child.log().includes('sink-down'); i++) { // however long it takes to start
        await outage(store.cloud);
        await new Promise((wake) => setTimeout(wake, 700));
      }
      const last = await child.ended;
      assert.equal(last.code, 0, last.log);
      assert.match(last.log, /sink-down sink=\w+ .*503/);
      assert.match(last.log, /sink-up/);
      const lines = await linesOf(store);
      const numbers = lines.map((l) => Number(l.text.match(/^line (\d+) /)[1])).sort((a, b) => a - b);
      assert.deepEqual(numbers, Array.from({ length: 6500 }, (_, i) => i));
      assert.equal(new Set(lines.map((l) => l.sequence)).size, 6500);
      for (const l of lines) {
        const i = Number(l.text.match(/\d+/)[0]), time = new Date(l.time_us / 1000).toISOString();
        assert.deepEqual([l.function, l.kind, l.weight], [wanted[i % 5], i % 2 ? 'error' : 'application', 1 + i % 4]);
        assert.equal(l.text, `line ${i} "quoted" € \t end`);
        assert.equal(l.time, time);
        assert.ok(l.name.includes(`/function=${encodeURIComponent(l.function)}/date=${time.slice(0, 10)}/hour=${time.slice(11, 13)}/part-`), l.name);
      }
      assert.ok(new Set(lines.map((l) => l.name.match(/date=[^/]*/)[0])).size === 2); // midnight lies within
    } finally {
      rmSync(state, { recursive: true, force: true });
    }
  });
}

test('s3: what did not fit into the spool is told in the stream', { skip: !probe }, async () => {
  const state = mkdtempSync(path.join(tmpdir(), 'vane-sink-'));
  const account = { ...aws, name: 'small' };
  try {
    const sink = { ...stores.s3.sink, spool_bytes: 262144 };
    await putAndKill(state, sink, account, 'aws', ['--lines', '9000']);
    const done = await run(state, sink, account, 'aws', ['--wait', '60']).ended;
    assert.equal(done.code, 0, done.log);
    const lines = await linesOf({ ...stores.s3, account });
    const dropped = lines.filter((l) => l.dropped_records), kept = lines.filter((l) => l.text);
    const told = dropped.reduce((sum, l) => sum + l.dropped_records, 0);
    assert.ok(told > 0 && dropped.every((l) => l.name.includes('/dropped/')));
    assert.equal(told + kept.length, 9000);
    assert.match(done.log, new RegExp(`sink-dropped sink=s3 records=`));
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
});
