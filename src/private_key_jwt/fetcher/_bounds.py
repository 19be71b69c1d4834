"""Bound what a response costs beside its body: interim responses, header fields, chunk lines and trailers, and TLS.

The HTTP parser takes as many as a publisher sends, at up to 50 µs each, and holds up an event loop meanwhile. Blanks in
a row cost it more than their number: a line of 16,000 of them, which is then broken, a second and a half.

OpenSSL takes 100 kB of certificates, which it decodes in 50 ms, and any number of session tickets, 64 KiB of which cost
20 ms each time that so many have arrived. Neither is ever read as data, so what arrives is counted, too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from .._core.response import FetchError
from .._http_client import CONNECTED

__all__ = ["MAX_BLANKS", "MAX_BYTES_BESIDE", "MAX_BYTES_OF_TLS", "MAX_LINES", "ResponseBounds"]

MAX_BYTES_BESIDE = 16_384
MAX_BYTES_OF_TLS = 20_480  # of handshakes: a chain of certificates has some 4,000, with ML-DSA some 16,000
MAX_LINES = 256
MAX_BLANKS = 256  # spaces and tabs in a row: with as many, half a millisecond
_TOO_MANY_BLANKS = b" " * (MAX_BLANKS + 1)
_END_OF_HEAD = re.compile(rb"\n\r?\n")

# Bytes that are read in one go: so few that to parse them takes about a millisecond. A frame of HTTP/2 may have 9.
_PIECE_OF_HEAD, _PIECE_OF_BODY, _PIECE_OF_FRAMES = 512, 8_192, 256
_PIECE_OF_TLS = 1_024
_LARGEST_RECORD = 18_437  # bytes, of which nothing can be read before the last has arrived (RFC 5246 §6.2.3)

_HEADERS_ARE_READ = ".receive_response_headers.complete"
_HEAD_IS_READ = "http11" + _HEADERS_ARE_READ
_TLS_BEGAN = ".start_tls.complete"


class ResponseBounds:
    """The bounds of one fetch, which httpx's trace extension brings to each connection that it opens."""

    def __init__(self) -> None:
        self._beside = self._lines = self._read = self._arrived = 0
        self._may_arrive = MAX_BYTES_OF_TLS
        self._is_head = self._has_lines = True
        self._has_frames = False
        self._end = b""
        self._bound: list[tuple[Any, str]] = []

    def trace(self, event: str, info: dict[str, Any]) -> bool:
        """Note what httpx reports; return whether a connection was opened, whose ``read`` is to be bounded."""
        if event == _HEAD_IS_READ:
            self._is_head = False
            # A body of a known length, or up to the end, has no lines beside it.
            self._has_lines = any(name.lower() == b"transfer-encoding" for name, _ in info["return_value"][-1])
        elif event.endswith(_HEADERS_ARE_READ):
            self._is_head = False
        elif event.endswith(CONNECTED):  # after the response of a proxy, too
            self._is_head = self._has_lines = True
            if event.endswith(_TLS_BEGAN):
                self._may_arrive = MAX_BYTES_OF_TLS + _LARGEST_RECORD
            return True
        return False

    def piece(self, max_bytes: int) -> int:
        """Return how many bytes to read in one go."""
        piece = _PIECE_OF_HEAD if self._is_head else _PIECE_OF_BODY
        return min(max_bytes, _PIECE_OF_FRAMES if self._has_frames else piece)

    def count(self, data: bytes) -> bytes:
        """Count bytes that were read, and return them. Raises FetchError."""
        if self._has_lines:
            self._count_blanks(data)
        # Lines of what was read before: this piece may hold the beginning of the body.
        is_over = self._is_head and self._lines > MAX_LINES
        self._lines += data.count(b"\n")
        self._beside += len(data)
        self._read += len(data)
        # A piece of the body is counted off as soon as it is parsed.
        if is_over or self._beside > MAX_BYTES_BESIDE + _PIECE_OF_BODY * (not self._is_head):
            raise FetchError(
                f"expected at most {MAX_BYTES_BESIDE:,} bytes and {MAX_LINES} lines of a response beside its body,"
                " got more"
            )
        return data

    def _count_blanks(self, data: bytes) -> None:
        read = (self._end + data).replace(b"\t", b" ")
        # Behind the head may stand the beginning of a body, in which blanks cost nothing.
        head = _END_OF_HEAD.search(read, max(len(self._end) - 3, 0)) if self._is_head else None
        if _TOO_MANY_BLANKS in (read[: head.start()] if head else read):
            raise FetchError(f"expected at most {MAX_BLANKS} blanks in a row in a response beside its body, got more")
        self._end = read[-MAX_BLANKS:]

    def count_off(self, body: bytes) -> None:
        """Take bytes of the body off the count."""
        self._beside -= len(body)

    def bound(self, stream: Any) -> None:
        """Bound what is read of a connection from now on."""
        read: Callable[..., bytes] = stream.read

        def bounded(max_bytes: int, timeout: float | None = None) -> bytes:
            return self.count(read(self.piece(max_bytes), timeout))

        self._set(stream, bounded)

    def bound_async(self, stream: Any) -> None:
        """See ``bound``."""
        read: Callable[..., Awaitable[bytes]] = stream.read

        async def bounded(max_bytes: int, timeout: float | None = None) -> bytes:
            # What TLS has decrypted is there at once: others take their turn before it is parsed.
            await asyncio.sleep(0)
            return self.count(await read(self.piece(max_bytes), timeout))

        self._set(stream, bounded)

    def _set(self, stream: Any, read: object) -> None:
        tls = stream.get_extra_info("ssl_object")
        self._has_frames = tls is not None and tls.selected_alpn_protocol() == "h2"
        self._replace(stream, "read", read)

    def _replace(self, owner: Any, name: str, method: object) -> None:
        setattr(owner, name, method)
        self._bound.append((owner, name))

    def bound_arriving_async(self, stream: Any) -> None:
        """Bound what arrives over a connection that was just opened, before TLS makes data of it.

        stream: httpcore's, around one of anyio's. Those of another library are left alone.
        """
        connection = getattr(stream, "_stream", None)
        receive: Callable[[int], Awaitable[bytes]] | None = getattr(connection, "receive", None)
        if receive is None:
            return

        async def bounded(max_bytes: int = _PIECE_OF_TLS) -> bytes:
            data = await receive(min(max_bytes, _PIECE_OF_TLS))
            self._arrived += len(data)
            if self._arrived > self._may_arrive + 2 * self._read:
                raise FetchError(
                    f"expected at most {MAX_BYTES_OF_TLS:,} bytes of TLS beside twice what it carries, got more: how"
                    " long is its chain of certificates?"
                )
            return data

        self._replace(connection, "receive", bounded)

    def release(self) -> None:
        """Leave the connections as they were: a pool of the user's may keep one for another request."""
        for owner, name in self._bound:
            vars(owner).pop(name, None)
