"""Recognize an unknown kid as another spelling (hex, braces, padding, percent-encoding) of a published one.

For refusals only.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

from .octets import encode

__all__ = ["folded", "spelling"]


def folded(kid: str) -> str:
    """Return a kid without what distinguishes its spellings in case and white space."""
    return kid.strip().casefold()


def spelling(kid: str, published: str) -> str | None:
    """Say how ``kid`` spells the published one, such as ``in hex``; None where it does not."""
    meant = folded(published)
    return next((said for read, said in _SPELLINGS if folded(read(kid)) == meant), None)


def _from_hex(kid: str) -> str:
    """Return in base64url what a kid has in hex, as ``openssl x509 -fingerprint`` and portals show a certificate."""
    try:
        octets = bytes.fromhex(kid.replace(":", ""))
    except ValueError:
        return kid
    return encode(octets)


_SPELLINGS: tuple[tuple[Callable[[str], str], str], ...] = (
    (_from_hex, "in hex"),
    (lambda kid: kid.removeprefix("{").removesuffix("}"), "in braces"),
    (unquote, "percent-encoded"),
    (lambda kid: kid.rstrip("="), "with padding"),
)
