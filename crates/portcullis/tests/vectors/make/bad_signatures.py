"""bad_signatures.py: per algorithm one good token, and tokens with the right key whose signature must be refused."""
import hashlib
import hmac
import json
import secrets

from common import CLAIMS, b64u, uint, write
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from dilithium_py.ml_dsa import HASH_ML_DSA_44_WITH_SHA512, HASH_ML_DSA_65_WITH_SHA512, HASH_ML_DSA_87_WITH_SHA512

HASH = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
out = []


def signing_input(alg, jti="jti-1"):
    parts = {"alg": alg, "typ": "JWT", "kid": "k"}, CLAIMS | {"jti": jti}
    return ".".join(b64u(json.dumps(part, separators=(",", ":")).encode()) for part in parts)


def add(name, alg, jwk, signature, message=None, valid=False):
    token = f"{message or signing_input(alg)}.{b64u(signature)}"
    out.append({"name": name, "valid": valid, "alg": alg, "jwk": {"kid": "k", "alg": alg} | jwk, "token": token})


def flip_last(signature):
    return signature[:-1] + bytes([signature[-1] ^ 1])


# --- HMAC
for bits in HASH:
    alg = f"HS{bits}"
    secret = secrets.token_bytes(int(bits) // 8)
    jwk = {"kty": "oct", "k": b64u(secret)}
    mac = lambda name: hmac.new(secret, signing_input(alg).encode(), name).digest()
    good = mac(f"sha{bits}")
    add(f"{alg} good", alg, jwk, good, valid=True)
    add(f"{alg} truncated to 16 bytes", alg, jwk, good[:16])
    add(f"{alg} last byte flipped", alg, jwk, flip_last(good))
    add(f"{alg} one byte appended", alg, jwk, good + b"\0")
    add(f"{alg} empty signature", alg, jwk, b"")
    add(f"{alg} all zero", alg, jwk, bytes(len(good)))
    if bits != "512":
        add(f"{alg} by SHA-512 truncated to {len(good)}", alg, jwk, mac("sha512")[:len(good)])

# --- RSA
key = rsa.generate_private_key(65537, 2048)
n, e, d = key.public_key().public_numbers().n, 65537, key.private_numbers().d
jwk = {"kty": "RSA", "n": uint(n), "e": uint(e)}
SHA1_INFO = bytes.fromhex("3021300906052b0e03021a05000414")


def pss(alg, hash, salt, mgf=None):
    return key.sign(signing_input(alg).encode(), padding.PSS(padding.MGF1(mgf or hash), salt), hash)


def pkcs1(alg, hash):
    return key.sign(signing_input(alg).encode(), padding.PKCS1v15(), hash)


def raw_pkcs1(info):
    """EMSA-PKCS1-v1_5 around whatever is given as the DigestInfo."""
    block = b"\0\1" + b"\xff" * (256 - 3 - len(info)) + b"\0" + info
    return pow(int.from_bytes(block, "big"), d, n).to_bytes(256, "big")


for bits, hash in HASH.items():
    add(f"RS{bits} good", f"RS{bits}", jwk, pkcs1(f"RS{bits}", hash), valid=True)
    add(f"PS{bits} good", f"PS{bits}", jwk, pss(f"PS{bits}", hash, hash.digest_size), valid=True)
sha256 = HASH["256"]
add("PS256 salt 0", "PS256", jwk, pss("PS256", sha256, 0))
add("PS256 salt 20", "PS256", jwk, pss("PS256", sha256, 20))
add("PS256 salt 31", "PS256", jwk, pss("PS256", sha256, 31))
add("PS256 salt 33", "PS256", jwk, pss("PS256", sha256, 33))
add("PS256 maximal salt", "PS256", jwk, pss("PS256", sha256, 256 - 32 - 2))
add("PS256 MGF1 with SHA-1", "PS256", jwk, pss("PS256", sha256, 32, hashes.SHA1()))
add("PS256 by SHA-512", "PS256", jwk, pss("PS256", HASH["512"], 64))
add("PS256 header, PKCS1 signature", "PS256", jwk, pkcs1("PS256", sha256))
add("RS256 header, PSS signature", "RS256", jwk, pss("RS256", sha256, 32))
add("RS256 by SHA-512", "RS256", jwk, pkcs1("RS256", HASH["512"]))
message = signing_input("RS256").encode()
add("RS256 by SHA-1", "RS256", jwk, raw_pkcs1(SHA1_INFO + hashlib.sha1(message).digest()))
add("RS256 SHA-256 hash in a SHA-1 digest info", "RS256", jwk, raw_pkcs1(SHA1_INFO[:-1] + b"\x20" + hashlib.sha256(message).digest()))
add("RS256 bare hash without digest info", "RS256", jwk, raw_pkcs1(hashlib.sha256(message).digest()))
for alg, sign in (("RS256", lambda m: key.sign(m, padding.PKCS1v15(), sha256)),
                  ("PS256", lambda m: key.sign(m, padding.PSS(padding.MGF1(sha256), 32), sha256))):
    good = sign(signing_input(alg).encode())
    add(f"{alg} last byte flipped", alg, jwk, flip_last(good))
    add(f"{alg} empty signature", alg, jwk, b"")
    add(f"{alg} all zero", alg, jwk, bytes(256))
    add(f"{alg} zero byte in front", alg, jwk, b"\0" + good)
    # s + n is the same number to a reader that reduces it; another jti is tried until it fits in 256 bytes,
    # and until s has a leading zero byte that can be stripped.
    done = set()
    number = 0
    while len(done) < 2:
        number += 1
        text = signing_input(alg, f"jti-{number}")
        signature = sign(text.encode())
        s = int.from_bytes(signature, "big")
        if "sum" not in done and s + n < 2**2048:
            done.add("sum")
            add(f"{alg} s+n", alg, jwk, (s + n).to_bytes(256, "big"), text)
        if "strip" not in done and signature[0] == 0:
            done.add("strip")
            add(f"{alg} leading zero stripped", alg, jwk, signature[1:], text)

# --- ECDSA
CURVES = {
    "ES256": (ec.SECP256R1(), "P-256", 32, sha256, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
    "ES384": (ec.SECP384R1(), "P-384", 48, HASH["384"],
              0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973),
    "ES512": (ec.SECP521R1(), "P-521", 66, HASH["512"],
              0x1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409),
}
for alg, (curve, crv, size, hash, order) in CURVES.items():
    ends = [ec.derive_private_key(k, curve).public_key().public_numbers() for k in (1, order - 1)]
    assert ends[0].x == ends[1].x and ends[0].y != ends[1].y, "(n-1)G = -G, or the order is mistyped"
    key = ec.generate_private_key(curve)
    point = key.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": crv, "x": uint(point.x, size), "y": uint(point.y, size)}
    message = signing_input(alg).encode()
    pair = lambda r, s: r.to_bytes(size, "big") + s.to_bytes(size, "big")
    asn1 = key.sign(message, ec.ECDSA(hash))
    r, s = decode_dss_signature(asn1)
    good = pair(r, s)
    add(f"{alg} good", alg, jwk, good, valid=True)
    add(f"{alg} malleable twin", alg, jwk, pair(r, order - s), valid=True)
    add(f"{alg} DER", alg, jwk, asn1)
    odd = {"good": None, "0": 0, "n": order, "n+1": order + 1, "all 0xff": 2 ** (8 * size) - 1}
    for rname, rvalue in odd.items():
        for sname, svalue in odd.items():
            if (rname, sname) != ("good", "good"):
                add(f"{alg} r={rname}, s={sname}", alg, jwk,
                    pair(r if rvalue is None else rvalue, s if svalue is None else svalue))
    if alg == "ES512":  # only here do they fit: 66 bytes are 7 bits wider than the order
        add(f"{alg} r+n", alg, jwk, pair(r + order, s))
        add(f"{alg} s+n", alg, jwk, pair(r, s + order))
    for half in ("r", "s"):
        while True:
            signature = pair(*decode_dss_signature(key.sign(message, ec.ECDSA(hash))))
            at = 0 if half == "r" else size
            if signature[at] == 0:
                break
        add(f"{alg} leading zero of {half} kept", alg, jwk, signature, valid=True)
        add(f"{alg} leading zero of {half} stripped", alg, jwk, signature[:at] + signature[at + 1:])
    add(f"{alg} one byte appended", alg, jwk, good + b"\0")
    add(f"{alg} zero byte in front", alg, jwk, b"\0" + good)
    add(f"{alg} last byte flipped", alg, jwk, flip_last(good))
    add(f"{alg} r and s swapped", alg, jwk, pair(s, r))
    add(f"{alg} empty signature", alg, jwk, b"")
    if alg == "ES256":
        other = ec.generate_private_key(ec.SECP384R1())
        r, s = decode_dss_signature(other.sign(message, ec.ECDSA(hash)))
        add("ES256 by a P-384 key", alg, jwk, r.to_bytes(48, "big") + s.to_bytes(48, "big"))
        add("ES256 by SHA-512", alg, jwk, pair(*decode_dss_signature(key.sign(message, ec.ECDSA(HASH["512"])))))

# --- Ed25519
L = 2**252 + 27742317777372353535851937790883648493
key = ed25519.Ed25519PrivateKey.generate()
jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64u(key.public_key().public_bytes_raw())}
for alg in ("EdDSA", "Ed25519"):
    good = key.sign(signing_input(alg).encode())
    add(f"{alg} good", alg, jwk, good, valid=True)
    add(f"{alg} S+L", alg, jwk, good[:32] + (int.from_bytes(good[32:], "little") + L).to_bytes(32, "little"))
    add(f"{alg} truncated to 63 bytes", alg, jwk, good[:63])
    add(f"{alg} one byte appended", alg, jwk, good + b"\0")
    add(f"{alg} last byte flipped", alg, jwk, flip_last(good))
    add(f"{alg} all zero", alg, jwk, bytes(64))
    add(f"{alg} R = identity, S = 0", alg, jwk, bytes([1]) + bytes(63))
    add(f"{alg} empty signature", alg, jwk, b"")

# --- ML-DSA
ML_DSA = {
    "ML-DSA-44": (mldsa.MLDSA44PrivateKey, HASH_ML_DSA_44_WITH_SHA512),
    "ML-DSA-65": (mldsa.MLDSA65PrivateKey, HASH_ML_DSA_65_WITH_SHA512),
    "ML-DSA-87": (mldsa.MLDSA87PrivateKey, HASH_ML_DSA_87_WITH_SHA512),
}
for alg, (private, hash_ml_dsa) in ML_DSA.items():
    seed = secrets.token_bytes(32)
    key = private.from_seed_bytes(seed)
    message = signing_input(alg).encode()
    jwk = {"kty": "AKP", "pub": b64u(key.public_key().public_bytes_raw())}
    good = key.sign(message)
    add(f"{alg} good", alg, jwk, good, valid=True)
    add(f"{alg} with a context", alg, jwk, key.sign(message, b"JWS"))
    # The context is told apart from the message by its length alone.
    add(f"{alg} of the message without its first byte, as context", alg, jwk, key.sign(message[1:], message[:1]))
    hash_public, hash_private = hash_ml_dsa.key_derive(seed)
    assert b64u(hash_public) == jwk["pub"]
    add(f"{alg} by HashML-DSA with SHA-512", alg, jwk, hash_ml_dsa.sign(hash_private, message))
    add(f"{alg} of the hash of the message", alg, jwk, key.sign(hashlib.sha512(message).digest()))
    add(f"{alg} one byte short", alg, jwk, good[:-1])
    add(f"{alg} truncated to 64 bytes", alg, jwk, good[:64])
    add(f"{alg} last byte flipped", alg, jwk, flip_last(good))
    add(f"{alg} first byte flipped", alg, jwk, bytes([good[0] ^ 1]) + good[1:])
    add(f"{alg} all zero", alg, jwk, bytes(len(good)))
    add(f"{alg} all 0xff", alg, jwk, b"\xff" * len(good))
    add(f"{alg} empty signature", alg, jwk, b"")
    # That of 87 is the longest that is read.
    add(f"{alg} one byte appended", alg, jwk, good + b"\0")
    for other, (other_private, _) in ML_DSA.items():
        if other != alg:
            add(f"{alg} by {other} of the same seed", alg, jwk, other_private.from_seed_bytes(seed).sign(message))
write("bad-signatures.json", out)
