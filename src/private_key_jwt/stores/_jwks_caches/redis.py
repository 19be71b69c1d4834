"""Caches of JWK Sets in Redis."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Self

import redis
import redis.asyncio

from ...exceptions import ConfigurationError
from ...policy import JWKSPolicy
from .._protocols import JWKSDocument
from .._redis_client import async_client, check_prefix, open_async, open_sync, sync_client

_PREFIX = "private-key-jwt:jwks:"
_KEEP_MS = 86_400_000  # the longest ttl that a policy allows: documents of tenants that are gone leave
_NEVER_DECODE: dict[str, Any] = {"NEVER_DECODE": True}  # answers stay bytes, whatever the client does else

# Each script touches one key (Cluster-safe) and goes by the server's clock, the one that all workers share.
_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

_GET = _NOW + "return {string.format('%.0f', now), redis.call('GET', KEYS[1])}"

# The time of a fetch is the server's now less the document's age. It is never later than by the clock of the
# host that fetched: a put that lay in a stopped server's socket must not make an old document young.
# What claims to come from the future (the clock was set back) gives way to anything.
_PUT = (
    _NOW
    + """
local fetched = math.min(now - ARGV[2], tonumber(ARGV[3]))
local known = redis.pcall('GET', KEYS[1])
known = type(known) == 'string' and tonumber(string.match(known, '^(%d+)\\n'))
if known and known <= now and known > fetched then return 0 end
redis.call('SET', KEYS[1], string.format('%.0f\\n', fetched) .. ARGV[1], 'PX', ARGV[4])
return 1
"""
)

# The newest `burst` claims, newest first: another is granted when the oldest of them has left the window.
# One from the future (the clock was set back) does not count: it would stop all fetches for as long.
_CLAIM = (
    _NOW
    + """
