"""From a framework's request to the wire: what every integration does in the same way, whatever its framework."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, Self

from .._core.sender import sender_of_assertion
from .._core.token_request import CLIENT_PARAMETERS, PARAMETER_NAME, Form, invalid_request
from .._text import quote
from .._validation import check_flag, check_integer
from ..exceptions import AuthenticationError, ConfigurationError, InvalidRequest
from ._form import decode, read_pairs, split_pairs

__all__ = [
    "ASSERTION_PARAMETERS",
    "FORM",
    "MAX_BODY",
    "EncodedResponse",
    "Readable",
    "Receive",
    "TokenRequest",
    "authorization",
    "bound_query",
    "bound_query_of_several_parsers",
    "check_content_type",
    "check_parameters",
    "check_query",
    "check_settings",
    "encode_error",
    "unreadable",
    "use_utf_8",
]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Readable(Protocol):
    """What WSGI reads a body from."""

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes; fewer only at the end, or where the server reads in parts."""
        ...


ASSERTION_PARAMETERS = CLIENT_PARAMETERS[:2]
"""``client_assertion`` and its type."""

FORM = "application/x-www-form-urlencoded"
"""The media type of a token request."""

MAX_BODY = 65_536
"""Bytes of a token request's body: an assertion of 16 KiB, and ample room for the rest."""

MAX_OTHER_BODY = 4_096
"""Bytes of a body that is no form, which a framework then parses: in Flask multipart costs up to 1.7 ms."""

