"""Tokens of ML-DSA by jwcrypto: a key and a good access token for each algorithm, as JSON.

    python mint_post_quantum.py ISSUER AUDIENCE
"""
import json
import sys
import time
import uuid

from jwcrypto import jwk, jwt

ALGORITHMS = ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87"]


def mint(name, issuer, audience):
    key = jwk.JWK.generate(kty="AKP", alg=name, kid=f"{name} {uuid.uuid4()}")
    now = int(time.time())
    claims = {
        "iss": issuer,
        "sub": "alice",
        "aud": [audience, "https://other.example"],
        "client_id": "svc",
        "jti": str(uuid.uuid4()),
        "iat": now,
        "nbf": now,
        "exp": now + 300,
        "name": "Ålice \N{GRINNING FACE}",
    }
    token = jwt.JWT(header={"alg": name, "kid": key.key_id}, claims=claims)
    token.make_signed_token(key)
    return key.export_public(as_dict=True), {"alg": name, "token": token.serialize()}


def main():
    issuer, audience = sys.argv[1:]
    keys, tokens = zip(*(mint(name, issuer, audience) for name in ALGORITHMS))
    json.dump({"jwks": {"keys": keys}, "tokens": tokens}, sys.stdout)


if __name__ == "__main__":
    main()
