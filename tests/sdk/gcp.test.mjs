// Google's own Functions client lists, changes and invokes functions on vane-sim; bad keys and tokens are refused.
import assert from 'node:assert/strict';
import { createSign, generateKeyPairSync } from 'node:crypto';
import { createRequire } from 'node:module';
import test from 'node:test';
import { callHost, ready } from './helper.mjs';

// Its ES module lacks the named exports of its CommonJS one.
const { v2: { FunctionServiceClient } } = createRequire(import.meta.url)('@google-cloud/functions');
const account = ready.gcp.accounts[0];
const endpoint = ready.gcp.endpoint;
const key = JSON.parse(account.key_json);
const client = (credentials = key) => new FunctionServiceClient({
  credentials, projectId: account.project_id, apiEndpoint: 'localhost', port: Number(new URL(endpoint).port),
  protocol: 'https', fallback: 'rest',
});
const parent = `projects/${account.project_id}/locations/-`;
const nameOf = (f) => `projects/${account.project_id}/locations/${account.region}/functions/${f}`;

function sign(claims, privateKey) {
  const text = [{ alg: 'RS256', typ: 'JWT' }, claims].map((p) => Buffer.from(JSON.stringify(p)).toString('base64url')).join('.');
  return `${text}.${createSign('RSA-SHA256').update(text).sign(privateKey, 'base64url')}`;
}

async function exchange(change = {}, privateKey = key.private_key) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: key.client_email, sub: key.client_email, aud: key.token_uri, iat: now, exp: now + 3600, ...change };
  const answer = await fetch(key.token_uri, { method: 'POST', body: new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: sign(claims, privateKey) }) });
  return { status: answer.status, body: await answer.json() };
}

test('lists every function over all locations', async () => {
  const [list] = await client().listFunctions({ parent });
  assert.equal(list.length, 40);
  for (const f of list) {
    assert.match(f.serviceConfig.availableMemory, /^\d+Mi$/);
    assert.equal(f.state, 'ACTIVE');
  }
});

test('changes memory by a long-running PATCH', async () => {
  const [before] = await client().getFunction({ name: nameOf('fn-04') });
  const availableMemory = before.serviceConfig.availableMemory === '512Mi' ? '256Mi' : '512Mi';
  const [operation] = await client().updateFunction({
    function: { name: nameOf('fn-04'), serviceConfig: { availableMemory } },
    updateMask: { paths: ['service_config.available_memory'] },
  });
  const [after] = await operation.promise();
  assert.equal(after.serviceConfig.availableMemory, availableMemory);
  const [read] = await client().getFunction({ name: nameOf('fn-04') });
  assert.equal(read.serviceConfig.availableMemory, availableMemory);
  assert.ok(Number(read.updateTime.seconds) >= Number(before.updateTime.seconds));
});

test('refuses a change without a mask, of a bad size, of what is not there', async () => {
  const update = (name, availableMemory, paths) => client().updateFunction({
    function: { name: nameOf(name), serviceConfig: { availableMemory } }, ...(paths && { updateMask: { paths } }) });
  await assert.rejects(update('fn-08', '512Mi'), (e) => /INVALID_ARGUMENT/.test(e.message));
  await assert.rejects(update('fn-08', '1Mi', ['service_config.available_memory']), (e) => /INVALID_ARGUMENT/.test(e.message));
  await assert.rejects(update('no-such', '512Mi', ['service_config.available_memory']), (e) => /NOT_FOUND/.test(e.message));
});

test('invokes a function with an ID token for it, and with no other', async () => {
  const [f] = await client().getFunction({ name: nameOf('fn-02') });
  const audience = f.serviceConfig.uri;
  const { status, body } = await exchange({ target_audience: audience });
  assert.equal(status, 200);
  const call = (token) => callHost(endpoint, new URL(audience).hostname, '/', token ? { authorization: `Bearer ${token}` } : {}, '{}');
  const good = await call(body.id_token);
  assert.equal(good.status, 200);
  assert.ok(Number(good.headers['x-vane-sim-elapsed-us']) > 0);
  const other = (await exchange({ target_audience: 'https://elsewhere.a.run.app' })).body.id_token;
  assert.equal((await call(other)).status, 401);
  assert.equal((await call('')).status, 403);
  assert.equal((await call(`${body.id_token}x`)).status, 401);
});

test('an access token from the token endpoint works', async () => {
  const { body } = await exchange({ scope: 'https://www.googleapis.com/auth/cloud-platform' });
  const answer = await fetch(`${endpoint}/v2/${parent}/functions`, { headers: { authorization: `Bearer ${body.access_token}` } });
  assert.equal(answer.status, 200);
});

test('a strange key, an old assertion and a wrong audience get no token', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const strange = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const scope = 'https://www.googleapis.com/auth/cloud-platform';
  const now = Math.floor(Date.now() / 1000);
  for (const refused of [await exchange({ scope }, strange), await exchange({ scope, iat: now - 9000, exp: now - 5400 }),
    await exchange({ scope, aud: 'https://example.com/token' }), await exchange({ scope, exp: now + 90000 })]) {
    assert.equal(refused.status, 400);
    assert.equal(refused.body.error, 'invalid_grant');
  }
  await assert.rejects(client({ ...key, private_key: strange }).listFunctions({ parent }), (e) => /UNAUTHENTICATED/.test(e.message));
});

test('another project is refused', async () => {
  const other = ready.gcp.accounts[1].project_id;
  await assert.rejects(client().listFunctions({ parent: `projects/${other}/locations/-` }), (e) => /PERMISSION_DENIED/.test(e.message));
});
