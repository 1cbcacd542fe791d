"""known_answers.py DIR: DIR is the `jwcrypto` folder of jwcrypto's source distribution, whose own
tests carry the published vectors. Nothing is typed in here; the public half of each key is kept.

Those of RFC 9964 are made of their seed, which is all zeros: their signatures are deterministic. Their key ids are thumbprints, and
they are compared with those that are published, and so is how each signature ends."""
import hashlib
import importlib.util
import json
import pathlib
import sys

from common import b64u, write
from dilithium_py.ml_dsa import ML_DSA_44, ML_DSA_65, ML_DSA_87

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth"}


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def public(jwk):
    return jwk if jwk["kty"] == "oct" else {k: v for k, v in jwk.items() if k not in PRIVATE}


source = pathlib.Path(sys.argv[1])
tests = load(source / "tests.py")
cookbook = load(source / "tests-cookbook.py")
out = []
for number in "1234":
    example = getattr(tests, f"A{number}_example")
    token = ".".join(b64u(part) for part in (example["protected"].encode(), example["payload"], example["signature"]))
    out.append({"name": f"RFC 7515 A.{number}", "alg": example["alg"], "jwk": public(example["key"]), "token": token})
for number, alg, key in (
    (1, "RS256", cookbook.RSA_Public_Key_3_3),
    (2, "PS384", cookbook.RSA_Public_Key_3_3),
    (3, "ES512", cookbook.EC_Public_Key_3_1),
    (4, "HS256", cookbook.Symmetric_Key_MAC_3_5),
):
    token = getattr(cookbook, f"JWS_compact_4_{number}_3")
    out.append({"name": f"RFC 7520 4.{number}", "alg": alg, "jwk": public(key), "token": token})
out.append({
    "name": "RFC 8037 A.4", "alg": "EdDSA", "jwk": tests.PublicKeys_EdDsa["keys"][0],
    "token": tests.E_Ed25519["jws_serialization_compact"],
})
for alg, ml_dsa, published_id, published_end in (
    ("ML-DSA-44", ML_DSA_44, "T4xl70S7MT6Zeq6r9V9fPJGVn76wfnXJ21-gyo0Gu6o", "ddf5000000000000000000000000121f3044"),
    ("ML-DSA-65", ML_DSA_65, "Suiu29qbfuaBaR4Ats-c6XQBePB_OpAxAwcTR_0KXVM", "8fb60000000000000000060c151c252f"),
    ("ML-DSA-87", ML_DSA_87, "tRn1JNIkgMsABVQBlXeDHxAIcclh-2IX0UdDEzPt5XU", "2e9ecf400000000000000000b1920252b383b43"),
):
    public_key, private_key = ml_dsa.key_derive(bytes(32))
    jwk = {"kty": "AKP", "alg": alg, "pub": b64u(public_key)}
    canonical = json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()
    kid = b64u(hashlib.sha256(canonical).digest())
    header = json.dumps({"alg": alg, "kid": kid}, separators=(",", ":")).encode()
    payload = "It\u2019s a dangerous business, Frodo, going out your door.".encode()
    message = f"{b64u(header)}.{b64u(payload)}"
    signature = ml_dsa.sign(private_key, message.encode(), deterministic=True)
    assert kid == published_id and signature.hex().endswith(published_end), alg
    out.append({"name": f"RFC 9964 A.1 {alg}", "alg": alg, "jwk": {"kid": kid} | jwk, "token": f"{message}.{b64u(signature)}"})
write("known-answers.json", out)
