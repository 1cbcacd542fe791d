"""Shared by the generators: base64url, the fixed claims, reading and writing the files one directory up."""
import base64
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent.parent
NOW = 1_800_000_000
ISSUER = "https://issuer.example"
AUDIENCE = "https://api.example"
CLAIMS = {
    "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "client_id": "svc", "scope": "orders:read orders:write",
    "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 300, "jti": "jti-1",
}


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def uint(number: int, length: int | None = None) -> str:
    """Base64urlUInt, or a fixed-length field element."""
    return b64u(number.to_bytes(length or max(1, (number.bit_length() + 7) // 8), "big"))


def write(name: str, value) -> None:
    (HERE / name).write_text(json.dumps(value, indent=1, ensure_ascii=True) + "\n")


def read(name: str):
    return json.loads((HERE / name).read_text())
