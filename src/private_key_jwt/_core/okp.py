"""Import Ed25519 public keys (RFC 8037 §2, RFC 8032 §5.1).

``cryptography`` loads every 32 octets. Points of small order are refused here: under such a key anybody can make a
signature that verifies (eprint 2020/1244).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc.jwk import OKPKey, thumbprint

from .._text import quote
from .octets import decode_member

__all__ = ["CURVE", "import_okp"]

CURVE = "Ed25519"

_SIZE = 32
_P = 2**255 - 19

# The y of the eight points whose order divides the cofactor: of order 1 and 2, of order 4, and of order 8. At a
# point of order 8, x² and y² are the two roots of one equation, so each y stands there with both signs.
_ORDER_8 = 0x7A03AC92_77FDC74E_C6CC392C_FA53202A_0F67100D_760B3CBA_4FD84D3D_706A17C7
_SMALL_ORDER = frozenset({1, _P - 1, 0, _ORDER_8, _P - _ORDER_8})


def import_okp(members: Mapping[str, Any]) -> tuple[Ed25519PublicKey, str]:
    """Import the public key that ``x`` is on the curve Ed25519, and compute its thumbprint. Raise ValueError."""
    if members.get("crv") != CURVE:
        raise ValueError(f"crv is {quote(members.get('crv'))}, not {CURVE}")
    octets = decode_member(members, "x", 2 * _SIZE)
    if len(octets) != _SIZE:
        raise ValueError(f"x has {len(octets)} octets, and {CURVE} has {_SIZE} (RFC 8037 section 2)")
    y = int.from_bytes(octets, "little") & (2**255 - 1)  # the highest bit is the sign of x
    if y >= _P:
        raise ValueError(f"x is not below the prime of {CURVE}")
    if y in _SMALL_ORDER:
        raise ValueError("x is a point of small order: signatures under it can be made without a key")
    key = OKPKey.import_key(Ed25519PublicKey.from_public_bytes(octets))
    return cast(Ed25519PublicKey, key.public_key), thumbprint({"kty": "OKP", "crv": CURVE, "x": members["x"]})
