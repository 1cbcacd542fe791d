"""foreign_tokens.py: adds tokens by PyJWT, Authlib, joserfc, jwcrypto and dilithium-py to the foreign-tokens.json that mint_jose.mjs wrote."""
import json
import secrets
import warnings
from importlib.metadata import version

from common import CLAIMS, b64u, read, unb64u, write

warnings.simplefilter("ignore")  # authlib.jose is deprecated in favour of joserfc; both are wanted here
import authlib.jose
import dilithium_py.ml_dsa
import joserfc.jwk
import joserfc.jwt
import jwcrypto.jwk
import jwcrypto.jws
import jwt as pyjwt

HMAC = {"HS256": 32, "HS384": 48, "HS512": 64}
CURVE = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
ALGORITHMS = [*HMAC, "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", *CURVE, "EdDSA", "Ed25519"]
ML_DSA = {"ML-DSA-44": dilithium_py.ml_dsa.ML_DSA_44, "ML-DSA-65": dilithium_py.ml_dsa.ML_DSA_65, "ML-DSA-87": dilithium_py.ml_dsa.ML_DSA_87}


def by_pyjwt(header, claims, jwk):
    return pyjwt.encode(claims, pyjwt.PyJWK(jwk, algorithm=header["alg"]), algorithm=header["alg"], headers=header)


def by_authlib(header, claims, jwk):
    jws = authlib.jose.JsonWebSignature([header["alg"]])
    return jws.serialize_compact(header, json.dumps(claims), authlib.jose.JsonWebKey.import_key(jwk)).decode()


def by_joserfc(header, claims, jwk):
    return joserfc.jwt.encode(header, claims, joserfc.jwk.import_key(jwk), algorithms=[header["alg"]])


def by_jwcrypto(header, claims, jwk):
    jws = jwcrypto.jws.JWS(json.dumps(claims))
    jws.add_signature(jwcrypto.jwk.JWK(**jwk), None, json.dumps(header))
    return jws.serialize(compact=True)


def by_dilithium(header, claims, jwk):
    """It is no JOSE library: what it signs is put together here."""
    message = ".".join(b64u(json.dumps(part).encode()) for part in (header, claims))
    ml_dsa = ML_DSA[header["alg"]]
    _, private_key = ml_dsa.key_derive(unb64u(jwk["priv"]))
    return f"{message}.{b64u(ml_dsa.sign(private_key, message.encode()))}"


def new_key(alg):
    if alg in ML_DSA:
        return jwcrypto.jwk.JWK.generate(kty="AKP", alg=alg).export(as_dict=True)
    if alg in HMAC:
        return {"kty": "oct", "k": b64u(secrets.token_bytes(HMAC[alg]))}
    if alg in CURVE:
        return jwcrypto.jwk.JWK.generate(kty="EC", crv=CURVE[alg]).export(as_dict=True)
    if alg in ("EdDSA", "Ed25519"):
        return jwcrypto.jwk.JWK.generate(kty="OKP", crv="Ed25519").export(as_dict=True)
    return jwcrypto.jwk.JWK.generate(kty="RSA", size=2048).export(as_dict=True)


out = read("foreign-tokens.json")
for library, package, mint in (("pyjwt", "PyJWT", by_pyjwt), ("authlib", "Authlib", by_authlib),
                               ("joserfc", "joserfc", by_joserfc), ("jwcrypto", "jwcrypto", by_jwcrypto),
                               ("dilithium", "dilithium-py", by_dilithium)):
    for alg in [*ALGORITHMS, *ML_DSA]:
        kid = f"{library}-{alg}"
        jwk = new_key(alg)
        try:
            token = mint({"alg": alg, "typ": "at+jwt", "kid": kid}, CLAIMS | {"jti": kid}, jwk)
        except Exception as error:
            print(f"{package} has no {alg}: {type(error).__name__} {error}")
            continue
        if alg in HMAC:
            out["secrets"].append({"kid": kid, "alg": alg, "k": jwk["k"]})
        else:
            public = {k: v for k, v in jwk.items() if k not in ("d", "p", "q", "dp", "dq", "qi", "priv")}
            out["jwks"]["keys"].append(public | {"alg": alg, "kid": kid, "use": "sig"})
        out["tokens"].append({"by": f"{package} {version(package)}", "alg": alg, "kid": kid, "token": token})
write("foreign-tokens.json", out)
