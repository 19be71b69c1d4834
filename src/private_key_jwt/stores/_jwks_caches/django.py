"""A cache of JWK Sets in a cache of a Django project."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from django.core.cache import caches
from django.core.cache.backends.memcached import BaseMemcachedCache

from ..._clocks import boot_id, since_boot
from ..._validation import check_clock
from ...policy import LONGEST_TTL, JWKSPolicy
from .._django_cache import open_cache
from .._protocols import JWKSDocument

__all__ = ["DjangoJWKSCache"]


class _Kept(NamedTuple):
    """A document as the cache keeps it: a line of times, and the body.

    fetched_at, since_boot: when its fetch was sent, in seconds since the epoch, and since the host was started.
    boot: names that start of that host.
    """

    fetched_at: float
    since_boot: float
    boot: bytes
    body: bytes

    def encode(self) -> bytes:
        return b"%r %r %b\n%b" % self

    @classmethod
    def decode(cls, kept: object) -> _Kept:
        """Read what the cache keeps. Raises ValueError for what is no document."""
        times, _, body = kept.partition(b"\n") if isinstance(kept, bytes) else (b"", b"", b"")
        match times.split(b" "):
            case [fetched_at, at, boot]:
                found = cls(float(fetched_at), float(at), boot, body)
                if math.isfinite(found.fetched_at) and math.isfinite(found.since_boot):
                    return found
        raise ValueError("the shared cache holds something else than a document")


class DjangoJWKSCache:
    """JWK Set documents in a cache of a Django project, of any backend: workers share what each fetched.

        PRIVATE_KEY_JWT["JWKS_CACHE"] = "private_key_jwt.stores.DjangoJWKSCache"  # settings.py
        fetcher = JWKSFetcher(cache=DjangoJWKSCache("default"))                   # or by hand

    alias: the alias in ``CACHES``. Who can write to it can add keys to a client.
    wall_clock: seconds since the epoch. Ages are counted by it; on Linux also by the time since boot, whichever says
        more, for what this host fetched since it was started. How old a document of another host is, or of this one
        before it was started anew, only the wall clock tells: where it is behind that of the host that fetched, or
        was set back since, a worker that starts takes the document for so much younger, and accepts a removed key for
        so much longer. Keep clocks right (NTP), or take RedisJWKSCache, which goes by the server's.

    What the cache forgets costs a fetch. Thread-safe; works after a fork. Raises ConfigurationError; later, whatever
    the backend raises: the fetcher counts that and goes on alone.
    """

    def __init__(self, alias: str = "default", *, wall_clock: Callable[[], float] = time.time) -> None:
        check_clock("wall_clock", wall_clock)
        open_cache(alias)
        self._alias = alias
        self._wall_clock = wall_clock
        self._boot = boot_id().encode()

    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        """Return the newest document known, or None. Raises ValueError for what is no document."""
        found = caches[self._alias].get(_name("jwks", jwks_uri))
        if found is None:
            return None
        kept = _Kept.decode(found)
        age = self._wall_clock() - kept.fetched_at
        if kept.boot == self._boot:
            age = max(age, since_boot() - kept.since_boot)  # also where the wall clock was set back
        return JWKSDocument.of_age(kept.body, age, now)

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        """Keep a document, unless a newer one is there."""
        wall, age = self._wall_clock(), max(0.0, now - document.fetched_at)
        kept = _Kept(wall - age, since_boot() - age, self._boot, document.body)
        cache, name = caches[self._alias], _name("jwks", jwks_uri)
        known = _fetched_at(cache.get(name))
        if known is None or known <= kept.fetched_at or known > wall:
            cache.set(name, kept.encode(), timeout=LONGEST_TTL)

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        """Take one fetch out of the budget of all who share this cache: one of as many names as there are fetches."""
        cache, window = caches[self._alias], math.ceil(policy.fetch_window)
        if isinstance(cache, BaseMemcachedCache):
            window += 1  # it counts in whole seconds, and lets a name go up to one too early
        names = (_name(f"fetch{number}", jwks_uri) for number in range(policy.fetch_limit))
        return any(cache.add(name, 1, timeout=window) for name in names)


def _fetched_at(found: object) -> float | None:
    """Return when what the cache keeps was fetched; None where it is no document, which any other replaces."""
    try:
        return _Kept.decode(found).fetched_at
    except ValueError:
        return None


def _name(kind: str, jwks_uri: str) -> str:
    # Memcached takes 250 characters.
    return f"private-key-jwt:{kind}:{sha256(jwks_uri.encode()).hexdigest()}"
