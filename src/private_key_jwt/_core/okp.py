"""Import Ed25519 public keys (RFC 8037 §2, RFC 8032 §5.1).

``cryptography`` loads every 32 octets. Refused here are those that are no point of the curve, about half of all, under
which nothing ever verifies; and points of small order, under which anybody can make a signature that verifies (eprint
2020/1244).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc.jwk import OKPKey, thumbprint

from .._text import quote_member
from .octets import decode_member

__all__ = ["CURVE", "import_okp"]

CURVE = "Ed25519"

_SIZE = 32
_P = 2**255 - 19
_D = -121_665 * pow(121_666, -1, _P) % _P

# The y of the eight points whose order divides the cofactor: of order 1 and 2, of order 4, and of order 8. At a
# point of order 8, x² and y² are the two roots of one equation, so each y stands there with both signs.
_ORDER_8 = 0x7A03AC92_77FDC74E_C6CC392C_FA53202A_0F67100D_760B3CBA_4FD84D3D_706A17C7
_SMALL_ORDER = frozenset({1, _P - 1, 0, _ORDER_8, _P - _ORDER_8})


def _is_on_curve(y: int) -> bool:
    """Say whether a point has this y, which is of none of small order (RFC 8032 §5.1.3).

    It has when (y² - 1) / (dy² + 1) is a square, and so when the product of the two is.
    """
    square = y * y % _P
    return _jacobi((square - 1) * (_D * square + 1) % _P, _P) == 1


def _jacobi(a: int, n: int) -> int:
    """Compute the Jacobi symbol (a/n) of an odd n by the law of quadratic reciprocity.

    It takes a fifth of the time of Euler's criterion, ``pow(a, (n - 1) // 2, n)``, with which a set of 64 keys would
    hold up an event loop for 10 ms.
    """
    symbol = 1
    while a:
        twos = (a & -a).bit_length() - 1
        a >>= twos
        if twos % 2 and n % 8 in (3, 5):
            symbol = -symbol
        if a % 4 == n % 4 == 3:
            symbol = -symbol
        a, n = n % a, a
    return symbol if n == 1 else 0


def import_okp(members: Mapping[str, Any]) -> tuple[Ed25519PublicKey, str]:
    """Import the public key that ``x`` is on the curve Ed25519, and compute its thumbprint. Raise ValueError."""
    if members.get("crv") != CURVE:
        raise ValueError(f"crv is {quote_member(members.get('crv'))}, not {CURVE}")
    octets = decode_member(members, "x", 2 * _SIZE)
    if len(octets) != _SIZE:
        raise ValueError(f"x has {len(octets)} octets, and {CURVE} has {_SIZE} (RFC 8037 section 2)")
    y = int.from_bytes(octets, "little") & (2**255 - 1)  # the highest bit is the sign of x
    if y >= _P:
        raise ValueError(f"x is not below the prime of {CURVE}")
    if y in _SMALL_ORDER:
        raise ValueError("x is a point of small order: signatures under it can be made without a key")
    if not _is_on_curve(y):
        raise ValueError(f"x is no point of {CURVE}")
    key = OKPKey.import_key(Ed25519PublicKey.from_public_bytes(octets))
    return cast(Ed25519PublicKey, key.public_key), thumbprint({"kty": "OKP", "crv": CURVE, "x": members["x"]})
