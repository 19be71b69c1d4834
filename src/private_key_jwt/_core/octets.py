"""Read and write the members of a JWK that hold octets (RFC 7518 §2: base64url without padding)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from .._text import quote
from . import base64url
from .encoding import recognize

__all__ = ["decode_member", "encode"]

_LOOKED_AT = 4_096  # characters: an RSA key of 8192 bits in PEM, in base64 once more, has less


def decode_member(members: Mapping[str, Any], name: str, max_characters: int) -> bytes:
    """Decode one member. Raise ValueError, with what is wrong with its spelling."""
    value = members.get(name)
    if value is None:
        hint = ", only a certificate (x5c), which is not looked at" if "x5c" in members else ""
        raise ValueError(f"{name} is absent{hint}")
    if not isinstance(value, str):
        raise ValueError(f"{name} is {quote(value)}, not a string")
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
    if value.endswith("="):
        return "padded with '=', and base64url in a JWK has no padding (RFC 7518 section 2)"
    if "+" in value or "/" in value:
        return "in standard base64 (it holds '+' or '/'), not in base64url"
    return "not canonical base64url (only A-Z a-z 0-9 - _, spare bits zero)"
