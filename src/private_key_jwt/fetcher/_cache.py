"""Where raw JWK Set documents are kept: the protocol for a cache of one's own, and the one in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import ClassVar, Protocol

from cachetools import FIFOCache

from .._after_fork import mend_after_fork
from ..policy import JWKSPolicy, check_integer


@dataclass(frozen=True, slots=True)
class JWKSDocument:
    """A JWK Set as published (bytes of JSON), and when it was asked for (monotonic seconds of this process)."""

    body: bytes
    fetched_at: float


class JWKSCache(Protocol):
    """Documents by ``jwks_uri``, for a fetcher; what several processes share saves each of them a fetch.

    It is trusted: who can write to it can add keys to a client. It may lose what it was given at any time,
    and an error of it costs a fetch and no more: the fetcher then works on its own. ``now`` and
    ``fetched_at`` are seconds of the fetcher's monotonic clock; a cache that outlives the process must keep
    ages, not these numbers.
    """

    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        """The newest document known, or None."""
        ...

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        """Keep a document that was just fetched, unless a newer one is there."""
        ...

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        """Claim one fetch out of the budget that all who share this cache have together."""
        ...


class AsyncJWKSCache(Protocol):
    """JWKSCache, awaited."""

    async def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        """See JWKSCache.get."""
        ...

    async def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        """See JWKSCache.put."""
        ...

    async def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        """See JWKSCache.claim."""
        ...


class MemoryJWKSCache:
    """Documents in the memory of this process, at most ``max_documents`` of them: the oldest leaves first.

    Thread-safe. Raises ConfigurationError for a bound that is none.
    """

    in_process: ClassVar[bool] = True

    def __init__(self, max_documents: int = 10_000) -> None:
        check_integer("max_documents", max_documents, 1, 100_000_000)
        self._documents: FIFOCache[str, JWKSDocument] = FIFOCache(max_documents)
        self._lock = threading.Lock()
        mend_after_fork(self)

    def after_fork_in_child(self) -> None:
        """A thread that held the lock is not in this process."""
        self._lock = threading.Lock()

    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:  # it keeps this process's clock
        """The newest document known, or None."""
        return self._documents.get(jwks_uri)

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        """Keep a document, unless a newer one is there."""
        with self._lock:
            known = self._documents.get(jwks_uri)
            if known is None or known.fetched_at <= document.fetched_at:
                self._documents[jwks_uri] = document

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        """Always True: nobody shares it, and the fetcher keeps a budget of its own."""
        return True
