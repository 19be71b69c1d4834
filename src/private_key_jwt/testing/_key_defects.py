"""Published keys with one mistake each: none of them may be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .._core.ec import CURVES
from ._keys import SigningKey, compact, octets

Edit = Callable[[SigningKey], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class KeyDefect:
    """One mistake in a published JWK.

        for name, defect in key_defects_of(tenant.alg).items():
            tenant.break_key(name)
            print(f"{defect.description}: {tenant.document()}")

    Whatever names that key is refused as ``unusable_key``.

    changes: make the members that are changed or added, of the key that is published.
    """

    name: str
    description: str
    changes: Edit = field(repr=False)


def _to(**members: Any) -> Edit:
    return lambda _key: members


def _other_alg(key: SigningKey) -> dict[str, Any]:
    others = {"RS": "PS256", "PS": "RS256", "ES": "ES384" if key.alg == "ES256" else "ES256", "Ed": "ES256"}
    return {"alg": others[key.alg[:2]]}


def _other_curve(key: SigningKey) -> dict[str, Any]:
    other = SigningKey.generate(alg="ES384" if key.alg == "ES256" else "ES256").public_jwk()
    return {name: other[name] for name in ("crv", "x", "y")}


def _prime(key: SigningKey) -> dict[str, Any]:
    # The prime of the curve in place of x: what is congruent to it is smaller, and a second spelling.
    curve = CURVES[key.public_jwk()["crv"]]
    return {"x": compact(curve.p.to_bytes(curve.size, "big"))}


def _another_y(key: SigningKey) -> dict[str, Any]:
    return {"y": SigningKey.generate(alg=key.alg).public_jwk()["y"]}


def _short_x(key: SigningKey) -> dict[str, Any]:
    curve = CURVES[key.public_jwk()["crv"]]
    return {"x": compact(bytes(curve.size - 1))}


_COMMON = (
    KeyDefect("key_for_encryption", "use is enc", _to(use="enc")),
    KeyDefect("key_for_signing", "key_ops without verify", _to(key_ops=["sign"])),
    KeyDefect("key_of_another_alg", "alg names another algorithm", _other_alg),
    KeyDefect("key_private", "a private member is published", _to(d="AQAB")),
    KeyDefect("key_of_unknown_type", "a kty that nobody knows", _to(kty="PQC")),
)
_RSA = (
    KeyDefect("key_exponent_3", "the exponent is 3", _to(e="Aw")),
    KeyDefect("key_even", "the modulus is even", _to(n=compact(octets(1 << 2_047)))),
    KeyDefect("key_small", "a modulus of 1024 bits", _to(n=compact(octets((1 << 1_023) + 1)))),
    KeyDefect("key_padded", "n is padded", lambda key: {"n": f"{key.public_jwk()['n']}=="}),
)
_EC = (
    KeyDefect("key_wrong_curve", "crv names another curve", _to(crv="secp256k1")),
    KeyDefect("key_of_another_curve", "a point of another curve that can sign", _other_curve),
    KeyDefect("key_above_p", "a coordinate is the prime of the curve", _prime),
    KeyDefect("key_off_curve", "x and y are no point of the curve", _another_y),
    KeyDefect("key_short_coordinate", "a coordinate has too few octets", _short_x),
)
_OKP = (
    KeyDefect("key_wrong_curve", "crv names another curve", _to(crv="Ed448")),
    KeyDefect("key_for_agreement", "crv is X25519, which signs nothing", _to(crv="X25519")),
    KeyDefect("key_small_order", "the point of order 1: anybody can sign", _to(x=compact(b"\1" + bytes(31)))),
    KeyDefect("key_off_curve", "x is no point of the curve", _to(x=compact(b"\2" + bytes(31)))),
    KeyDefect("key_above_p", "y is the prime of the curve", _to(x=compact((2**255 - 19).to_bytes(32, "little")))),
)
_FAMILIES = {"RS": _RSA, "PS": _RSA, "ES": _EC, "Ed": _OKP}


def key_defects_of(alg: str) -> Mapping[str, KeyDefect]:
    """List every defect that a published key for this algorithm can have, by its name."""
    return MappingProxyType({defect.name: defect for defect in (*_COMMON, *_FAMILIES[alg[:2]])})
