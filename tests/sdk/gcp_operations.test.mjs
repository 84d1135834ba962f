// Google's own clients change instances, concurrency and the shares of revisions on vane-sim, and read metrics; what is stale,
// foreign, expired, too much or too often is refused. On the second project, so that gcp.test.mjs may run beside it.
import assert from 'node:assert/strict';
import { createSign } from 'node:crypto';
import { createRequire } from 'node:module';
import test from 'node:test';
import { callHost, ready } from './helper.mjs';

// Their ES modules lack the named exports of their CommonJS ones.
const require = createRequire(import.meta.url);
const { v2: { FunctionServiceClient } } = require('@google-cloud/functions');
const { v2: { RevisionsClient, ServicesClient } } = require('@google-cloud/run');
const { MetricServiceClient } = require('@google-cloud/monitoring');
const account = ready.gcp.accounts[1];
const endpoint = ready.gcp.endpoint;
const key = JSON.parse(account.key_json);
const options = { credentials: key, projectId: account.project_id, apiEndpoint: 'localhost',
  port: Number(new URL(endpoint).port), protocol: 'https', fallback: 'rest' };
const functions = new FunctionServiceClient(options);
const services = new ServicesClient(options);
const revisions = new RevisionsClient(options);
const at = `projects/${account.project_id}/locations/${account.region}`;
const nameOf = (f) => `${at}/functions/${f}`;
const serviceOf = (f) => `${at}/services/${f}`;
const get = async (f) => (await functions.getFunction({ name: nameOf(f) }))[0];
const status = (name) => (e) => e.message.includes(name);
const patch = async (f, serviceConfig, ...paths) => functions.updateFunction({
  function: { name: nameOf(f), serviceConfig }, updateMask: { paths: paths.map((p) => `service_config.${p}`) } });
const change = async (...args) => (await (await patch(...args))[0].promise())[0].serviceConfig;
const [listed] = await functions.listFunctions({ parent: `projects/${account.project_id}/locations/-` });
const whole = listed.find((f) => Number(f.serviceConfig.availableCpu) >= 1).name.split('/').pop();
const small = listed.find((f) => Number(f.serviceConfig.availableCpu) < 1).name.split('/').pop();
const LATEST = 'TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST', REVISION = 'TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION';

test('lists over pages', async () => {
  const [page, next] = await functions.listFunctions({ parent: `projects/${account.project_id}/locations/-`, pageSize: 7 },
    { autoPaginate: false });
  assert.equal(page.length, 7);
  assert.ok(next.pageToken);
  assert.equal(listed.length, 40);
});
test('lists nothing in a location without functions', async () => {
  const [list] = await functions.listFunctions({ parent: `projects/${account.project_id}/locations/nowhere-1` });
  assert.equal(list.length, 0);
});

test('the most instances', async () => assert.equal(
  (await change('fn-05', { maxInstanceCount: 9 }, 'max_instance_count')).maxInstanceCount, 9));
test('instances kept ready, there and back', async () => {
  assert.equal((await change('fn-05', { minInstanceCount: 2 }, 'min_instance_count')).minInstanceCount, 2);
  assert.equal((await change('fn-05', { minInstanceCount: 0 }, 'min_instance_count')).minInstanceCount, 0);
});
test('requests at once', async () => assert.equal((await change(whole, { maxInstanceRequestConcurrency: 20 },
  'max_instance_request_concurrency')).maxInstanceRequestConcurrency, 20));
test('requests at once need a whole CPU', async () => assert.rejects(
  patch(small, { maxInstanceRequestConcurrency: 20 }, 'max_instance_request_concurrency'), status('concurrency > 1')));
test('two fields by one mask, and the others stay', async () => {
  const config = await change('fn-05', { minInstanceCount: 1, maxInstanceCount: 4, timeoutSeconds: 1 },
    'min_instance_count', 'max_instance_count');
  assert.deepEqual([config.minInstanceCount, config.maxInstanceCount], [1, 4]);
  assert.notEqual(config.timeoutSeconds, 1);
});
test('what the mask names and the body lacks gets its default', async () =>
  assert.equal((await change('fn-05', {}, 'max_instance_count')).maxInstanceCount, 100));
test('updateTime moves with a change', async () => {
  const before = await get('fn-06');
  await change('fn-06', { maxInstanceCount: 3 }, 'max_instance_count');
  const after = await get('fn-06');
  const time = (t) => Number(t.seconds) * 1e9 + t.nanos;
  assert.ok(time(after.updateTime) > time(before.updateTime));
});
test('more kept ready than there may be are refused', async () =>
  assert.rejects(patch('fn-06', { minInstanceCount: 4 }, 'min_instance_count'), status('INVALID_ARGUMENT')));
test('a count that is no count is refused', async () =>
  assert.rejects(patch('fn-06', { maxInstanceCount: -1 }, 'max_instance_count'), status('INVALID_ARGUMENT')));
