// Azure's own client changes instances, concurrency, plans and slots on vane-sim, and reads metrics and logs; what is stale,
// foreign, too much or too often is refused. On the second account, so that azure.test.mjs may run beside it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { WebSiteManagementClient } from '@azure/arm-appservice';
import { MonitorClient } from '@azure/arm-monitor';
import { ClientSecretCredential } from '@azure/identity';
import { LogsQueryClient } from '@azure/monitor-query-logs';
import { callHost, ready } from './helper.mjs';

const account = ready.azure.accounts[1];
const endpoint = ready.azure.endpoint;
const group = account.resource_group;
const once = { retryOptions: { maxRetries: 0 } };
const credential = new ClientSecretCredential(account.tenant_id, account.client_id, account.client_secret,
  { authorityHost: endpoint, disableInstanceDiscovery: true, ...once });
const web = new WebSiteManagementClient(credential, account.subscription_id, { endpoint, ...once });
const apps = web.webApps;
const all = async (pages) => { const items = []; for await (const item of pages) items.push(item); return items; };
const refused = (statusCode, code) => (e) => e.statusCode === statusCode && (!code || e.code === code);
const planId = (name) => `/subscriptions/${account.subscription_id}/resourceGroups/${group}/providers/Microsoft.Web/serverfarms/${name}`;
const sites = await all(apps.list());
const onPlan = (name) => sites.filter((s) => s.serverFarmId.endsWith(`/${name}`)).map((s) => s.name);
const [flex] = onPlan('flex');
const [plain, other] = onPlan('consumption');
const putFlex = async (change) => {
  const site = await apps.get(group, flex);
  const config = site.functionAppConfig;
  return apps.createOrUpdate(group, flex, { location: site.location, kind: site.kind, serverFarmId: site.serverFarmId,
    functionAppConfig: { ...config, scaleAndConcurrency: { ...config.scaleAndConcurrency, ...change } } });
};

test('lists plans with their sizes', async () => {
  const plans = await all(web.appServicePlans.listByResourceGroup(group));
  assert.deepEqual(plans.map((p) => p.sku.tier).sort(), ['Dynamic', 'ElasticPremium', 'FlexConsumption']);
});
test('gets one plan', async () => assert.equal((await web.appServicePlans.get(group, 'premium')).sku.name, 'EP1'));
test('a plan that is not there is 404', async () =>
  assert.rejects(web.appServicePlans.get(group, 'none'), refused(404)));
test('each site names its plan and tier', async () => {
  const site = await apps.get(group, plain);
  assert.equal(site.serverFarmId, planId('consumption'));
  assert.equal(site.siteConfig.functionAppScaleLimit, 200);
});

test('Flex: the most instances, by a long-running PUT', async () => {
  const after = await putFlex({ maximumInstanceCount: 60 });
  assert.equal(after.functionAppConfig.scaleAndConcurrency.maximumInstanceCount, 60);
});
test('Flex: requests at once', async () => {
  const after = await putFlex({ triggers: { http: { perInstanceConcurrency: 5 } } });
  assert.equal(after.functionAppConfig.scaleAndConcurrency.triggers.http.perInstanceConcurrency, 5);
});
test('Flex: instances kept ready, there and back', async () => {
  const after = await putFlex({ alwaysReady: [{ name: 'http', instanceCount: 2 }] });
  assert.equal(after.functionAppConfig.scaleAndConcurrency.alwaysReady[0].instanceCount, 2);
  assert.equal((await putFlex({ alwaysReady: [] })).functionAppConfig.scaleAndConcurrency.alwaysReady.length, 0);
});
test('Flex: the other numbers stayed', async () => {
  const { scaleAndConcurrency } = (await apps.get(group, flex)).functionAppConfig;
  assert.equal(scaleAndConcurrency.maximumInstanceCount, 60);
  assert.equal(scaleAndConcurrency.triggers.http.perInstanceConcurrency, 5);
});
test('Flex: too many instances are refused', async () =>
  assert.rejects(async () => putFlex({ maximumInstanceCount: 5000 }), refused(400, 'BadRequest')));
test('Flex: more ready than there may be are refused', async () =>
  assert.rejects(async () => putFlex({ alwaysReady: [{ name: 'http', instanceCount: 61 }] }), refused(400)));
test('Flex: two changes at once are a conflict', async () => {
  const results = await Promise.allSettled([putFlex({ maximumInstanceCount: 70 }), putFlex({ maximumInstanceCount: 71 })]);
  assert.deepEqual(results.map((r) => r.status).sort(), ['fulfilled', 'rejected']);
  assert.ok(refused(409, 'Conflict')(results.find((r) => r.status === 'rejected').reason));
});
test('Flex: has no scale limit of its own', async () =>
  assert.rejects(apps.updateConfiguration(group, flex, { functionAppScaleLimit: 5 }), refused(400)));
