// Tokens by jose: a key and a good access token for each algorithm, as JSON.
//
//   node mint.mjs ISSUER AUDIENCE
import * as jose from 'jose';

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];

const [issuer, audience] = process.argv.slice(2);
const claims = { client_id: 'svc', scope: 'orders:read orders:write', roles: ['admin'] };
const minted = await Promise.all(ALGORITHMS.map(async (alg) => {
  const { publicKey, privateKey } = await jose.generateKeyPair(alg, { modulusLength: 2048 });
  const jwk = await jose.exportJWK(publicKey);
  const kid = await jose.calculateJwkThumbprint(jwk);
  const token = await new jose.SignJWT(claims)
    .setProtectedHeader({ alg, kid, typ: 'at+jwt' })
    .setIssuer(issuer)
    .setSubject('alice')
    .setAudience(audience)
    .setJti(crypto.randomUUID())
    .setIssuedAt()
    .setExpirationTime('5m')
    .sign(privateKey);
  return { key: { ...jwk, alg, kid, use: 'sig' }, token: { alg, token } };
}));
console.log(JSON.stringify({ jwks: { keys: minted.map(({ key }) => key) }, tokens: minted.map(({ token }) => token) }));
