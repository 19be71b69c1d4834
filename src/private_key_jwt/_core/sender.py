"""Who a request says it is from, where nothing of that was checked: what a refusal's detail ends with.

A stranger chooses the name: it is quoted, marked, and the last thing in the line, so that it passes for nothing else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .._text import plain_text, quote, shorten
from ..exceptions import InvalidClient
from . import compact
from .base64url import FOREIGN, TO_STANDARD

__all__ = ["UNNAMED", "basic_client", "is_basic_without_password", "sender_of_assertion", "sender_of_claims"]

UNNAMED = "; no client can be named: find the request in the access log by its time"

Sender = Callable[[], str]
"""Makes the end of a detail: which client the sender says it is."""

_NAME_LENGTH = 48
_LOOKED_AT = 17_408  # characters: more than a policy takes by default, so that a line break hides no name
_LONGEST_NAME = 1_024  # bytes: what is no UTF-8 in 12,000 costs several RSA verifications to replace


def sender_of_assertion(assertion: object, client_id: str | None) -> Sender:
    """Return what says which client an assertion names that was refused, whatever is wrong around its claims.

    client_id: that of the request, which counts where the claims cannot be read.
    """
    text = plain_text(assertion)
    is_readable = type(text) in (str, bytes) and len(text) <= _LOOKED_AT
    return partial(_describe, text if is_readable else None, client_id)


def sender_of_claims(claims: Mapping[str, object], client_id: str | None) -> Sender:
    """Return the same for claims that were read already: to parse them again would double what a refusal costs.

    It is no partial: what an error holds shows no claims.
    """
    return lambda: _say(_name(claims) or client_id)


def _describe(assertion: Any, client_id: str | None) -> str:
    return _say((assertion and _subject(assertion)) or client_id)


def _say(name: object) -> str:
    name = plain_text(name)
    # What is no text is not asked whether it is true, either: that may raise.
    if type(name) is not str or not name:
        return UNNAMED
    return f"; client {shorten(quote(name), _NAME_LENGTH)} (unverified)"


def _subject(assertion: str | bytes) -> str | None:
    text = assertion.encode("ascii", "replace") if isinstance(assertion, str) else assertion
    # Lines that were wrapped, and dots that were percent-encoded once too often, are no fault of the claims.
    standard = text.replace(b"%2E", b".").translate(TO_STANDARD, b" \t\r\n")
    _, _, rest = standard.partition(b".")
    segment = rest.partition(b".")[0]
    if not segment or FOREIGN in segment or len(segment) > compact.LONGEST_CLAIMS:
        return None
    try:
        claims = compact.loads(segment, "claims")
    except InvalidClient:
        return None
    return _name(claims)


def _name(claims: Mapping[str, object]) -> str | None:
    names = (claims.get("sub"), claims.get("iss"))
    return next((name for name in names if isinstance(name, str) and name), None)


def basic_client(authorization: str | None) -> str | None:
    """Return the client that ``Authorization: Basic`` names (RFC 6749 §2.3.1); never its secret."""
    credentials = _basic_credentials(authorization)
    return credentials and credentials[0]


def is_basic_without_password(authorization: str | None) -> bool:
    """Report whether it is ``Authorization: Basic`` of a client and an empty password, as some libraries add it."""
    credentials = _basic_credentials(authorization)
    return credentials is not None and bool(credentials[0]) and not credentials[1]


def _basic_credentials(authorization: str | None) -> tuple[str, bytes] | None:
    """Return the name and the password of ``Authorization: Basic``; None for what is none."""
    scheme, _, credentials = (authorization or "").partition(" ")
    if scheme.lower() != "basic" or len(credentials) > _LOOKED_AT:
        return None
    try:
        name, colon, password = base64.b64decode(credentials).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (name.decode("utf-8", "replace"), password) if colon and len(name) <= _LONGEST_NAME else None