test('Flex: has no slots', async () => {
  assert.equal((await all(apps.listSlots(group, flex))).length, 0);
  await assert.rejects(async () => apps.createOrUpdateSlot(group, flex, 'blue', { location: account.region }), refused(409));
});
test('Flex: does not move to another plan', async () =>
  assert.rejects(apps.update(group, flex, { serverFarmId: planId('premium') }), refused(400)));

test('Consumption: the most instances, by a PATCH of config/web', async () => {
  assert.equal((await apps.updateConfiguration(group, plain, { functionAppScaleLimit: 30 })).functionAppScaleLimit, 30);
  assert.equal((await apps.getConfiguration(group, plain)).functionAppScaleLimit, 30);
});
test('Consumption: the site shows it too, with a new time', async () => {
  const before = await apps.get(group, plain);
  await apps.updateConfiguration(group, plain, { functionAppScaleLimit: 31 });
  const after = await apps.get(group, plain);
  assert.equal(after.siteConfig.functionAppScaleLimit, 31);
  assert.ok(after.lastModifiedTimeUtc > before.lastModifiedTimeUtc);
});
test('Consumption: nothing is kept ready', async () =>
  assert.rejects(apps.updateConfiguration(group, plain, { minimumElasticInstanceCount: 1 }), refused(400)));
test('Consumption: one slot beside production and no more', async () => {
  const slot = await apps.createOrUpdateSlot(group, other, 'blue', { location: account.region });
  assert.equal(slot.name, `${other}/blue`);
  await assert.rejects(async () => apps.createOrUpdateSlot(group, other, 'green', { location: account.region }), refused(409));
});

test('a site moves to Premium', async () => {
  const site = await apps.update(group, plain, { serverFarmId: planId('premium') });
  assert.equal(site.serverFarmId, planId('premium'));
});
test('Premium: instances kept ready and warmed', async () => {
  const after = await apps.updateConfiguration(group, plain, { minimumElasticInstanceCount: 3, preWarmedInstanceCount: 2 });
  assert.equal(after.minimumElasticInstanceCount, 3);
  assert.equal(after.preWarmedInstanceCount, 2);
});
test('Premium: the most instances', async () => {
  assert.equal((await apps.updateConfiguration(group, plain, { functionAppScaleLimit: 12 })).functionAppScaleLimit, 12);
  await assert.rejects(apps.updateConfiguration(group, plain, { functionAppScaleLimit: 101 }), refused(400));
});
test('Premium: two slots are made, by the operation that Location names', async () => {
  const slot = await apps.createOrUpdateSlot(group, plain, 'blue', { location: account.region });
  assert.match(slot.defaultHostName, /-blue-/);
  await apps.createOrUpdateSlot(group, plain, 'green', { location: account.region });
  assert.deepEqual((await all(apps.listSlots(group, plain))).map((s) => s.name), [`${plain}/blue`, `${plain}/green`]);
});
const rule = async (slot, reroutePercentage) => ({ name: slot, reroutePercentage,
  actionHostName: (await apps.getSlot(group, plain, slot)).defaultHostName });
test('Premium: a share of the calls goes to a slot, and back', async () => {
  const after = await apps.updateConfiguration(group, plain, { experiments: { rampUpRules: [await rule('blue', 12.5)] } });
  assert.equal(after.experiments.rampUpRules[0].reroutePercentage, 12.5);
  const back = await apps.updateConfiguration(group, plain, { experiments: { rampUpRules: [] } });
  assert.equal(back.experiments.rampUpRules.length, 0);
});
test('Premium: more than all calls are refused', async () => assert.rejects(apps.updateConfiguration(group, plain,
  { experiments: { rampUpRules: [await rule('blue', 60), await rule('green', 60)] } }), refused(400)));
test('Premium: a host that is no slot is refused', async () => assert.rejects(apps.updateConfiguration(group, plain,
  { experiments: { rampUpRules: [{ ...await rule('blue', 5), actionHostName: 'elsewhere.example' }] } }), refused(400)));
test('Premium: a slot that goes takes its share along', async () => {
  await apps.updateConfiguration(group, plain, { experiments: { rampUpRules: [await rule('green', 10)] } });
  await apps.deleteSlot(group, plain, 'green');
  assert.equal((await apps.getConfiguration(group, plain)).experiments.rampUpRules.length, 0);
  await assert.rejects(apps.getSlot(group, plain, 'green'), refused(404));
});

