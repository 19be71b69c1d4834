"""A cache of JWK Set documents in the memory of one process."""

from __future__ import annotations

from typing import ClassVar

from cachetools import FIFOCache

from ..._fork import renew_after_fork
from ..._lock import Lock
from ..._validation import check_integer
from ...policy import JWKSPolicy
from .._protocols import JWKSDocument


class MemoryJWKSCache:
    """Documents in the memory of this process, at most ``max_documents`` of them: the oldest leaves first.

        fetcher = JWKSFetcher(cache=MemoryJWKSCache())

    Thread-safe. Raises ConfigurationError for a bound that is none.
    """

    in_process: ClassVar[bool] = True

    def __init__(self, max_documents: int = 100_000) -> None:
        check_integer("max_documents", max_documents, 1, 100_000_000)
        self._documents: FIFOCache[str, JWKSDocument] = FIFOCache(max_documents)
        self._lock = Lock()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Start anew: a thread that held the lock is not in this process, and may have left the order half changed."""
        self._lock = Lock()
        ordered: FIFOCache[str, JWKSDocument] = FIFOCache(self._documents.maxsize)
        ordered.update(sorted(self._documents.items(), key=lambda item: item[1].fetched_at))
        self._documents = ordered

    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:  # it keeps this process's clock
        """Return the newest document known, or None."""
        with self._lock:  # cachetools looks a key up twice, and between the two it may be evicted
            return self._documents.get(jwks_uri)

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        """Keep a document, unless a newer one is there."""
        with self._lock:
            known = self._documents.get(jwks_uri)
            if known is None or known.fetched_at <= document.fetched_at:
                self._documents[jwks_uri] = document

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        """Return True: nobody shares it, and the fetcher keeps a budget of its own."""
        return True
