"""The signature algorithms that a client can be registered for: one row for each (RFC 7518 §3, RFC 9864 §2.2).

A row fixes the type and the curve of its keys, so that nothing an attacker sends can choose between them. ``none`` and
the HMAC family can never have a row: the first is no signature, and the second would make the published key the secret
(RFC 8725 §2.1, §3.2).

| name                | keys         | signature (RFC 7518 §3.3 to §3.5, RFC 8037 §3.1)              |
|---------------------|--------------|---------------------------------------------------------------|
| RS256, RS384, RS512 | RSA          | RSASSA-PKCS1-v1_5 of exactly the modulus's octets             |
| PS256, PS384, PS512 | RSA          | RSASSA-PSS, salt as long as the hash, MGF1 with the same hash |
| ES256               | EC, P-256    | R and S side by side, 32 octets each, both from 1 to n - 1    |
| ES384               | EC, P-384    | the same, 48 octets each                                      |
| ES512               | EC, P-521    | the same, 66 octets each                                      |
| Ed25519, EdDSA      | OKP, Ed25519 | 64 octets; EdDSA is the old name, and may be used, too        |

To add one: its row in ``ALGORITHMS`` here, with the function that verifies it; for a new type of key an importer in
``jwk.py``; and in ``testing/_keys.py`` what signs. Tests that are parametrized by ``ALGORITHMS`` then run over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256, sha384, sha512
from types import MappingProxyType
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from .._text import quote
from .describe import alike
from .ec import CURVES, Curve
from .okp import CURVE as ED25519
from .rsa import MIN_MODULUS_BITS

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Verify",
    "describe_unsupported",
    "is_allowed",
    "is_only_choice",
    "published_names",
    "shortest_signature",
]

Verify = Callable[[bytes, bytes], bool]
"""Step 5: whether a signature is this key's, over the bytes received (``verify(signature, signing_input)``)."""


