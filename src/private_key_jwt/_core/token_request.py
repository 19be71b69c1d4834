"""The client assertion of a token request (RFC 7521 §4.2, RFC 7523 §2.2).

Reading a form costs time that is linear in its size, whatever it repeats.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .._text import TCHAR, plain_text, quote
from ..exceptions import Detail, InvalidClient, InvalidRequest, Reason, name_sender
from .describe import difference
from .sender import basic_client, is_basic_without_password, sender_of_assertion
from .stand_in import in_place_of_text

__all__ = [
    "ASSERTION_TYPE",
    "CLIENT_PARAMETERS",
    "PARAMETER_NAME",
    "ClientAssertion",
    "Form",
    "invalid_request",
    "missing_assertion",
    "read",
]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

Form = Mapping[str, Any] | Iterable[tuple[str, Any]]

CLIENT_PARAMETERS = ("client_assertion", "client_assertion_type", "client_id", "client_secret")
"""The parameters that authenticate a client in a form. Only these must be unique: RFC 8707 §2 repeats ``resource``."""

_NAMES = frozenset(CLIENT_PARAMETERS)
PARAMETER_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,31}")
"""A name of a parameter (RFC 6749 §8.2), as such names are written: what is none may be a secret, and is not shown."""

_NAMES_SHOWN = 4
_AMPERSAND = "amp;"  # of &amp;
_NO_LETTER = re.compile(r"[\s_\-\[\]\"'\0\u200b\ufeff]+")  # with what stands in names of PHP, in UTF-16, and in front
_BYTE_ORDER_MARK = "\ufeff"
_WHOLE_BODY = "client_assertion="
_LONGEST_MISSPELT = 64
_JSON = re.compile(r'\s*\{\s*"')
_SCHEME = re.compile(TCHAR + "{1,32}")
# Of the schemes registered at IANA those that a client may send: a name alone is one of them, or a secret without one.
_SCHEMES = frozenset({"basic", "bearer", "digest", "dpop", "gnap", "hoba", "mutual", "negotiate", "privatetoken"})

ClientAssertion = tuple[str, str | None]
"""The parameters by which a token request names its client: the assertion, and the ``client_id`` when there is one."""


def _describe_type(kind: str) -> str:
    stand_in = in_place_of_text(kind)
    hint = f"it is {stand_in}" if stand_in else difference([kind], [ASSERTION_TYPE])
    return f"expected client_assertion_type {ASSERTION_TYPE}, got {quote(kind)}{'; ' * bool(hint)}{hint}"


def invalid_request(detail: Detail, assertion: object = None, client_id: str | None = None) -> InvalidRequest:
    """Make the error for a malformed request. ``assertion``, ``client_id``: its parameters, where they are known."""
    error = InvalidRequest(Reason.INVALID_REQUEST, detail, "request")
    name_sender(error, sender_of_assertion(assertion, client_id))
    return error


def _invalid(detail: Detail, found: Mapping[str, str] = MappingProxyType({})) -> InvalidRequest:
    return invalid_request(detail, found.get("client_assertion"), found.get("client_id"))


def missing_assertion(authorization: str | None = None, form: Form | None = None) -> InvalidClient:
    """Make the error for a request without a client assertion that must have one (RFC 6749 §5.2: ``invalid_client``).

    authorization: the request's ``Authorization`` header field: its scheme is challenged, too.
    form: its parameters, for the detail; None where they are not known.
    Raises InvalidRequest: ``authorization`` is no text.
    """
    field = _field_text(authorization)
    try:
        found = _client_parameters(form)
    except InvalidRequest:
        found = {}
    return _missing_assertion(field, found, form)


def _missing_assertion(authorization: str | None, found: Mapping[str, str], form: Form | None) -> InvalidClient:
    has_secret = "client_secret" in found

    def detail() -> str:
        expected = "expected client_assertion and client_assertion_type in the body, and both are absent or empty"
        header = [] if authorization is None else [_describe_header(authorization)]
        sent = ["a client_secret"] * has_secret + header
        in_place = f"; it has {' and '.join(sent)} in its place" if sent else ""
        names = _names_of(form)
        return expected + in_place + (_describe_misspelt(names) or ("" if in_place else _describe_names(names)))

    error = InvalidClient(Reason.MISSING_ASSERTION, detail, "request")
    error.scheme = attempted_scheme(authorization)
    name_sender(error, sender_of_assertion(None, found.get("client_id") or basic_client(authorization)))
    return error


def _names_of(form: Any) -> list[str] | None:
    """List the names of a form's parameters, each once; None where they cannot be known any more."""
    if isinstance(form, Iterator) or not isinstance(form, Iterable):
        return None  # it was read to its end, or has only a method that finds what one asks for
    try:
        return list(dict.fromkeys(_text(name) for name, _ in _pairs(form)))
    except Exception:  # whatever a form raises that is none
        return None