# Of a query that is parsed several times: gunicorn takes no longer request line, and each escape costs up to 2 µs.
_MAX_COSTLY_QUERY = 4_094
_MAX_ESCAPES = 512
_QUERY_CHARACTERS = (string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/?").encode()  # RFC 3986 §3.4

_MAX_QUERY = 8_192  # bytes: what common servers take of a whole request line
_LONGEST_NAME = 3 * max(map(len, CLIENT_PARAMETERS))  # bytes, with every letter escaped
_MAX_DIGITS = 20  # of a Content-Length
_GZIP = b"\x1f\x8b"  # RFC 1952 §2.3.1
# In each of these ASCII text is spelled as in UTF-8. `codecs` keeps each unknown name that it is asked for, for ever.
_ASCII_CHARSETS = re.compile(
    r"utf-?8|(us-)?ascii|latin-?1|iso[-_]?8859[-_]\d{1,2}|(windows-|cp)125\d|koi8-[ru]"
    r"|gb2312|gbk|gb18030|big5|euc-(jp|kr)|shift_jis"
)


class EncodedResponse(NamedTuple):
    """A response as it is sent: the HTTP status, the header fields, and the bytes of the JSON body.

        status, headers, body = encode_error(error)
        start_response(f"{status} {HTTPStatus(status).phrase}", list(headers.items()))

    For a framework that has no integration here.
    """

    status: int
    headers: dict[str, str]
    body: bytes


def encode_error(error: AuthenticationError) -> EncodedResponse:
    """Return the response to a request whose client was not authenticated (RFC 6749 §5.2). It names no reason."""
    response = error.to_response()
    headers = {"Content-Type": "application/json", **response.headers}
    return EncodedResponse(response.status, headers, json.dumps(response.body).encode())


def _query_bytes(query: str | bytes, limit: int) -> bytes:
    text = query.encode("utf-8", "backslashreplace") if isinstance(query, str) else query
    if len(text) > limit:
        raise _invalid(f"expected at most {limit} bytes after the ? of the URL, got {len(text)}")
    return text


def bound_query_of_several_parsers(query: str | bytes) -> int:
    """Count the parameters of a query. Refuse one for which Flask, Authlib or oauthlib would need milliseconds.

    Raises InvalidRequest: see ``bound_query``; more than 4,094 bytes, or more than 512 escapes and characters that
    should be escaped.
    """
    escapes = len(_query_bytes(query, _MAX_COSTLY_QUERY).translate(None, _QUERY_CHARACTERS))
    if escapes > _MAX_ESCAPES:
        raise _invalid(f"expected at most {_MAX_ESCAPES} escapes after the ? of the URL, got {escapes}")
    return len(bound_query(query))


def check_parameters(count: int, most: int) -> None:
    """Refuse a request of so many parameters, each of which is parsed several times. Raises InvalidRequest."""
    if count > most:
        raise _invalid(f"expected at most {most} parameters, in the URL and in the body, got {count}")


def bound_query(query: str | bytes) -> list[tuple[bytes, bytes]]:
    """Split what follows the ``?`` of a URL, whatever it holds.

    Raises InvalidRequest: more than 8,192 bytes or 256 parameters.
    """
    text = _query_bytes(query, _MAX_QUERY)
    try:
        return split_pairs(text)
    except ValueError as error:
        raise _invalid(f"in the URL: {error}") from None


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
        raise _invalid(f"expected {names[0][0]} in the body, got it in the URL", dict(reversed(names)))


def _media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def check_content_type(content_type: str | None) -> None:
    """Refuse a body that is no form, or in a charset that does not hold ASCII (RFC 6749 §3.2, appendix B).

    What such a form holds is read as UTF-8 whatever charset it names. Raises InvalidRequest.
    """
    media_type, *parameters = (part.strip().lower() for part in (content_type or "").split(";"))
    charsets = [value for name, _, value in (each.partition("=") for each in parameters) if name.strip() == "charset"]
    if media_type != FORM or not all(_ASCII_CHARSETS.fullmatch(each.strip(' "')) for each in charsets):
        raise _invalid(f"expected a body of {FORM} in UTF-8, got content type {quote(content_type)}")


def use_utf_8(request: Any) -> None:
    """Let a Django request be read as UTF-8 where its form names another charset that holds ASCII.

    Django answers 400 to every other charset, also for the ASCII that common clients send as ISO-8859-1.
    """
    if getattr(request, "encoding", None):
        with suppress(InvalidRequest):
            check_content_type(request.META.get("CONTENT_TYPE"))
            request.encoding = "utf-8"


def authorization(values: Iterable[str]) -> str | None:
    """Join all ``Authorization`` header fields of a request to one value (RFC 9110 §5.3); None when there is none."""
    every = list(values)
    return ", ".join(every) if every else None


def unreadable(error: Exception) -> InvalidRequest:
    """Make the error for a body that the framework could not read, or would not."""
    return _invalid(f"expected a body that can be read, and reading it raised {type(error).__name__}")


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
        if not (length.isascii() and length.isdecimal() and len(length) <= _MAX_DIGITS):
            raise _invalid(f"expected a Content-Length of at most {_MAX_DIGITS} digits, got {quote(length)}")
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
        fields: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            fields.setdefault(name.lower(), []).append(value.decode("latin-1"))
        return cls(
            method=scope["method"],
            query=scope.get("query_string", b""),
            content_type=", ".join(fields.get(b"content-type", [])),
            content_length=", ".join(fields.get(b"content-length", [])),
            authorization=authorization(fields.get(b"authorization", [])),
            content_encoding=", ".join(fields.get(b"content-encoding", [])) or None,
            max_body=max_body,
        )

    @property
    def is_form(self) -> bool:
        """Whether its body is announced as a form, which a POST only can have."""
        return self.method == "POST" and _media_type(self.content_type) == FORM

    @property
    def length(self) -> int:
        """``content_length`` as a number; 0 when it is absent."""
        return int(self.content_length or "0")

    def check_size(self, size: int) -> None:
        """Refuse a body of so many bytes, when that is too many. Raises InvalidRequest."""
        if size > self.max_body:
            raise _invalid(f"expected a body of at most {self.max_body} bytes, got more")

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
        return bytes(body)

    async def receive(self, receive: Receive) -> bytes:
        """Read the body out of an ASGI connection, never much more than ``max_body`` of it. Raises InvalidRequest."""
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
        """Read the parameters in a body, repeats included; none in an empty one.

        Raises InvalidRequest: a body that is too large, not sent by POST, no form, not in UTF-8, of more than 256
        parameters, or in chunks that the server did not hand on.
        """
        self.check_size(len(body))
        if not body:
            self._check_empty()
            return []
        self._check_form()
        try:
            return read_pairs(body)
        except UnicodeDecodeError:  # its text would hold what was sent
            raise self._unreadable(body) from None
        except ValueError as error:
            raise self._unreadable(body, f"in the body: {error}") from None

    def _unreadable(self, body: bytes, fault: str | None = None) -> InvalidRequest:
        """Refuse a form that cannot be read. ``fault``: what is wrong; None where it holds what is no UTF-8."""
        # Not partials: what the error holds would show the body.
        error = invalid_request(lambda: self._describe_compression(body) or fault or _describe_byte(body))
        error.sender = lambda: _sender(body)
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
            raise _invalid(
                "expected a body with a Content-Length, got one in chunks, which this server does not hand on"
            )

    def _check_form(self) -> None:
        # Frameworks differ in what they take for a POST. What is read here as no form must not be one to an endpoint.
        if self.method != "POST":
            raise _invalid(f"expected a form sent by POST, got it by {quote(self.method)}")
        check_content_type(self.content_type)


def check_settings(verifier: object, kind: type, *, max_body: object, **flags: object) -> None:
    """Check the settings of a decorator or a dependency. Raises ConfigurationError, which names the setting."""
    if not isinstance(verifier, kind):
        raise ConfigurationError(f"verifier must be an instance of {kind.__name__}, not {type(verifier).__name__}")
    for name, value in flags.items():
        check_flag(name, value)
    check_integer("max_body", max_body, 1_024, 16_777_216)


def _sender(body: bytes) -> str:
    """Say which client a form names that cannot be read, as far as its parameters can be found."""
    found = {}
    with suppress(ValueError):
        found = {decode(name, "replace"): value for name, value in split_pairs(body) if value}
    return sender_of_assertion(found.get("client_assertion"), _client_id(found))()


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


def _invalid(detail: str, found: Mapping[str, bytes] = MappingProxyType({})) -> InvalidRequest:
    """Refuse a request. ``found``: its client parameters, encoded, as far as they were read."""
    return invalid_request(detail, found.get("client_assertion"), _client_id(found))


def _client_id(found: Mapping[str, bytes]) -> str | None:
    client_id = found.get("client_id")
    return None if client_id is None else decode(client_id, "replace")
