// Azure's own managed identity credential on vane-sim, as inside App Service.
import assert from 'node:assert/strict';
import test from 'node:test';
import { WebSiteManagementClient } from '@azure/arm-appservice';
import { ManagedIdentityCredential } from '@azure/identity';
import { ready } from './helper.mjs';
import { identity } from './identity.mjs';

const account = ready.azure.accounts[0];
const at = `${identity.endpoint}/msi/token`;

test('an app has a token for its identity header, and for no other', async () => {
  Object.assign(process.env, { IDENTITY_ENDPOINT: at, IDENTITY_HEADER: identity.secret });
  const client = new WebSiteManagementClient(new ManagedIdentityCredential(), account.subscription_id,
    { endpoint: ready.azure.endpoint, retryOptions: { maxRetries: 0 } });
  assert.equal((await client.webApps.get(account.resource_group, 'fn-00')).name, 'fn-00');
  const get = (header, version = '2019-08-01') => fetch(`${at}?api-version=${version}&resource=https://management.azure.com`,
    { headers: { 'x-identity-header': header } });
  const body = await (await get(identity.secret)).json();
  assert.equal(body.expires_in, undefined);
  assert.equal(typeof body.expires_on, 'string');
  assert.equal((await get('wrong')).status, 401);
  assert.equal((await get(identity.secret, '2017-09-01')).status, 400);
});
