"""Check what follows the ``?`` of a token request's URL."""

from __future__ import annotations

from .._core.token_request import CLIENT_PARAMETERS
from ._form import decode, split_pairs
from ._invalid import invalid

__all__ = ["bound_query", "check_query", "query_bytes"]

_MAX_QUERY = 8_192  # bytes: what common servers take of a whole request line
_LONGEST_NAME = 3 * max(map(len, CLIENT_PARAMETERS))  # bytes, with every letter escaped


def query_bytes(query: str | bytes, limit: int) -> bytes:
    """Return a query, still encoded, of at most ``limit`` bytes. Raises InvalidRequest."""
    text = query.encode("utf-8", "backslashreplace") if isinstance(query, str) else query
    if len(text) > limit:
        raise invalid(f"expected at most {limit} bytes after the ? of the URL, got {len(text)}")
    return text


def bound_query(query: str | bytes) -> list[tuple[bytes, bytes]]:
    """Split what follows the ``?`` of a URL, whatever it holds.

    Raises InvalidRequest: more than 8,192 bytes or 256 parameters.
    """
    text = query_bytes(query, _MAX_QUERY)
    try:
        return split_pairs(text)
    except ValueError as error:
        raise invalid(f"in the URL: {error}") from None


def check_query(query: str | bytes) -> None:
    """Refuse credentials in a URL, where logs and referrers keep them (RFC 6749 §2.3.1, RFC 7521 §4.2).

    query: what follows the ``?``, still encoded. A parameter without a value counts as omitted (RFC 6749 §3.2).
    Raises InvalidRequest, also for more than 8,192 bytes or 256 parameters.
    """
    names = [
        (name, value)
        for raw, value in bound_query(query)
        if value and len(raw) <= _LONGEST_NAME and (name := decode(raw, "replace")) in CLIENT_PARAMETERS
    ]
    if names:
        raise invalid(f"expected {names[0][0]} in the body, got it in the URL", dict(reversed(names)))