test('a field that is not there is refused', async () =>
  assert.rejects(patch('fn-06', { maxInstanceCount: 4 }, 'no_such_field'), status('INVALID_ARGUMENT')));
test('a change of what is not there is refused', async () =>
  assert.rejects(patch('no-such', { maxInstanceCount: 4 }, 'max_instance_count'), status('NOT_FOUND')));
test('a change while another runs is a conflict', async () => {
  const [first] = await patch('fn-07', { maxInstanceCount: 5 }, 'max_instance_count');
  assert.equal((await get('fn-07')).state, 'DEPLOYING');
  await assert.rejects(patch('fn-07', { maxInstanceCount: 6 }, 'max_instance_count'), status('ABORTED'));
  await first.promise();
  assert.equal((await get('fn-07')).state, 'ACTIVE');
});
test('an operation is found by its name, and no other is', async () => {
  const [, operation] = await patch('fn-08', { maxInstanceCount: 5 }, 'max_instance_count');
  const found = await functions.checkUpdateFunctionProgress(operation.name);
  assert.equal(found.name, operation.name);
  await assert.rejects(functions.checkUpdateFunctionProgress(`${at}/operations/none`), status('NOT_FOUND'));
  await found.promise();
});

// --- Cloud Run ---

const service = async (f) => (await services.getService({ name: serviceOf(f) }))[0];
const divide = async (f, traffic, etag) => services.updateService({ service: { name: serviceOf(f), traffic, etag },
  updateMask: { paths: ['traffic'] } });
const short = (name) => name.split('/').pop();

test('a function names its service', async () => assert.equal((await get('fn-09')).serviceConfig.service, serviceOf('fn-09')));
test('services are listed in one location, and not in all', async () => {
  const [list] = await services.listServices({ parent: at });
  assert.equal(list.length, 40);
  await assert.rejects(services.listServices({ parent: `projects/${account.project_id}/locations/-` }), status('INVALID_ARGUMENT'));
});
test('a service gives all to the latest at first', async () => {
  const got = await service('fn-09');
  assert.deepEqual([got.traffic.length, got.traffic[0].type, got.traffic[0].percent], [1, LATEST, 100]);
  assert.ok(got.etag && short(got.latestReadyRevision) === short(got.latestCreatedRevision));
});
test('each change makes a revision, newest first', async () => {
  const [before] = await revisions.listRevisions({ parent: serviceOf('fn-09') });
  await change('fn-09', { maxInstanceCount: 5 }, 'max_instance_count');
  const [after] = await revisions.listRevisions({ parent: serviceOf('fn-09') });
  assert.equal(after.length, before.length + 1);
  assert.equal(after[1].name, before[0].name);
});
test('revisions are listed over pages', async () => {
  const [page, next] = await revisions.listRevisions({ parent: serviceOf('fn-09'), pageSize: 1 }, { autoPaginate: false });
  assert.equal(page.length, 1);
  assert.ok(next.pageToken);
});
test('one revision is read, and none that is not there', async () => {
  const [[newest]] = await revisions.listRevisions({ parent: serviceOf('fn-09') });
  assert.equal((await revisions.getRevision({ name: newest.name }))[0].name, newest.name);
  await assert.rejects(revisions.getRevision({ name: `${serviceOf('fn-09')}/revisions/none` }), status('NOT_FOUND'));
});
let stale;
test('a share goes to an older revision by a long-running operation', async () => {
  const before = await service('fn-09');
  const [list] = await revisions.listRevisions({ parent: serviceOf('fn-09') });
  const [operation] = await divide('fn-09', [{ type: LATEST, percent: 90 },
    { type: REVISION, revision: short(list.at(-1).name), percent: 10, tag: 'old' }], before.etag);
  const [after] = await operation.promise();
  assert.deepEqual(after.traffic.map((t) => t.percent), [90, 10]);
  assert.equal(after.trafficStatuses[1].tag, 'old');
  assert.notEqual(after.etag, before.etag);
  assert.equal((await get('fn-09')).serviceConfig.allTrafficOnLatestRevision, false);
  stale = before.etag;
});
test('a stale etag is a conflict, and changes nothing', async () => {
  await assert.rejects(divide('fn-09', [{ type: LATEST, percent: 100 }], stale), status('ABORTED'));
  assert.equal((await service('fn-09')).traffic.length, 2);
});
test('shares that do not make all are refused', async () => assert.rejects(
  divide('fn-09', [{ type: LATEST, percent: 90 }], (await service('fn-09')).etag), status('INVALID_ARGUMENT')));
test('a revision that is not there is refused', async () => assert.rejects(
  divide('fn-09', [{ type: REVISION, revision: 'none', percent: 100 }]), status('INVALID_ARGUMENT')));
