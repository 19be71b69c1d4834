"""Turn values that somebody else chose into short, safe text for logs and error details."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any, overload

__all__ = [
    "MILLISECONDS_FROM",
    "TCHAR",
    "cut",
    "describe_error",
    "describe_in_full",
    "escape_name",
    "format_time",
    "one_line",
    "plain_text",
    "quote",
    "quote_json",
    "quote_member",
    "shorten",
]

TCHAR = "[!#$%&'*+.^_`|~0-9A-Za-z-]"
"""A character of a token (RFC 9110 §5.6.2), as names of header fields and of authorization schemes are."""

# A number of seconds above this lies after the year 5138, and one below it before 1973.
MILLISECONDS_FROM = 10**11
_QUOTED_LENGTH = 64
_FULL_LENGTH = 300
_QUOTED_ITEMS = 4
_QUOTED_DEPTH = 2


def quote(value: object, *, is_json: bool = False) -> str:
    """Quote a value out of a request for one line of a log: ASCII, escaped, at most 64 characters.

    Cut a long text in its middle, and show nothing of a JWT: an assertion that was sent in another parameter is one.
    Look at no more of a value than is shown: quoting costs the same whatever its size.
    is_json: see ``quote_json``.
    """
    try:
        if isinstance(value, str | bytes) and len(value) > _QUOTED_LENGTH and value[:3] in ("eyJ", b"eyJ"):
            return f"<a JWT of {len(value)} characters, or a part of one>"
        text = _quote(value, 0, is_json=is_json)
    except Exception:  # an integer of too many digits, an object with a repr of its own that raises
        text = f"<{type(value).__name__}>"
    return shorten(text, _QUOTED_LENGTH)


def quote_json(value: object) -> str:
    """Quote a value out of JSON in the same way, with ``null``, ``true`` and ``false`` as they stand there."""
    return quote(value, is_json=True)


def quote_member(value: object) -> str:
    """Quote a member of a JSON object in which one without a value counts as absent."""
    return "absent" if value is None else quote_json(value)


def shorten(text: str, length: int) -> str:
    """Cut a text in its middle to ``length`` characters: names and URLs differ at their ends."""
    head = length * 9 // 16
    return text if len(text) <= length else f"{text[:head]}...{text[head + 3 - length :]}"


def cut(text: str, length: int) -> str:
    """Cut a text at its end to ``length`` characters: sentences begin with what matters."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _quote(value: object, depth: int, *, is_json: bool) -> str:
    if is_json and (value is None or isinstance(value, bool)):
        return json.dumps(value)
    if isinstance(value, str | bytes) and len(value) > 2 * _QUOTED_LENGTH:
        # Both ends, each longer than what of it will be shown.
        return ascii(value[:_QUOTED_LENGTH])[:-1] + ascii(value[-_QUOTED_LENGTH:])[1 + isinstance(value, bytes) :]
    if type(value) is list or type(value) is dict:
        return _quote_items(value, depth, is_json=is_json)
    return ascii(value)


def _quote_items(value: list[object] | dict[object, object], depth: int, *, is_json: bool) -> str:
    opening, closing = "[]" if isinstance(value, list) else "{}"
    if depth == _QUOTED_DEPTH and value:
        return f"{opening}...{closing}"
    shown = [_quote(each, depth + 1, is_json=is_json) for each in islice(value, _QUOTED_ITEMS)]
    if isinstance(value, dict):
        values = islice(value.values(), _QUOTED_ITEMS)
        shown = [
            f"{name}: {_quote(each, depth + 1, is_json=is_json)}" for name, each in zip(shown, values, strict=True)
        ]
    return opening + ", ".join(shown + ["..."] * (len(value) > _QUOTED_ITEMS)) + closing


def one_line(text: str) -> str:
    """Escape a text to one line of printable ASCII; return one that is so already as it is."""
    return text if text.isascii() and text.isprintable() else ascii(text)[1:-1]


@overload
def escape_name(name: str) -> str: ...
@overload
def escape_name(name: str | None) -> str | None: ...
def escape_name(name: str | None) -> str | None:
    """Escape a name that a stranger may have chosen to one line of ASCII of at most 64 characters."""
    return None if name is None else quote(name)[1:-1]


def plain_text(value: Any) -> Any:
    """Return text or bytes of a subclass, whose methods may raise anything, as plain ones; all else as it is."""
    kind = type(value)  # not `isinstance`, which asks the object
    if kind is str or kind is bytes:
        return value
    if issubclass(kind, str):
        return str.__str__(value)
    return bytes.__getitem__(value, slice(None)) if issubclass(kind, bytes) else value


def describe_error(error: BaseException, redact: Callable[[str], str] = str) -> str:
    """Describe an exception of somebody else's code in one line: its class and its quoted text.

    redact: takes a secret out of that text, before it is cut.
    """
    try:
        return f"{type(error).__name__}: {quote(redact(str(error)))}"
    except Exception:  # an exception whose text raises
        return type(error).__name__


def describe_in_full(error: BaseException, otherwise: str = "no text") -> str:
    """Describe an exception in one line of at most 300 characters: what matters of a TLS failure stands at its end.

    otherwise: stands for a text that is empty.
    """
    try:
        text = one_line(str(error)) or otherwise
    except Exception:  # an exception whose text raises
        return type(error).__name__
    return shorten(f"{type(error).__name__}: {text}", _FULL_LENGTH)


def format_time(seconds: float) -> str:
    """Format seconds since the epoch as an instant: ``2026-11-29T18:13:00Z``; a number that is none as a number."""
    try:
        return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):  # after the year 9999
        return f"{seconds:.0f}"
