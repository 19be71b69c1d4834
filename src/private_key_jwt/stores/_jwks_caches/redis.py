"""Caches of JWK Sets in Redis and Valkey."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Self

import redis
import redis.asyncio
from redis.crc import key_slot

from ..._clocks import since_boot
from ..._validation import check_clock, check_timeout
from ...policy import LONGEST_TTL, JWKSPolicy
from .._protocols import JWKSDocument
from .._redis_client import async_client, check_prefix, is_cluster, sync_client
from .._redis_commands import Command, open_async_sender, open_sender
from .._redis_pool import is_own, open_async, open_sync

__all__ = ["AsyncRedisJWKSCache", "RedisJWKSCache"]

_PREFIX = "private-key-jwt:jwks:"
_TIMEOUT = 0.25
_KEEP_MS = 1_000 * LONGEST_TTL  # the longest ttl that a policy allows: documents of tenants that are gone leave
_STEPS = 8  # of the server's clock that are remembered
_SET_BACK = 1.0  # seconds by which two clocks drift apart, or a reply is late, without one of them having been set

# Each script touches one key (Cluster-safe) and goes by the server's clock, the one that all workers share.
_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

_TIME = _NOW + "return string.format('%.0f', now)"

_GET = _NOW + "return {string.format('%.0f', now), redis.call('GET', KEYS[1])}"

# A document from the future (the clock was set back) is replaced by any other.
_PUT = (
    _NOW
    + """
