"""The tokens: signed in bulk before any clock starts; each with a ``jti`` of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from private_key_jwt.testing import SigningKey, Tenant

from . import hostile
from .measuring import CodePath, clock, cores

AUDIENCE = "https://op.example.com"
LIFETIME = 300
"""Seconds: the longest that the default policy takes. A LedgerBee assertion lives for 60; its cost is the same."""


def in_bulk(make: Callable[[int], str], count: int) -> list[str]:
    """``count`` tokens, made on all cores: signing releases the interpreter's lock."""
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(make, range(count)))


def new_token(tenant: Tenant, **claims: Any) -> str:
    """An assertion as LedgerBee sends it (``alg`` and ``kid``; no ``typ``), with a UUID as its ``jti``."""
    return tenant.assertion(**{**lasting(tenant.clock()), **claims})


def lasting(now: float) -> dict[str, Any]:
    """The claims that make an assertion of this moment last, and unlike any other."""
    return {"iat": int(now), "exp": int(now) + LIFETIME, "jti": str(uuid4())}


def tokens(tenant: Tenant, count: int, **claims: Any) -> list[str]:
    """New assertions of one tenant, all valid unless changed."""
    return in_bulk(lambda _number: new_token(tenant, **claims), count)


def forged(token: str) -> str:
    """A token whose signature is wrong and well-formed: it costs an RSA operation like a good one."""
    head, _, signature = token.rpartition(".")
    first = "A" if signature[0] != "A" else "B"
    return f"{head}.{first}{signature[1:]}"


def unsigned(header: hostile.Object, claims: hostile.Object) -> str:
    """An assertion whose signature no key made."""
    return f"{hostile.encode(header)}.{hostile.encode(claims)}.{hostile.b64(bytes([1]) * 256)}"


def floor(key: SigningKey, assertions: list[str]) -> CodePath:
    """The floor: the bare RSA operation of ``cryptography`` over the same tokens, its arguments made beforehand."""
    return bare("public_key.verify", [rsa_key(key)] * len(assertions), assertions)


def rsa_key(key: SigningKey) -> RSAPublicKey:
    """The public key, as an object of its own."""
    public_key = key.private_key.public_key()
    assert isinstance(public_key, RSAPublicKey)
    return public_key.public_numbers().public_key()


def bare(name: str, keys: list[RSAPublicKey], assertions: list[str]) -> CodePath:
    """The bare RSA operation over each token with its key."""
    padding, digest = PKCS1v15(), SHA256()
    parts = (token.rpartition(".") for token in assertions)
    items = [
        (key.verify, hostile.unb64(signature), head.encode("ascii"))
        for key, (head, _, signature) in zip(keys, parts, strict=True)
    ]

    def run(block: Any) -> float:
        began = clock()
        for verify, signature, signing_input in block:
            verify(signature, signing_input, padding, digest)
        return clock() - began

    return CodePath(name, run, items)


def garbage(tenant: Tenant) -> dict[str, str]:
    """The hostile shapes of nearly 16 KiB, for one tenant."""
    return hostile.shapes(tenant.header(), tenant.claims())
