"""Replay stores in Redis and Valkey.

Which set-ups keep the promise
------------------------------
The promise is that of any number of adds of one key, one gets True. Redis keeps it where one server at a time takes
the writes for a key and no mark is lost before it expires. ``check()`` sees much of this, and not all:

=================================================  ==========  =========================================================
set-up                                             keeps it    why
=================================================  ==========  =========================================================
one Redis or Valkey, ``noeviction``                yes         with ``appendonly yes`` and ``appendfsync always``, also
                                                               over a crash; with ``everysec`` less its last second
primary and replicas, no failover by itself        yes         only the primary is written to
Sentinel; a Cluster; managed Redis with failover   but for a   replication is asynchronous: a failover loses the marks
(ElastiCache, Memorystore, Azure, Redis Cloud)     failover    that had not arrived at the replica, and in a partition
                                                               the old primary takes writes for a while
MemoryDB in one region                             yes         a write is answered when its log has it
any of them with an evicting policy                no          a live mark is dropped to make room
Redis Enterprise or Azure Active-Active (CRDB)     no          each region is written to, and they agree later
KeyDB with ``active-replica`` or ``multi-master``  no          each server is written to, and they agree later
redis-py's ``MultiDBClient``                       no          it goes to another database when the first one fails
MemoryDB Multi-Region; Dynomite                    no          each region is written to, and they agree later
a proxy or ring that spreads keys over servers     no          one that drops a failed server sends its keys to another,
(Twemproxy with ``auto_eject_hosts``, Envoy)                   where they are new
a snapshot brought back                            no          the marks since it was taken are gone
=================================================  ==========  =========================================================

In a failover ``min-replicas-to-write 1`` with a short ``min-replicas-max-lag`` bounds how many marks are lost; nothing
in Redis makes it none (``WAIT`` neither undoes a write nor binds a failover). What is lost is a window of a second or
so: who holds an assertion that was used in it can use that assertion once more until it expires.

Rate
----
All adds of a process that wait go in one round trip. Beside one round trip for each add, as the version before did it
(``python benchmarks/run.py --short --only stores --against COMMIT``, medians of five runs; two busy cores, Redis 6.2
and 7.0 on the same host, redis-py 8.1):

===========  ======  ============================
callers      adds/s  processor time of an add
===========  ======  ============================
1 thread     1.0 x   55.2 µs (54.1 before)
16 threads   1.8 x   32.3 µs (57.1 before)
1 task       1.0 x   82.1 µs (83.9 before)
16 tasks     3.2 x   20.6 µs (63.0 before)
64 tasks     4.2 x   17.6 µs (67.7 before)
256 tasks    4.2 x   22.7 µs (90.6 before)
===========  ======  ============================

To a Cluster each add has a round trip of its own.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any, Self

import redis
import redis.asyncio

from ..._log import log
from ..._text import describe_in_full, one_line
from ..._validation import check_handler, check_number, check_timeout
from ...events import OnEvent, StoreUnfit, emit, log_events
from ...exceptions import ConfigurationError, PrivateKeyJWTError
from .._redis_check import CONFIG_PATTERN, ServerLines, describe_servers
from .._redis_client import async_client, check_prefix, is_cluster, sync_client
from .._redis_commands import Command, open_async_sender, open_sender
from .._redis_pool import is_own, open_async, open_sync
from . import MARGIN, MAX_MARGIN, PREFIX
from .errors import store_unavailable

__all__ = ["AsyncRedisReplayStore", "RedisReplayStore"]

_TIMEOUT = 1.0
_ADD = "return redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1])"


class _Marks:
    """Make the command of an add, and read its reply, for both stores."""

    def __init__(self, prefix: str, margin: float) -> None:
        check_prefix(prefix)
        check_number("margin", margin, 0, MAX_MARGIN)
        self._prefix = prefix.encode()
        self._margin = margin

    def command(self, key: bytes, expires_at: float, now: float) -> Command:
        """Return the one step on one key that makes a mark."""
        name = self._prefix + key
        lifetime = b"%d" % max(1, math.ceil((expires_at - now + self._margin) * 1_000))
        return Command((b"SET", name, b"1", b"NX", b"PX", lifetime), _ADD, name, (lifetime,))

    @staticmethod
    def is_new(reply: object) -> bool:
        """Return whether the mark was made. Raises ValueError for any other reply."""
        if reply == b"OK" or reply is None:
            return reply is not None
        raise ValueError(f"neither OK nor nil: {reply!a:.100}")


def _targets(client: Any) -> dict[str, Any]:
    """Return which nodes are asked what they are: of a Cluster, all that take writes."""
    return {"target_nodes": "primaries"} if is_cluster(client) else {}


def _describe(error: Exception) -> str:
    return describe_in_full(error, "no reply in time")  # it quotes no URL and no password


def _seen(servers: ServerLines) -> ServerLines:
    for line in servers.forgetful:
        log(logging.WARNING, "%s: an assertion used before a restart may be accepted again after it", one_line(line))
    return servers


def _report_unfit(on_event: OnEvent, store: object, error: PrivateKeyJWTError) -> None:
    detail = str(error) if isinstance(error, ConfigurationError) else f"nobody knows whether it is fit: {error}"
    emit(on_event, StoreUnfit(store=type(store).__name__, detail=detail))


class RedisReplayStore:
    """Replay marks in Redis 6.2 or later, or Valkey: for several workers on any number of hosts.

        store = RedisReplayStore.from_url("rediss://op:secret@redis.internal:6379/0")
        print(store.check())
        verifier = ClientAssertionVerifier(..., replay_store=store, workers=8)

    client: your ``redis.Redis`` (also ``sentinel.master_for(…)``) or ``redis.RedisCluster``, or one of a class
        derived from them; it is not closed. The store opens connections as this client does, in a pool of its own
        that ``close()`` closes: they wait no longer than ``timeout`` and retry nothing, where redis-py may take a
        minute to give a server up. A pool of a class of your own is used as it is, and so is a Cluster's client.
        Give that short timeouts and no retries, ``retry=Retry(NoBackoff(), 0)``: a sync one that may wait for longer
        is logged as a WARNING. redis-py also sends a command to a Cluster again when the connection was lost before
        the reply, and an add that was done, sent again, reads as ``replayed``. Nothing is accepted twice, but an
        honest client is refused. (To a single server nothing is sent twice, whatever the client's retries.)
    prefix: goes in front of each key. Stores with different prefixes know nothing of each other.
    margin: seconds (0 to 86,400) for which a mark outlives its expiry. Redis counts a mark's time to live
        down by itself, from what the adding host took for the time left: a host whose clock is ahead by d
        makes its marks leave d early, and a host whose clock is set back by d accepts for d longer. The
        margin covers differences and steps, of hosts and of the server, up to itself; larger ones no
        engine can cover that expires by itself.
    timeout: seconds (0.01 to 60) of each wait: for earlier adds, to connect, for a reply; where the client has
        shorter ones, those.
    on_event: a function to which a ``StoreUnfit`` is reported; unless given, it is logged.

    An add is one atomic ``SET … NX PX`` on one key. All adds that wait go in one round trip; what is no plain
    reply (a lost connection, a timeout, a full or read-only server) raises: the assertion is refused, and a
    mark that was made all the same stays. An ACL must allow ``+set +ping +info`` on the prefix (a Cluster's
    ``+eval +set``).

    What Redis must be like, or a live mark can be lost and its assertion accepted again (the guide at the top
    of this module says which products and set-ups are):

    - One server at a time takes the writes for a key. Never write through a replica or an active replica.
    - It must not evict: ``maxmemory-policy noeviction`` (full, it then refuses: fails closed).
    - Marks survive a restart only with ``appendonly yes``, and all of them only with ``appendfsync always``.
    - A failover loses the marks that had not arrived at the replica.

    ``check()`` at start refuses what it can see of that; a store that is not checked looks once, after its
    first add, and reports a ``StoreUnfit``.

    Thread-safe, works after a fork. Raises ConfigurationError.
    """

    def __init__(
        self,
        client: redis.Redis | redis.RedisCluster,
        *,
        prefix: str = PREFIX,
        margin: float = MARGIN,
        timeout: float = _TIMEOUT,
        on_event: OnEvent | None = None,
    ) -> None:
        check_timeout(timeout)
        check_handler(on_event)
        self._on_event = log_events if on_event is None else on_event
        self._client = sync_client(client, timeout)
        self._marks = _Marks(prefix, margin)
        self._sender = open_sender(self._client, timeout)
        self._looked = False

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        timeout: float = _TIMEOUT,
        prefix: str = PREFIX,
        margin: float = MARGIN,
        on_event: OnEvent | None = None,
    ) -> Self:
        """Return a store with a client of its own, without retries.

        url: ``redis://``, ``rediss://`` (TLS, verified) or ``unix://``, as redis-py reads it; an option in it
            goes before the same one here.
        timeout: seconds (0.01 to 60) of each wait: for earlier adds, to connect, for a reply.

        Nothing is sent yet. Raises ConfigurationError, which never quotes the URL.
        """
        return cls(open_sync(url, timeout), prefix=prefix, margin=margin, timeout=timeout, on_event=on_event)

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See ReplayStore.add. Raises TemporarilyUnavailable: replay_store_unavailable."""
        try:
            added = self._marks.is_new(self._sender.send(self._marks.command(key, expires_at, now)))
        except Exception as error:
            raise store_unavailable(self, _describe(error)) from error
        if not self._looked:
            self._look()
        return added

    def check(self) -> tuple[str, ...]:
        """Look at each server that takes writes, and return one line for each; ``str`` of them is one line.

        Call it at start. Raises ConfigurationError for a server that is too old (before Redis 6.2), evicts, is
        a replica or an active replica, or is part of a Cluster while the client is not one of a Cluster; and
        TemporarilyUnavailable when it does not answer, or not to this: a managed Redis may forbid INFO, and
        then you must know its settings. A server without ``appendonly yes`` is logged as a WARNING: a restart of it
        forgets marks, and assertions that were used before and are valid still are accepted again.
        """
        self._looked = True
        try:
            info = self._client.info(**_targets(self._client))
            return _seen(describe_servers(info, self._ask_config(), is_cluster=is_cluster(self._client)))
        except ConfigurationError:
            raise
        except Exception as error:
            raise store_unavailable(self, _describe(error)) from error

    def _ask_config(self) -> Any:
        try:
            return self._client.config_get(CONFIG_PATTERN, **_targets(self._client))
        except redis.ResponseError:
            return None  # often forbidden: INFO says what must be known of Redis itself

    def _look(self) -> None:
        try:
            self.check()
        except PrivateKeyJWTError as error:
            _report_unfit(self._on_event, self, error)

    def close(self) -> None:
        """Close the connections of the store; a client of yours stays open."""
        if is_own(self._client):
            self._client.close()


class AsyncRedisReplayStore:
    """RedisReplayStore, awaited: the same arguments, with a client of ``redis.asyncio``.

        store = AsyncRedisReplayStore.from_url("rediss://op:secret@redis.internal:6379/0")
        print(await store.check())
        verifier = AsyncClientAssertionVerifier(..., replay_store=store, workers=8)

    timeout: seconds (0.01 to 60) of each wait; with a Cluster, or a pool of a class of your own, of a whole add,
        and of a whole check.

    Its connections belong to the event loop that first used them.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis | redis.asyncio.RedisCluster,
        *,
        prefix: str = PREFIX,
        margin: float = MARGIN,
        timeout: float = _TIMEOUT,
        on_event: OnEvent | None = None,
    ) -> None:
        check_timeout(timeout)
        check_handler(on_event)
        self._on_event = log_events if on_event is None else on_event
        self._client = async_client(client, timeout)
        self._marks = _Marks(prefix, margin)
        self._sender = open_async_sender(self._client, timeout)
        self._limit = None if is_own(self._client) else timeout  # connections of the store's own end in time
        self._looked = False

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        timeout: float = _TIMEOUT,
        prefix: str = PREFIX,
        margin: float = MARGIN,
        on_event: OnEvent | None = None,
    ) -> Self:
        """See RedisReplayStore.from_url."""
        return cls(open_async(url, timeout), prefix=prefix, margin=margin, timeout=timeout, on_event=on_event)

    async def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See ReplayStore.add. Raises TemporarilyUnavailable: replay_store_unavailable."""
        try:
            added = self._marks.is_new(await self._sender.send(self._marks.command(key, expires_at, now)))
        except Exception as error:
            raise store_unavailable(self, _describe(error)) from error
        if not self._looked:
            await self._look()
        return added

    async def check(self) -> tuple[str, ...]:
        """See RedisReplayStore.check."""
        self._looked = True
        try:
            async with asyncio.timeout(self._limit):
                info = await self._client.info(**_targets(self._client))
                return _seen(describe_servers(info, await self._ask_config(), is_cluster=is_cluster(self._client)))
        except ConfigurationError:
            raise
        except Exception as error:
            raise store_unavailable(self, _describe(error)) from error

    async def _ask_config(self) -> Any:
        try:
            return await self._client.config_get(CONFIG_PATTERN, **_targets(self._client))
        except redis.ResponseError:
            return None

    async def _look(self) -> None:
        try:
            await self.check()
        except PrivateKeyJWTError as error:
            _report_unfit(self._on_event, self, error)

    async def aclose(self) -> None:
        """See RedisReplayStore.close."""
        if is_own(self._client):
            await self._client.aclose()