// The client's own type expects them below `properties`, where the service does not put them: so the answer itself is read.
test('a function has keys of its own', async () => {
  let body;
  await apps.listFunctionKeys(group, plain, plain, { onResponse: (answer) => { body = answer.bodyAsText ?? answer.body; } });
  assert.ok((typeof body === 'string' ? JSON.parse(body) : body).default);
  await assert.rejects(apps.listFunctionKeys(group, plain, 'no-such'), refused(404));
});
const called = Date.now();
test('is called, and metrics count it', async () => {
  const site = await apps.get(group, other);
  const keys = await apps.listHostKeys(group, other);
  for (let i = 0; i < 3; i++)
    await callHost(endpoint, site.defaultHostName, `/api/${other}`, { 'x-functions-key': keys.functionKeys.default }, '{}');
  const monitor = new MonitorClient(credential, account.subscription_id, { endpoint, $host: endpoint, ...once });
  const timespan = `${new Date(called - 600000).toISOString()}/${new Date(called + 3600000).toISOString()}`;
  const answer = await monitor.metrics.list(site.id.slice(1),
    { metricnames: 'FunctionExecutionCount', timespan, interval: 'PT1M', aggregation: 'Total' });
  const total = answer.value[0].timeseries[0].data.reduce((sum, point) => sum + (point.total ?? 0), 0);
  assert.equal(total, 3);
  await assert.rejects(monitor.metrics.list(site.id.slice(1), { metricnames: 'NoSuchMetric', timespan, interval: 'PT1M',
    aggregation: 'Total' }), refused(400));
});
const logs = (login) => new LogsQueryClient(login, { endpoint: `${endpoint}/v1`, ...once });
test('logs tell the calls', async () => {
  const answer = await logs(credential).queryWorkspace(account.workspace,
    `AppRequests | where AppRoleName == "${other}" | project TimeGenerated, DurationMs, Success`, { duration: 'PT1H' });
  assert.equal(answer.tables[0].rows.length, 3);
});
test('a query that cannot be read is refused', async () =>
  assert.rejects(logs(credential).queryWorkspace(account.workspace, 'AppRequests | frobnicate', { duration: 'PT1H' }), refused(400)));
test("another's workspace is refused", async () => assert.rejects(
  logs(credential).queryWorkspace(ready.azure.accounts[0].workspace, 'AppRequests', { duration: 'PT1H' }), refused(403)));
const holding = (token) => ({ getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3600000 }) });
test('a token for ARM reads no logs, and one for logs changes nothing', async () => {
  const arm = (await credential.getToken('https://management.azure.com/.default')).token;
  await assert.rejects(logs(holding(arm)).queryWorkspace(account.workspace, 'AppRequests', { duration: 'PT1H' }), refused(401));
  const { token } = await credential.getToken('https://api.loganalytics.io/.default');
  const wrong = new WebSiteManagementClient(holding(token), account.subscription_id, { endpoint, ...once });
  await assert.rejects(wrong.webApps.updateConfiguration(group, plain, { functionAppScaleLimit: 1 }),
    refused(401, 'InvalidAuthenticationTokenAudience'));
});
test('the subscription names itself', async () => {
  const { token } = await credential.getToken('https://management.azure.com/.default');
  const get = (id) => fetch(`${endpoint}/subscriptions/${id}?api-version=2022-12-01`, { headers: { authorization: `Bearer ${token}` } });
  const answer = await get(account.subscription_id);
  assert.ok(Math.abs(Date.parse(answer.headers.get('date')) - Date.now()) < 5000);
  assert.equal((await answer.json()).displayName, account.name);
  assert.equal((await get(ready.azure.accounts[0].subscription_id)).status, 403);
});
test('a change of an app that is not there is 404', async () =>
  assert.rejects(apps.updateConfiguration(group, 'no-such', { functionAppScaleLimit: 5 }), refused(404)));

// Last: it uses up the account's writes.
test('too many writes are throttled, and Retry-After is worth waiting for', async () => {
  const change = (i) => apps.updateConfiguration(group, plain, { functionAppScaleLimit: 1 + (i % 50) });
  const results = await Promise.allSettled(Array.from({ length: 400 }, (_, i) => change(i)));
  const throttled = results.filter((r) => r.status === 'rejected').map((r) => r.reason);
  assert.ok(throttled.length > 0 && throttled.every(refused(429)));
  assert.equal(throttled[0].response.headers.get('retry-after'), '1');
  const patient = new WebSiteManagementClient(credential, account.subscription_id, { endpoint });
  assert.equal((await patient.webApps.updateConfiguration(group, plain, { functionAppScaleLimit: 8 })).functionAppScaleLimit, 8);
});
