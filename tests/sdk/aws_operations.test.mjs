// AWS's own clients for JavaScript perform the operations that Vane uses, one check a step, in the second account.
import assert from 'node:assert/strict';
import test from 'node:test';
import * as cw from '@aws-sdk/client-cloudwatch';
import * as logs from '@aws-sdk/client-cloudwatch-logs';
import * as l from '@aws-sdk/client-lambda';
import * as pricing from '@aws-sdk/client-pricing';
import * as sts from '@aws-sdk/client-sts';
import { ready } from './helper.mjs';

const account = ready.aws.accounts[1];
const options = (change = {}) => ({
  endpoint: ready.aws.endpoint, region: account.region, maxAttempts: 1,
  credentials: { accessKeyId: account.access_key_id, secretAccessKey: account.secret_access_key }, ...change,
});
const lambda = new l.LambdaClient(options());
const send = (Command, input, client = lambda) => client.send(new Command(input));
const refused = (call, name, status) =>
  assert.rejects(call, (e) => (assert.equal(e.name, name), assert.equal(e.$metadata.httpStatusCode, status), true));
const settle = (FunctionName) =>
  l.waitUntilFunctionUpdatedV2({ client: lambda, maxWaitTime: 30, minDelay: 1, maxDelay: 1 }, { FunctionName });

test('versions and aliases', async (t) => {
  const FunctionName = 'fn-20';
  let alias;
  await t.test('publishes a version', async () =>
    assert.equal((await send(l.PublishVersionCommand, { FunctionName })).Version, '1'));
  await t.test('publishes none while a change is under way', async () => {
    await send(l.UpdateFunctionConfigurationCommand, { FunctionName, MemorySize: 900 });
    await refused(send(l.PublishVersionCommand, { FunctionName }), 'ResourceConflictException', 409);
    await settle(FunctionName);
  });
  await t.test('publishes the next', async () =>
    assert.equal((await send(l.PublishVersionCommand, { FunctionName })).Version, '2'));
  await t.test('lists versions by pages', async () => {
    const seen = [];
    for await (const page of l.paginateListVersionsByFunction({ client: lambda, pageSize: 2 }, { FunctionName }))
      seen.push(page.Versions.map((v) => v.Version));
    assert.deepEqual(seen, [['$LATEST', '1'], ['2']]);
  });
  await t.test('makes an alias', async () => {
    alias = await send(l.CreateAliasCommand, { FunctionName, Name: 'live', FunctionVersion: '1' });
    assert.match(alias.AliasArn, /:fn-20:live$/);
  });
  await t.test('makes none twice', () => refused(
    send(l.CreateAliasCommand, { FunctionName, Name: 'live', FunctionVersion: '1' }), 'ResourceConflictException', 409));
  await t.test('moves a weight under the revision', async () => {
    const RoutingConfig = { AdditionalVersionWeights: { 2: 0.5 } };
    const moved = await send(l.UpdateAliasCommand, { FunctionName, Name: 'live', RoutingConfig, RevisionId: alias.RevisionId });
    assert.deepEqual(moved.RoutingConfig.AdditionalVersionWeights, { 2: 0.5 });
    assert.notEqual(moved.RevisionId, alias.RevisionId);
  });
  await t.test('refuses a stale revision', () => refused(
    send(l.UpdateAliasCommand, { FunctionName, Name: 'live', FunctionVersion: '2', RevisionId: alias.RevisionId }),
    'PreconditionFailedException', 412));
  await t.test('refuses a third version', () => refused(
    send(l.UpdateAliasCommand,
      { FunctionName, Name: 'live', RoutingConfig: { AdditionalVersionWeights: { 2: 0.1, 3: 0.1 } } }),
    'InvalidParameterValueException', 400));
  await t.test('calls run either version', async () => {
    const ran = new Set();
    for (let i = 0; i < 40; i++)
      ran.add((await send(l.InvokeCommand, { FunctionName, Qualifier: 'live', Payload: '{}' })).ExecutedVersion);
    assert.deepEqual([...ran].sort(), ['1', '2']);
  });
  await t.test('reads and lists the alias', async () => {
    assert.equal((await send(l.GetAliasCommand, { FunctionName, Name: 'live' })).FunctionVersion, '1');
    assert.equal((await send(l.ListAliasesCommand, { FunctionName })).Aliases.length, 1);
  });
  await t.test('knows no other alias', () => refused(
    send(l.GetAliasCommand, { FunctionName, Name: 'none' }), 'ResourceNotFoundException', 404));
});