local burst, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local oldest = tonumber(redis.call('LINDEX', KEYS[1], burst - 1) or nil)
if oldest and oldest <= now and now - oldest < window then return 0 end
redis.call('LPUSH', KEYS[1], string.format('%.0f', now))
redis.call('LTRIM', KEYS[1], 0, burst - 1)
redis.call('PEXPIRE', KEYS[1], window)
return 1
"""
)


class _Documents:
    """What both caches share: their commands, and what the answers say."""

    def __init__(self, prefix: str, wall_clock: Callable[[], float]) -> None:
        check_prefix(prefix)
        if not callable(wall_clock):
            raise ConfigurationError("wall_clock must be a function that gives seconds since the epoch")
        self._prefix = prefix
        self._wall_clock = wall_clock

    def get(self, jwks_uri: str) -> tuple[Any, ...]:
        return self._eval(_GET, "document:", jwks_uri)

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> tuple[Any, ...]:
        age = max(0.0, now - document.fetched_at)
        fetched_at = self._wall_clock() - age
        times = math.ceil(age * 1_000), math.floor(fetched_at * 1_000), _KEEP_MS
        return self._eval(_PUT, "document:", jwks_uri, document.body, *times)

    def claim(self, jwks_uri: str, policy: JWKSPolicy) -> tuple[Any, ...]:
        window = math.ceil(policy.fetch_window * 1_000)
        return self._eval(_CLAIM, "fetches:", jwks_uri, policy.fetch_limit, window)

    def _eval(self, script: str, kind: str, jwks_uri: str, *arguments: object) -> tuple[Any, ...]:
        return "EVAL", script, 1, f"{self._prefix}{kind}{jwks_uri}", *arguments

    def read(self, answer: Any, now: float) -> JWKSDocument | None:
        """The document, its age carried over to the clock of ``now``. Raises ValueError for what is none."""
        server_now, value = answer
        if value is None:
            return None
        fetched_at, separator, body = value.partition(b"\n")
        if not (separator and fetched_at.isdigit()):
            raise ValueError("the shared cache holds something else than a document")
        age = (int(server_now) - int(fetched_at)) / 1_000
        if age < 0:
            return None  # the server's clock was set back, and nobody can tell how old it is
        # Set back by less than the age it does not show: then this host's clock says more. One that is ahead of the
        # others costs fetches.
        return JWKSDocument(body, now - max(age, self._wall_clock() - int(fetched_at) / 1_000))

    @staticmethod
    def granted(answer: object) -> bool:
        """Raises ValueError for an answer that is none."""
        if answer not in (0, 1):
            raise ValueError("neither 0 nor 1")
        return answer == 1


class RedisJWKSCache:
    """JWK Sets in Redis 6.2 or later, or Valkey: workers share documents and, together, one fetch budget.

    client: your ``redis.Redis`` or ``redis.RedisCluster``, which is not closed. Give it short timeouts and few
        retries: a request may wait for it.
    prefix: goes in front of each key. Caches with different prefixes share nothing.
    wall_clock: seconds since the epoch.

    It is trusted: who can write to it can add keys to any client. Ages are counted by the server's clock, so
    hosts need not agree on the time; one whose clock is behind shares documents that seem older. A document
    leaves a day after it was put. Errors are raised as they come: a fetcher counts them and goes on alone.
    Nothing is lost when Redis evicts: a document costs a fetch, a budget lets its burst through again.

    Thread-safe, works after a fork. Raises ConfigurationError.
    """

    def __init__(
        self,
        client: redis.Redis | redis.RedisCluster,
        *,
        prefix: str = _PREFIX,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = sync_client(client)
        self._documents = _Documents(prefix, wall_clock)
        self._owns_client = False

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        timeout: float = 0.25,
        prefix: str = _PREFIX,
        wall_clock: Callable[[], float] = time.time,
    ) -> Self:
        """A cache with a client of its own. See RedisReplayStore.from_url."""
        cache = cls(open_sync(url, timeout), prefix=prefix, wall_clock=wall_clock)
        cache._owns_client = True
        return cache

    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        """See JWKSCache.get. Raises ValueError for a corrupt value, and what redis-py raises."""
        return self._documents.read(self._send(self._documents.get(jwks_uri)), now)

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        """See JWKSCache.put. Raises what redis-py raises."""
        self._send(self._documents.put(jwks_uri, document, now))

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        """See JWKSCache.claim. Raises ValueError for an odd answer, and what redis-py raises."""
        return self._documents.granted(self._send(self._documents.claim(jwks_uri, policy)))

    def _send(self, command: tuple[Any, ...]) -> Any:
        return self._client.execute_command(*command, **_NEVER_DECODE)

    def close(self) -> None:
        """Close the connections that from_url opened; a client of yours stays open."""
        if self._owns_client:
            self._client.close()


class AsyncRedisJWKSCache:
    """RedisJWKSCache, awaited: the same arguments, with a client of ``redis.asyncio``.

    Its connections belong to the event loop that first used them.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis | redis.asyncio.RedisCluster,
        *,
        prefix: str = _PREFIX,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = async_client(client)
        self._documents = _Documents(prefix, wall_clock)
        self._owns_client = False

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        timeout: float = 0.25,
        prefix: str = _PREFIX,
        wall_clock: Callable[[], float] = time.time,
    ) -> Self:
        """A cache with a client of its own. See AsyncRedisReplayStore.from_url."""
        cache = cls(open_async(url, timeout), prefix=prefix, wall_clock=wall_clock)
        cache._owns_client = True
        return cache

    async def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        """See JWKSCache.get. Raises ValueError for a corrupt value, and what redis-py raises."""
        return self._documents.read(await self._send(self._documents.get(jwks_uri)), now)

    async def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        """See JWKSCache.put. Raises what redis-py raises."""
        await self._send(self._documents.put(jwks_uri, document, now))

    async def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        """See JWKSCache.claim. Raises ValueError for an odd answer, and what redis-py raises."""
        return self._documents.granted(await self._send(self._documents.claim(jwks_uri, policy)))

    async def _send(self, command: tuple[Any, ...]) -> Any:
        return await self._client.execute_command(*command, **_NEVER_DECODE)

    async def close(self) -> None:
        """See RedisReplayStore.close."""
        if self._owns_client:
            await self._client.aclose()
