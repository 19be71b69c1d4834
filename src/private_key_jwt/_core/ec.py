"""Import EC public keys (RFC 7518 §6.2.1) of the three curves that RFC 7518 §3.4 signs with.

``cryptography`` takes coordinates of p and above, and coordinates of other lengths: each is checked here, on the
integers that the key is then made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey, thumbprint

from .._text import quote_member
from .octets import decode_member

__all__ = ["CURVES", "Curve", "import_ec"]


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve y² = x³ - 3x + b over the integers modulo p, with a base point of order n (SP 800-186 §3.2.1).

    size: octets of one coordinate, and of each half of a signature (RFC 7518 §3.4, §6.2.1.2).
    """

    name: str
    size: int
    p: int
    b: int
    n: int
    implementation: ec.EllipticCurve


_P256 = Curve(
    "P-256",
    32,
    2**256 - 2**224 + 2**192 + 2**96 - 1,
    0x5AC635D8_AA3A93E7_B3EBBD55_769886BC_651D06B0_CC53B0F6_3BCE3C3E_27D2604B,
    0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551,
    ec.SECP256R1(),
)
_P384 = Curve(
    "P-384",
    48,
    2**384 - 2**128 - 2**96 + 2**32 - 1,
    int(
        "B3312FA7_E23EE7E4_988E056B_E3F82D19_181D9C6E_FE814112_0314088F_5013875A_C656398D_8A2ED19D_2A85C8ED_D3EC2AEF",
        16,
    ),
    int(
        "FFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_C7634D81_F4372DDF_581A0DB2_48B0A77A_ECEC196A_CCC52973",
        16,
    ),
    ec.SECP384R1(),
)
_P521 = Curve(
    "P-521",
    66,
    2**521 - 1,
    int(
        "0051_953EB961_8E1C9A1F_929A21A0_B68540EE_A2DA725B_99B315F3_B8B48991_8EF109E1"
        "_56193951_EC7E937B_1652C0BD_3BB1BF07_3573DF88_3D2C34F1_EF451FD4_6B503F00",
        16,
    ),
    int(
        "01FF_FFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFA"
        "_51868783_BF2F966B_7FCC0148_F709A5D0_3BB5C9B8_899C47AE_BB6FB71E_91386409",
        16,
    ),
    ec.SECP521R1(),
)

CURVES = MappingProxyType({curve.name: curve for curve in (_P256, _P384, _P521)})
"""The curves by their name in ``crv`` (RFC 7518 §6.2.1.1)."""


def _coordinate(members: Mapping[str, Any], name: str, curve: Curve) -> int:
    octets = decode_member(members, name, 2 * curve.size)
    if len(octets) != curve.size:
        raise ValueError(f"{name} has {len(octets)} octets, and {curve.name} has {curve.size} (RFC 7518 section 6.2.1)")
    coordinate = int.from_bytes(octets)
    if coordinate >= curve.p:
        raise ValueError(f"{name} is not below the prime of {curve.name}")
    return coordinate


def import_ec(members: Mapping[str, Any]) -> tuple[ec.EllipticCurvePublicKey, str]:
    """Import the public key that ``crv``, ``x`` and ``y`` are, and compute its thumbprint. Raise ValueError."""
    crv = members.get("crv")
    curve = CURVES.get(crv) if isinstance(crv, str) else None
    if curve is None:
        raise ValueError(f"crv is {quote_member(crv)}, not one of {', '.join(CURVES)}")
    x, y = _coordinate(members, "x", curve), _coordinate(members, "y", curve)
    if (y * y - (x * x * x - 3 * x + curve.b)) % curve.p:
        raise ValueError(f"x and y are no point of {curve.name}")
    key = ECKey.import_key(ec.EllipticCurvePublicNumbers(x, y, curve.implementation).public_key())
    return key.public_key, thumbprint({"kty": "EC", "crv": curve.name, "x": members["x"], "y": members["y"]})
