// AWS's own client invokes a function that really runs, in the Functions Framework; real/run.py starts both.
import assert from 'node:assert/strict';
import test from 'node:test';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { control, ready } from './helper.mjs';

const account = ready.aws.accounts[0];
const client = new LambdaClient({
  endpoint: ready.aws.endpoint, region: account.region, maxAttempts: 1,
  credentials: { accessKeyId: account.access_key_id, secretAccessKey: account.secret_access_key },
});
const invoke = (body) => client.send(new InvokeCommand({
  FunctionName: 'fn-00', Payload: Buffer.from(JSON.stringify(body)), LogType: 'Tail',
}));
const text = (answer) => JSON.parse(Buffer.from(answer.Payload).toString());

test('the payload is computed with, and the answer is the function\'s own', async () => {
  const answer = await invoke({ name: 'Ada', numbers: [1, 2, 39] });
  assert.equal(answer.StatusCode, 200);
  assert.deepEqual(text(answer), { hello: 'Ada', sum: 42 });
  assert.equal(answer.FunctionError, undefined);
  assert.match(Buffer.from(answer.LogResult, 'base64').toString(), /Billed Duration: [1-9]\d* ms/);
});

test('a function that fails is a function error, with what it said', async () => {
  const answer = await invoke({ fail: true });
  assert.equal(answer.FunctionError, 'Unhandled');
  assert.deepEqual(text(answer), { broken: true });
});

test('both are in the ledger, one of them failed', async () => {
  const { body } = await control('/control/ledger');
  assert.equal(body.accounts['aws-a'].invocations, 2);
  assert.equal(body.accounts['aws-a'].failed, 1);
});
