// A client of DPoP (RFC 9449), by a library of npm: it has the provider bind an access token to a key, and sends it with proofs.
//
//   node dpop_client.mjs openid-client|oauth4webapi|dpop ISSUER RESOURCE ALGORITHM
//
// Prints a line of JSON with the token, and then one for each line that it reads, which is a request: {"method", "url", "body"}.
// Each has what went over the wire since the last one. What a library leaves to its user is done here once and never again.
import { createInterface } from 'node:readline';
import * as dpop from 'dpop';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';

// Ed25519 in WebCrypto, which an old Node.js calls an experiment.
process.removeAllListeners('warning');

const [library, issuer, resource, algorithm] = process.argv.slice(2);
const [id, secret] = ['svc', 'svc-secret'];
const parameters = { scope: 'orders:read', resource };

let exchanges = [];
async function recorded(url, options) {
  const response = await fetch(url, options);
  const sent = new Headers(options.headers);
  exchanges.push({
    authorization: sent.get('authorization'),
    proof: sent.get('dpop'),
    status: response.status,
    challenge: response.headers.get('www-authenticate'),
    nonce: response.headers.get('dpop-nonce'),
  });
  return response;
}

const LIBRARIES = {
  // Does all of it, and asks once more where a nonce is asked for.
  async 'openid-client'() {
    const authentication = openid.ClientSecretBasic(secret);
    const options = { execute: [openid.allowInsecureRequests], [openid.customFetch]: recorded };
    const config = await openid.discovery(new URL(issuer), id, {}, authentication, options);
    const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair(algorithm));
    exchanges = [];
    const { access_token: token } = await openid.clientCredentialsGrant(config, parameters, { DPoP });
    const ask = ({ method, url, body }) =>
      openid.fetchProtectedResource(config, token, new URL(url), method, body, undefined, { DPoP });
    return { token, ask };
  },

  // Makes proofs and keeps nonces. To ask once more is its user's part.
  async oauth4webapi() {
    const options = { [oauth.allowInsecureRequests]: true, [oauth.customFetch]: recorded };
    const server = await oauth.processDiscoveryResponse(
      new URL(issuer),
      await oauth.discoveryRequest(new URL(issuer), { ...options, algorithm: 'oidc' }),
    );
    const client = { client_id: id };
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair(algorithm));
    const grant = async () => {
      const authentication = oauth.ClientSecretBasic(secret);
      const answer = await oauth.clientCredentialsGrantRequest(
        server, client, authentication, parameters, { ...options, DPoP },
      );
      return oauth.processClientCredentialsResponse(server, client, answer);
    };
    exchanges = [];
    const { access_token: token } = await grant().catch((error) => {
      if (oauth.isDPoPNonceError(error)) return grant();
      throw error;
    });
    const ask = ({ method, url, body }) =>
      oauth.protectedResourceRequest(token, method, new URL(url), undefined, body, { ...options, DPoP });
    return { token, ask };
  },

  // Makes proofs. All else is its user's part.
  async dpop() {
    const keys = await dpop.generateKeyPair(algorithm);
    const nonces = new Map();
    const send = async (url, { headers, ...options }, token) => {
      const { origin, pathname } = new URL(url);
      const target = `${origin}${pathname}`;
      const proof = await dpop.generateProof(keys, target, options.method, nonces.get(origin), token);
      const answer = await recorded(url, { ...options, headers: { ...headers, dpop: proof } });
      const nonce = answer.headers.get('dpop-nonce');
      if (nonce) nonces.set(origin, nonce);
      return answer;
    };
    const grant = () => send(`${issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${id}:${secret}`)}` },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...parameters }),
    });
    let answer = await grant();
    if (!answer.ok) answer = await grant();
    const { access_token: token } = await answer.json();
    const ask = ({ method, url, body }) =>
      send(url, { method, body, headers: { authorization: `DPoP ${token}` } }, token);
    return { token, ask };
  },
};

function answer(value) {
  console.log(JSON.stringify({ ...value, exchanges }));
  exchanges = [];
}

const { token, ask } = await LIBRARIES[library]();
answer({ token });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const { status, body } = await ask(JSON.parse(line)).then(async (it) => ({ status: it.status, body: await it.text() }));
    answer({ status, body });
  } catch (error) {
    answer({ refused: error.code ?? error.name, wants_nonce: oauth.isDPoPNonceError(error) });
  }
}
