"""Recognize other encodings of a key where base64url of its octets should stand.

Most of them are of the alphabet of base64url, too, and decode to a number that nobody has a private key of, or whose
factors anybody can find: each is a fault, also where that number would be taken. What is recognized cannot be octets
of a key by chance: 64 characters of hex in a row, 64 printable octets, or DER whose lengths fit.
"""

from __future__ import annotations

from binascii import a2b_base64
from string import digits, hexdigits, printable

__all__ = ["recognize"]

_LEAST = 64  # characters or octets: a text that is shorter may be what it should be
_PEM = "-----BEGIN"
_HEX = f"{hexdigits}xX: \t\r\n"  # also with 0x in front, or with colons
_PRINTABLE = printable.encode()
# DER (X.690 §8.1.3.5): a SEQUENCE whose length is in 1 or 2 octets, where its content begins, and with what.
_CONTENT = {b"\x30\x81": 3, b"\x30\x82": 4}
_FIRST_TAGS = (b"\x02", b"\x30")  # INTEGER: PKCS #1, PKCS #8; SEQUENCE: SPKI, a certificate


def recognize(text: str) -> str | None:
    """Name the encoding that a member of a JWK has in place of base64url of its octets; None where none is seen."""
    plain = _recognize_text(text)
    if plain is not None:
        return plain
    try:
        octets = a2b_base64(text.replace("-", "+").replace("_", "/") + "==")  # passes over line breaks and the like
    except ValueError:
        return None
    if _is_der(octets):
        return "DER in base64"
    if len(octets) < _LEAST or octets.strip(_PRINTABLE):
        return None
    return f"{_recognize_text(octets.decode('ascii')) or 'a text'} in base64"


def _recognize_text(text: str) -> str | None:
    if text.lstrip().startswith(_PEM):
        return "PEM"
    if len(text) < _LEAST:
        return None
    if not text.strip(digits):
        return "decimal digits"
    return None if text.removeprefix("Modulus=").strip(_HEX) else "hex"


def _is_der(octets: bytes) -> bool:
    """Report whether octets are one SEQUENCE whose length fits, as a key or a certificate in DER is."""
    start = _CONTENT.get(octets[:2])
    if start is None:
        return False
    return int.from_bytes(octets[2:start]) == len(octets) - start and octets[start : start + 1] in _FIRST_TAGS
