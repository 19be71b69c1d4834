"""Decide whether a publisher's HTTP response may replace keys. No I/O: it is fed status, headers and chunks.

What the publisher says of the bytes is not asked (object stores call a JWK Set ``text/plain``, or nothing at all): the
bytes must be UTF-8 and one JSON object, which a page of HTML is not. Nobody gains by that: whoever can choose the bytes
at a ``jwks_uri`` could choose the media type, too, and no browser ever renders them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from .._text import quote

__all__ = ["BodyReader", "FetchError", "JWKSResponse", "ResponseReader"]

_GZIP = 16 + zlib.MAX_WBITS
_GZIPS = ("gzip", "x-gzip")  # RFC 9110 §8.4.1.3
# What names no coding: a charset in the wrong field, and what object stores repeat of an upload. So does a media type.
_NO_CODINGS = frozenset(
    ("", "identity", "none", "null", "utf-8", "utf8", "us-ascii", "iso-8859-1", "7bit", "8bit", "binary", "aws-chunked")
)
_STEP = 262_144  # bytes: a millisecond
_PAGE = "HTML or XML"
_GZIP_MAGIC = b"\x1f\x8b"
_PERMANENT = (301, 308)  # RFC 9110 §15.4
_LONGEST_PATH = 256  # characters that are searched: in time that grows with their square
_LOG_IN = re.compile(r"\b(log|sign)[-_]?in|auth[a-z]*/?$", re.IGNORECASE)  # of a path; /oauth2/keys is none
_DIGITS = re.compile(r"[0-9]+")
_MAX_AGE = 2**31  # RFC 9111 §1.2.2

# What an operator should look at, by the status or by its class.
_ADVICE: Mapping[int, str] = {
    2: "no document comes with that: is the jwks_uri right?",
    304: "nothing was asked for by a condition: is a cache on the way at fault?",
    3: "a redirect that names no target: ask the publisher for the URL of the set itself",
    401: "the publisher asks for a login: a JWK Set must be public",
    403: "the publisher, or a firewall of its, refuses this server: headers= can send what it asks for",
    404: "nothing is published there: is the jwks_uri right?",
    410: "nothing is published there any more: is the jwks_uri right?",
    407: "a proxy on the way asks for a login",
    421: "what answers there is for other hosts: is the jwks_uri right?",
    429: "the publisher limits how often it may be asked",
    4: "the publisher refuses the request: is the jwks_uri right?",
    5: "the publisher fails",
}


class FetchError(Exception):  # it says what happened, and never leaves this library
    """A fetch brought no JWK Set. The text says why, for the log."""


@dataclass(frozen=True, slots=True)
class JWKSResponse:
    """The response of a publisher whose document was received whole.

    body: its bytes, decoded.
    age: seconds that a cache in between had kept it for (RFC 9111 §5.1): 0 where none says so.
    media_type: what the publisher calls it: the value of ``Content-Type``, or None. No rule depends on it.
    """

    body: bytes
    age: int
    media_type: str | None


def _read_age(value: str) -> int:
    """Read the ``Age`` field: a non-negative integer of seconds, at most 2^31 (RFC 9111 §1.2.2, §5.1).

    Of several values the first counts, and one that is no such integer counts as 0, as if it were not there. A
    publisher that lies here shortens or prolongs the use of its own keys only, and never past the policy's ``ttl``.
    """
    first = value.partition(",")[0].strip(" \t")
    if not _DIGITS.fullmatch(first):
        return 0
    digits = first.lstrip("0") or "0"
    return min(int(digits), _MAX_AGE) if len(digits) <= len(str(_MAX_AGE)) else _MAX_AGE


def _describe_redirect(status: int, location: str, url: str) -> str:
    try:
        target = urljoin(url, location)
        path = urlsplit(target).path
        is_log_in = len(path) <= _LONGEST_PATH and _LOG_IN.search(path) is not None
    except ValueError:  # a bracket that is never closed
        target, is_log_in = location, False
    text = f", a redirect to {quote(target)}: redirects are not followed"
    if is_log_in:
        return f"{text}; is it a page to log in?"
    if status in _PERMANENT:
        return f"{text}, register that URL"
    return f"{text}, this one is temporary: ask the publisher for the URL of the set itself"


def _describe_status(status: int, headers: Mapping[str, str], url: str) -> str:
    text = f"expected HTTP status 200, got {status}"
    if 300 <= status < 400 and "location" in headers:
        return text + _describe_redirect(status, headers["location"], url)
    if headers.get("content-type", "").strip().lower().startswith("text/html"):
        text += " with a page of HTML"
    if "retry-after" in headers:
        text += f" and Retry-After {quote(headers['retry-after'])}"
    advice = _ADVICE.get(status, _ADVICE.get(status // 100))
    return f"{text}: {advice}" if advice else text


def _is_gzip(content_encoding: str) -> bool:
    """Report whether a body is in gzip, or in no coding. Raises FetchError: in another, or in several."""
    coding = content_encoding.strip(" \t").lower()
    if coding in _GZIPS:
        return True
    if coding in _NO_CODINGS or "/" in coding:
        return False
    raise FetchError(f"expected Content-Encoding identity or gzip, got {quote(coding)}")


class BodyReader:
    """Collect the body of one response, never more than ``max_bytes`` of it, before and after decompression.

    headers: the fields of the response, with names in lower case.
    setting: what of ours sets ``max_bytes``, for the text of an error.

    The decompressor is asked for no more than what is still allowed, so a bomb costs its cap and no more.
    Raises FetchError.
    """

    def __init__(self, headers: Mapping[str, str], max_bytes: int, setting: str | None = None) -> None:
        self._gzip = zlib.decompressobj(_GZIP) if _is_gzip(headers.get("content-encoding", "")) else None
        self._max_bytes = max_bytes
        self._setting = f" ({setting})" if setting else ""
        self._received = 0
        self._beginning = b""
        self._body = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes off the wire. Raises FetchError."""
        for _ in self.steps(chunk):
            pass

    def steps(self, chunk: bytes) -> Iterator[None]:
        """``feed``, in steps of at most 256 KiB of what it unpacks to: an event loop can do others' work in between."""
        self._received += len(chunk)
        self._beginning += chunk[: 2 - len(self._beginning)]
        unpacked = self._unpacked(chunk) if self._gzip else (chunk,)
        for piece in unpacked:
            self._body += piece
            if max(self._received, len(self._body)) > self._max_bytes:
                raise FetchError(f"expected at most {self._max_bytes} bytes{self._setting}, got more")
            yield

    def _unpacked(self, chunk: bytes) -> Iterator[bytes]:
        piece = None
        while piece != b"":
            at_most = min(_STEP, self._max_bytes + 1 - len(self._body))
            piece, chunk = _decompress(self._gzip, chunk, at_most, self._beginning)
            yield piece

    def body(self) -> bytes:
        """Return the whole body, decoded. Raises FetchError when it is cut short."""
        if self._gzip and (not self._gzip.eof or self._gzip.unused_data):
            raise FetchError("the gzip data is cut short, or something follows it")
        return bytes(self._body)


