"""Define what a replay store and a cache of JWK Sets must do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

from ..policy import JWKSPolicy

_ROUNDING = 1e-3


class ReplayStore(Protocol):
    """Remembers keys until they expire.

        store: ReplayStore = MemoryReplayStore()
        store.add(key, expires_at=now + 600, now=now)  # True: nobody was before this one
        store.add(key, expires_at=now + 600, now=now)  # False, until expires_at

    Verifiers that share an audience share one store.

    ``expires_at`` is not the assertion's ``exp``: it is so much later that each mark outlives what any policy and any
    host could accept. ``private_key_jwt.testing.ReplayStoreContract`` tests a store of your own.

    ``add`` is one atomic step: of any number of callers, in any number of threads, processes and hosts that
    share the store, exactly one gets True for a key until ``expires_at``. It never forgets a live key to
    make room, and never makes a result up: when it cannot tell, it raises (any Exception), and the
    assertion is refused. Times are seconds since the epoch; ``key`` is 32 bytes.

    A mark is live while ``now < expires_at``. Clocks of hosts differ: a store that deletes marks by ``now`` keeps the
    latest ``now`` by which it deleted any, and raises for a key that expires no later, since its mark may be gone.
    A store that lives in one process says ``in_process = True``: a verifier with ``workers=2`` then refuses it, and an
    async one calls ``add`` in its event loop, not in a thread.
    """

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """Return True when ``key`` was not there and is now; False when it was there."""
        ...


class AsyncReplayStore(Protocol):
    """ReplayStore, awaited.

        class MyStore:
            async def add(self, key: bytes, expires_at: float, now: float) -> bool:
                return await engine.set_if_absent(key, until=expires_at)

    An AsyncClientAssertionVerifier takes a ReplayStore, too.
    """

    async def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See ReplayStore.add."""
        ...


@dataclass(frozen=True, slots=True)
class JWKSDocument:
    """A JWK Set as published (bytes of JSON), and when it was asked for (monotonic seconds of this process).

        document = cache.get(jwks_uri, now)
        keys = json.loads(document.body)["keys"]
        age = now - document.fetched_at

    What a cache keeps. Nothing of it has been checked.
    """

    body: bytes
    fetched_at: float

    @classmethod
    def of_age(cls, body: bytes, age: float, now: float) -> Self | None:
        """Return a document of so many seconds by a clock that hosts share; None for one from the future.

        There the clock was set back, and nobody can tell how old it is; a millisecond is rounding.
        """
        return cls(body, now - max(0.0, age)) if age >= -_ROUNDING else None


class JWKSCache(Protocol):
    """Documents by ``jwks_uri``, for a fetcher.

        cache: JWKSCache = MemoryJWKSCache()
        fetcher = JWKSFetcher(cache=cache)
        cache.get(jwks_uri, now)  # None, until the fetcher has put a document there

    What several processes share saves each of them a fetch.

    It is trusted: who can write to it can add keys to a client. It may lose what it was given at any time,
    and an error of it costs a fetch and no more: the fetcher then works on its own. ``now`` and
    ``fetched_at`` are seconds of the fetcher's monotonic clock; a cache that outlives the process must keep
    ages, not these numbers. Under ``jwks_uri`` with ``#failures`` behind it the fetcher keeps, in the same way, which
    fetches failed and how, so that others do not wait for them.
    """

    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        """Return the newest document known, or None."""
        ...

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        """Keep a document that was just fetched, unless a newer one is there."""
        ...

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        """Take one fetch out of the budget that all who share this cache have together; False when it is spent.

        Where the answer is neither True nor False nothing is fetched; where it raises, the fetcher's own budget
        decides.
        """
        ...


class AsyncJWKSCache(Protocol):
    """JWKSCache, awaited.

        cache: AsyncJWKSCache = AsyncRedisJWKSCache.from_url("rediss://op:secret@redis.internal:6379/1")
        fetcher = AsyncJWKSFetcher(cache=cache)

    An AsyncJWKSFetcher takes a JWKSCache, too.
    """

    async def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        """See JWKSCache.get."""
        ...

    async def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        """See JWKSCache.put."""
        ...

    async def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        """See JWKSCache.claim."""
        ...
