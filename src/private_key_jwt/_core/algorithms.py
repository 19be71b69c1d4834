"""The signature algorithms that a client can be registered for: one row for each.

``none`` and the HMAC family can never have a row: the first is no signature, and the second would make
the published key the secret (RFC 8725 §2.1, §3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from .rsa import import_rsa

_PKCS1V15 = PKCS1v15()
_DIGEST = Prehashed(SHA256())


def _verify_rs256(key: RSAPublicKey, signature: bytes, signing_input: bytes) -> bool:
    # RFC 7518 §3.3. Straight to cryptography: joserfc's own RS256 builds a hash object and checks key_ops anew for
    # each call, and both were settled when the key was imported. hashlib makes the digest in less time, too.
    try:
        key.verify(signature, sha256(signing_input).digest(), _PKCS1V15, _DIGEST)
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Algorithm:
    """``import_key`` makes a key of a JWK's members or raises ValueError; ``verify`` answers True or False."""

    kty: str
    import_key: Callable[[Mapping[str, Any]], RSAPublicKey]
    verify: Callable[[RSAPublicKey, bytes, bytes], bool]


ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType({"RS256": Algorithm("RSA", import_rsa, _verify_rs256)})
