// AWS's own credential chains on vane-sim: a workload's token, a container's endpoint, the instance metadata service.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { GetFunctionConfigurationCommand, LambdaClient } from '@aws-sdk/client-lambda';
import {
  fromContainerMetadata, fromHttp, fromInstanceMetadata, fromNodeProviderChain, fromTokenFile, fromWebToken,
} from '@aws-sdk/credential-providers';
import { ready } from './helper.mjs';
import { badSubjects, identity } from './identity.mjs';

const [account, other] = ready.aws.accounts;
const AUDIENCE = 'sts.amazonaws.com';
const clientConfig = { endpoint: ready.aws.endpoint, region: account.region, maxAttempts: 1 };
const files = mkdtempSync(path.join(tmpdir(), 'vane-sdk-'));

async function opens(credentials, of = account) {
  const lambda = new LambdaClient({ endpoint: ready.aws.endpoint, region: of.region, maxAttempts: 1, credentials });
  const got = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: 'fn-00' }));
  assert.ok(got.FunctionArn.includes(of.account_id));
}

// Nothing of the machine's own, and only what one test sets.
async function withEnvironment(values, run) {
  const kept = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  Object.assign(process.env, { AWS_SHARED_CREDENTIALS_FILE: path.join(files, 'none'), AWS_CONFIG_FILE: path.join(files, 'none') }, values);
  try {
    await run();
  } finally {
    process.env = kept;
  }
}

test('a workload\'s token file is worth the keys of its role', async () => {
  for (const of of [account, other]) {
    await opens(fromTokenFile({ webIdentityTokenFile: of.web_identity_token_file, roleArn: of.role_arn, clientConfig }), of);
  }
});

test('tokens that are not the issuer\'s, not for AWS or not of now are refused', async () => {
  const names = { expired: 'ExpiredTokenException', early: 'ExpiredTokenException', endless: 'ExpiredTokenException', subject: 'AccessDenied' };
  for (const [what, webIdentityToken] of badSubjects(AUDIENCE)) {
    const keys = fromWebToken({ webIdentityToken, roleArn: account.role_arn, roleSessionName: 'test', clientConfig });
    await assert.rejects(keys(), { name: names[what] ?? 'InvalidIdentityTokenException' }, what);
  }
});

test('a role that is not there, or that asks for an external id, is denied', async () => {
  const webIdentityToken = readFileSync(account.web_identity_token_file, 'utf8').trim();
  for (const roleArn of [`${account.role_arn}-by-id`, 'arn:aws:iam::000000000000:role/vane-agent']) {
    const keys = fromWebToken({ webIdentityToken, roleArn, roleSessionName: 'test', clientConfig });
    await assert.rejects(keys(), { name: 'AccessDenied' });
  }
});

test('a container has keys for its authorization token, and for no other', async () => {
  const awsContainerCredentialsFullUri = `${identity.endpoint}/creds`;
  const tokenFile = path.join(files, 'token');
  writeFileSync(tokenFile, identity.secret);
  await opens(fromHttp({ awsContainerCredentialsFullUri, awsContainerAuthorizationToken: identity.secret, maxRetries: 0 }));
  await opens(fromHttp({ awsContainerCredentialsFullUri, awsContainerAuthorizationTokenFile: tokenFile, maxRetries: 0 }));
  await assert.rejects(fromHttp({ awsContainerCredentialsFullUri, awsContainerAuthorizationToken: 'wrong', maxRetries: 0 })());
  await withEnvironment({ AWS_CONTAINER_CREDENTIALS_FULL_URI: awsContainerCredentialsFullUri, AWS_CONTAINER_AUTHORIZATION_TOKEN: identity.secret },
    () => opens(fromContainerMetadata({ maxRetries: 0 })));
  await withEnvironment({ AWS_CONTAINER_CREDENTIALS_FULL_URI: awsContainerCredentialsFullUri },
    () => assert.rejects(fromContainerMetadata({ maxRetries: 0 })()));
});

test('an instance has keys by version 2 of its metadata service', async () => {
  await withEnvironment({ AWS_EC2_METADATA_SERVICE_ENDPOINT: identity.endpoint },
    () => opens(fromInstanceMetadata({ maxRetries: 0 })));
  const roles = `${identity.endpoint}/latest/meta-data/iam/security-credentials/`;
  const session = (headers) => fetch(`${identity.endpoint}/latest/api/token`, { method: 'PUT', headers });
  assert.equal((await fetch(roles)).status, 401); // version 1
  assert.equal((await fetch(roles, { headers: { 'x-aws-ec2-metadata-token': '9999999999999999-00' } })).status, 401);
  assert.equal((await session({})).status, 400);
  assert.equal((await session({ 'x-aws-ec2-metadata-token-ttl-seconds': '60', 'x-forwarded-for': '1.2.3.4' })).status, 403);
  const token = await (await session({ 'x-aws-ec2-metadata-token-ttl-seconds': '60' })).text();
  assert.equal(await (await fetch(roles, { headers: { 'x-aws-ec2-metadata-token': token } })).text(), 'vane-agent');
});

test('the default chain finds each of them', async () => {
  const chain = () => fromNodeProviderChain({ clientConfig, maxRetries: 0 });
  await withEnvironment({ AWS_WEB_IDENTITY_TOKEN_FILE: account.web_identity_token_file, AWS_ROLE_ARN: account.role_arn }, () => opens(chain()));
  await withEnvironment({ AWS_CONTAINER_CREDENTIALS_FULL_URI: `${identity.endpoint}/creds`, AWS_CONTAINER_AUTHORIZATION_TOKEN: identity.secret },
    () => opens(chain()));
  await withEnvironment({ AWS_EC2_METADATA_SERVICE_ENDPOINT: identity.endpoint }, () => opens(chain()));
});
