"""Verifies by jwcrypto, with keys from an address: a token on each line, and a line of JSON in answer to each.

    python verify_post_quantum.py ISSUER AUDIENCE JWKS_URI MILLISECONDS

It fetches the key set for each token, however long it may be kept.
"""
import json
import sys
import urllib.request

from jwcrypto import jwk, jwt
from jwcrypto.common import JWException

ALGORITHMS = ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87"]


def verified(uri, token, issuer, audience):
    with urllib.request.urlopen(uri) as answer:
        keys = jwk.JWKSet.from_json(answer.read().decode())
    try:
        wanted = {"iss": issuer, "aud": audience, "exp": None}
        read = jwt.JWT(jwt=token, key=keys, algs=ALGORITHMS, check_claims=wanted)
    except (JWException, ValueError) as error:
        return {"refused": type(error).__name__, "why": str(error)}
    return {"subject": json.loads(read.claims)["sub"]}


def main():
    issuer, audience, uri, _ = sys.argv[1:]
    for line in sys.stdin:
        print(json.dumps(verified(uri, line.strip(), issuer, audience)), flush=True)


if __name__ == "__main__":
    main()
