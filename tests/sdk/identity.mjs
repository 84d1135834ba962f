// Tokens of the simulator's own issuer, good ones and those that every cloud must refuse.
import { createHmac, createPublicKey, createSign, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ready } from './helper.mjs';

export const identity = ready.identity;
const issuerKey = readFileSync(identity.issuer_key_file, 'utf8');
const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');

export const now = () => Math.floor(Date.now() / 1000);
export function sign(claims, key, header = {}) {
  const text = `${encode({ alg: 'RS256', typ: 'JWT', ...header })}.${encode(claims)}`;
  return `${text}.${createSign('RSA-SHA256').update(text).sign(key, 'base64url')}`;
}

const claims = (aud, change) => ({ iss: identity.issuer, sub: identity.subject, aud, iat: now(), nbf: now(), exp: now() + 600, ...change });
export const subject = (aud, change = {}) => sign(claims(aud, change), issuerKey, { kid: identity.issuer_key_id });

// [what is wrong, the token]
export function badSubjects(aud) {
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const publicPem = createPublicKey(issuerKey).export({ type: 'spki', format: 'pem' });
  const confused = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims(aud, {}))}`;
  const good = subject(aud);
  return [
    ['audience', subject('api://elsewhere')],
    ['issuer', subject(aud, { iss: 'https://issuer.example' })],
    ['subject', subject(aud, { sub: 'system:serviceaccount:other:agent' })],
    ['expired', subject(aud, { iat: now() - 7200, nbf: now() - 7200, exp: now() - 3600 })],
    ['early', subject(aud, { iat: now() + 3600, nbf: now() + 3600, exp: now() + 7200 })],
    ['endless', subject(aud, { exp: undefined })],
    ['stranger', sign(claims(aud, {}), stranger)],
    ['unsigned', `${encode({ alg: 'none', typ: 'JWT' })}.${encode(claims(aud, {}))}.`],
    ['unsigned with a signature', `${encode({ alg: 'none' })}.${encode(claims(aud, {}))}.${good.split('.')[2]}`],
    ['signed, but labelled as unsigned', sign(claims(aud, {}), issuerKey, { alg: 'none' })],
    ['signed, but labelled otherwise', sign(claims(aud, {}), issuerKey, { alg: 'HS256' })],
    ['the public key as a secret', `${confused}.${createHmac('sha256', publicPem).update(confused).digest('base64url')}`],
    ['no token', 'x'],
  ];
}
