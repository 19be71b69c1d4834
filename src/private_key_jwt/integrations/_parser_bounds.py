"""Bound what a framework, and then Authlib or oauthlib, parse several times: a stranger chooses what is sent."""

from __future__ import annotations

import string

from ._invalid import invalid
from ._query import bound_query, query_bytes

__all__ = ["MAX_ESCAPES", "MAX_OTHER_BODY", "bound_query_of_several_parsers", "check_parameters"]

MAX_OTHER_BODY = 4_096
"""Bytes of a body that is no form, which a framework then parses: in Flask multipart costs up to 1.7 ms."""

MAX_ESCAPES = 512
"""Escapes of a query or of a form, each of which costs up to 2 µs."""

_MAX_QUERY = 4_094  # bytes: gunicorn takes no longer request line
_QUERY_CHARACTERS = (string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/?").encode()  # RFC 3986 §3.4


def bound_query_of_several_parsers(query: str | bytes) -> int:
    """Count the parameters of a query. Refuse one for which Flask, Authlib or oauthlib would need milliseconds.

    Raises InvalidRequest: see ``bound_query``; more than 4,094 bytes, or more than 512 escapes and characters that
    should be escaped.
    """
    escapes = len(query_bytes(query, _MAX_QUERY).translate(None, _QUERY_CHARACTERS))
    if escapes > MAX_ESCAPES:
        raise invalid(f"expected at most {MAX_ESCAPES} escapes after the ? of the URL, got {escapes}")
    return len(bound_query(query))


def check_parameters(count: int, most: int) -> None:
    """Refuse a request of so many parameters, each of which is parsed several times. Raises InvalidRequest."""
    if count > most:
        raise invalid(f"expected at most {most} parameters, in the URL and in the body, got {count}")
