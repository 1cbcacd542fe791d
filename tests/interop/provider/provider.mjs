// A certified OpenID Provider (oidc-provider) on loopback. It issues JWT access tokens (RFC 9068) to the client `svc`, and to
// `web` for users who log in there: under any name, with any password.
//
//   node provider.mjs [--stdin] [--logout URL]
//
// Prints one line of JSON when it is ready. `--stdin`: ends when its standard input does, and so with whoever started it.
// `--logout`: where `web` is told that a user logged out (OpenID Connect Back-Channel Logout 1.0).
// `svc` may bind its tokens to a key (DPoP, RFC 9449): it sends a proof, with a nonce that the provider gives out first.
// `mtls` has its tokens bound to a certificate (RFC 8705): whoever ends TLS in front of the provider says which, as the base64 of its
// DER in `x-client-cert`.
// The last segment of `resource` names the algorithm:
//
//   curl -u svc:svc-secret -d 'grant_type=client_credentials&resource=https://api.example/ES256' ISSUER/token
//
// What is under /control is ours, not the provider's:
//
//   POST /control/rotate {"keep_old": bool}   new keys sign from now on; are the old ones still published?
//   POST /control/jwks_mode {"mode": M}       what /jwks answers: ok, 500, garbage, empty, or hang: nothing until the next mode
//   GET  /control/hits                        how often /jwks and the discovery document were asked for
//   GET  /control/logouts                     how many logout tokens were acknowledged, and how many not
import { generateKeyPair, randomBytes } from 'node:crypto';
import http from 'node:http';
import { parseArgs, promisify } from 'node:util';

// The provider warns, from its import on, that keys in memory, pages for development and an old Node.js are not for production.
console.warn = () => {};
console.info = () => {};
const { default: Provider } = await import('oidc-provider');

const { values: flags } = parseArgs({ options: { logout: { type: 'string' }, stdin: { type: 'boolean' } } });

const FAMILIES = [
  ['rsa', 'rsa', { modulusLength: 2048 }],
  ['p-256', 'ec', { namedCurve: 'P-256' }],
  ['p-384', 'ec', { namedCurve: 'P-384' }],
  ['p-521', 'ec', { namedCurve: 'P-521' }],
  ['ed25519', 'ed25519', {}],
];
let generation = 0;
const logouts = { acknowledged: 0, failed: 0 };

// Without "alg", as many providers publish theirs: one RSA key signs RS* and PS*, one of Ed25519 signs EdDSA and Ed25519.
async function makeKeys() {
  generation += 1;
  const made = FAMILIES.map(async ([name, type, options]) => {
    const { privateKey } = await promisify(generateKeyPair)(type, options);
    return { ...privateKey.export({ format: 'jwk' }), use: 'sig', kid: `${name}-${generation}` };
  });
  return Promise.all(made);
}

function provider(issuer, keys) {
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'svc', client_secret: 'svc-secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
    }, {
      client_id: 'mtls', client_secret: 'mtls-secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
      tls_client_certificate_bound_access_tokens: true,
    }, {
      client_id: 'web', client_secret: 'web-secret', redirect_uris: ['http://127.0.0.1:9/callback'],
      post_logout_redirect_uris: ['http://127.0.0.1:9/bye'],
      ...(flags.logout && { backchannel_logout_uri: flags.logout, backchannel_logout_session_required: true }),
    }],
    jwks: { keys },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    // Of its own, it puts the session into ID and logout tokens alone.
    extraTokenClaims: async (ctx, token) => ({ tenant: 'acme', ...(token.sid && { sid: token.sid }) }),
    // Its own fetch refuses to talk to loopback.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    features: {
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        getCertificate: (ctx) => ctx.get('x-client-cert') || undefined,
      },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: async () => true,
        getResourceServerInfo: async (ctx, resource) => ({
          scope: 'orders:read',
          audience: resource,
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: new URL(resource).pathname.slice(1) } },
        }),
      },
    },
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  provider.on('backchannel.success', () => { logouts.acknowledged += 1; });
  provider.on('backchannel.error', () => { logouts.failed += 1; });
  return provider.callback();
}

const server = http.createServer();
await new Promise((listening) => { server.listen(0, '127.0.0.1', listening); });
const issuer = `http://127.0.0.1:${server.address().port}`;

let keys = await makeKeys();
let answer = provider(issuer, keys);
let mode = 'ok';
let held = [];
const hits = { discovery: 0, jwks: 0 };

async function control(request, response) {
  let body = '';
  for await (const chunk of request) body += chunk;
  const reply = (value) => response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
  switch (request.url) {
    case '/control/rotate': {
      const { keep_old } = JSON.parse(body);
      const fresh = await makeKeys();
      keys = keep_old ? [...fresh, ...keys] : fresh;
      answer = provider(issuer, keys);
      return reply({});
    }
    case '/control/jwks_mode': {
      ({ mode } = JSON.parse(body));
      const waiting = held;
      held = [];
      waiting.forEach(([request, response]) => jwks(request, response));
      return reply({});
    }
    case '/control/hits':
      return reply(hits);
    case '/control/logouts':
      return reply(logouts);
    default:
      return response.writeHead(404).end();
  }
}

function jwks(request, response) {
  switch (mode) {
    case 'ok': return answer(request, response);
    case '500': return response.writeHead(500).end('out of order');
    case 'garbage': return response.end('<html>not what you asked for</html>');
    case 'empty': return response.setHeader('content-type', 'application/jwk-set+json').end('{"keys":[]}');
    case 'hang': return held.push([request, response]);
    default: throw new Error(`no such mode: ${mode}`);
  }
}

server.on('request', (request, response) => {
  if (request.url.startsWith('/control/')) return control(request, response);
  if (request.url === '/.well-known/openid-configuration') hits.discovery += 1;
  if (request.url === '/jwks') {
    hits.jwks += 1;
    return jwks(request, response);
  }
  return answer(request, response);
});

if (flags.stdin) process.stdin.resume().on('end', () => process.exit(0));
console.log(JSON.stringify({ ready: true, issuer }));