def _describe_names(names: Sequence[str] | None) -> str:
    if names is None:
        return ""
    if not names:
        return "; it has no parameter at all: was the body empty, or read before?"
    # What is no name may be a whole body that was taken for one, with a secret in it.
    shown = [name for name in names if PARAMETER_NAME.fullmatch(name)][:_NAMES_SHOWN]
    left = len(names) - len(shown)
    more = [f"{left} {'more' if shown else 'that are no names'}"] * bool(left)
    grant = "; assertion is that of a grant (RFC 7521 section 4.1)" if "assertion" in names else ""
    return f"; its parameters: {', '.join(shown + more)}{grant}"


def _describe_misspelt(names: Sequence[str] | None) -> str:
    """Say how a parameter of an assertion is misspelt, or that the names are a body of JSON; "" for others."""
    if not names:
        return ""
    if _JSON.match(names[0]):
        return "; the body is JSON, and must be a form"
    if any(_WHOLE_BODY in name for name in names):
        return "; the whole body is the name of a parameter: it was percent-encoded once too often"
    for name in names:
        meant = _MEANT.get(_fold(name)) if len(name) <= _LONGEST_MISSPELT else None
        if meant not in (None, name):
            return f"; {_describe_spelling(name, meant)}"
    return ""


def _describe_spelling(name: str, meant: str | None) -> str:
    if _AMPERSAND in name.lower():
        return f"it has {quote(name)}: & was escaped as HTML"
    if "\0" in name:
        return f"{meant} is written with NUL characters: is the body UTF-16?"
    if name.startswith(_BYTE_ORDER_MARK):
        return f"it has {quote(name)}: a byte order mark stands in front of the body"
    if name.strip() == meant:
        return f"it has {quote(name)}: white space stands around the name"
    return f"{meant} is written {quote(name)}"


def _fold(name: str) -> str:
    return _NO_LETTER.sub("", name.lower().replace(_AMPERSAND, ""))


_MEANT = {_fold(name): name for name in CLIENT_PARAMETERS[:2]}


def _describe_header(authorization: str) -> str:
    """Name an ``Authorization`` header field by its scheme, and nothing of its credentials but that one is empty."""
    scheme = attempted_scheme(authorization)
    if scheme is None:
        return f"an Authorization header{'' if authorization.strip() else ' (empty)'}"
    password = " of an empty password" if is_basic_without_password(authorization) else ""
    return f"an Authorization header ({scheme}{password})"


def attempted_scheme(authorization: str | None) -> str | None:
    """Return the scheme of an ``Authorization`` header field (RFC 9110 §11.4); None for what is none.

    Where nothing follows, only a name that is known is one: an API key without a scheme must not be shown.
    """
    scheme, _, credentials = (authorization or "").partition(" ")
    is_scheme = _SCHEME.fullmatch(scheme) and (credentials.strip() or scheme.lower() in _SCHEMES)
    return scheme if is_scheme else None


def _field_text(value: object) -> str | None:
    """Return a header field's value as text: bytes, as ASGI has them, are Latin-1. Raises InvalidRequest."""
    text = plain_text(value)
    if text is None or type(text) is str:
        return text
    if type(text) is bytes:
        return text.decode("latin-1")
    raise _invalid(f"expected the Authorization header field as text, got {type(value).__name__}")


def _pairs(form: Any) -> Iterable[tuple[Any, Any]]:
    """Give names with a value or a list of values, repeats included, whichever of the known kinds of form it is."""
    if type(form) is dict:
        return form.items()
    if issubclass(type(form), (str, bytes)):
        raise _invalid("expected parsed parameters, got the text of a body: urllib.parse.parse_qsl makes pairs of it")
    if hasattr(form, "multi_items"):  # Starlette, httpx
        return form.multi_items()  # type: ignore[no-any-return]
    if hasattr(form, "lists"):  # Django, Werkzeug
        return form.lists()  # type: ignore[no-any-return]
    if hasattr(form, "getlist"):
        return [(name, form.getlist(name)) for name in CLIENT_PARAMETERS]
    return form.items() if isinstance(form, Mapping) else form


