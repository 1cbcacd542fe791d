"""known_answers.py DIR: DIR is the `jwcrypto` folder of jwcrypto's source distribution, whose own
tests carry the published vectors. Nothing is typed in here; the public half of each key is kept."""
import importlib.util
import pathlib
import sys

from common import b64u, write

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
write("known-answers.json", out)