test('concurrency', async (t) => {
  const FunctionName = 'fn-20'; // with the versions of the test before
  const warm = { FunctionName, Qualifier: 'live' };
  await t.test('reserves', async () =>
    assert.equal((await send(l.PutFunctionConcurrencyCommand, { FunctionName, ReservedConcurrentExecutions: 5 }))
      .ReservedConcurrentExecutions, 5));
  await t.test('reads it in both places', async () => {
    assert.equal((await send(l.GetFunctionConcurrencyCommand, { FunctionName })).ReservedConcurrentExecutions, 5);
    assert.equal((await send(l.GetFunctionCommand, { FunctionName })).Concurrency.ReservedConcurrentExecutions, 5);
  });
  await t.test('leaves the account a hundred', async () => {
    const { AccountLimit } = await send(l.GetAccountSettingsCommand, {});
    assert.equal(AccountLimit.ConcurrentExecutions - AccountLimit.UnreservedConcurrentExecutions, 5);
    await refused(send(l.PutFunctionConcurrencyCommand,
      { FunctionName, ReservedConcurrentExecutions: AccountLimit.ConcurrentExecutions - 99 }), 'InvalidParameterValueException', 400);
  });
  await t.test('provisions no more than reserved', () => refused(
    send(l.PutProvisionedConcurrencyConfigCommand, { ...warm, ProvisionedConcurrentExecutions: 6 }),
    'InvalidParameterValueException', 400));
  await t.test('provisions, and is ready in the end', async () => {
    const put = await send(l.PutProvisionedConcurrencyConfigCommand, { ...warm, ProvisionedConcurrentExecutions: 2 });
    assert.equal(put.Status, 'IN_PROGRESS');
    let got = put;
    for (let i = 0; i < 50 && got.Status !== 'READY'; i++)
      got = await send(l.GetProvisionedConcurrencyConfigCommand, warm);
    assert.equal(got.AllocatedProvisionedConcurrentExecutions, 2);
  });
  await t.test('lists it', async () =>
    assert.equal((await send(l.ListProvisionedConcurrencyConfigsCommand, { FunctionName })).ProvisionedConcurrencyConfigs.length, 1));
  await t.test('takes it away', async () => {
    await send(l.DeleteProvisionedConcurrencyConfigCommand, warm);
    await refused(send(l.GetProvisionedConcurrencyConfigCommand, warm), 'ProvisionedConcurrencyConfigNotFoundException', 404);
  });
  await t.test('provisions nothing on $LATEST', () => refused(
    send(l.PutProvisionedConcurrencyConfigCommand, { FunctionName, Qualifier: '$LATEST', ProvisionedConcurrentExecutions: 1 }),
    'InvalidParameterValueException', 400));
  await t.test('stops a function, with reason and Retry-After', async () => {
    await send(l.PutFunctionConcurrencyCommand, { FunctionName, ReservedConcurrentExecutions: 0 });
    await assert.rejects(send(l.InvokeCommand, { FunctionName }), (e) =>
      e.name === 'TooManyRequestsException' && e.$metadata.httpStatusCode === 429 && e.retryAfterSeconds === '1' &&
      e.Reason === 'ReservedFunctionConcurrentInvocationLimitExceeded');
  });
  await t.test('gives it back', async () => {
    await send(l.DeleteFunctionConcurrencyCommand, { FunctionName });
    assert.equal((await send(l.GetFunctionConcurrencyCommand, { FunctionName })).ReservedConcurrentExecutions, undefined);
  });
});

test('telemetry, prices and identity', async (t) => {
  const FunctionName = 'fn-21';
  const StartTime = new Date(Date.now() - 600e3), EndTime = new Date(Date.now() + 120e3);
  for (let i = 0; i < 3; i++)
    await send(l.InvokeCommand, { FunctionName, Payload: '{}' });
  await t.test('metrics count calls', async () => {
    const Metric = { Namespace: 'AWS/Lambda', MetricName: 'Invocations', Dimensions: [{ Name: 'FunctionName', Value: FunctionName }] };
    const got = await send(cw.GetMetricDataCommand,
      { StartTime, EndTime, MetricDataQueries: [{ Id: 'calls', MetricStat: { Metric, Period: 60, Stat: 'Sum' } }] },
      new cw.CloudWatchClient(options()));
    assert.equal(got.MetricDataResults[0].Values.reduce((a, b) => a + b, 0), 3);
  });
  await t.test('logs come over an empty page', async () => {
    const client = new logs.CloudWatchLogsClient(options());
    const pages = [];
    for await (const page of logs.paginateFilterLogEvents({ client },
      { logGroupName: `/aws/lambda/${FunctionName}`, filterPattern: 'REPORT', startTime: StartTime.getTime() }))
      pages.push(page.events.length);
    assert.deepEqual(pages, [0, 3]);
  });
  await t.test('knows no other log group', () => refused(
    send(logs.FilterLogEventsCommand, { logGroupName: '/aws/lambda/none' }, new logs.CloudWatchLogsClient(options())),
    'ResourceNotFoundException', 400));
  await t.test('prices have tiers', async () => {
    const got = await send(pricing.GetProductsCommand,
      { ServiceCode: 'AWSLambda', Filters: [{ Type: 'TERM_MATCH', Field: 'regionCode', Value: account.region }] },
      new pricing.PricingClient(options({ region: 'us-east-1' })));
    assert.equal(got.PriceList.length, 2);
    assert.match(String(got.PriceList[1]), /"Inf"/);
  });
  const tokens = new sts.STSClient(options());
  const RoleArn = `arn:aws:iam::${account.account_id}:role/vane-agent`;
  await t.test('says who calls', async () =>
    assert.equal((await send(sts.GetCallerIdentityCommand, {}, tokens)).Account, account.account_id));
  await t.test('a role gives keys that work', async () => {
    const { Credentials: c } = await send(sts.AssumeRoleCommand, { RoleArn, RoleSessionName: 'judge' }, tokens);
    const credentials = { accessKeyId: c.AccessKeyId, secretAccessKey: c.SecretAccessKey, sessionToken: c.SessionToken };
    const got = await send(l.GetFunctionCommand, { FunctionName }, new l.LambdaClient(options({ credentials })));
    assert.equal(got.Configuration.FunctionName, FunctionName);
  });
  await t.test('not without its external id', () => refused(
    send(sts.AssumeRoleCommand, { RoleArn: `${RoleArn}-by-id`, RoleSessionName: 'judge' }, tokens), 'AccessDenied', 403));
});
