"""RSA public keys out of JWK members (RFC 7518 §6.3.1), refused when they are weak or odd.

``cryptography`` loads 512-bit keys, even moduli and small exponents: size and shape are our checks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from . import base64url

MIN_MODULUS_BITS = 2_048
MAX_MODULUS_BITS = 8_192
MIN_EXPONENT = 65_537
MAX_EXPONENT = 2**32

# The longest spelling of a modulus that is decoded at all, with room for leading zero octets.
_MAX_SEGMENT = 2 * MAX_MODULUS_BITS // 6

_SMALL_PRIMES = tuple(p for p in range(3, 752) if all(p % q for q in range(2, math.isqrt(p) + 1)))
_SMALL_PRODUCT = math.prod(_SMALL_PRIMES)


def _powers(generator: int, prime: int) -> frozenset[int]:
    powers, value = set[int](), 1
    while value not in powers:
        powers.add(value)
        value = value * generator % prime
    return frozenset(powers)


# CVE-2017-15361 (ROCA): the flawed generator made both primes a power of 65537 modulo a product of small
# primes, and so is their product. That a sound modulus is so for each of these primes has a chance under 2^-27.
_ROCA = tuple((p, _powers(65_537, p)) for p in _SMALL_PRIMES if p <= 167)


def _unsigned(members: Mapping[str, Any], name: str) -> int:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is no string")
    if len(value) > _MAX_SEGMENT:
        raise ValueError(f"{name} is too long")
    try:
        # A leading zero octet is against RFC 7518 §2, common, and harmless: the integer counts.
        return int.from_bytes(base64url.decode(value.encode("utf-8")), "big")
    except ValueError as error:
        raise ValueError(f"{name} is {error}") from None


def check_modulus(n: int) -> None:
    """Size, and what SP 800-89 §5.3.3 checks without the factors. Raises ValueError."""
    if not MIN_MODULUS_BITS <= n.bit_length() <= MAX_MODULUS_BITS:
        raise ValueError(f"{n.bit_length()} bits, and {MIN_MODULUS_BITS} to {MAX_MODULUS_BITS} are taken")
    if n % 2 == 0:
        raise ValueError("n is even")
    if math.gcd(n, _SMALL_PRODUCT) != 1:
        raise ValueError("n has a small prime factor")
    if all(n % prime in powers for prime, powers in _ROCA):
        raise ValueError("n has the ROCA fingerprint (CVE-2017-15361)")


def check_exponent(e: int) -> None:
    """Odd, from 65537 (SP 800-56B §6.2) to 2^32. Raises ValueError."""
    if e % 2 == 0 or not MIN_EXPONENT <= e <= MAX_EXPONENT:
        raise ValueError("e is not an odd number from 65537 to 2^32")


def import_rsa(members: Mapping[str, Any]) -> RSAPublicKey:
    """The public key that ``n`` and ``e`` are; ``x5c`` and the like are not looked at. Raises ValueError."""
    n, e = _unsigned(members, "n"), _unsigned(members, "e")
    check_modulus(n)
    check_exponent(e)
    try:
        return RSAKey.import_key({"kty": "RSA", "n": members["n"], "e": members["e"]}).public_key
    except (JoseError, ValueError) as error:
        raise ValueError(f"not an RSA key: {type(error).__name__}") from None
