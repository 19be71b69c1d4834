"""From a framework's request to the wire: what every integration does in the same way, whatever its framework.

An adapter hands in the parts of a request, lets a verifier authenticate the form, and sends the answer.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self
from urllib.parse import parse_qsl

from .._core.token_request import Form, missing_assertion
from .._text import quote
from .._validation import check_flag, check_integer
from ..exceptions import AuthenticationError, ConfigurationError, InvalidRequest, Reason
from ..verifier import VerifiedAssertion

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Readable(Protocol):
    """What WSGI reads a body from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; all of them, when they come."""
        ...


MAX_BODY = 65_536
"""Bytes of a token request's body: an assertion of 16 KiB, and ample room for the rest."""

_MAX_PARAMETERS = 1_000
_MEDIA_TYPE = "application/x-www-form-urlencoded"
_BODY_ONLY = ("client_assertion", "client_assertion_type", "client_id", "client_secret")
_MAX_DIGITS = 20  # of a Content-Length


class Answer(NamedTuple):
    """What goes on the wire: the HTTP status, the header fields, and the bytes of the JSON body."""

    status: int
    headers: dict[str, str]
    body: bytes


def answer(error: AuthenticationError) -> Answer:
    """The answer to a request whose client was not authenticated (RFC 6749 §5.2). It tells no reason."""
    response = error.to_response()
    headers = {"Content-Type": "application/json", **response.headers}
    return Answer(response.status, headers, json.dumps(response.body).encode())


def required(verified: VerifiedAssertion | None) -> VerifiedAssertion:
    """The client, where there must be one.

    Raises InvalidClient when the request carried no assertion: RFC 6749 §5.2 counts "no client authentication
    included" as ``invalid_client``.
    """
    if verified is None:
        raise missing_assertion()
    return verified


def expected(verified: VerifiedAssertion | None, *, optional: bool) -> VerifiedAssertion | None:
    """What an endpoint gets to see: the client, or None where none need be. Raises what ``required`` raises."""
    return verified if optional else required(verified)


def check_query(query: str | bytes) -> None:
    """Refuse credentials in a URL, where logs and referrers keep them (RFC 6749 §2.3.1, RFC 7521 §4.2).

    query: what follows the ``?``, still encoded. Raises InvalidRequest.
    """
    text = query.decode("latin-1") if isinstance(query, bytes) else query
    for name, _ in parse_qsl(text, keep_blank_values=True, errors="replace"):
        if name in _BODY_ONLY:
            raise _invalid(f"expected {name} in the body, got it in the URL")


def check_content_type(content_type: str | None) -> None:
    """Refuse a body that is no form in UTF-8 (RFC 6749 §3.2, appendix B). Raises InvalidRequest."""
    media_type, *parameters = (part.strip().lower() for part in (content_type or "").split(";"))
    charsets = [value for name, _, value in (each.partition("=") for each in parameters) if name.strip() == "charset"]
    if media_type != _MEDIA_TYPE or any(charset.strip(' "') not in ("utf-8", "utf8") for charset in charsets):
        raise _invalid(f"expected a body of {_MEDIA_TYPE} in UTF-8, got content type {quote(content_type)}")


def authorization(values: Iterable[str]) -> str | None:
    """All ``Authorization`` header fields of a request as one value (RFC 9110 §5.3); None when there is none."""
    every = list(values)
    return ", ".join(every) if every else None


