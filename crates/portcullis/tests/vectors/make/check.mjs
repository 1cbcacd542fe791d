// check.mjs: every file again, by npm `jose` and by node:crypto. Exits 1 when a file is not what it says.
import { X509Certificate, createHmac, createPublicKey, createPrivateKey, timingSafeEqual, verify, constants } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import * as jose from 'jose';

const read = (name) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
const json = (name) => JSON.parse(read(name));
let faults = 0;
const expect = (ok, text) => { if (!ok) { faults += 1; console.log('FAULT', text); } };

function byNode(alg, jwk, token) {
  const [h, p, s] = token.split('.');
  const input = Buffer.from(`${h}.${p}`);
  const signature = Buffer.from(s, 'base64url');
  const hash = `sha${alg.slice(2)}`;
  if (alg.startsWith('HS')) {
    const mac = createHmac(hash, Buffer.from(jwk.k, 'base64url')).update(input).digest();
    return mac.length === signature.length && timingSafeEqual(mac, signature);
  }
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  if (alg.startsWith('Ed')) return verify(null, input, key, signature);
  if (alg.startsWith('ES')) return verify(hash, input, { key, dsaEncoding: 'ieee-p1363' }, signature);
  if (alg.startsWith('RS')) return verify(hash, input, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
  return verify(hash, input, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }, signature);
}
async function byJose(alg, jwk, token) {
  try {
    const key = jwk.kty === 'oct' ? Buffer.from(jwk.k, 'base64url') : await jose.importJWK(jwk, alg);
    return await jose.compactVerify(token, key, { algorithms: [alg] });
  } catch { return false; }
}
// Node has them from version 24 on; check.py looks at them.
const isHere = ({ alg }) => !alg.startsWith('ML-DSA');
const both = async (alg, jwk, token) => [byNode(alg, jwk, token), !!(await byJose(alg, jwk, token))].join();

const known = json('known-answers.json').filter(isHere);
for (const { name, alg, jwk, token } of known) {
  expect(await both(alg, jwk, token) === 'true,true', name);
  expect(JSON.parse(Buffer.from(token.split('.')[0], 'base64url')).alg === alg, `${name} header`);
  expect(!('d' in jwk), `${name} private`);
}

const foreign = json('foreign-tokens.json');
for (const { by, alg, kid, token } of foreign.tokens.filter(isHere)) {
  const secret = foreign.secrets.find((s) => s.kid === kid);
  const jwk = secret ? { kty: 'oct', ...secret } : foreign.jwks.keys.find((k) => k.kid === kid);
  expect(await both(alg, jwk, token) === 'true,true', `${by} ${alg}`);
  const { payload, protectedHeader } = await jose.jwtVerify(token, secret ? Buffer.from(jwk.k, 'base64url') : await jose.importJWK(jwk), {
    issuer: foreign.issuer, audience: foreign.audience, currentDate: new Date(foreign.now * 1000), typ: 'at+jwt', algorithms: [alg],
    requiredClaims: ['sub', 'client_id', 'scope', 'iat', 'nbf', 'exp', 'jti'] });
  expect(protectedHeader.kid === kid && payload.sub === 'alice', `${by} ${alg} claims`);
}
expect(!foreign.jwks.keys.some((k) => 'd' in k || 'k' in k || 'priv' in k), 'private key among the public ones');

const bad = json('bad-signatures.json').filter(isHere);
// OpenSSL 3.0 does not ask that a PSS signature be as long as the modulus (RFC 8017, 8.1.2, step 1).
const lenient = ['PS256 leading zero stripped'];
for (const { name, valid, alg, jwk, token } of bad) {
  const found = await both(alg, jwk, token);
  if (lenient.includes(name)) console.log(`  ${name}: node:crypto, jose say ${found}`);
  else expect(found === `${valid},${valid}`, `${name} should be ${valid}: ${found}`);
}

const weak = json('weak-keys.json');
const count = { accepts: [], refuses: [] };
for (const { name, usable, jwk, pem, forged } of weak) {
  let loaded = true;
  try { createPublicKey({ key: jwk, format: 'jwk' }); } catch { loaded = false; }
  if (usable) expect(loaded, `${name} should load`);
  else count[loaded ? 'accepts' : 'refuses'].push(name);
  if (pem) {
    let bits; try { bits = createPublicKey(pem); } catch { bits = null; }
    if (bits && jwk.kty === 'RSA') expect(bits.export({ format: 'jwk' }).n === jwk.n && bits.export({ format: 'jwk' }).e === jwk.e, `${name} pem`);
    if (bits && jwk.kty === 'OKP') expect(bits.export({ format: 'jwk' }).x === jwk.x, `${name} pem`);
    if (usable) expect(bits, `${name} pem should load`);
    const size = /^RSA (\d+) bit/.exec(name);
    if (size && bits) expect(bits.asymmetricKeyDetails.modulusLength === Number(size[1]), `${name} size`);
  }
  if (forged) console.log(`  node:crypto ${byNode('EdDSA', jwk, forged) ? 'ACCEPTS' : 'refuses'} the forged token under ${name}`);
}
console.log(`  node:crypto itself loads ${count.accepts.length} of the ${count.accepts.length + count.refuses.length} unusable keys`);

const keys = json('pem/keys.json');
for (const [name, { alg, jwk, token }] of Object.entries(keys)) {
  expect(await both(alg, jwk, token) === 'true,true', `pem ${name}`);
  for (const file of readdirSync(new URL('../pem', import.meta.url)).filter((f) => f.startsWith(`${name}-`) && !/csr|rsa-pss/.test(f))) {
    const data = readFileSync(new URL(`../pem/${file}`, import.meta.url));
    const key = file.includes('cert') ? new X509Certificate(data).publicKey
      : file.includes('private') ? createPublicKey(createPrivateKey({ key: data, passphrase: 'test' }))
        : file.endsWith('.der') ? createPublicKey({ key: data, format: 'der', type: 'spki' }) : createPublicKey(data);
    expect(JSON.stringify(key.export({ format: 'jwk' })) === JSON.stringify(jwk), `${file} is another key`);
  }
}
console.log(`known ${known.length}, foreign ${foreign.tokens.length}, bad ${bad.length} (${bad.filter((b) => b.valid).length} valid), weak ${weak.length} (${weak.filter((w) => w.usable).length} usable), faults ${faults}`);
process.exit(faults ? 1 : 0);
