"""Keys that sign whatever they are given: RSA keys are made once and used again."""

from __future__ import annotations

import json
import secrets
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from .._core.octets import encode

PrivateKey = RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey

HASHES: Mapping[str, HashAlgorithm] = MappingProxyType({"256": SHA256(), "384": SHA384(), "512": SHA512()})

_CURVES: Mapping[str, tuple[str, ec.EllipticCurve]] = MappingProxyType(
    {
        "ES256": ("P-256", ec.SECP256R1()),
        "ES384": ("P-384", ec.SECP384R1()),
        "ES512": ("P-521", ec.SECP521R1()),
    }
)

# Making an RSA key takes some 60 ms. A key goes back here when nothing holds its SigningKey any more, so that
# a test run makes few, and no two that live at the same time are the same. A deque needs no lock for this.
_idle: deque[RSAPrivateKey] = deque()


def compact(*segments: bytes) -> str:
    """Write bytes in compact serialization (RFC 7515 §7.1): unpadded base64url, with dots between."""
    return ".".join(map(encode, segments))


def to_json(value: object) -> bytes:
    """Write JSON as most senders do: ASCII, no white space. NaN and lone surrogates are written, too, on purpose."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def octets(number: int) -> bytes:
    """Write a number in as few octets as it has (RFC 7518 §2, Base64urlUInt)."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


# Signatures: each takes a private key of its type, the data, and the name of the hash


def pkcs1(key: Any, data: bytes, bits: str) -> bytes:
    """Sign by RSASSA-PKCS1-v1_5 (RFC 7518 §3.3)."""
    return bytes(key.sign(data, PKCS1v15(), HASHES[bits]))


def pss(key: Any, data: bytes, bits: str, *, salt: int | None = None, mgf: HashAlgorithm | None = None) -> bytes:
    """Sign by RSASSA-PSS (RFC 7518 §3.5); ``salt`` (octets) and the hash of MGF1 are the standard's unless given."""
    digest = HASHES[bits]
    length = digest.digest_size if salt is None else salt
    return bytes(key.sign(data, PSS(MGF1(mgf or digest), length), digest))


def ecdsa_der(key: Any, data: bytes, bits: str) -> bytes:
    """Sign by ECDSA as most libraries give it: in DER, which JWS does not take."""
    return bytes(key.sign(data, ec.ECDSA(HASHES[bits])))


def raw(key: Any, r: int, s: int) -> bytes:
    """Write R and S side by side, each in the octets of the curve (RFC 7518 §3.4)."""
    size = (key.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def ecdsa(key: Any, data: bytes, bits: str) -> bytes:
    """Sign by ECDSA (RFC 7518 §3.4)."""
    return raw(key, *decode_dss_signature(ecdsa_der(key, data, bits)))


def eddsa(key: Any, data: bytes, _bits: str) -> bytes:
    """Sign by Ed25519 (RFC 8037 §3.1)."""
    return bytes(key.sign(data))


_SIGN: Mapping[str, Callable[[Any, bytes, str], bytes]] = MappingProxyType(
    {"RS": pkcs1, "PS": pss, "ES": ecdsa, "Ed": eddsa}
)


def sign_as(alg: str, key: Any, data: bytes) -> bytes:
    """Sign data with a private key by an algorithm, which may be another of the key's type than the key is for."""
    return _SIGN[alg[:2]](key, data, alg[2:])


def _generate(alg: str) -> PrivateKey:
    if alg in _CURVES:
        return ec.generate_private_key(_CURVES[alg][1])
    if alg.startswith("Ed"):
        return Ed25519PrivateKey.generate()
    try:
        return _idle.popleft()
    except IndexError:
        return generate_private_key(public_exponent=65_537, key_size=2_048)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SigningKey:
    """A private key, the ``kid`` it is published under, and the algorithm it signs with.

        key = SigningKey.generate(alg="ES256")
        key.public_jwk()                                    # to be published
        key.sign({"alg": key.alg, "kid": key.kid}, claims)  # a JWT

    For tests: nothing here keeps it secret.
    """

    kid: str
    private_key: PrivateKey = field(repr=False)
    alg: str = "RS256"

    @classmethod
    def generate(cls, kid: str | None = None, alg: str = "RS256") -> Self:
        """Make a key that nobody else holds, under a ``kid`` of its own unless one is given.

        alg: RS256 (a key of 2048 bits, as for all of RSA), PS256, ES256, Ed25519 or any other that can be registered.
        Raises ValueError for another.
        """
        if alg[:2] not in _SIGN or (alg[2:] not in HASHES and alg not in ("Ed25519", "EdDSA")):
            raise ValueError(f"alg must be one that a client can be registered for, not {alg!r}")
        private_key = _generate(alg)
        key = cls(secrets.token_hex(8) if kid is None else kid, private_key, alg)
        if isinstance(private_key, RSAPrivateKey):
            weakref.finalize(key, _idle.append, private_key).atexit = False
        return key

    def public_jwk(self) -> dict[str, Any]:
        """Write the key as LedgerBee publishes it (RFC 7517 §4): public members only."""
        return {
            "kty": _KTY[self.alg[:2]],
            "use": "sig",
            "alg": self.alg,
            "kid": self.kid,
            **_public_members(self.private_key),
        }

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """Make a JWT with this header and these claims, whatever they are; the signature is always the key's own."""
        return self.sign_raw(to_json(header), to_json(claims))

    def sign_raw(self, header: bytes, payload: bytes) -> str:
        """Make a JWS over bytes that need not even be JSON; the signature is always the key's own."""
        signing_input = compact(header, payload)
        return f"{signing_input}.{compact(self.sign_text(signing_input))}"

    def sign_text(self, signing_input: str) -> bytes:
        """Sign two segments as they stand, in whatever spelling."""
        return sign_as(self.alg, self.private_key, signing_input.encode("ascii"))


_KTY = MappingProxyType({"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"})
_CURVE_NAMES = MappingProxyType({curve.key_size: name for name, curve in _CURVES.values()})


def _public_members(key: PrivateKey) -> dict[str, str]:
    if isinstance(key, RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {"n": compact(octets(numbers.n)), "e": compact(octets(numbers.e))}
    if isinstance(key, Ed25519PrivateKey):
        return {"crv": "Ed25519", "x": compact(key.public_key().public_bytes_raw())}
    point, size = key.public_key().public_numbers(), (key.key_size + 7) // 8
    coordinates = {"x": compact(point.x.to_bytes(size, "big")), "y": compact(point.y.to_bytes(size, "big"))}
    return {"crv": _CURVE_NAMES[key.key_size], **coordinates}
