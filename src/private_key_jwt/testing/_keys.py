"""RSA keys that sign whatever they are given, made once and used again."""

from __future__ import annotations

import json
import secrets
import weakref
from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

# Making an RSA key takes some 60 ms. A key goes back here when nothing holds its SigningKey any more, so that
# a test run makes few, and no two that live at the same time are the same. A deque needs no lock for this.
_idle: deque[RSAPrivateKey] = deque()


def compact(*segments: bytes) -> str:
    """Bytes in compact serialization (RFC 7515 §7.1): unpadded base64url, with dots between."""
    return ".".join(urlsafe_b64encode(segment).decode("ascii").rstrip("=") for segment in segments)


def to_json(value: object) -> bytes:
    """JSON as most senders write it: ASCII, no white space. It also writes NaN and lone surrogates, on purpose."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _octets(number: int) -> bytes:
    # RFC 7518 §2, Base64urlUInt: no leading zero octet.
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SigningKey:
    """A 2048-bit RSA key and the ``kid`` it is published under."""

    kid: str
    private_key: RSAPrivateKey = field(repr=False)

    @classmethod
    def generate(cls, kid: str | None = None) -> Self:
        """A key that nobody else holds, under a ``kid`` of its own unless one is given."""
        try:
            private_key = _idle.popleft()
        except IndexError:
            private_key = generate_private_key(public_exponent=65_537, key_size=2_048)
        key = cls(secrets.token_hex(8) if kid is None else kid, private_key)
        weakref.finalize(key, _idle.append, private_key).atexit = False
        return key

    def public_jwk(self) -> dict[str, Any]:
        """The key as LedgerBee publishes it (RFC 7517 §4): public members only."""
        numbers = self.private_key.public_key().public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": compact(_octets(numbers.n)),
            "e": compact(_octets(numbers.e)),
        }

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """A JWT with this header and these claims, whatever they are; the signature is always RS256."""
        return self.sign_raw(to_json(header), to_json(claims))

    def sign_raw(self, header: bytes, payload: bytes) -> str:
        """A JWS over bytes that need not even be JSON; the signature is always RS256."""
        signing_input = compact(header, payload)
        return f"{signing_input}.{compact(self.sign_text(signing_input))}"

    def sign_text(self, signing_input: str) -> bytes:
        """The RS256 signature (RFC 7518 §3.3) over two segments as they stand, in whatever spelling."""
        return self.private_key.sign(signing_input.encode("ascii"), PKCS1v15(), SHA256())