local fetched = math.min(now, tonumber(ARGV[2]))
local known = redis.pcall('GET', KEYS[1])
known = type(known) == 'string' and tonumber(string.match(known, '^(%d+) '))
if known and known <= now and known > fetched then return 0 end
redis.call('SET', KEYS[1], string.format('%.0f ', fetched) .. ARGV[3] .. '\\n' .. ARGV[1], 'PX', ARGV[4])
return 1
"""
)

# The newest `limit` fetches, newest first: another is granted when the oldest of them has left the window.
# One from the future (the clock was set back) does not count: it would stop all fetches for as long.
_TAKE_FETCH = (
    _NOW
    + """
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local oldest = tonumber(redis.call('LINDEX', KEYS[1], limit - 1) or nil)
if oldest and oldest <= now and now - oldest < window then return 0 end
redis.call('LPUSH', KEYS[1], string.format('%.0f', now))
redis.call('LTRIM', KEYS[1], 0, limit - 1)
redis.call('PEXPIRE', KEYS[1], window)
return 1
"""
)


class _ServerClock:
    """Tells how much older than they seem documents are, because the server's clock was set back since.

    What counts is how much its difference to this host's clock changes, not how large it is: hosts need not agree on
    the time. A host whose clock is set forward takes the documents of that moment for older; they cost a fetch.
    """

    def __init__(self) -> None:
        self._behind = math.inf  # by how much the server was behind this host, at the least
        self._steps: list[tuple[float, float]] = []  # when one was noticed, and how far the clock went back

    def observe(self, server_now: float, wall: float) -> None:
        """Compare an instant that the server just named with the time of day of this host."""
        behind = wall - server_now
        if behind > self._behind + _SET_BACK:
            self._steps = [*self._steps[1 - _STEPS :], (wall, behind - self._behind)]
            self._behind = behind
        self._behind = min(self._behind, behind)

    def hidden_age(self, fetched_at: float) -> float:
        """Return the seconds to add to the age of what was fetched at this time of day."""
        return sum(step for noticed_at, step in self._steps if fetched_at <= noticed_at)


class _Documents:
    """Make the commands of both caches, and read their replies."""

    def __init__(self, prefix: str, wall_clock: Callable[[], float], *, is_cluster: bool) -> None:
        check_prefix(prefix)
        check_clock("wall_clock", wall_clock)
        self._prefix = prefix
        self._wall_clock = wall_clock
        self._is_cluster = is_cluster
        self._clocks: dict[int, _ServerClock] = {}

    def _clock(self, jwks_uri: str) -> _ServerClock:
        """Return what is known of the server's clock: in a Cluster each slot may be on a node with one of its own."""
        slot = key_slot(self._key("document:", jwks_uri)) if self._is_cluster else 0
        return self._clocks.setdefault(slot, _ServerClock())

    def time(self, jwks_uri: str) -> Command:
        """Ask for the time where the document is: each node of a Cluster has a clock of its own."""
        return self._script(_TIME, "document:", jwks_uri)

    def get(self, jwks_uri: str) -> Command:
        return self._script(_GET, "document:", jwks_uri)

    def put(self, jwks_uri: str, document: JWKSDocument, server_now: Any, age: float) -> Command:
        """Keep a document that was ``age`` seconds old when ``server_now`` arrived here, or a little later.

        However long this command then lies somewhere, it makes no document younger: it names the instant, by the
        server's clock, before which the document was fetched.
        """
        fetched_at = int(server_now) - math.ceil(age * 1_000)
        by_host = math.floor((self._wall_clock() - age) * 1_000)
        return self._script(_PUT, "document:", jwks_uri, document.body, fetched_at, by_host, _KEEP_MS)

    def claim(self, jwks_uri: str, policy: JWKSPolicy) -> Command:
        window = math.ceil(policy.fetch_window * 1_000)
        return self._script(_TAKE_FETCH, "fetches:", jwks_uri, policy.fetch_limit, window)

    def _script(self, script: str, kind: str, jwks_uri: str, *arguments: bytes | int) -> Command:
        words = [each if isinstance(each, bytes) else b"%d" % each for each in arguments]
        return Command.of_script(script, self._key(kind, jwks_uri), *words)

    def _key(self, kind: str, jwks_uri: str) -> bytes:
        return f"{self._prefix}{kind}{jwks_uri}".encode()

    def read(self, jwks_uri: str, reply: Any, now: float) -> JWKSDocument | None:
        """Return the document, its age carried over to the clock of ``now``. Raises ValueError for what is none."""
        server_now, value = int(reply[0]) / 1_000, reply[1]
        clock = self._clock(jwks_uri)
        clock.observe(server_now, self._wall_clock())
        if value is None:
            return None
        times, separator, body = value.partition(b"\n")
        fetched_at, _, by_host = times.partition(b" ")
        if not (separator and fetched_at.isdigit() and by_host.isdigit()):
            raise ValueError("the shared cache holds something else than a document")
        age = server_now - int(fetched_at) / 1_000
        if age < 0:
            return None  # the server's clock was set back, and nobody can tell how old it is
        return JWKSDocument(body, now - age - clock.hidden_age(int(by_host) / 1_000))

    @staticmethod
    def granted(reply: object) -> bool:
        """Raises ValueError for any other reply."""
        if reply not in (0, 1):
            raise ValueError("neither 0 nor 1")
        return reply == 1


