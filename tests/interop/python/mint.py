"""Tokens by PyJWT: a key and a good access token for each algorithm, as JSON.

    python mint.py ISSUER AUDIENCE
"""
import json
import sys
import time
import uuid

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ALGORITHMS = {
    **{name: lambda: rsa.generate_private_key(65537, 2048) for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]},
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def mint(name, make_key, issuer, audience):
    key = make_key()
    key_id = f"{name} {uuid.uuid4()}"
    # PyJWT writes neither `use` nor `alg` into a key, but `key_ops`.
    algorithm = jwt.get_algorithm_by_name(name)
    jwk = algorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": key_id}
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
    return jwk, {"alg": name, "token": jwt.encode(claims, key, name, {"kid": key_id})}


def main():
    issuer, audience = sys.argv[1:]
    minted = [mint(name, make_key, issuer, audience) for name, make_key in ALGORITHMS.items()]
    keys, tokens = zip(*minted)
    json.dump({"jwks": {"keys": keys}, "tokens": tokens}, sys.stdout)


if __name__ == "__main__":
    main()
