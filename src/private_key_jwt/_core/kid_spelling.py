"""Recognize an unknown kid as another spelling (hex, standard base64, braces, a prefix) of a published one.

Either of the two may be the one in the unusual spelling. For refusals only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import unquote_to_bytes

from .octets import encode

__all__ = ["folded", "forms", "readings"]


def folded(kid: str) -> str:
    """Return a kid without what distinguishes its spellings in case and white space."""
    return kid.strip().casefold()


def readings(kid: str) -> dict[str, str]:
    """Return what a kid may be read as, folded, each with the spelling that it is then in; "" for the kid as it is.

    They are few, and read once: which of many published names are among them is then a look at each reading.
    """
    return _read(kid, _SPELLINGS)


def forms(published: str) -> dict[str, str]:
    """Return what a published name may be read as, folded, each with the form that it is then in; "" for as it is."""
    return _read(published, _FORMS)


_Spellings = Sequence[tuple[Callable[[str], str], str]]


def _read(text: str, spellings: _Spellings) -> dict[str, str]:
    found = {folded(text): ""}
    for read, said in spellings:
        reading = read(text)
        if reading and reading != text:  # most are in none of them, and to fold a text costs more than to compare it
            found.setdefault(folded(reading), said)
    return found


def _from_hex(kid: str) -> str:
    """Return in base64url what a kid has in hex, as ``openssl x509 -fingerprint`` and portals show a certificate."""
    try:
        octets = bytes.fromhex(kid.removeprefix("0x").replace(":", "").replace("-", ""))
    except ValueError:
        return kid
    return encode(octets)


def _unquote(kid: str) -> str:
    # `urllib.parse.unquote` decodes each piece between two letters on its own: ten times as slow, and strangers choose.
    return unquote_to_bytes(kid.encode("utf-8", "replace")).decode("utf-8", "replace")


def _from_standard(kid: str) -> str:
    """Return in base64url what a kid has in standard base64 (RFC 4648 §4)."""
    return kid.replace("+", "-").replace("/", "_").rstrip("=")


def _behind_prefix(kid: str) -> str:
    """Return the end of a URL or a URN: a thumbprint URI (RFC 9278), a DID URL, a key set's URL with a fragment."""
    return kid[1 + max(map(kid.rfind, "#/:")) :]


# What either of the two may be in.
_FORMS: _Spellings = (
    (_from_hex, "in hex"),
    (lambda kid: kid.rstrip("="), "with padding"),
    (_from_standard, "in standard base64"),
    (_behind_prefix, "behind a prefix"),
)
_SPELLINGS: _Spellings = (
    *_FORMS,
    (lambda kid: kid.removeprefix("{").removesuffix("}"), "in braces"),
    (lambda kid: kid.strip("\"'"), "in quotes"),
    (_unquote, "percent-encoded"),
)
