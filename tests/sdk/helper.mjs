// What the tests of the three clouds share: the ready file, and requests to a function's own host.
import { readFileSync } from 'node:fs';
import https from 'node:https';

export const ready = JSON.parse(readFileSync(process.env.VANE_SIM_READY, 'utf8'));

// Functions answer on hosts of their own; the simulator stands in for all of them on one port.
export function callHost(endpoint, host, path, headers, body) {
  const { hostname, port } = new URL(endpoint);
  return new Promise((resolve, reject) => {
    const request = https.request(
      { hostname, port, path, method: 'POST', servername: 'localhost', headers: { host, ...headers } },
      (response) => {
        const parts = [];
        response.on('data', (part) => parts.push(part));
        response.on('end', () =>
          resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts).toString() }));
      });
    request.on('error', reject);
    request.end(body);
  });
}

export async function control(path, body) {
  const answer = await fetch(ready.control.endpoint + path, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${ready.control.token}` },
    body: body && JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.json() };
}
