"""Verifies by PyJWT, with keys from an address: a token on each line, and a line of JSON in answer to each.

    python verify.py ISSUER AUDIENCE JWKS_URI MILLISECONDS

It keeps a key set for so long.
"""
import json
import sys

import jwt

ALGORITHMS = ["ES256", "ES384", "EdDSA", "Ed25519", "RS256", "PS256"]


def verified(keys, token, issuer, audience):
    try:
        key = keys.get_signing_key_from_jwt(token)
        claims = jwt.decode(token, key, ALGORITHMS, audience=audience, issuer=issuer, leeway=1)
    except jwt.PyJWTError as error:
        return {"refused": type(error).__name__, "why": str(error)}
    return {"subject": claims["sub"]}


def main():
    issuer, audience, uri, keep = sys.argv[1:]
    keys = jwt.PyJWKClient(uri, lifespan=int(keep) / 1000)
    for line in sys.stdin:
        print(json.dumps(verified(keys, line.strip(), issuer, audience)), flush=True)


if __name__ == "__main__":
    main()
