"""weak_keys.py: keys that must not be loaded, and a few that must be."""
import base64
import secrets

from common import b64u, uint, unb64u, write
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519

out = []


def add(name, reason, jwk, pem=None, usable=False, **more):
    entry = {"name": name, "reason": reason, "usable": usable, "jwk": jwk}
    if pem:
        entry["pem"] = pem
    out.append(entry | more)


# --- just enough DER for keys that no library agrees to write
def der(tag, body):
    n = len(body)
    size = bytes([n]) if n < 128 else (lambda s: bytes([0x80 | len(s)]) + s)(n.to_bytes((n.bit_length() + 7) // 8, "big"))
    return bytes([tag]) + size + body


def integer(n):
    return der(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def spki(algorithm_hex, key):
    text = base64.encodebytes(der(0x30, bytes.fromhex(algorithm_hex) + der(3, b"\0" + key))).decode().replace("\n", "")
    lines = "\n".join(text[i:i + 64] for i in range(0, len(text), 64))
    return f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"


def pem_of(public_key):
    return public_key.public_bytes(ser.Encoding.PEM, ser.PublicFormat.SubjectPublicKeyInfo).decode()


# --- RSA
def rsa_jwk(n, e):
    return {"kty": "RSA", "kid": "k", "alg": "RS256", "n": uint(n), "e": uint(e)}


def add_rsa(name, reason, n, e, usable=False):
    add(name, reason, rsa_jwk(n, e), spki("300d06092a864886f70d0101010500", der(0x30, integer(n) + integer(e))), usable)


def random_odd(bits):
    return secrets.randbits(bits) | 1 << (bits - 1) | 1


def rsa_key(bits, e=65537):
    while True:
        key = rsa.generate_private_key(e, bits)
        if key.public_key().public_numbers().n.bit_length() == bits:
            return key


good = rsa_key(2048)
n = good.public_key().public_numbers().n
add_rsa("RSA 2048", "acceptable", n, 65537, usable=True)
add_rsa("RSA e=3", "acceptable", rsa_key(2048, 3).public_key().public_numbers().n, 3, usable=True)
add_rsa("RSA 8192 bit", "acceptable", random_odd(8192), 65537, usable=True)
add_rsa("RSA 1024 bit", "modulus too short", rsa_key(1024).public_key().public_numbers().n, 65537)
add_rsa("RSA 2047 bit", "modulus too short", rsa_key(2047).public_key().public_numbers().n, 65537)
add_rsa("RSA 8193 bit", "modulus too long", random_odd(8193), 65537)
add_rsa("RSA 16384 bit", "modulus too long", random_odd(16384), 65537)
add_rsa("RSA e=1", "exponent too small", n, 1)
add_rsa("RSA e=2", "exponent even", n, 2)
add_rsa("RSA e=65536", "exponent even", n, 65536)
add_rsa("RSA e=2^64+1", "exponent too large", n, 2**64 + 1)
add_rsa("RSA even modulus", "modulus even", n - 1, 65537)

# --- Ed25519: the points whose order divides 8, in every encoding of 32 bytes
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def sqrt(a, p):
    """A square root modulo p (p = 3 mod 4, or 2^255-19), or None."""
    root = pow(a, (p + 3) // 8, p) if p == P else pow(a, (p + 1) // 4, p)
    if p == P and root * root % p != a % p:
        root = root * SQRT_M1 % p
    return root if root * root % p == a % p else None


def ed_add(a, b):
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P)


def ed_order(y):
    """The order of the points with this y, if it divides 8."""
    x = sqrt((y * y - 1) * pow(D * y * y + 1, -1, P) % P, P)
    point, order = (x, y % P), 1
    at = point
    while at != (0, 1) and order <= 8:
        at, order = ed_add(at, point), order + 1
    assert order in (1, 2, 4, 8)
    return order


# Order 8 is where doubling gives y = 0, so x^2 = -y^2, so d*y^4 + 2*y^2 - 1 = 0.
root = sqrt(1 + D, P)
y8 = next(r for s in (root, -root) if (r := sqrt((s - 1) * pow(D, -1, P) % P, P)) is not None)
y8a, y8b = sorted((y8, P - y8))
assert ed_order(y8a) == ed_order(y8b) == 8
# The signature R = identity, S = 0 verifies any message under the identity, for a verifier that does not look.
FORGED_INPUT = b64u(b'{"alg":"EdDSA","typ":"JWT","kid":"k"}') + "." + b64u(b'{"sub":"mallory"}')
FORGED = FORGED_INPUT + "." + b64u(bytes([1]) + bytes(63))
for label, y in (("0", 0), ("1", 1), ("p-1", P - 1), ("p", P), ("p+1", P + 1), ("order 8 first", y8a), ("order 8 second", y8b)):
    for sign in (0, 1):
        raw = (y | sign << 255).to_bytes(32, "little")
        odd = y >= P or (sign == 1 and y % P in (1, P - 1))
        more = {"order": ed_order(y), "canonical": not odd}
        if y % P == 1:
            more["forged"] = FORGED
        add(f"Ed25519 y={label} sign={sign}", "small-order point",
            {"kty": "OKP", "kid": "k", "alg": "EdDSA", "crv": "Ed25519", "x": b64u(raw)}, spki("300506032b6570", raw), **more)
ED = {"kty": "OKP", "kid": "k", "alg": "EdDSA", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
add("Ed25519", "acceptable", ED, usable=True)
add("Ed25519 one byte short", "wrong length", ED | {"x": b64u(unb64u(ED["x"])[:31])})
add("Ed25519 one byte long", "wrong length", ED | {"x": b64u(unb64u(ED["x"]) + b"\0")})

# --- EC
EC_OID = {
    "P-256": "301306072a8648ce3d020106082a8648ce3d030107",
    "P-384": "301006072a8648ce3d020106052b81040022",
    "P-521": "301006072a8648ce3d020106052b81040023",
}
CURVES = {
    "P-256": (ec.SECP256R1(), "ES256", 32, 2**256 - 2**224 + 2**192 + 2**96 - 1),
    "P-384": (ec.SECP384R1(), "ES384", 48, 2**384 - 2**128 - 2**96 + 2**32 - 1),
    "P-521": (ec.SECP521R1(), "ES512", 66, 2**521 - 1),
}


def ec_jwk(crv, x, y):
    size = CURVES[crv][2]
    return {"kty": "EC", "kid": "k", "alg": CURVES[crv][1], "crv": crv, "x": uint(x, size), "y": uint(y, size)}


def add_ec(name, reason, crv, x, y, usable=False):
    size = CURVES[crv][2]
    point = b"\x04" + x.to_bytes(size, "big") + y.to_bytes(size, "big")
    add(name, reason, ec_jwk(crv, x, y), spki(EC_OID[crv], point), usable)


keys = {crv: ec.generate_private_key(CURVES[crv][0]) for crv in CURVES}
xy = {crv: (lambda q: (q.x, q.y))(key.public_key().public_numbers()) for crv, key in keys.items()}
for crv, (curve, alg, size, p) in CURVES.items():
    x, y = xy[crv]
    b = (y * y - x * x * x + 3 * x) % p
    other = ec.generate_private_key(curve).public_key().public_numbers()
    assert (other.y**2 - other.x**3 + 3 * other.x - b) % p == 0, "another point has the same b, or p is mistyped"
    add_ec(crv, "acceptable", crv, x, y, usable=True)
    add_ec(f"{crv} off the curve", "point not on the curve", crv, x, y ^ 1)
    add_ec(f"{crv} x,y = 0", "point not on the curve", crv, 0, 0)
    # On the curve only for a reader that reduces x modulo p.
    small = next(s for s in range(1, 1000) if sqrt((s**3 - 3 * s + b) % p, p) is not None)
    add_ec(f"{crv} x >= p", "coordinate not below p", crv, p + small, sqrt((small**3 - 3 * small + b) % p, p))
for crv in ("P-256", "P-521"):
    curve, alg, size, p = CURVES[crv]
    while True:
        q = ec.generate_private_key(curve).public_key().public_numbers()
        if q.x.bit_length() <= 8 * (size - 1):
            break
    add(f"{crv} leading zero of x stripped", "wrong length", ec_jwk(crv, q.x, q.y) | {"x": uint(q.x, size - 1)})
x, y = xy["P-256"]
add("P-256 x one byte too long", "wrong length", ec_jwk("P-256", x, y) | {"x": uint(x, 33)})
x384, y384 = xy["P-384"]
add("crv P-256 with P-384 coordinates", "wrong length", ec_jwk("P-384", x384, y384) | {"crv": "P-256", "alg": "ES256"})

# --- good material, wrong label
P256 = ec_jwk("P-256", x, y)
RSA = rsa_jwk(n, 65537)
add("alg ES256 with crv P-384", "alg and crv disagree", ec_jwk("P-384", x384, y384) | {"alg": "ES256"})
add("alg RS256 with kty EC", "alg and kty disagree", P256 | {"alg": "RS256"})
add("alg HS256 with kty RSA", "alg and kty disagree", RSA | {"alg": "HS256"})
add("kty oct", "symmetric", {"kty": "oct", "kid": "k", "alg": "HS256", "k": b64u(secrets.token_bytes(32))})

private = good.private_numbers()
add("RSA private", "private", RSA | {k: uint(v) for k, v in (
    ("d", private.d), ("p", private.p), ("q", private.q), ("dp", private.dmp1), ("dq", private.dmq1), ("qi", private.iqmp))})
add("RSA private, d only", "private", RSA | {"d": uint(private.d)})
add("EC private", "private", P256 | {"d": uint(keys["P-256"].private_numbers().private_value, 32)})
# RFC 8037 A.1, the key of the known answer
add("OKP private", "private", ED | {"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"})

add("use=sig, key_ops=[verify]", "acceptable", P256 | {"use": "sig", "key_ops": ["verify"]}, usable=True)
add("use=enc", "not for signatures", RSA | {"use": "enc"})
add("key_ops=[sign]", "not for verification", P256 | {"key_ops": ["sign"]})
add("alg RSA-OAEP", "not a signature algorithm", RSA | {"alg": "RSA-OAEP"})
k1 = ec.generate_private_key(ec.SECP256K1()).public_key()
q = k1.public_numbers()
add("secp256k1", "unsupported curve", {"kty": "EC", "kid": "k", "alg": "ES256K", "crv": "secp256k1", "x": uint(q.x, 32), "y": uint(q.y, 32)}, pem_of(k1))
x2 = x25519.X25519PrivateKey.generate().public_key()
add("X25519", "unsupported curve", {"kty": "OKP", "kid": "k", "crv": "X25519", "x": b64u(x2.public_bytes_raw())}, pem_of(x2))
e4 = ed448.Ed448PrivateKey.generate().public_key()
add("Ed448", "unsupported curve", {"kty": "OKP", "kid": "k", "alg": "EdDSA", "crv": "Ed448", "x": b64u(e4.public_bytes_raw())}, pem_of(e4))

# --- broken JSON members
add("kty missing", "malformed", {k: v for k, v in RSA.items() if k != "kty"})
add("kty number", "malformed", RSA | {"kty": 1})
add("n missing", "malformed", {k: v for k, v in RSA.items() if k != "n"})
add("n with padding", "malformed", RSA | {"n": base64.urlsafe_b64encode(unb64u(RSA["n"])).decode()})
add("n not base64url", "malformed", RSA | {"n": RSA["n"][:100] + "+/" + RSA["n"][102:]})
add("kid number", "malformed", P256 | {"kid": 7})
write("weak-keys.json", out)
