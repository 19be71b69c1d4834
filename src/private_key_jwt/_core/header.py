"""Step 2, the JOSE header (RFC 7515 §4), as far as it does not depend on the client."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from .._text import quote_json
from ..exceptions import InvalidClient, Reason
from . import compact
from .checks import Check

__all__ = ["CLIENT_AUTHENTICATION_TYP", "MAX_KID_BYTES", "Header", "keep", "parse"]

MAX_KID_BYTES = 256

_LONGEST_KEPT = 512  # characters
_MOST_VERIFIED = 200_000
_MOST_CHARACTERS = 2**25  # of all that are kept: with what Python adds to each, some 100 MB
_MEMBERS = frozenset(("alg", "kid", "typ", "cty"))

CLIENT_AUTHENTICATION_TYP = "client-authentication+jwt"
_TYPS = ("jwt", CLIENT_AUTHENTICATION_TYP)
_NO_KIND = frozenset(("", "jose", "jws", "client-assertion+jwt", *_TYPS))
"""Labels of no other kind of token: JOSE is any object of RFC 7515 §4.1.9; the others are misspelt."""


class Header(NamedTuple):
    """Hold what verification needs of a header. ``typ`` is in lower case, without ``application/``.

    has_others: whether it has members beside ``alg``, ``kid``, ``typ`` and ``cty``.
    """

    alg: str
    kid: str | None
    typ: str | None
    has_others: bool


class _Verified(dict[bytes, Header]):
    """Headers by their segment. ``characters``: of all segments together, or a little more or less under threads."""

    characters = 0


def _malformed(check: Check, detail: str) -> InvalidClient:
    return InvalidClient(Reason.MALFORMED, detail, check)


def _media_type(value: str) -> str:
    """Return a media type in lower case, without ``application/`` (RFC 7515 §4.1.9). Only ASCII folds here."""
    return value.lower().removeprefix("application/") if value.isascii() else value


def _check_extensions(members: dict[str, Any]) -> None:
    # RFC 7515 §4.1.11: what `crit` names must be understood, and nothing is. `b64` outside of `crit` is
    # not allowed (RFC 7797 §6), and inside it not for a JWT (§7).
    for name, kind in (("crit", list), ("b64", bool)):
        if name in members:
            if type(members[name]) is not kind:
                raise _malformed("crit", f"{name} has the wrong JSON type: {quote_json(members[name])}")
            raise InvalidClient(
                Reason.UNSUPPORTED_CRIT,
                f"expected no {name}, got {quote_json(members[name])}: no extension is known",
                "crit",
            )
    if "zip" in members:
        raise _malformed("zip_cty", f"expected no zip, got {quote_json(members['zip'])}: nothing is inflated here")
    # RFC 7519 §5.2: `JWT` is meant for a nested JWT, and many write it on a plain one. The payload must be a JSON
    # object in any case, so it changes nothing.
    cty = members.get("cty", "JWT")
    if type(cty) is not str or _media_type(cty) != "jwt":
        raise _malformed("zip_cty", f"expected no cty, or JWT, got {quote_json(cty)}")


def _alg(members: dict[str, Any]) -> str:
    alg = members.get("alg")
    if type(alg) is not str:
        found = f"got {quote_json(alg)}" if "alg" in members else "and it is absent"  # "none" is an alg
        raise _malformed("alg", f"expected alg to be a string, {found}")
    return alg


def _kid(members: dict[str, Any]) -> str | None:
    if "kid" not in members:
        return None
    kid = members["kid"]
    if type(kid) is not str or not kid:
        raise _malformed("kid", f"expected kid to be a non-empty string, got {quote_json(kid)}")
    size = len(kid.encode("utf-8"))
    if size > MAX_KID_BYTES:
        raise _malformed("kid", f"expected a kid of at most {MAX_KID_BYTES} bytes, got {size}")
    return kid


def _typ(members: dict[str, Any]) -> str | None:
    # RFC 8725 §3.11: a token that says it is of another kind is not a client assertion.
    if "typ" not in members:
        return None
    typ = members["typ"]
    if type(typ) is not str:
        raise _malformed("typ", f"expected typ to be a string, got {quote_json(typ)}")
    name = _media_type(typ)
    if name not in _TYPS:
        is_misspelt = name.partition(";")[0].strip().replace("_", "-") in _NO_KIND
        raise InvalidClient(
            Reason.UNSUPPORTED_TYP,
            f"expected typ to be absent, JWT or {CLIENT_AUTHENTICATION_TYP}, got {quote_json(typ)}:"
            f" {'is JWT meant?' if is_misspelt else 'by its label it is another kind of token'}",
            "typ",
        )
    return name


def parse(segment: bytes) -> Header:
    """Parse and check a header segment. ``jwk``, ``jku``, ``x5u`` and ``x5c`` are never looked at.

    Raises InvalidClient: malformed, too_large, unsupported_crit or unsupported_typ.
    """
    # A client sends the same header with each assertion, and parsing it is pure. What raises is not kept.
    header = _verified.get(segment)
    if header is not None:
        return header
    return _parse_cached(segment) if len(segment) <= _LONGEST_KEPT else _parse(segment)


def keep(segment: bytes, header: Header) -> None:
    """Keep what a header segment says, once an assertion with it was accepted: no header of a stranger displaces it.

    A client adds at most one for each accepted assertion, short and without members that mean nothing here.
    With 100,000 clients that send in turn, parsing each header anew is a tenth of an accepted assertion.
    """
    if segment not in _verified and len(segment) <= _LONGEST_KEPT and not header.has_others:
        if len(_verified) >= _MOST_VERIFIED or _verified.characters >= _MOST_CHARACTERS:
            # Not one by one: a thread may read meanwhile, and they come again.
            _verified.clear()
            _verified.characters = 0
        _verified[segment] = header
        _verified.characters += len(segment)


def _parse(segment: bytes) -> Header:
    members = compact.loads(segment, "header")
    _check_extensions(members)
    return Header(_alg(members), _kid(members), _typ(members), not members.keys() <= _MEMBERS)


# Of strangers, too: with the bound on their length, all of these take less than a megabyte.
_parse_cached = lru_cache(maxsize=1_024)(_parse)
_verified = _Verified()
"""The headers of assertions that ``keep`` was called for."""
