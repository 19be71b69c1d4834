"""A cache of JWK Sets in a cache of a Django project."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from hashlib import sha256

from django.core.cache import caches

from ..._validation import check_wall_clock
from ...policy import LONGEST_TTL, JWKSPolicy
from .._django_cache import open_cache
from .._protocols import JWKSDocument

__all__ = ["DjangoJWKSCache"]


class DjangoJWKSCache:
    """JWK Set documents in a cache of a Django project, of any backend: workers share what each fetched.

        PRIVATE_KEY_JWT["JWKS_CACHE"] = "private_key_jwt.stores.DjangoJWKSCache"  # settings.py
        fetcher = JWKSFetcher(cache=DjangoJWKSCache("default"))                   # or by hand

    alias: the alias in ``CACHES``. Who can write to it can add keys to a client.
    wall_clock: seconds since the epoch. Ages are counted by it: a host whose clock is behind that of the host that
        fetched takes a document for so much younger. Keep clocks right (NTP), or take RedisJWKSCache, which goes
        by the server's.

    What the cache forgets costs a fetch. Thread-safe; works after a fork. Raises ConfigurationError; later, whatever
    the backend raises: the fetcher counts that and goes on alone.
    """

    def __init__(self, alias: str = "default", *, wall_clock: Callable[[], float] = time.time) -> None:
        check_wall_clock(wall_clock)
        open_cache(alias)
        self._alias = alias
        self._wall_clock = wall_clock

    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        """Return the newest document known, or None. Raises ValueError for what is no document."""
        kept = caches[self._alias].get(_name("document", jwks_uri))
        if kept is None:
            return None
        fetched_at, body = self._read(kept)
        return JWKSDocument.of_age(body, self._wall_clock() - fetched_at, now)

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        """Keep a document, unless a newer one is there."""
        wall = self._wall_clock()
        fetched_at = wall - max(0.0, now - document.fetched_at)
        cache, name = caches[self._alias], _name("document", jwks_uri)
        kept = cache.get(name)
        known = None if kept is None else self._read(kept)[0]
        if known is None or known <= fetched_at or known > wall:
            cache.set(name, b"%r\n%b" % (fetched_at, document.body), timeout=LONGEST_TTL)

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        """Take one fetch out of the budget of all who share this cache: one of as many names as there are fetches."""
        cache, window = caches[self._alias], math.ceil(policy.fetch_window)
        names = (_name(f"fetch{number}", jwks_uri) for number in range(policy.fetch_limit))
        return any(cache.add(name, 1, timeout=window) for name in names)

    @staticmethod
    def _read(kept: object) -> tuple[float, bytes]:
        if not isinstance(kept, bytes):
            raise ValueError("the shared cache holds something else than a document")
        fetched_at, _, body = kept.partition(b"\n")
        return float(fetched_at), body


def _name(kind: str, jwks_uri: str) -> str:
    # Memcached takes 250 characters.
    return f"private-key-jwt:{kind}:{sha256(jwks_uri.encode()).hexdigest()}"
