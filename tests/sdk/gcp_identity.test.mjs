// Google's own credentials on vane-sim: the metadata server, workload identity federation, impersonation, ID tokens.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Compute, ExternalAccountClient, GoogleAuth, IdTokenClient, Impersonated } from 'google-auth-library';
import { callHost, ready } from './helper.mjs';
import { badSubjects, identity } from './identity.mjs';

process.env.GCE_METADATA_HOST = identity.endpoint.replace('http://', '');
process.env.METADATA_SERVER_DETECTION = 'assume-present';
const [account, other] = ready.gcp.accounts;
const endpoint = ready.gcp.endpoint;
const scopes = ['https://www.googleapis.com/auth/cloud-platform'];
const email = JSON.parse(account.key_json).client_email;
const file = (name) => JSON.parse(readFileSync(account[name], 'utf8'));
const audience = file('external_account_file').audience;

async function opens(client, of = account) {
  const answer = await client.request({ url: `${endpoint}/v2/projects/${of.project_id}/locations/-/functions`, retry: false });
  assert.equal(answer.data.functions.length, 40);
}

async function functionUrl(client) {
  const answer = await client.request({ url: `${endpoint}/v2/projects/${account.project_id}/locations/-/functions` });
  return answer.data.functions.find((f) => f.name.endsWith('/fn-02')).serviceConfig.uri;
}

async function invokes(idTokenProvider, url) {
  const headers = await new IdTokenClient({ targetAudience: url, idTokenProvider }).getRequestHeaders();
  const answer = await callHost(endpoint, new URL(url).hostname, '/', { authorization: headers.get('authorization') }, '{}');
  assert.equal(answer.status, 200);
}

const external = (change = {}) => ExternalAccountClient.fromJSON({ ...file('external_account_file'), scopes, ...change });
const impersonated = (sourceClient, targetPrincipal = email) => new Impersonated(
  { sourceClient, targetPrincipal, targetScopes: scopes, lifetime: 3600, delegates: [], endpoint });

test('the metadata server gives access tokens, ID tokens and the project', async () => {
  const compute = new Compute({ scopes });
  await opens(compute);
  await invokes(compute, await functionUrl(compute));
  const auth = new GoogleAuth({ scopes });
  assert.equal(await auth.getProjectId(), account.project_id);
  const get = (headers) => fetch(`${identity.endpoint}/computeMetadata/v1/instance/service-accounts/default/token`, { headers });
  assert.equal((await get({})).status, 403);
  assert.equal((await get({ 'metadata-flavor': 'Google', 'x-forwarded-for': '1.2.3.4' })).status, 403);
  assert.equal((await get({ 'metadata-flavor': 'Google' })).headers.get('metadata-flavor'), 'Google');
});

test('a subject\'s token, of a file or a URL, is exchanged for the account\'s', async () => {
  await opens(external());
  await opens(external(file('external_url_file')));
  const direct = file('external_account_file');
  delete direct.service_account_impersonation_url;
  await opens(ExternalAccountClient.fromJSON({ ...direct, scopes }));
  await opens(ExternalAccountClient.fromJSON({ ...JSON.parse(readFileSync(other.external_account_file, 'utf8')), scopes }), other);
});

test('the default chain takes the file that the environment names', async () => {
  process.env.GOOGLE_APPLICATION_CREDENTIALS = account.external_account_file;
  await opens(await new GoogleAuth({ scopes }).getClient());
  delete process.env.GOOGLE_APPLICATION_CREDENTIALS;
});

test('tokens that are not the issuer\'s, not for the provider or not of now are refused', async () => {
  const at = path.join(mkdtempSync(path.join(tmpdir(), 'vane-sdk-')), 'subject');
  for (const [what, token] of badSubjects(audience)) {
    writeFileSync(at, token);
    await assert.rejects(external({ credential_source: { file: at } }).getAccessToken(), (e) => /invalid_grant/.test(e.message), what);
  }
  await assert.rejects(external({ audience: `${audience}-other` }).getAccessToken(), (e) => /invalid_target/.test(e.message));
  await assert.rejects(external({ subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' }).getAccessToken(), (e) => /invalid_request/.test(e.message));
});

test('an impersonated account has access and ID tokens; a foreign one is denied', async () => {
  for (const source of [new Compute({ scopes }), external()]) {
    const client = impersonated(source);
    await opens(client);
    await invokes(client, await functionUrl(client));
  }
  await assert.rejects(impersonated(new Compute({ scopes }), JSON.parse(other.key_json).client_email).getAccessToken(),
    (e) => /PERMISSION_DENIED|Permission/.test(e.message));
});

test('impersonation needs a scope and an audience', async () => {
  const { token } = await new Compute({ scopes }).getAccessToken();
  const post = (verb, body) => fetch(`${endpoint}/v1/projects/-/serviceAccounts/${email}:${verb}`, {
    method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: JSON.stringify(body) });
  assert.equal((await post('generateAccessToken', {})).status, 400);
  assert.equal((await post('generateIdToken', {})).status, 400);
  assert.equal((await post('signBlob', {})).status, 404);
});
