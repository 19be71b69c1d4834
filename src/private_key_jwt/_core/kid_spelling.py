"""Recognize an unknown kid as another spelling (hex, braces, padding, percent-encoding) of a published one.

For refusals only.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from .octets import encode

__all__ = ["folded", "readings"]


def folded(kid: str) -> str:
    """Return a kid without what distinguishes its spellings in case and white space."""
    return kid.strip().casefold()


def readings(kid: str) -> dict[str, str]:
    """Return what a kid may be read as, folded, each with the spelling that it is then in; "" for the kid as it is.

    They are few, and read once: which of many published names are among them is then a look at each reading.
    """
    found = {folded(kid): ""}
    for read, said in _SPELLINGS:
        found.setdefault(folded(read(kid)), said)
    return found


def _from_hex(kid: str) -> str:
    """Return in base64url what a kid has in hex, as ``openssl x509 -fingerprint`` and portals show a certificate."""
    try:
        octets = bytes.fromhex(kid.replace(":", ""))
    except ValueError:
        return kid
    return encode(octets)


def _unquote(kid: str) -> str:
    # `urllib.parse.unquote` decodes each piece between two letters on its own: ten times as slow, and strangers choose.
    return unquote_to_bytes(kid.encode("utf-8", "replace")).decode("utf-8", "replace")


_SPELLINGS: tuple[tuple[Callable[[str], str], str], ...] = (
    (_from_hex, "in hex"),
    (lambda kid: kid.removeprefix("{").removesuffix("}"), "in braces"),
    (_unquote, "percent-encoded"),
    (lambda kid: kid.rstrip("="), "with padding"),
)
