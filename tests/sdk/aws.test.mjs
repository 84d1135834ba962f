// AWS's own Lambda client lists, changes and invokes functions on vane-sim; bad signatures get AWS's errors.
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  GetFunctionConfigurationCommand, InvokeCommand, LambdaClient, paginateListFunctions, UpdateFunctionConfigurationCommand,
  waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';
import { fromIni } from '@aws-sdk/credential-provider-ini';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { control, ready } from './helper.mjs';

const account = ready.aws.accounts[0];
const client = (change = {}) => new LambdaClient({
  endpoint: ready.aws.endpoint, region: account.region, maxAttempts: 1,
  credentials: { accessKeyId: account.access_key_id, secretAccessKey: account.secret_access_key, ...change },
});

test('lists every function, a page at a time', async () => {
  const names = [];
  let pages = 0;
  for await (const page of paginateListFunctions({ client: client(), pageSize: 15 }, {})) {
    pages++;
    for (const f of page.Functions) {
      names.push(f.FunctionName);
      assert.ok(f.MemorySize >= 128 && f.FunctionArn.includes(account.account_id));
      assert.equal(f.LastUpdateStatus, undefined); // a list does not tell
    }
  }
  assert.equal(pages, 3);
  assert.equal(names.length, 40);
  assert.equal(new Set(names).size, 40);
});

test('changes memory under its revision, and refuses a stale one', async () => {
  const lambda = client();
  const FunctionName = 'fn-03';
  const before = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName }));
  const MemorySize = before.MemorySize === 640 ? 641 : 640;
  const changed = await lambda.send(
    new UpdateFunctionConfigurationCommand({ FunctionName, MemorySize, RevisionId: before.RevisionId }));
  assert.equal(changed.LastUpdateStatus, 'InProgress');
  await assert.rejects(lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, MemorySize: 700 })),
    { name: 'ResourceConflictException' });
  await waitUntilFunctionUpdatedV2({ client: lambda, maxWaitTime: 30, minDelay: 1, maxDelay: 1 }, { FunctionName });
  const after = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName }));
  assert.equal(after.MemorySize, MemorySize);
  await assert.rejects(
    lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, MemorySize: 512, RevisionId: before.RevisionId })),
    { name: 'PreconditionFailedException' });
  await assert.rejects(lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, MemorySize: 100 })),
    { name: 'InvalidParameterValueException' });
});

test('invokes with a log tail: cold at first, then warm', async () => {
  const lambda = client();
  const send = () => lambda.send(new InvokeCommand({ FunctionName: 'fn-05', Payload: '{"a":1}', LogType: 'Tail' }));
  const cold = await send();
  assert.equal(cold.StatusCode, 200);
  assert.equal(cold.FunctionError, undefined);
  assert.equal(JSON.parse(Buffer.from(cold.Payload).toString()).ok, true);
  const log = Buffer.from(cold.LogResult, 'base64').toString();
  assert.match(log, /REPORT RequestId: \S+\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: \d+ MB\tMax Memory Used: \d+ MB\tInit Duration: [\d.]+ ms\t/);
  const warm = await new Promise((wake) => setTimeout(wake, 1500)).then(send);
  assert.doesNotMatch(Buffer.from(warm.LogResult, 'base64').toString(), /Init Duration/);
});

test('answers events with 202, dry runs with 204, unknown functions with 404', async () => {
  const lambda = client();
  const type = (InvocationType) => lambda.send(new InvokeCommand({ FunctionName: 'fn-06', InvocationType, Payload: '{}' }));
  assert.equal((await type('Event')).StatusCode, 202);
  assert.equal((await type('DryRun')).StatusCode, 204);
  await assert.rejects(lambda.send(new InvokeCommand({ FunctionName: 'no-such', Payload: '{}' })),
    { name: 'ResourceNotFoundException' });
});

test('takes an ARN with its colons as a name', async () => {
  const FunctionName = `arn:aws:lambda:${account.region}:${account.account_id}:function:fn-07`;
  const got = await client().send(new GetFunctionConfigurationCommand({ FunctionName }));
  assert.equal(got.FunctionName, 'fn-07');
});

test('a wrong secret, an unknown key and a wrong region are refused', async () => {
  const get = new GetFunctionConfigurationCommand({ FunctionName: 'fn-00' });
  await assert.rejects(client({ secretAccessKey: 'wrong' }).send(get), (e) =>
    e.name === 'InvalidSignatureException' && e.$metadata.httpStatusCode === 403);
  await assert.rejects(client({ accessKeyId: 'AKIAUNKNOWN000000000' }).send(get), (e) =>
    e.name === 'UnrecognizedClientException' && e.$metadata.httpStatusCode === 403);
  const elsewhere = new LambdaClient({
    endpoint: ready.aws.endpoint, region: 'eu-west-1', maxAttempts: 1,
    credentials: { accessKeyId: account.access_key_id, secretAccessKey: account.secret_access_key },
  });
  await assert.rejects(elsewhere.send(get), { name: 'InvalidSignatureException' });
});

test('an old request is refused', async () => {
  const old = client();
  old.config.systemClockOffset = -3600 * 1000;
  await assert.rejects(old.send(new GetFunctionConfigurationCommand({ FunctionName: 'fn-00' })), (e) =>
    e.name === 'InvalidSignatureException' && /expired/.test(e.message));
});

test('the ledger has counted and priced what was invoked', async () => {
  const { status, body } = await control('/control/ledger');
  assert.equal(status, 200);
  assert.ok(body.accounts['aws-a'].invocations >= 3 && body.accounts['aws-a'].cost_usd > 0);
  assert.equal((await control('/control/hidden')).status, 403);
});

test('a profile assumes a role in another account, and that one a role in turn', async () => {
  const [own, other] = ready.aws.accounts;
  const files = mkdtempSync(path.join(tmpdir(), 'vane-sdk-'));
  const at = (name) => path.join(files, name);
  const role = (id, name) => `role_arn = arn:aws:iam::${id}:role/${name}`;
  writeFileSync(at('credentials'),
    `[base]\naws_access_key_id = ${own.access_key_id}\naws_secret_access_key = ${own.secret_access_key}\n`);
  writeFileSync(at('config'),
    `[profile near]\n${role(own.account_id, 'vane-agent')}\nsource_profile = base\n` +
    `[profile far]\n${role(other.account_id, 'vane-agent-by-id')}\nsource_profile = near\nexternal_id = vane-sim\n` +
    `[profile denied]\n${role(other.account_id, 'vane-agent-by-id')}\nsource_profile = base\n`);
  const as = (profile, region) => new LambdaClient({
    endpoint: ready.aws.endpoint, region, maxAttempts: 1,
    credentials: fromIni({
      profile, filepath: at('credentials'), configFilepath: at('config'),
      clientConfig: { endpoint: ready.aws.endpoint, region: own.region },
    }),
  });
  const one = await as('far', other.region).send(new GetFunctionConfigurationCommand({ FunctionName: 'fn-00' }));
  assert.ok(one.FunctionArn.includes(other.account_id));
  await assert.rejects(as('denied', other.region).send(new GetFunctionConfigurationCommand({ FunctionName: 'fn-00' })),
    { name: 'AccessDenied' });
});
