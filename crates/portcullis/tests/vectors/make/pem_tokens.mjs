// pem_tokens.mjs DIR: called by pem.sh; DIR has the private keys. One token (node:crypto) and the public JWK per usable PEM key.
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

const now = 1_800_000_000;
const out = {};
for (const [name, alg, hash] of [['rsa', 'RS256', 'sha256'], ['p256', 'ES256', 'sha256'], ['p384', 'ES384', 'sha384'], ['p521', 'ES512', 'sha512'], ['ed25519', 'EdDSA', null]]) {
  const key = createPrivateKey(readFileSync(`${process.argv[2]}/${name}.pem`));
  const claims = { iss: 'https://issuer.example', sub: 'alice', aud: 'https://api.example', client_id: 'svc', scope: 'orders:read orders:write', iat: now - 10, nbf: now - 10, exp: now + 300, jti: name };
  const input = [{ alg, typ: 'JWT' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const signature = sign(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
  out[name] = { alg, jwk: createPublicKey(key).export({ format: 'jwk' }), token: `${input}.${signature.toString('base64url')}` };
}
writeFileSync(new URL('../pem/keys.json', import.meta.url), `${JSON.stringify(out, null, 1)}\n`);
