// Verifies by jose, with keys from an address: a token on each line, and a line of JSON in answer to each.
//
//   node verify.mjs ISSUER AUDIENCE JWKS_URI MILLISECONDS
//
// It keeps a key set for so long. After that it asks anew; the cool-down of 30 s is that of the library.
import { createInterface } from 'node:readline';
import * as jose from 'jose';

const [issuer, audience, uri, keep] = process.argv.slice(2);
const keys = jose.createRemoteJWKSet(new URL(uri), { cacheMaxAge: Number(keep) });
// By the same leeway as the policies beside it.
const options = { issuer, audience, typ: 'at+jwt', clockTolerance: 1 };
for await (const token of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const { payload } = await jose.jwtVerify(token, keys, options);
    answer = { subject: payload.sub };
  } catch (error) {
    answer = { refused: error.code ?? error.name, why: error.message };
  }
  console.log(JSON.stringify(answer));
}
