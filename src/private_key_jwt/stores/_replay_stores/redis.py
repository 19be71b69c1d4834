"""Replay stores in Redis."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any, Self

import redis
import redis.asyncio

from ..._validation import check_number
from ...exceptions import ConfigurationError, PrivateKeyJWTError
from .._redis_client import async_client, check_prefix, open_async, open_sync, sync_client
from .errors import store_unavailable

logger = logging.getLogger("private_key_jwt")

_PREFIX = "private-key-jwt:replay:"
_MARGIN = 60.0
_OLDEST = (6, 2)
_REMEDY = "set maxmemory-policy noeviction, or give replay marks a Redis of their own"


class _Marks:
    """What both stores share: the command of an add and what its answer says, and what a server must be like."""

    def __init__(self, prefix: str, margin: float) -> None:
        check_prefix(prefix)
        check_number("margin", margin, 0, 86_400)
        self._prefix = prefix.encode()
        self._margin = margin

    def command(self, key: bytes, expires_at: float, now: float) -> tuple[Any, ...]:
        """One command on one key: atomic, one round trip, and at home on one node of a Cluster."""
        lifetime = math.ceil((expires_at - now + self._margin) * 1_000)
        return "SET", self._prefix + key, b"1", "NX", "PX", max(1, lifetime)

    @staticmethod
    def is_new(answer: object) -> bool:
        """Raises ValueError for an answer that is none."""
        if answer is True or answer is None:
            return answer is True
        raise ValueError("neither OK nor nil")


def _info_of(client: Any) -> dict[str, Any]:
    """To which nodes INFO goes: of a Cluster, to all that take writes."""
    return {"target_nodes": "primaries"} if hasattr(client, "get_primaries") else {}


def _check_servers(answer: Mapping[str, Any]) -> None:
    """Raises ConfigurationError. ``answer``: of INFO, from one server, or by name from the nodes of a Cluster."""
    for info in [answer] if "redis_version" in answer else answer.values():
        version = tuple(int(part) for part in info["redis_version"].split(".")[:2])
        if version < _OLDEST:
            raise ConfigurationError(f"Redis {info['redis_version']} is too old: 6.2 or later, or Valkey, is needed")
        policy = info["maxmemory_policy"]
        if info["maxmemory"] and policy != "noeviction":
            raise ConfigurationError(f"maxmemory-policy {policy} lets Redis forget live marks when full: {_REMEDY}")


def _warn(error: PrivateKeyJWTError) -> None:
    logger.warning("the Redis of the replay store may be unfit: %s", error)


class RedisReplayStore:
    """Replay marks in Redis 6.2 or later, or Valkey: for several workers on any number of hosts.

    client: your ``redis.Redis`` or ``redis.RedisCluster``, which is not closed. Give it timeouts, and turn its
        retries off (``retry=Retry(NoBackoff(), 0)``; a Cluster's too): redis-py sends a command again when
        the connection was lost before the answer, and an add that was done, sent again, reads as
        ``replayed``. Nothing is accepted twice, but an honest client is told that it replayed.
    prefix: goes in front of each key. Stores with different prefixes know nothing of each other.
    margin: seconds (0 to 86,400) for which a mark outlives its expiry. Redis counts a mark's time to live
        down by itself, from what the adding host took for the time left: a host whose clock is ahead by d
        makes its marks leave d early, and a host whose clock is set back by d accepts for d longer. The
        margin covers differences and steps, of hosts and of the server, up to itself; larger ones no
        engine can cover that expires by itself.

    Each add is one round trip, one ``SET … NX PX`` on one key (Cluster-safe). What is no plain answer (a lost
    connection, a timeout, a full or read-only server) raises: the assertion is refused, and a mark that was
    made all the same stays.

    What Redis must be like, or a live mark can be lost and its assertion accepted again:

    - It must not evict: ``maxmemory-policy noeviction`` (full, it then refuses: fails closed). ``check()``
      refuses another policy once ``maxmemory`` is set; a store that is not checked looks once, after its
      first add, and logs a warning.
    - Marks survive a restart only with ``appendonly yes``, and all of them only with ``appendfsync always``.
    - Replication is asynchronous: a failover loses the marks that had not arrived at the replica.
      ``min-replicas-to-write`` with a short ``min-replicas-max-lag`` bounds how many; nothing in Redis makes
      it none (WAIT neither undoes a write nor binds a failover). Never read or write through a replica.

    Thread-safe, works after a fork. Raises ConfigurationError.
    """

    def __init__(
        self, client: redis.Redis | redis.RedisCluster, *, prefix: str = _PREFIX, margin: float = _MARGIN
    ) -> None:
        self._client = sync_client(client)
        self._marks = _Marks(prefix, margin)
        self._owns_client = False
        self._looked = False

    @classmethod
    def from_url(cls, url: str, *, timeout: float = 1.0, prefix: str = _PREFIX, margin: float = _MARGIN) -> Self:
        """A store with a client of its own: no retries, at most 50 connections (``?max_connections=`` sets another).

        url: ``redis://``, ``rediss://`` (TLS, verified) or ``unix://``, as redis-py reads it; an option in it
            goes before the same one here.
        timeout: seconds (0.01 to 60) of each wait: for a free connection, to connect, for an answer.

        Nothing is sent yet. Raises ConfigurationError, which never quotes the URL.
        """
        store = cls(open_sync(url, timeout), prefix=prefix, margin=margin)
        store._owns_client = True
        return store

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See ReplayStore.add. Raises TemporarilyUnavailable: replay_store_unavailable."""
        try:
            added = self._marks.is_new(self._client.execute_command(*self._marks.command(key, expires_at, now)))
        except Exception as error:
            raise store_unavailable(self, error) from error
        if not self._looked:
            self._look()
        return added

    def check(self) -> None:
        """Look whether the server is fit; call it at start.

        Raises ConfigurationError (too old, or evicts) or TemporarilyUnavailable (it does not answer, or not to
        this: a managed Redis may forbid INFO, and then you must know its settings).
        """
        self._looked = True
        try:
            _check_servers(self._client.info(**_info_of(self._client)))
        except ConfigurationError:
            raise
        except Exception as error:
            raise store_unavailable(self, error) from error

    def _look(self) -> None:
        try:
            self.check()
        except PrivateKeyJWTError as error:
            _warn(error)

    def close(self) -> None:
        """Close the connections that from_url opened; a client of yours stays open."""
        if self._owns_client:
            self._client.close()


class AsyncRedisReplayStore:
    """RedisReplayStore, awaited: the same arguments, with a client of ``redis.asyncio``.

    Its connections belong to the event loop that first used them.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis | redis.asyncio.RedisCluster,
        *,
        prefix: str = _PREFIX,
        margin: float = _MARGIN,
    ) -> None:
        self._client = async_client(client)
        self._marks = _Marks(prefix, margin)
        self._owns_client = False
        self._looked = False

    @classmethod
    def from_url(cls, url: str, *, timeout: float = 1.0, prefix: str = _PREFIX, margin: float = _MARGIN) -> Self:
        """See RedisReplayStore.from_url; the timeout is of a whole add, with the wait for a free connection."""
        store = cls(open_async(url, timeout), prefix=prefix, margin=margin)
        store._owns_client = True
        return store

    async def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See ReplayStore.add. Raises TemporarilyUnavailable: replay_store_unavailable."""
        try:
            added = self._marks.is_new(await self._client.execute_command(*self._marks.command(key, expires_at, now)))
        except Exception as error:
            raise store_unavailable(self, error) from error
        if not self._looked:
            await self._look()
        return added

    async def check(self) -> None:
        """See RedisReplayStore.check."""
        self._looked = True
        try:
            _check_servers(await self._client.info(**_info_of(self._client)))
        except ConfigurationError:
            raise
        except Exception as error:
            raise store_unavailable(self, error) from error

    async def _look(self) -> None:
        try:
            await self.check()
        except PrivateKeyJWTError as error:
            _warn(error)

    async def close(self) -> None:
        """See RedisReplayStore.close."""
        if self._owns_client:
            await self._client.aclose()
