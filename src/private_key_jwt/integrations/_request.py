"""A token request before its body is read: what every integration makes of its framework's request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, Self

from .._core.sender import sender_of_assertion
from .._core.token_request import CLIENT_PARAMETERS, PARAMETER_NAME, Form, invalid_request
from .._text import quote
from ..exceptions import InvalidRequest, name_sender
from ._content_type import FORM, check_content_type, media_type_of
from ._form import decode, read_pairs, split_pairs
from ._invalid import client_id_of, invalid, unreadable
from ._query import check_query

__all__ = ["ASSERTION_PARAMETERS", "MAX_BODY", "Readable", "Receive", "TokenRequest", "authorization"]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Readable(Protocol):
    """Read the body of a WSGI request."""

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes; fewer only at the end, or where the server reads in parts."""
        ...


ASSERTION_PARAMETERS = CLIENT_PARAMETERS[:2]
"""``client_assertion`` and its type."""

MAX_BODY = 65_536
"""Bytes of a token request's body: an assertion of 16 KiB, and ample room for the rest."""

_FIELDS = (b"content-type", b"content-length", b"authorization", b"content-encoding")
_MAX_DIGITS = 20  # of a Content-Length
_GZIP = b"\x1f\x8b"  # RFC 1952 §2.3.1


def authorization(values: Iterable[str]) -> str | None:
    """Join all ``Authorization`` header fields of a request to one value (RFC 9110 §5.3); None when there is none."""
    every = list(values)
    return ", ".join(every) if every else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A token request, or another that authenticates its client in the same way, before its body is read.

        request = TokenRequest.from_wsgi(environ)
        form = request.form(request.read(environ["wsgi.input"]))
        verified = verifier.authenticate(form, request.authorization)

    method: the HTTP method. Only the body of a POST is a form (RFC 6749 §3.2).
    query: what follows the ``?`` of the URL, still encoded.
    content_type, content_length, authorization, content_encoding: the values of these header fields; None when there is
        none. The last is for the detail of a body that cannot be read.
    is_chunked: whether the body came in chunks, without a ``Content-Length``.
    is_terminated: whether the server ends the stream of the body with the body (WSGI's ``wsgi.input_terminated``).
    max_body: bytes over which a body is refused.

    Raises InvalidRequest: credentials in the URL, or a body too large by its own account.
    """

    method: str
    query: str | bytes
    content_type: str | None
    content_length: str | None
    authorization: str | None
    content_encoding: str | None = None
    is_chunked: bool = False
    is_terminated: bool = False
    max_body: int = MAX_BODY

    def __post_init__(self) -> None:
        check_query(self.query)
        length = self.content_length or "0"
        if not (len(length) <= _MAX_DIGITS and length.isascii() and length.isdecimal()):
            raise invalid(f"expected a Content-Length of at most {_MAX_DIGITS} digits, got {quote(length)}")
        self.check_size(int(length))

    @classmethod
    def from_wsgi(cls, environ: Mapping[str, Any], max_body: int = MAX_BODY) -> Self:
        """Take the request out of a WSGI environment (PEP 3333). Raises InvalidRequest."""
        return cls(
            method=environ["REQUEST_METHOD"],
            query=environ.get("QUERY_STRING", ""),
            content_type=environ.get("CONTENT_TYPE"),
            content_length=environ.get("CONTENT_LENGTH"),
            authorization=environ.get("HTTP_AUTHORIZATION"),
            content_encoding=environ.get("HTTP_CONTENT_ENCODING"),
            is_chunked="HTTP_TRANSFER_ENCODING" in environ,
            is_terminated=environ.get("wsgi.input_terminated") is True,
            max_body=max_body,
        )

    @classmethod
    def from_asgi(cls, scope: Mapping[str, Any], max_body: int = MAX_BODY) -> Self:
        """Take the request out of an ASGI connection scope of type ``http``. Raises InvalidRequest."""
        fields: dict[bytes, list[str]] = {name: [] for name in _FIELDS}
        for name, value in scope["headers"]:  # some servers take thousands
            values = fields.get(name.lower())
            if values is not None:
                values.append(value.decode("latin-1"))
        return cls(
            method=scope["method"],
            query=scope.get("query_string", b""),
            content_type=", ".join(fields[b"content-type"]),
            content_length=", ".join(fields[b"content-length"]),
            authorization=authorization(fields[b"authorization"]),
            content_encoding=", ".join(fields[b"content-encoding"]) or None,
            max_body=max_body,
        )

    @property
    def is_form(self) -> bool:
        """Report whether its body is announced as a form, which a POST only can have."""
        return self.method == "POST" and media_type_of(self.content_type) == FORM

    @property
    def length(self) -> int:
        """``content_length`` as a number; 0 when it is absent."""
        return int(self.content_length or "0")

    def check_size(self, size: int) -> None:
        """Refuse a body of so many bytes, when that is too many. Raises InvalidRequest."""
        if size > self.max_body:
            raise invalid(f"expected a body of at most {self.max_body} bytes (max_body), got more")

    def check_end(self, size: int) -> None:
        """Refuse a body of which so many bytes came, when it was cut off. Raises InvalidRequest.

        What is left of a form is one, too: of ``scope=read+write`` one that asks for less. More may have come: of a
        body that was inflated on its way.
        """
        if size < self.length:
            raise invalid(f"expected a body of {self.length} bytes, got {size}: the client went away")

    def read(self, stream: Readable) -> bytes:
        """Read the body out of ``environ["wsgi.input"]``.

        Without a ``Content-Length`` it is read only from a server that ends the stream with the body, and never much
        more than ``max_body`` of it. Raises InvalidRequest.
        """
        announced = self.length if self.content_length or not self.is_terminated else self.max_body + 1
        body = bytearray()
        try:
            while len(body) < announced and (part := stream.read(announced - len(body))):
                body += part
        except Exception as error:  # a client that went away
            raise unreadable(error) from error
        self.check_size(len(body))
        self.check_end(len(body))
        return bytes(body)

    async def receive(self, receive: Receive) -> bytes:
        """Read the body out of an ASGI connection, never much more than ``max_body`` of it. Raises InvalidRequest."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise invalid("expected a body, and the client went away")
            body += message.get("body", b"")
            self.check_size(len(body))
            if not message.get("more_body", False):
                return bytes(body)

    def form(self, body: bytes) -> list[tuple[str, str]]:
        """Read the parameters in a body, repeats included; none in an empty one.

        Raises InvalidRequest: a body that is too large, not sent by POST, no form, not in UTF-8, of more than 256
        parameters, or in chunks that the server did not hand on.
        """
        self.check_size(len(body))
        if not body:
            self._check_empty()
            return []
        self._check_form()
        fault = None
        try:
            return read_pairs(body)
        except UnicodeDecodeError:
            pass
        except ValueError as error:
            fault = f"in the body: {error}"
        # Not within the except: what hangs on the decoder's error, suppressed or not, holds the body.
        raise self._unreadable(body, fault)

    def _unreadable(self, body: bytes, fault: str | None = None) -> InvalidRequest:
        """Refuse a form that cannot be read. ``fault``: what is wrong; None where it holds what is no UTF-8."""
        # Not partials: what the error holds would show the body.
        error = invalid_request(lambda: self._describe_compression(body) or fault or _describe_byte(body))
        name_sender(error, lambda: _sender(body))
        return error

    def _describe_compression(self, body: bytes) -> str | None:
        coding = (self.content_encoding or "").strip()
        if coding.lower() not in ("", "identity"):
            named = f"Content-Encoding {quote(coding)}"
        elif body.startswith(_GZIP):
            named = "it begins with 1f 8b, as gzip does"
        else:
            return None
        return f"expected a plain body, got one that is compressed ({named}): this server takes plain bodies only"

    def parsed(self, form: Form) -> Form:
        """Check a form that the framework has read before, because something else needed it. Raises InvalidRequest."""
        if not form:
            self._check_empty()
            return []
        self._check_form()
        return form

    def _check_empty(self) -> None:
        if self.is_chunked and not self.is_terminated:
            raise invalid(
                "expected a body with a Content-Length, got one in chunks, which this server does not hand on"
            )

    def _check_form(self) -> None:
        # Frameworks differ in what they take for a POST. What is read here as no form must not be one to an endpoint.
        if self.method != "POST":
            raise invalid(f"expected a form sent by POST, got it by {quote(self.method)}")
        check_content_type(self.content_type)


def _sender(body: bytes) -> str:
    """Say which client a form names that cannot be read, as far as its parameters can be found."""
    found = {}
    with suppress(ValueError):
        found = {decode(name, "replace"): value for name, value in split_pairs(body) if value}
    return sender_of_assertion(found.get("client_assertion"), client_id_of(found))()


def _describe_byte(body: bytes) -> str:
    """Name the first byte of a form that is no UTF-8, and the parameter in which it stands."""
    parts = ((name, part) for name, value in split_pairs(body) for part in (name, value))
    name, byte = next((name, byte) for name, part in parts if (byte := _foreign_byte(part)) is not None)
    shown = decode(name, "replace")
    # What is no name may be a whole body that was taken for one, with a secret in it.
    place = shown if PARAMETER_NAME.fullmatch(shown) else "the name of a parameter"
    return f"expected parameters in UTF-8, and in {place} byte 0x{byte:02x} is none"


def _foreign_byte(part: bytes) -> int | None:
    try:
        decode(part)
    except UnicodeDecodeError as error:
        byte: int = error.object[error.start]
        return byte
    return None
