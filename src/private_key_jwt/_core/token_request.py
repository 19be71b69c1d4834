"""The client assertion of a token request (RFC 7521 §4.2, RFC 7523 §2.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..exceptions import InvalidRequest, Reason, quote

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

Form = Mapping[str, Any] | Iterable[tuple[str, Any]]

# Only these must be unique: RFC 8707 §2 repeats `resource`.
_NAMES = ("client_assertion", "client_assertion_type", "client_id", "client_secret")


class AssertionParameters(NamedTuple):
    """What a token request says of its client."""

    assertion: str
    client_id: str | None


def _invalid(detail: str) -> InvalidRequest:
    return InvalidRequest(Reason.INVALID_REQUEST, detail)


def _pairs(form: Any) -> Iterator[tuple[Any, Any]]:
    """Every pair of a form, repeats included, whichever of the known kinds of form it is."""
    if hasattr(form, "multi_items"):  # Starlette, httpx
        yield from form.multi_items()
    elif hasattr(form, "lists"):  # Django, Werkzeug
        yield from ((name, value) for name, values in form.lists() for value in values)
    elif hasattr(form, "getlist"):
        yield from ((name, value) for name in _NAMES for value in form.getlist(name))
    elif isinstance(form, Mapping):  # one value, or a list of them as parse_qs gives it
        for name, value in form.items():
            yield from ((name, each) for each in value) if isinstance(value, list | tuple) else ((name, value),)
    else:
        yield from form


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if not isinstance(value, str):
        raise _invalid(f"expected parameters of text, got {type(value).__name__}")
    return value


def _client_parameters(form: Any) -> dict[str, list[str]]:
    if isinstance(form, str | bytes):
        raise _invalid("expected parsed parameters, got the text of a body: urllib.parse.parse_qsl makes pairs of it")
    found: dict[str, list[str]] = {name: [] for name in _NAMES}
    try:
        for name, value in _pairs(form):
            key = _text(name)
            if key in found and value is not None:
                found[key].append(_text(value))
    except InvalidRequest:
        raise
    except Exception as error:  # whatever a form raises that is none, or that cannot be read
        raise _invalid(f"expected a mapping or pairs of text, and reading it raised {type(error).__name__}") from error
    return found


def read(form: Form, authorization: str | None) -> AssertionParameters | None:
    """The assertion and ``client_id`` of a token request, or None when it carries no client assertion.

    Raises InvalidRequest: half of an assertion, a wrong ``client_assertion_type``, a repeated parameter
    (RFC 6749 §3.2), or a second way of authentication beside the assertion (RFC 6749 §2.3).
    """
    found = _client_parameters(form)
    assertions, types = found["client_assertion"], found["client_assertion_type"]
    if not assertions and not types:
        return None
    for name, values in found.items():
        if len(values) > 1:
            raise _invalid(f"expected {name} once, got it {len(values)} times")
    if not any(assertions):
        raise _invalid("expected client_assertion beside client_assertion_type, and it is absent or empty")
    if not types or types[0] != ASSERTION_TYPE:
        raise _invalid(f"expected client_assertion_type {ASSERTION_TYPE}, got {quote(types[0] if types else None)}")
    if found["client_secret"]:
        raise _invalid("expected one way of client authentication, got client_secret beside the assertion")
    if authorization is not None:
        raise _invalid("expected one way of client authentication, got an Authorization header, too")
    client_ids = found["client_id"]
    return AssertionParameters(assertions[0], client_ids[0] or None if client_ids else None)
