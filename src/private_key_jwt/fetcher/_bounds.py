"""Bound what a response costs beside its body: interim responses, header fields, chunk lines and trailers.

The HTTP parser takes as many as a publisher sends, at up to 50 µs each, and holds up an event loop meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .._core.response import FetchError
from .._http_client import CONNECTED

__all__ = ["MAX_BYTES_BESIDE", "MAX_LINES", "ResponseBounds"]

MAX_BYTES_BESIDE = 16_384
MAX_LINES = 256
# Bytes that are read in one go: before the body so few that to parse them takes about a millisecond.
_PIECE_OF_HEAD, _PIECE_OF_BODY = 1_024, 8_192

_HEAD_IS_READ = ".receive_response_headers.complete"


class ResponseBounds:
    """The bounds of one fetch, which httpx's trace extension brings to each connection that it opens."""

    def __init__(self) -> None:
        self._beside = self._lines = 0
        self._is_head = True
        self._bound: list[Any] = []

    def trace(self, event: str, info: dict[str, Any]) -> bool:
        """Note what httpx reports; return whether a connection was opened, whose ``read`` is to be bounded."""
        if event.endswith(_HEAD_IS_READ):
            self._is_head = False
        return event.endswith(CONNECTED)

    def piece(self, max_bytes: int) -> int:
        """Return how many bytes to read in one go."""
        return min(max_bytes, _PIECE_OF_HEAD if self._is_head else _PIECE_OF_BODY)

    def count(self, data: bytes) -> bytes:
        """Count bytes that were read, and return them. Raises FetchError."""
        # Lines of what was read before: this piece may hold the beginning of the body.
        is_over = self._is_head and self._lines > MAX_LINES
        self._lines += data.count(b"\n")
        self._beside += len(data)
        # A piece of the body is counted off as soon as it is parsed.
        if is_over or self._beside > MAX_BYTES_BESIDE + _PIECE_OF_BODY * (not self._is_head):
            raise FetchError(
                f"expected at most {MAX_BYTES_BESIDE:,} bytes and {MAX_LINES} lines of a response beside its body,"
                " got more"
            )
        return data

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
            return self.count(await read(self.piece(max_bytes), timeout))

        self._set(stream, bounded)

    def _set(self, stream: Any, read: object) -> None:
        stream.read = read
        self._bound.append(stream)

    def release(self) -> None:
        """Leave the connections as they were: a pool of the user's may keep one for another request."""
        for stream in self._bound:
            vars(stream).pop("read", None)
