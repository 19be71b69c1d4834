"""Read and write the members of a JWK that hold octets (RFC 7518 §2: base64url without padding)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from string import ascii_letters, digits
from typing import Any

from .._text import quote_json
from . import base64url
from .describe import MEMBER, foreign_character
from .encoding import recognize

__all__ = ["decode_member", "encode"]

_ALPHABET = f"{ascii_letters}{digits}-_"
_AQAB = " (65537 is AQAB)"
_LOOKED_AT = 4_096  # characters: an RSA key of 8192 bits in PEM, in base64 once more, has less


def decode_member(members: Mapping[str, Any], name: str, max_characters: int) -> bytes:
    """Decode one member. Raise ValueError, with what is wrong with its spelling."""
    value = members.get(name)
    if value is None:
        hint = ", only a certificate (x5c), which is not looked at" if "x5c" in members else ""
        raise ValueError(f"{name} is absent{hint}")
    if not isinstance(value, str):
        number = "the number " * (type(value) is int or type(value) is float)
        raise ValueError(f"{name} is {number}{quote_json(value)}, not a string{_AQAB * (value == 65_537)}")
    if len(value) <= _LOOKED_AT and (encoding := recognize(value)):
        meant = "modulus" if name == "n" else "number"
        raise ValueError(f"{name} looks like {encoding}: it must be the {meant} alone, in base64url")
    if len(value) > max_characters:
        raise ValueError(f"{name} is too long: {len(value)} characters, and at most {max_characters} are decoded")
    try:
        return base64url.decode(value.encode("ascii"))
    except ValueError:
        raise ValueError(f"{name} is {_misspelled(value)}") from None


def encode(octets: bytes) -> str:
    """Encode octets as the one text that spells them."""
    return urlsafe_b64encode(octets).decode("ascii").rstrip("=")


def _misspelled(value: str) -> str:
    foreign = value.lstrip(_ALPHABET)  # from its first character that is none of base64url
    if foreign:
        if not foreign.strip("="):
            return "padded with '=', and base64url in a JWK has no padding (RFC 7518 section 2)"
        return f"not base64url: {foreign_character(value, len(value) - len(foreign), MEMBER)}"
    if not value.strip(digits):
        return f"not base64url of octets: it looks decimal{_AQAB}"
    if value[:2].lower() == "0x":
        return f"not base64url of octets: it looks like hex{_AQAB}"
    if len(value) % 4 == 1:
        return f"not canonical base64url: no octets have {len(value)} characters, was it cut?"
    return f"not canonical base64url: its last character, {value[-1]!r}, has spare bits that are not zero"
