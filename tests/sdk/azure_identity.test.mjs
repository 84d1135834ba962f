// Azure's own credentials on vane-sim: a client's certificate, a workload's token, a machine's managed identity.
// App Service is in azure_app_service.test.mjs: the library keeps one kind of managed identity a process.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomUUID, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { WebSiteManagementClient } from '@azure/arm-appservice';
import { ClientCertificateCredential, DefaultAzureCredential, ManagedIdentityCredential, WorkloadIdentityCredential } from '@azure/identity';
import { ready } from './helper.mjs';
import { badSubjects, identity, now, sign } from './identity.mjs';

const [account, other] = ready.azure.accounts;
const endpoint = ready.azure.endpoint;
const options = { authorityHost: endpoint, disableInstanceDiscovery: true, retryOptions: { maxRetries: 0 } };
const SCOPE = 'https://management.azure.com/.default';
const files = mkdtempSync(path.join(tmpdir(), 'vane-sdk-'));

async function opens(credential, of = account) {
  const client = new WebSiteManagementClient(credential, of.subscription_id, { endpoint, retryOptions: { maxRetries: 0 } });
  assert.equal((await client.webApps.get(of.resource_group, 'fn-00')).name, 'fn-00');
}

const federated = (file, of = account) => new WorkloadIdentityCredential(
  { tenantId: of.tenant_id, clientId: of.client_id, tokenFilePath: file, ...options });

// A token request as the clients make it, with an assertion made here.
async function ask(assertion, change = {}) {
  const answer = await fetch(`${endpoint}/${account.tenant_id}/oauth2/v2.0/token`, { method: 'POST', body: new URLSearchParams({
    client_id: account.client_id, scope: SCOPE, grant_type: 'client_credentials', client_assertion: assertion,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', ...change }) });
  return { status: answer.status, body: await answer.json() };
}

test('a client is its certificate\'s owner', async () => {
  for (const of of [account, other])
    await opens(new ClientCertificateCredential(of.tenant_id, of.client_id, { certificatePath: of.certificate_file }, options), of);
  const foreign = new ClientCertificateCredential(account.tenant_id, account.client_id, { certificatePath: other.certificate_file }, options);
  await assert.rejects(foreign.getToken(SCOPE), (e) => /AADSTS700027/.test(e.message));
});

test('assertions of another audience, client, time, key or thumbprint are refused', async () => {
  const pem = readFileSync(account.certificate_file, 'utf8');
  const der = new X509Certificate(pem.slice(pem.indexOf('-----BEGIN CERTIFICATE'))).raw;
  const print = (hash) => createHash(hash).update(der).digest('base64url');
  const header = { 'x5t#S256': print('sha256'), x5t: print('sha1') };
  const aud = `https://login.microsoftonline.com/${account.tenant_id}/oauth2/v2.0/token`;
  const make = (change = {}, key = pem, head = header) => sign({ aud, iss: account.client_id, sub: account.client_id,
    jti: randomUUID(), iat: now(), nbf: now(), exp: now() + 600, ...change }, key, head);
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  assert.equal((await ask(make())).status, 200);
  assert.equal((await ask(make({}, pem, { x5t: header.x5t }))).status, 200);
  const unsigned = make().split('.');
  unsigned[0] = Buffer.from(JSON.stringify({ alg: 'none', ...header })).toString('base64url');
  const cases = [
    [make({ aud: 'https://login.microsoftonline.com/other/oauth2/v2.0/token' }), 700023],
    [make({ iss: other.client_id }), 700021], [make({ sub: other.client_id }), 700021],
    [make({ exp: now() - 600, iat: now() - 1200, nbf: now() - 1200 }), 700024],
    [make({ nbf: now() + 3600, exp: now() + 7200 }), 700024], [make({ jti: undefined }), 700024],
    [make({}, stranger), 700027], [make({}, pem, { 'x5t#S256': print('sha1') }), 700027],
    [unsigned.join('.'), 700027], [make({}, pem, {}), 50027], ['x', 50027],
  ];
  for (const [assertion, code] of cases) {
    const { status, body } = await ask(assertion);
    assert.equal(status, 401);
    assert.equal(body.error, 'invalid_client');
    assert.deepEqual(body.error_codes, [code]);
  }
  assert.equal((await ask(make(), { client_assertion_type: 'x' })).status, 401);
});

test('a workload\'s token file is worth a token', async () => {
  for (const of of [account, other]) await opens(federated(of.federated_token_file, of), of);
});

test('tokens that are not the issuer\'s, not for Entra or not of now are refused', async () => {
  const codes = { audience: 700212, issuer: 700211, subject: 700213, expired: 700024, early: 700024, endless: 700024 };
  for (const [what, token] of badSubjects('api://AzureADTokenExchange')) {
    const file = path.join(files, 'federated');
    writeFileSync(file, token);
    await assert.rejects(federated(file).getToken(SCOPE), (e) => new RegExp(`AADSTS${codes[what] ?? 50027}`).test(e.message), what);
  }
});

test('a machine has a token for whoever asks as Azure wants', async () => {
  process.env.AZURE_POD_IDENTITY_AUTHORITY_HOST = identity.endpoint;
  await opens(new ManagedIdentityCredential({ clientId: account.client_id, retryOptions: { maxRetries: 0 } }));
  const url = `${identity.endpoint}/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com`;
  const get = (address, headers = { Metadata: 'true' }) => fetch(address, { headers });
  const good = await (await get(url)).json();
  assert.equal(typeof good.expires_in, 'string');
  assert.equal((await get(url, {})).status, 400);
  assert.equal((await get(url, { Metadata: 'true', 'x-forwarded-for': '1.2.3.4' })).status, 400);
  assert.equal((await get(`${url}&client_id=${other.client_id}`)).status, 400);
  assert.equal((await get(url.replace('2018-02-01', '2000-01-01'))).status, 400);
});

test('the default chain takes the environment, then the workload', async () => {
  const names = ['AZURE_TENANT_ID', 'AZURE_CLIENT_ID', 'AZURE_CLIENT_CERTIFICATE_PATH', 'AZURE_FEDERATED_TOKEN_FILE'];
  const chain = async (values) => {
    names.forEach((name) => delete process.env[name]);
    Object.assign(process.env, values);
    await opens(new DefaultAzureCredential(options));
  };
  const who = { AZURE_TENANT_ID: account.tenant_id, AZURE_CLIENT_ID: account.client_id };
  await chain({ ...who, AZURE_CLIENT_CERTIFICATE_PATH: account.certificate_file });
  await chain({ ...who, AZURE_FEDERATED_TOKEN_FILE: account.federated_token_file });
});