def _text(value: Any) -> str:
    value = plain_text(value)
    if type(value) is bytes:
        # Not strictly: an error of the decoder's would hold the whole value, and ours would carry it along.
        text = value.decode("utf-8", "replace")
        if text.encode("utf-8") != value:
            raise _invalid("expected parameters in UTF-8")
        value = text
    if type(value) is not str:
        raise _invalid(f"expected parameters of text, got {type(value).__name__}")
    return value


def _values(value: Any) -> Iterator[str]:
    for each in value if isinstance(value, (list, tuple)) else (value,):
        if each is not None:
            yield _text(each)


def _add(found: dict[str, str], key: str, value: Any) -> bool:
    """Add a parameter; return False when it has a second value, and look at no more of them: they change nothing."""
    for text in _values(value):
        if not text:
            continue  # RFC 6749 §3.2: a parameter without a value counts as omitted
        if key in found:
            return False
        found[key] = text
    return True


def _client_parameters(form: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    repeated = undecoded = None
    try:
        for name, value in _pairs(form):
            key = name if type(name) is str else _text(name)
            if key not in _NAMES:
                continue
            if type(value) is str and value and key not in found:
                found[key] = value  # as nearly all are: a tenth of reading a form is the call for the others
            elif not _add(found, key, value):
                repeated = repeated or key
    except InvalidRequest:
        raise
    except UnicodeError as error:
        undecoded = type(error)
    except Exception as error:  # whatever a form raises that is none, or that cannot be read
        raise _unread(type(error)) from error
    if undecoded is not None:
        raise _unread(undecoded)  # not within the except: what hangs on that error, suppressed or not, holds a text
    if repeated is not None and ("client_assertion" in found or "client_assertion_type" in found):
        raise _invalid(f"expected {repeated} once, got it several times (RFC 6749 section 3.2)", found)
    return found


def _unread(kind: type[Exception]) -> InvalidRequest:
    return _invalid(f"expected a mapping or pairs of text, and reading it raised {kind.__name__}")


def _half(fault: str, form: Form, found: Mapping[str, str]) -> InvalidRequest:
    def detail() -> str:
        names = _names_of(form)
        return fault + (_describe_misspelt(names) or _describe_names(names))

    return _invalid(detail, found)


def _header_beside(authorization: str, found: Mapping[str, str]) -> InvalidRequest:
    # Not a partial: the error's arguments would show the credentials.
    def detail() -> str:
        header = _describe_header(authorization)
        return f"expected one way of client authentication, got {header} beside the assertion"

    return _invalid(detail, found)


def read(form: Form, authorization: str | None, *, optional: bool = True) -> ClientAssertion | None:
    """Read the assertion and ``client_id`` of a token request; None when it carries no client assertion.

    Raises InvalidClient (missing_assertion) when it must carry one (``optional`` is False), and InvalidRequest: half of
    an assertion, a wrong ``client_assertion_type``, a repeated parameter (RFC 6749 §3.2), or a second way of
    authentication beside the assertion (RFC 6749 §2.3).
    """
    if authorization is not None:
        authorization = _field_text(authorization)
    found = _client_parameters(form)
    assertion, kind = found.get("client_assertion"), found.get("client_assertion_type")
    if assertion is None and kind is None:
        if optional is True:  # nothing else is asked whether it is true: that may raise
            return None
        raise _missing_assertion(authorization, found, form)
    if assertion is None:
        fault = "expected client_assertion beside client_assertion_type, and it is absent or empty"
        raise _half(fault, form, found)
    if kind is None:
        raise _half(f"expected client_assertion_type {ASSERTION_TYPE}, got none", form, found)
    if kind != ASSERTION_TYPE:
        raise _invalid(_describe_type(kind), found)
    if "client_secret" in found:
        raise _invalid("expected one way of client authentication, got client_secret beside the assertion", found)
    if authorization is not None:
        raise _header_beside(authorization, found)
    return assertion, found.get("client_id")
