// mint_jose.mjs: writes foreign-tokens.json with one token per algorithm minted by npm `jose`; foreign_tokens.py adds to it.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as jose from 'jose';

const now = 1_800_000_000;
const issuer = 'https://issuer.example';
const audience = 'https://api.example';
const by = `jose ${JSON.parse(readFileSync(createRequire(import.meta.url).resolve('jose/package.json'))).version}`;
const claims = { iss: issuer, sub: 'alice', aud: audience, client_id: 'svc', scope: 'orders:read orders:write', iat: now - 10, nbf: now - 10, exp: now + 300 };
const out = { now, issuer, audience, jwks: { keys: [] }, secrets: [], tokens: [] };
for (const alg of ['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']) {
  const kid = `jose-${alg}`;
  let key;
  if (alg.startsWith('HS')) {
    key = await jose.generateSecret(alg, { extractable: true });
    out.secrets.push({ kid, alg, k: (await jose.exportJWK(key)).k });
  } else {
    const pair = await jose.generateKeyPair(alg, { extractable: true, modulusLength: 2048 });
    key = pair.privateKey;
    out.jwks.keys.push({ ...(await jose.exportJWK(pair.publicKey)), alg, kid, use: 'sig' });
  }
  const token = await new jose.SignJWT({ ...claims, jti: kid }).setProtectedHeader({ alg, typ: 'at+jwt', kid }).sign(key);
  out.tokens.push({ by, alg, kid, token });
}
writeFileSync(new URL('../foreign-tokens.json', import.meta.url), `${JSON.stringify(out, null, 1)}\n`);