class ResponseReader(BodyReader):
    """Collect the document that a publisher responds with.

    url: where it was asked for, to name the target of a redirect. It is for the text of an error only.

    Raises FetchError.
    """

    def __init__(self, status: int, headers: Mapping[str, str], max_bytes: int, url: str = "") -> None:
        if status != 200:
            raise FetchError(_describe_status(status, headers, url))
        super().__init__(headers, max_bytes, "JWKSPolicy(max_bytes=...)")
        self._age = _read_age(headers.get("age", ""))
        self._media_type = headers.get("content-type")

    def finish(self) -> JWKSResponse:
        """Return the whole response. Raises FetchError when it is cut short, or can be seen to be something else."""
        body = self.body()
        found = _recognize(body)
        if found:
            named = "without a Content-Type" if self._media_type is None else f"as {quote(self._media_type)}"
            hint = ": is the jwks_uri right, or is it a page to log in?" if found == _PAGE else ""
            raise FetchError(f"expected JSON, got {found}, sent {named}{hint}")
        return JWKSResponse(body, self._age, self._media_type)


def _recognize(body: bytes) -> str | None:
    """Name what a body is, where its first bytes show that it cannot be JSON."""
    if body.startswith(_GZIP_MAGIC):
        return "gzip data that no Content-Encoding announces"
    return _PAGE if body[:1_024].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") else None


def _decompress(gzip: Any, chunk: bytes, at_most: int, beginning: bytes) -> tuple[bytes, bytes]:
    """Unpack at most so many bytes; return them, and what of the chunk is left.

    beginning: the first bytes of the whole body.
    """
    if gzip.eof:
        if chunk:
            raise FetchError("something follows the gzip data")
        return b"", b""
    try:
        return gzip.decompress(chunk, at_most), gzip.unconsumed_tail
    except zlib.error:
        if beginning == _GZIP_MAGIC:
            raise FetchError("the gzip data is broken") from None
        begins = quote(beginning[:1].decode("latin-1"))
        raise FetchError(f"Content-Encoding says gzip, and the body is none: it begins with {begins}") from None
