"""The client assertion of a token request (RFC 7521 §4.2, RFC 7523 §2.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._text import quote
from ..exceptions import InvalidRequest, Reason

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

Form = Mapping[str, Any] | Iterable[tuple[str, Any]]

# Only these must be unique: RFC 8707 §2 repeats `resource`.
_NAMES = frozenset(("client_assertion", "client_assertion_type", "client_id", "client_secret"))


def _invalid(detail: str) -> InvalidRequest:
    return InvalidRequest(Reason.INVALID_REQUEST, detail)


def _pairs(form: Any) -> Iterable[tuple[Any, Any]]:
    """Names with a value or a list of values, repeats included, whichever of the known kinds of form it is."""
    if type(form) is dict:
        return form.items()
    if hasattr(form, "multi_items"):  # Starlette, httpx
        return form.multi_items()  # type: ignore[no-any-return]
    if hasattr(form, "lists"):  # Django, Werkzeug
        return form.lists()  # type: ignore[no-any-return]
    if hasattr(form, "getlist"):
        return [(name, form.getlist(name)) for name in _NAMES]
    return form.items() if isinstance(form, Mapping) else form


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        # Not strictly: an error of the decoder's would hold the whole value, and ours would carry it along.
        text = value.decode("utf-8", "replace")
        if text.encode("utf-8") != value:
            raise _invalid("expected parameters in UTF-8")
        value = text
    if not isinstance(value, str):
        raise _invalid(f"expected parameters of text, got {type(value).__name__}")
    return value


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else (value,)
    return [_text(each) for each in values if each is not None]


def _client_parameters(form: Any) -> dict[str, list[str]]:
    if isinstance(form, str | bytes):
        raise _invalid("expected parsed parameters, got the text of a body: urllib.parse.parse_qsl makes pairs of it")
    found: dict[str, list[str]] = {}
    try:
        for name, value in _pairs(form):
            key = name if type(name) is str else _text(name)
            if key in _NAMES:
                values = [value] if type(value) is str else _texts(value)
                found[key] = found[key] + values if key in found else values
    except InvalidRequest:
        raise
    except Exception as error:  # whatever a form raises that is none, or that cannot be read
        raise _invalid(f"expected a mapping or pairs of text, and reading it raised {type(error).__name__}") from error
    return found


def read(form: Form, authorization: str | None) -> tuple[str, str | None] | None:
    """The assertion and ``client_id`` of a token request, or None when it carries no client assertion.

    Raises InvalidRequest: half of an assertion, a wrong ``client_assertion_type``, a repeated parameter
    (RFC 6749 §3.2), or a second way of authentication beside the assertion (RFC 6749 §2.3).
    """
    found = _client_parameters(form)
    assertions, types = found.get("client_assertion"), found.get("client_assertion_type")
    if not assertions and not types:
        return None
    for name, values in found.items():
        if len(values) > 1:
            raise _invalid(f"expected {name} once, got it {len(values)} times")
    if not assertions or not assertions[0]:
        raise _invalid("expected client_assertion beside client_assertion_type, and it is absent or empty")
    if not types or types[0] != ASSERTION_TYPE:
        raise _invalid(f"expected client_assertion_type {ASSERTION_TYPE}, got {quote(types[0] if types else None)}")
    if found.get("client_secret"):
        raise _invalid("expected one way of client authentication, got client_secret beside the assertion")
    if authorization is not None:
        raise _invalid("expected one way of client authentication, got an Authorization header, too")
    client_ids = found.get("client_id")
    return assertions[0], client_ids[0] or None if client_ids else None