def shortest_signature(name: object) -> int | None:
    """Return the fewest octets that a signature of an algorithm has; None for one that is none of ours."""
    row = ALGORITHMS.get(name) if isinstance(name, str) else None
    return None if row is None else row.size or MIN_MODULUS_BITS // 8


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One row.

    name: the fully-specified name (RFC 9864); rows of one algorithm under two names share it.
    kty, crv: what a JWK must say to be a key of this algorithm.
    size: how many octets a signature has; None for as many as the modulus of its key.
    verify: the check of a signature: ``verify(key, *parameters, signature, signing_input)``; for RSA, the size of the
        modulus in octets stands after the key.
    """

    name: str
    kty: str
    crv: str | None
    size: int | None
    verify: Callable[..., bool]
    parameters: tuple[Any, ...] = ()

    def bind(self, key: Any) -> Verify:
        """Make the Verify of a public key of that type and curve."""
        if self.kty == "RSA":
            # Asking the key for its size takes 0.1 µs: once is enough.
            return partial(self.verify, key, (key.key_size + 7) // 8, *self.parameters)
        return partial(self.verify, key, *self.parameters)


class _Hash(Protocol):
    def digest(self) -> bytes: ...


# hashlib makes a digest in less time than cryptography does.
_Digest = Callable[[bytes], _Hash]


def _is_signature(verify: Callable[..., None], *arguments: Any) -> bool:
    """Say whether a function of cryptography takes a signature."""
    try:
        verify(*arguments)
    except InvalidSignature:
        return False
    return True


# RSASSA-PKCS1-v1_5 (RFC 8017 §8.2)

_PKCS1V15 = PKCS1v15()

# RFC 8017 §9.2, note 1: all of the DER of DigestInfo that stands in front of the digest.
_SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
_SHA384_INFO = bytes.fromhex("3041300d060960864801650304020205000430")
_SHA512_INFO = bytes.fromhex("3051300d060960864801650304020305000440")


def _verify_pkcs1(
    key: RSAPublicKey, size: int, info: bytes, digest: _Digest, signature: bytes, signing_input: bytes
) -> bool:
    # RFC 8017 §8.2.2 step 1. Recovering would take a shorter one for a number with zeros in front.
    if len(signature) != size:
        return False
    try:
        # What is recovered is all that follows 00 01 FF … FF 00, of which nothing but FF is taken. So with the length
        # above, one comparison with the whole DigestInfo is step 4. It takes 0.95 of the time of `key.verify`, which
        # gives the interpreter's lock away and waits for it again: with two threads 0.6.
        recovered = key.recover_data_from_signature(signature, _PKCS1V15, None)
    except InvalidSignature:
        return False
    return recovered == info + digest(signing_input).digest()


# RSASSA-PSS (RFC 8017 §8.1): MGF1 has the same hash, and the salt is as long as it


def _verify_pss(
    key: RSAPublicKey,
    size: int,
    padding: PSS,
    hash_: Prehashed,
    digest: _Digest,
    signature: bytes,
    signing_input: bytes,
) -> bool:
    if len(signature) != size:
        return False
    return _is_signature(key.verify, signature, digest(signing_input).digest(), padding, hash_)


# ECDSA (RFC 7518 §3.4)


def _verify_ecdsa(
    key: ec.EllipticCurvePublicKey, curve: Curve, scheme: ec.ECDSA, signature: bytes, signing_input: bytes
) -> bool:
    size, order = curve.size, curve.n
    if len(signature) != 2 * size:
        return False
    r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
    # FIPS 186-5 §6.4.2 step 1. Zeros once verified for any key, in another library (CVE-2022-21449).
    if not (0 < r < order and 0 < s < order):
        return False
    return _is_signature(key.verify, encode_dss_signature(r, s), signing_input, scheme)


# Ed25519 (RFC 8032 §5.1.7)

_ED25519_SIZE = 64


def _verify_ed25519(key: Ed25519PublicKey, signature: bytes, signing_input: bytes) -> bool:
    return len(signature) == _ED25519_SIZE and _is_signature(key.verify, signature, signing_input)


_SHA256, _SHA384, _SHA512 = hashes.SHA256(), hashes.SHA384(), hashes.SHA512()
_PSS256, _PSS384, _PSS512 = (PSS(MGF1(each), each.digest_size) for each in (_SHA256, _SHA384, _SHA512))
_P256, _P384, _P521 = (CURVES[name] for name in ("P-256", "P-384", "P-521"))
_ED25519 = Algorithm("Ed25519", "OKP", ED25519, _ED25519_SIZE, _verify_ed25519)

ALGORITHMS = MappingProxyType(
    {
        "RS256": Algorithm("RS256", "RSA", None, None, _verify_pkcs1, (_SHA256_INFO, sha256)),
        "RS384": Algorithm("RS384", "RSA", None, None, _verify_pkcs1, (_SHA384_INFO, sha384)),
        "RS512": Algorithm("RS512", "RSA", None, None, _verify_pkcs1, (_SHA512_INFO, sha512)),
        "PS256": Algorithm("PS256", "RSA", None, None, _verify_pss, (_PSS256, Prehashed(_SHA256), sha256)),
        "PS384": Algorithm("PS384", "RSA", None, None, _verify_pss, (_PSS384, Prehashed(_SHA384), sha384)),
        "PS512": Algorithm("PS512", "RSA", None, None, _verify_pss, (_PSS512, Prehashed(_SHA512), sha512)),
        "ES256": Algorithm("ES256", "EC", _P256.name, 2 * _P256.size, _verify_ecdsa, (_P256, ec.ECDSA(_SHA256))),
        "ES384": Algorithm("ES384", "EC", _P384.name, 2 * _P384.size, _verify_ecdsa, (_P384, ec.ECDSA(_SHA384))),
        "ES512": Algorithm("ES512", "EC", _P521.name, 2 * _P521.size, _verify_ecdsa, (_P521, ec.ECDSA(_SHA512))),
        "Ed25519": _ED25519,
        "EdDSA": _ED25519,
    }
)
"""Every algorithm by the names it may have in a header, a JWK or a registration."""

# The other algorithms that a key of one algorithm fits: none, but for RSA.
_ALTERNATIVES = {
    name: frozenset(
        other for other, its in ALGORITHMS.items() if (its.kty, its.crv) == (row.kty, row.crv) and its.name != row.name
    )
    for name, row in ALGORITHMS.items()
}


def is_allowed(alg: str, signing_algs: Sequence[str]) -> bool:
    """Report whether a client that is registered for ``signing_algs`` may use ``alg``; EdDSA and Ed25519 are one."""
    if alg in signing_algs:
        return True
    row = ALGORITHMS.get(alg)
    return row is not None and any(ALGORITHMS[each] is row for each in signing_algs)


_NEVER = {"none": "it is not signed", "HS": "its key is a secret, and a client needs a key pair of its own"}


def describe_unsupported(alg: str, signing_algs: Sequence[str]) -> str:
    """Describe an ``alg`` that a client may not use."""
    expected = f"expected alg {' or '.join(signing_algs)} (the client's signing_algs), got {quote(alg)}"
    if hint := next(filter(None, (alike(alg, each) for each in signing_algs)), ""):
        return expected + hint
    if alg in ALGORITHMS:
        return f"{expected}: register the client for it, or let it sign with {signing_algs[0]}"
    return expected + next((f": {why}" for start, why in _NEVER.items() if alg.startswith(start)), "")


def is_only_choice(alg: str, signing_algs: Sequence[str]) -> bool:
    """Report whether a key of ``alg`` fits no other of a client's ``signing_algs``."""
    return len(signing_algs) == 1 or _ALTERNATIVES[alg].isdisjoint(signing_algs)


def published_names(signing_algs: Iterable[str]) -> list[str]:
    """Return the fully-specified names (RFC 9864 §4) of algorithms, each once."""
    return list(dict.fromkeys(ALGORITHMS[alg].name for alg in signing_algs))
