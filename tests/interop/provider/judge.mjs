// Judges requests to a resource by oauth4webapi (`validateJwtAccessToken`): a request on each line, {"method", "url", "headers"},
// and a line of JSON in answer to each.
//
//   node judge.mjs ISSUER AUDIENCE SECONDS
//
// The first line is the issuer's key set. The clock stands still at SECONDS since the epoch.
import { createInterface } from 'node:readline';
import * as oauth from 'oauth4webapi';

// Ed25519 in WebCrypto, which an old Node.js calls an experiment.
process.removeAllListeners('warning');

const [issuer, audience, seconds] = process.argv.slice(2);
Date.now = () => Number(seconds) * 1000;

const server = { issuer, jwks_uri: `${issuer}/jwks` };
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const jwks = JSON.parse((await lines.next()).value);
const options = { [oauth.jwksCache]: { jwks, uat: Number(seconds) }, [oauth.clockTolerance]: 0 };
console.log(JSON.stringify({ ready: true }));

for await (const line of lines) {
  const { method, url, headers } = JSON.parse(line);
  let answer;
  try {
    const { sub } = await oauth.validateJwtAccessToken(server, new Request(url, { method, headers }), audience, options);
    answer = { subject: sub };
  } catch (error) {
    answer = { refused: String(error.code || error.name), why: error.message };
  }
  console.log(JSON.stringify(answer));
}