class RedisJWKSCache:
    """JWK Sets in Redis 6.2 or later, or Valkey: workers share documents and, together, one fetch budget.

        cache = RedisJWKSCache.from_url("rediss://op:secret@redis.internal:6379/1")
        fetcher = JWKSFetcher(JWKSPolicy(), cache=cache)

    client: your ``redis.Redis`` or ``redis.RedisCluster``, which is not closed: see RedisReplayStore.
    prefix: goes in front of each key. Caches with different prefixes share nothing.
    wall_clock: seconds since the epoch. With it a worker notices that the server's clock was set back, and takes
        documents from before for as much older.
    timeout: seconds (0.01 to 60) of each wait: for earlier calls, to connect, for a reply (of a Cluster see
        RedisReplayStore).

    It is trusted: who can write to it can add keys to any client. Ages are counted by the server's clock, so
    hosts need not agree on the time. A document leaves a day after it was put. Errors are raised as they come: a
    fetcher counts them and goes on alone. Nothing is lost when Redis evicts (``allkeys-lru`` is a good policy
    here): a document costs a fetch, and a budget lets its limit through again. So give replay marks, which must
    not be evicted, a Redis of their own when memory is short. An ACL must allow ``+eval +ping +time +get +set
    +lindex +lpush +ltrim +pexpire`` on the prefix.

    Thread-safe, works after a fork. Raises ConfigurationError.
    """

    def __init__(
        self,
        client: redis.Redis | redis.RedisCluster,
        *,
        prefix: str = _PREFIX,
        wall_clock: Callable[[], float] = time.time,
        timeout: float = _TIMEOUT,
    ) -> None:
        check_timeout(timeout)
        self._client = sync_client(client, timeout)
        self._documents = _Documents(prefix, wall_clock, is_cluster=is_cluster(client))
        self._sender = open_sender(self._client, timeout)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        timeout: float = _TIMEOUT,
        prefix: str = _PREFIX,
        wall_clock: Callable[[], float] = time.time,
    ) -> Self:
        """Return a cache with a client of its own. See RedisReplayStore.from_url."""
        return cls(open_sync(url, timeout), prefix=prefix, wall_clock=wall_clock, timeout=timeout)

    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        """See JWKSCache.get. Raises ValueError for a corrupt value, and what redis-py raises."""
        return self._documents.read(jwks_uri, self._sender.send(self._documents.get(jwks_uri)), now)

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        """See JWKSCache.put. Raises what redis-py raises."""
        began = since_boot()
        server_now = self._sender.send(self._documents.time(jwks_uri))
        age = max(0.0, now - document.fetched_at) + since_boot() - began
        self._sender.send(self._documents.put(jwks_uri, document, server_now, age))

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        """See JWKSCache.claim. Raises ValueError for any other reply, and what redis-py raises."""
        return self._documents.granted(self._sender.send(self._documents.claim(jwks_uri, policy)))

    def close(self) -> None:
        """Close the connections of the cache; a client of yours stays open."""
        if is_own(self._client):
            self._client.close()


class AsyncRedisJWKSCache:
    """RedisJWKSCache, awaited: the same arguments, with a client of ``redis.asyncio``.

        cache = AsyncRedisJWKSCache.from_url("rediss://op:secret@redis.internal:6379/1")
        fetcher = AsyncJWKSFetcher(JWKSPolicy(), cache=cache)

    timeout: seconds (0.01 to 60) of each wait; with a Cluster, of a whole command, of which ``put`` sends two.

    Its connections belong to the event loop that first used them.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis | redis.asyncio.RedisCluster,
        *,
        prefix: str = _PREFIX,
        wall_clock: Callable[[], float] = time.time,
        timeout: float = _TIMEOUT,
    ) -> None:
        check_timeout(timeout)
        self._client = async_client(client, timeout)
        self._documents = _Documents(prefix, wall_clock, is_cluster=is_cluster(client))
        self._sender = open_async_sender(self._client, timeout)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        timeout: float = _TIMEOUT,
        prefix: str = _PREFIX,
        wall_clock: Callable[[], float] = time.time,
    ) -> Self:
        """Return a cache with a client of its own. See AsyncRedisReplayStore.from_url."""
        return cls(open_async(url, timeout), prefix=prefix, wall_clock=wall_clock, timeout=timeout)

    async def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        """See JWKSCache.get. Raises ValueError for a corrupt value, and what redis-py raises."""
        return self._documents.read(jwks_uri, await self._sender.send(self._documents.get(jwks_uri)), now)

    async def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        """See JWKSCache.put. Raises what redis-py raises."""
        began = since_boot()
        server_now = await self._sender.send(self._documents.time(jwks_uri))
        age = max(0.0, now - document.fetched_at) + since_boot() - began
        await self._sender.send(self._documents.put(jwks_uri, document, server_now, age))

    async def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        """See JWKSCache.claim. Raises ValueError for any other reply, and what redis-py raises."""
        return self._documents.granted(await self._sender.send(self._documents.claim(jwks_uri, policy)))

    async def aclose(self) -> None:
        """See RedisJWKSCache.close."""
        if is_own(self._client):
            await self._client.aclose()