def unreadable(error: Exception) -> InvalidRequest:
    """The error for a body that the framework could not read, or would not."""
    return _invalid(f"expected a body that can be read, and reading it raised {type(error).__name__}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A token request, or another that authenticates its client in the same way, before its body is read.

    method: the HTTP method. Only the body of a POST is a form (RFC 6749 §3.2).
    query: what follows the ``?`` of the URL, still encoded.
    content_type, content_length, authorization: the values of these header fields; None when there is none.
    max_body: bytes over which a body is refused.

    Raises InvalidRequest: credentials in the URL, or a body too large by its own account.
    """

    method: str
    query: str | bytes
    content_type: str | None
    content_length: str | None
    authorization: str | None
    max_body: int = MAX_BODY

    def __post_init__(self) -> None:
        check_query(self.query)
        length = self.content_length or "0"
        if not (length.isascii() and length.isdecimal() and len(length) <= _MAX_DIGITS):
            raise _invalid(f"expected a Content-Length of at most {_MAX_DIGITS} digits, got {quote(length)}")
        self.check_size(int(length))

    @classmethod
    def from_wsgi(cls, environ: Mapping[str, Any], max_body: int = MAX_BODY) -> Self:
        """The request of a WSGI environment (PEP 3333). Raises InvalidRequest."""
        return cls(
            method=environ["REQUEST_METHOD"],
            query=environ.get("QUERY_STRING", ""),
            content_type=environ.get("CONTENT_TYPE"),
            content_length=environ.get("CONTENT_LENGTH"),
            authorization=environ.get("HTTP_AUTHORIZATION"),
            max_body=max_body,
        )

    @classmethod
    def from_asgi(cls, scope: Mapping[str, Any], max_body: int = MAX_BODY) -> Self:
        """The request of an ASGI connection scope of type ``http``. Raises InvalidRequest."""
        fields: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            fields.setdefault(name.lower(), []).append(value.decode("latin-1"))
        return cls(
            method=scope["method"],
            query=scope.get("query_string", b""),
            content_type=", ".join(fields.get(b"content-type", [])),
            content_length=", ".join(fields.get(b"content-length", [])),
            authorization=authorization(fields.get(b"authorization", [])),
            max_body=max_body,
        )

    @property
    def length(self) -> int:
        """``content_length`` as a number; 0 when it is absent."""
        return int(self.content_length or "0")

    def check_size(self, size: int) -> None:
        """Refuse a body of so many bytes, when that is too many. Raises InvalidRequest."""
        if size > self.max_body:
            raise _invalid(f"expected a body of at most {self.max_body} bytes, got more")

    def read(self, stream: Readable) -> bytes:
        """The body, out of ``environ["wsgi.input"]``: never more than was announced. Raises InvalidRequest."""
        try:
            return stream.read(self.length)
        except Exception as error:  # a client that went away
            raise unreadable(error) from error

    async def receive(self, receive: Receive) -> bytes:
        """The body, out of an ASGI connection, and never much more than ``max_body`` of it. Raises InvalidRequest."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _invalid("expected a body, and the client went away")
            body += message.get("body", b"")
            self.check_size(len(body))
            if not message.get("more_body", False):
                return bytes(body)

    def form(self, body: bytes) -> list[tuple[str, str]]:
        """The parameters in a body, repeats included; none in an empty one.

        Raises InvalidRequest: a body that is too large, not sent by POST, no form, not in UTF-8, or of more than 1,000
        parameters.
        """
        self.check_size(len(body))
        if not body:
            return []
        self._check_form()
        try:
            return parse_qsl(
                body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS
            )
        except ValueError as error:  # among them UnicodeDecodeError
            raise unreadable(error) from None

    def parsed(self, form: Form) -> Form:
        """A form that the framework has read before, because something else asked for it. Raises InvalidRequest."""
        if not form:
            return []
        self._check_form()
        return form

    def _check_form(self) -> None:
        # Frameworks differ in what they take for a POST. What is read here as no form must not be one to an endpoint.
        if self.method != "POST":
            raise _invalid(f"expected a form sent by POST, got it by {quote(self.method)}")
        check_content_type(self.content_type)


def check_settings(verifier: object, kind: type, *, optional: object, max_body: object) -> None:
    """The settings of a decorator or a dependency. Raises ConfigurationError, which names the setting."""
    if not isinstance(verifier, kind):
        raise ConfigurationError(f"verifier must be an instance of {kind.__name__}, not {type(verifier).__name__}")
    check_flag("optional", optional)
    check_integer("max_body", max_body, 1_024, 16_777_216)


def _invalid(detail: str) -> InvalidRequest:
    return InvalidRequest(Reason.INVALID_REQUEST, detail)
