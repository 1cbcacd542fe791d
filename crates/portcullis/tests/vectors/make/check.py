"""check.py: a bad signature is bad for the one reason that its name gives: undo it, and the signature verifies.
And the known answers and foreign tokens once more, by jwcrypto."""
import hashlib
import hmac
import warnings

from common import read, unb64u
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from dilithium_py.ml_dsa import HASH_ML_DSA_44_WITH_SHA512, HASH_ML_DSA_65_WITH_SHA512, HASH_ML_DSA_87_WITH_SHA512
from jwcrypto import jwk as jwks, jws

warnings.simplefilter("ignore")
SHA1, SHA256, SHA512 = hashes.SHA1(), hashes.SHA256(), hashes.SHA512()
SIZE = {"ES256": (32, SHA256), "ES384": (48, hashes.SHA384()), "ES512": (66, SHA512)}
L = 2**252 + 27742317777372353535851937790883648493


def key(entry):
    return load_pem_public_key(jwks.JWK(**entry["jwk"]).export_to_pem())


def parts(entry):
    message, _, signature = entry["token"].rpartition(".")
    return message.encode(), unb64u(signature)


bad = {entry["name"]: entry for entry in read("bad-signatures.json")}
assert len(bad) == len(read("bad-signatures.json")), "a name twice"
undone = 0


def rsa(name, pad, hash, change=lambda s, n: s):
    global undone
    message, signature = parts(bad[name])
    public = key(bad[name])
    public.verify(change(signature, public.public_numbers().n), message, pad, hash)
    undone += 1


def pss(salt, hash=SHA256, mgf=None):
    return padding.PSS(padding.MGF1(mgf or hash), salt)


PKCS1 = padding.PKCS1v15()
for salt in (0, 20, 31, 33):
    rsa(f"PS256 salt {salt}", pss(salt), SHA256)
rsa("PS256 maximal salt", pss(222), SHA256)
rsa("PS256 MGF1 with SHA-1", pss(32, SHA256, SHA1), SHA256)
rsa("PS256 by SHA-512", pss(64, SHA512), SHA512)
rsa("PS256 header, PKCS1 signature", PKCS1, SHA256)
rsa("RS256 header, PSS signature", pss(32), SHA256)
rsa("RS256 by SHA-512", PKCS1, SHA512)
rsa("RS256 by SHA-1", PKCS1, SHA1)
message, signature = parts(bad["RS256 SHA-256 hash in a SHA-1 digest info"])
numbers = key(bad["RS256 good"]).public_numbers()
block = pow(int.from_bytes(signature, "big"), numbers.e, numbers.n).to_bytes(256, "big")
info = bytes.fromhex("3021300906052b0e03021a05000420") + hashlib.sha256(message).digest()
assert block == b"\0\1" + b"\xff" * (253 - len(info)) + b"\0" + info
message, signature = parts(bad["RS256 bare hash without digest info"])
assert pow(int.from_bytes(signature, "big"), numbers.e, numbers.n).to_bytes(256, "big").endswith(b"\xff\0" + hashlib.sha256(message).digest())
undone += 2
for alg, pad in (("RS256", PKCS1), ("PS256", pss(32))):
    rsa(f"{alg} last byte flipped", pad, SHA256, lambda s, n: s[:-1] + bytes([s[-1] ^ 1]))
    rsa(f"{alg} zero byte in front", pad, SHA256, lambda s, n: s[1:])
    rsa(f"{alg} leading zero stripped", pad, SHA256, lambda s, n: b"\0" + s)
    rsa(f"{alg} s+n", pad, SHA256, lambda s, n: (int.from_bytes(s, "big") - n).to_bytes(256, "big"))
    assert len(parts(bad[f"{alg} leading zero stripped"])[1]) == 255