test('the share goes back', async () => {
  const [operation] = await divide('fn-09', [{ type: LATEST, percent: 100 }], (await service('fn-09')).etag);
  assert.equal((await operation.promise())[0].traffic.length, 1);
});
test('other fields of a service are the function\'s, and refused', async () => assert.rejects(services.updateService({
  service: { name: serviceOf('fn-09') }, updateMask: { paths: ['template.scaling'] } }), status('INVALID_ARGUMENT')));
test('a service that is not there is refused', async () => assert.rejects(service('no-such'), status('NOT_FOUND')));

// --- calls, metrics, credentials ---

function sign(claims) {
  const text = [{ alg: 'RS256', typ: 'JWT' }, claims].map((p) => Buffer.from(JSON.stringify(p)).toString('base64url')).join('.');
  return `${text}.${createSign('RSA-SHA256').update(text).sign(key.private_key, 'base64url')}`;
}
const now = () => Math.floor(Date.now() / 1000);
const self = (claims) => sign({ iss: key.client_email, sub: key.client_email, iat: now(), exp: now() + 3600, ...claims });
const raw = (token, path = `/v2/${at}/functions?pageSize=1`) => fetch(endpoint + path, { headers: { authorization: `Bearer ${token}` } });
async function idToken(audience) {
  const assertion = self({ aud: key.token_uri, target_audience: audience });
  const answer = await fetch(key.token_uri, { method: 'POST', body: new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }) });
  return (await answer.json()).id_token;
}

test('is called, and metrics count it', async () => {
  const { uri } = (await get('fn-10')).serviceConfig;
  const token = await idToken(uri);
  for (let i = 0; i < 3; i++)
    assert.equal((await callHost(endpoint, new URL(uri).hostname, '/', { authorization: `Bearer ${token}` }, '{}')).status, 200);
  const [series] = await new MetricServiceClient(options).listTimeSeries({ name: `projects/${account.project_id}`,
    filter: 'metric.type="run.googleapis.com/request_count" AND resource.labels.service_name="fn-10"',
    interval: { startTime: { seconds: now() - 600 }, endTime: { seconds: now() + 3600 } },
    aggregation: { alignmentPeriod: { seconds: 60 }, perSeriesAligner: 'ALIGN_DELTA' }, view: 'FULL' });
  const total = series.flatMap((s) => s.points).reduce((sum, p) => sum + Number(p.value.int64Value), 0);
  assert.equal(total, 3);
});
test('an ID token of another audience calls nothing', async () => {
  const { uri } = (await get('fn-10')).serviceConfig;
  const token = await idToken('https://elsewhere.a.run.app');
  assert.equal((await callHost(endpoint, new URL(uri).hostname, '/', { authorization: `Bearer ${token}` }, '{}')).status, 401);
});
test('one function of one location, as the health call asks, with the clock in Date', async () => {
  const answer = await raw(self({ scope: 'https://www.googleapis.com/auth/cloud-platform' }));
  assert.equal(answer.status, 200);
  assert.ok(Math.abs(Date.parse(answer.headers.get('date')) - Date.now()) < 5000);
  assert.equal((await answer.json()).functions.length, 1);
});
test('an expired token is refused', async () => {
  const answer = await raw(self({ scope: 'https://www.googleapis.com/auth/cloud-platform', iat: now() - 9000, exp: now() - 5400 }));
  assert.equal((await answer.json()).error.status, 'UNAUTHENTICATED');
});
test('a token for the token endpoint, and an ID token, change and read nothing', async () => {
  assert.equal((await raw(self({ aud: 'https://oauth2.googleapis.com/token' }))).status, 401);
  assert.equal((await raw(await idToken('https://cloudfunctions.googleapis.com/'))).status, 401);
});
test("another project's service is refused", async () => {
  const other = ready.gcp.accounts[0];
  await assert.rejects(services.getService({
    name: `projects/${other.project_id}/locations/${other.region}/services/fn-00` }), status('PERMISSION_DENIED'));
});

// Last: it uses up the project's writes.
test('too many writes are throttled, with Retry-After', async () => {
  const results = await Promise.allSettled(Array.from({ length: 250 }, () =>
    patch('fn-06', { maxInstanceCount: -1 }, 'max_instance_count')));
  const throttled = results.map((r) => r.reason).filter(status('RESOURCE_EXHAUSTED'));
  assert.ok(throttled.length > 0 && results.every((r) => r.status === 'rejected'));
  const bearer = self({ scope: 'https://www.googleapis.com/auth/cloud-platform' });
  const answers = await Promise.all(Array.from({ length: 30 }, () => fetch(
    `${endpoint}/v2/${nameOf('fn-06')}?updateMask=serviceConfig.noSuch`,
    { method: 'PATCH', body: '{}', headers: { authorization: `Bearer ${bearer}` } })));
  assert.equal(answers.find((a) => a.status === 429).headers.get('retry-after'), '1');
});
