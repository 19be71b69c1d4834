"""What a publisher's HTTP answer must be to replace keys. Sans I/O: it is fed status, headers and chunks."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from .._text import quote

_MEDIA_TYPES = ("application/json", "application/jwk-set+json")
_GZIP = 16 + zlib.MAX_WBITS


class FetchFailed(Exception):  # it says what happened, and never leaves this library
    """A fetch brought no JWK Set. The text says why, for the log."""


def _check_media_type(value: str) -> None:
    media_type, *parameters = (part.strip().lower() for part in value.split(";"))
    if media_type not in _MEDIA_TYPES:
        raise FetchFailed(f"expected {' or '.join(_MEDIA_TYPES)}, got content type {quote(value)}")
    for parameter in parameters:
        name, _, charset = parameter.partition("=")
        if name.strip() == "charset" and charset.strip(' "') not in ("utf-8", "utf8"):
            raise FetchFailed(f"expected UTF-8, got content type {quote(value)}")


class ResponseReader:
    """Collects the body of one answer, never more than ``max_bytes`` of it, before and after decompression.

    The decompressor is asked for no more than what is still allowed, so a bomb costs its cap and no more.
    """

    def __init__(self, status: int, headers: Mapping[str, str], max_bytes: int) -> None:
        if status != 200:
            raise FetchFailed(f"expected HTTP status 200, got {status}")
        _check_media_type(headers.get("content-type", ""))
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip"):
            raise FetchFailed(f"expected no content encoding, got {quote(encoding)}")
        self._gzip = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
        self._max_bytes = max_bytes
        self._received = 0
        self._body = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes off the wire. Raises FetchFailed."""
        self._received += len(chunk)
        self._body += _decompress(self._gzip, chunk, self._max_bytes + 1 - len(self._body)) if self._gzip else chunk
        if max(self._received, len(self._body)) > self._max_bytes:
            raise FetchFailed(f"expected at most {self._max_bytes} bytes, got more")

    def finish(self) -> bytes:
        """The whole body. Raises FetchFailed when it is cut short."""
        if self._gzip and (not self._gzip.eof or self._gzip.unused_data):
            raise FetchFailed("the gzip data is cut short, or something follows it")
        return bytes(self._body)


def _decompress(gzip: zlib._Decompress, chunk: bytes, at_most: int) -> bytes:
    if gzip.eof:
        raise FetchFailed("something follows the gzip data")
    try:
        return gzip.decompress(chunk, at_most)
    except zlib.error:
        raise FetchFailed("the gzip data is broken") from None
