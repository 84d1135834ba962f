// Azure's own clients get a token, list, change and invoke function apps on vane-sim; bad secrets and tokens are refused.
import assert from 'node:assert/strict';
import test from 'node:test';
import { WebSiteManagementClient } from '@azure/arm-appservice';
import { ClientSecretCredential } from '@azure/identity';
import { callHost, ready } from './helper.mjs';

const account = ready.azure.accounts[0];
const endpoint = ready.azure.endpoint;
const group = account.resource_group;
const credential = (secret = account.client_secret) => new ClientSecretCredential(
  account.tenant_id, account.client_id, secret,
  { authorityHost: endpoint, disableInstanceDiscovery: true, retryOptions: { maxRetries: 0 } });
const web = (login = credential()) => new WebSiteManagementClient(login, account.subscription_id,
  { endpoint, retryOptions: { maxRetries: 0 } });

test('lists every app over pages, and reads the Flex part of one', async () => {
  const kinds = new Set();
  let count = 0;
  for await (const site of web().webApps.list()) {
    count++;
    kinds.add(site.sku ?? site.serverFarmId.split('/').pop());
    assert.match(site.kind, /functionapp/);
    assert.equal(site.functionAppConfig, undefined); // a list does not tell
  }
  assert.equal(count, 40);
  assert.equal(kinds.size, 2);
});

async function flexSite() {
  const client = web();
  for await (const site of client.webApps.list()) {
    if (site.serverFarmId.endsWith('/flex')) return client.webApps.get(group, site.name);
  }
  throw new Error('no Flex site');
}

test('changes the memory of a Flex app by a long-running PUT', async () => {
  const site = await flexSite();
  const scale = site.functionAppConfig.scaleAndConcurrency;
  const wanted = scale.instanceMemoryMB === 512 ? 2048 : 512;
  const body = { location: site.location, kind: site.kind, serverFarmId: site.serverFarmId, functionAppConfig: {
    ...site.functionAppConfig, scaleAndConcurrency: { ...scale, instanceMemoryMB: wanted } } };
  const after = await web().webApps.createOrUpdate(group, site.name, body);
  assert.equal(after.functionAppConfig.scaleAndConcurrency.instanceMemoryMB, wanted);
  body.functionAppConfig.scaleAndConcurrency.instanceMemoryMB = 1000;
  await assert.rejects(async () => web().webApps.createOrUpdate(group, site.name, body), { statusCode: 400 });
});

test('an unknown app is 404, and another subscription is refused', async () => {
  await assert.rejects(web().webApps.listFunctions(group, 'no-such').next(), { statusCode: 404 });
  const other = new WebSiteManagementClient(credential(), ready.azure.accounts[1].subscription_id, { endpoint });
  await assert.rejects(other.webApps.get(group, 'fn-00'), (e) => e.statusCode === 403 && e.code === 'AuthorizationFailed');
});

test('invokes a function with the key that ARM gives, and with no other', async () => {
  const client = web();
  const site = await client.webApps.get(group, 'fn-01');
  const keys = await client.webApps.listHostKeys(group, 'fn-01');
  const functions = [];
  for await (const f of client.webApps.listFunctions(group, 'fn-01')) functions.push(f);
  const url = new URL(functions[0].invokeUrlTemplate);
  assert.equal(url.hostname, site.defaultHostName);
  const call = (key) => callHost(endpoint, url.hostname, url.pathname, { 'x-functions-key': key }, '{"a":1}');
  const good = await call(keys.functionKeys.default);
  assert.equal(good.status, 200);
  assert.ok(Number(good.headers['x-vane-sim-elapsed-us']) > 0);
  assert.equal((await call('wrong')).status, 401);
  assert.equal((await callHost(endpoint, url.hostname, '/api/other', { 'x-functions-key': keys.masterKey }, '')).status, 404);
});

test('a wrong client secret gets no token', async () => {
  await assert.rejects(credential('wrong').getToken('https://management.azure.com/.default'),
    (e) => /AADSTS7000215/.test(e.message));
});

test('a forged, an empty and a foreign token are refused', async () => {
  const good = await credential().getToken('https://management.azure.com/.default');
  const [head, payload, signature] = good.token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url'));
  claims.exp += 86400;
  const forged = [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.');
  const foreign = (await credential().getToken('https://api.loganalytics.io/.default')).token;
  for (const token of [forged, 'x', foreign]) {
    const login = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3600000 }) };
    await assert.rejects(web(login).webApps.get(group, 'fn-00'), { statusCode: 401 });
  }
});