for alg, (size, hash) in SIZE.items():
    def ecdsa(name, change, der=False, hash=hash):
        global undone
        message, signature = parts(bad[f"{alg} {name}"])
        raw = change(signature)
        if not der:
            assert len(raw) == 2 * size
            raw = encode_dss_signature(int.from_bytes(raw[:size], "big"), int.from_bytes(raw[size:], "big"))
        key(bad[f"{alg} {name}"]).verify(raw, message, ec.ECDSA(hash))
        undone += 1

    ecdsa("DER", lambda s: s, der=True)
    ecdsa("leading zero of r stripped", lambda s: b"\0" + s)
    ecdsa("leading zero of s stripped", lambda s: s[:size] + b"\0" + s[size:])
    ecdsa("one byte appended", lambda s: s[:-1])
    ecdsa("zero byte in front", lambda s: s[1:])
    ecdsa("last byte flipped", lambda s: s[:-1] + bytes([s[-1] ^ 1]))
    ecdsa("r and s swapped", lambda s: s[size:] + s[:size])
    for half in "rs":
        assert len(parts(bad[f"{alg} leading zero of {half} stripped"])[1]) == 2 * size - 1
    if alg == "ES256":
        ecdsa("by SHA-512", lambda s: s, hash=SHA512)
        assert len(parts(bad["ES256 by a P-384 key"])[1]) == 96
    if alg == "ES512":
        good = parts(bad["ES512 good"])[1]
        number = lambda b: int.from_bytes(b, "big")
        for half, at in (("r", 0), ("s", 66)):
            value = parts(bad[f"ES512 {half}+n"])[1]
            order = number(parts(bad["ES512 r=n, s=n"])[1][:66])
            assert number(value[at:at + 66]) - order == number(good[at:at + 66])
            undone += 1

for alg in ("EdDSA", "Ed25519"):
    for name, change in (
        ("S+L", lambda s: s[:32] + (int.from_bytes(s[32:], "little") - L).to_bytes(32, "little")),
        ("truncated to 63 bytes", lambda s: s + parts(bad[f"{alg} good"])[1][-1:]),
        ("one byte appended", lambda s: s[:-1]),
        ("last byte flipped", lambda s: s[:-1] + bytes([s[-1] ^ 1])),
    ):
        message, signature = parts(bad[f"{alg} {name}"])
        key(bad[f"{alg} {name}"]).verify(change(signature), message)
        undone += 1

for alg, public, hash_ml_dsa in (
    ("ML-DSA-44", mldsa.MLDSA44PublicKey, HASH_ML_DSA_44_WITH_SHA512),
    ("ML-DSA-65", mldsa.MLDSA65PublicKey, HASH_ML_DSA_65_WITH_SHA512),
    ("ML-DSA-87", mldsa.MLDSA87PublicKey, HASH_ML_DSA_87_WITH_SHA512),
):
    raw = unb64u(bad[f"{alg} good"]["jwk"]["pub"])
    of_key = public.from_public_bytes(raw)
    message, good = parts(bad[f"{alg} good"])
    of_key.verify(good, message)
    signature = lambda name: parts(bad[f"{alg} {name}"])[1]
    of_key.verify(signature("with a context"), message, b"JWS")
    of_key.verify(signature("of the message without its first byte, as context"), message[1:], message[:1])
    of_key.verify(signature("of the hash of the message"), hashlib.sha512(message).digest())
    of_key.verify(signature("one byte short") + good[-1:], message)
    of_key.verify(signature("one byte appended")[:-1], message)
    of_key.verify(signature("last byte flipped")[:-1] + good[-1:], message)
    of_key.verify(good[:1] + signature("first byte flipped")[1:], message)
    assert hash_ml_dsa.verify(raw, message, signature("by HashML-DSA with SHA-512"))
    undone += 8

for bits in ("256", "384", "512"):
    good = bad[f"HS{bits} good"]
    message, full = parts(good)
    secret = unb64u(good["jwk"]["k"])
    assert hmac.digest(secret, message, f"sha{bits}") == full
    assert parts(bad[f"HS{bits} truncated to 16 bytes"])[1] == full[:16]
    if bits != "512":
        name = f"HS{bits} by SHA-512 truncated to {len(full)}"
        assert parts(bad[name])[1] == hmac.digest(secret, parts(bad[name])[0], "sha512")[:len(full)]

foreign = read("foreign-tokens.json")
public = {k["kid"]: k for k in foreign["jwks"]["keys"]} | {s["kid"]: s | {"kty": "oct"} for s in foreign["secrets"]}
entries = read("known-answers.json") + [t | {"jwk": public[t["kid"]]} for t in foreign["tokens"]]
for entry in entries:
    token = jws.JWS()
    token.allowed_algs = [entry["alg"]]
    jwk = {k: v for k, v in entry["jwk"].items() if k != "use"}
    token.deserialize(entry["token"], jwks.JWK(**jwk))
print(f"{undone} defects undone, {len(entries)} good tokens verified by jwcrypto")
