"""Import RSA public keys (RFC 7518 §6.3.1), and refuse those that are weak or odd.

``cryptography`` loads 512-bit keys, even moduli and small exponents: size and shape are checked here, on the integers
that the key is then made of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from joserfc.jwk import RSAKey, thumbprint

from .octets import decode_member, encode

__all__ = ["MAX_MODULUS_BITS", "MIN_MODULUS_BITS", "check_exponent", "check_modulus", "import_rsa"]

MIN_MODULUS_BITS = 2_048
MAX_MODULUS_BITS = 8_192
MIN_EXPONENT = 65_537
MAX_EXPONENT = 2**32

# The longest spelling of a modulus that is decoded at all, with room for leading zero octets.
_MAX_CHARACTERS = 2 * MAX_MODULUS_BITS // 6

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


def _unsigned(members: Mapping[str, Any], name: str) -> bytes:
    # A leading zero octet is against RFC 7518 §2, common, and harmless: the integer counts.
    return decode_member(members, name, _MAX_CHARACTERS).lstrip(b"\0")


def check_modulus(n: int) -> None:
    """Check the size, and what SP 800-89 §5.3.3 checks without the factors. Raise ValueError."""
    if not MIN_MODULUS_BITS <= n.bit_length() <= MAX_MODULUS_BITS:
        raise ValueError(f"n has {n.bit_length()} bits, and {MIN_MODULUS_BITS} to {MAX_MODULUS_BITS} are taken")
    if n % 2 == 0:
        raise ValueError("n is even")
    if math.gcd(n, _SMALL_PRODUCT) != 1:
        raise ValueError("n has a small prime factor")
    if all(n % prime in powers for prime, powers in _ROCA):
        raise ValueError("n has the ROCA fingerprint (CVE-2017-15361)")


def check_exponent(e: int) -> None:
    """Check that the exponent is odd, and from 65537 (SP 800-56B §6.2) to 2^32. Raise ValueError."""
    if e % 2 == 0 or not MIN_EXPONENT <= e <= MAX_EXPONENT:
        shown = e if e <= MAX_EXPONENT else f"a number of {e.bit_length()} bits"
        raise ValueError(f"e is {shown}, and must be an odd number from {MIN_EXPONENT} to 2^32")


def import_rsa(members: Mapping[str, Any]) -> tuple[RSAPublicKey, str]:
    """Import the public key that ``n`` and ``e`` are, and compute its thumbprint (RFC 7638). Raise ValueError.

    ``x5c`` and the like are not looked at.
    """
    octets = {"n": _unsigned(members, "n"), "e": _unsigned(members, "e")}
    n, e = (int.from_bytes(octets[name]) for name in "ne")
    check_modulus(n)
    check_exponent(e)
    key = RSAKey.import_key(RSAPublicNumbers(e, n).public_key())
    return key.public_key, thumbprint({"kty": "RSA", "n": encode(octets["n"]), "e": encode(octets["e"])})
