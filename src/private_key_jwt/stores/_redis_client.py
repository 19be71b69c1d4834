"""Clients of Redis: which ones keep the promises of a store, and how one is opened from a URL."""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio
import redis.asyncio.retry
import redis.backoff
import redis.client
import redis.cluster
import redis.retry

from .._validation import check_timeout
from ..exceptions import ConfigurationError

__all__ = [
    "async_client",
    "check_prefix",
    "is_cluster",
    "is_own",
    "open_async",
    "open_sync",
    "sync_client",
]

_SYNC = (redis.Redis, redis.RedisCluster)
_ASYNC = (redis.asyncio.Redis, redis.asyncio.RedisCluster)
_PIPELINES = (redis.client.Pipeline, redis.cluster.ClusterPipeline, redis.asyncio.client.Pipeline)


def sync_client(client: object) -> Any:
    """Return ``client``. Raises ConfigurationError unless it is a sync client with one writable server for each key."""
    return _checked(client, _SYNC, "redis.Redis or redis.RedisCluster")


def async_client(client: object) -> Any:
    """Return ``client``. Raises ConfigurationError unless it is an async one, see ``sync_client``."""
    return _checked(client, _ASYNC, "redis.asyncio.Redis or redis.asyncio.RedisCluster")


def _checked(client: object, kinds: tuple[type, ...], wanted: str) -> Any:
    # By its class, not by what it can do: a client that may write to a second server, after a failover of its own,
    # can do the same, and there the same mark is new once more.
    if isinstance(client, kinds) and not isinstance(client, _PIPELINES):
        if getattr(getattr(client, "connection_pool", None), "is_master", True):
            return client
        raise ConfigurationError("client must write to the master: take sentinel.master_for(…), not slave_for")
    found = f"{type(client).__module__}.{type(client).__qualname__}"
    raise ConfigurationError(f"client must be a {wanted}{_advice(client)}, not {found}")


def _advice(client: object) -> str:
    if type(client).__name__ == "MultiDBClient":
        return " (with several databases, an assertion is accepted once in each)"
    return " (of Sentinel: sentinel.master_for(…))" if type(client).__name__ == "Sentinel" else ""


def is_cluster(client: object) -> bool:
    """Return whether a checked client speaks to a Cluster."""
    return isinstance(client, (redis.RedisCluster, redis.asyncio.RedisCluster))


class _OwnPool(redis.ConnectionPool):
    """The connections of a client that a store opened: nobody else uses them."""


class _AsyncOwnPool(redis.asyncio.ConnectionPool):
    """``_OwnPool``, for asyncio."""


def is_own(client: object) -> bool:
    """Return whether ``open_sync`` or ``open_async`` opened a client."""
    return isinstance(getattr(client, "connection_pool", None), (_OwnPool, _AsyncOwnPool))


def open_sync(url: str, timeout: float) -> redis.Redis:
    """Return a client of its own; nothing is sent yet. Raises ConfigurationError, which never quotes the URL."""
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    client: redis.Redis = redis.Redis.from_pool(_pool(_OwnPool, url, timeout, retry))
    return client


def open_async(url: str, timeout: float) -> redis.asyncio.Redis:
    """``open_sync``, for asyncio."""
    retry = redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0)
    return redis.asyncio.Redis.from_pool(_pool(_AsyncOwnPool, url, timeout, retry))


def _pool(kind: Any, url: str, timeout: float, retry: object) -> Any:
    check_timeout(timeout)
    if not isinstance(url, str):
        raise ConfigurationError(f"url must be a string, not {type(url).__name__}")
    settings: dict[str, object] = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "retry": retry}
    # RESP 2: its replies are all that is needed, and no notice of the server's (RESP 3) can stretch a timeout.
    settings["protocol"] = 2
    if url.startswith("rediss:"):
        settings["ssl_check_hostname"] = True  # redis-py before 6 verifies the certificate, but not whose it is
    try:
        pool = kind.from_url(url, **settings)
        pool.connection_class(**pool.connection_kwargs)  # an unknown option in the URL shows only here
    except Exception:
        # Not "from error", and not its text: either may quote the URL, and with it a password.
        raise ConfigurationError(
            "url must be redis://, rediss:// or unix://, with options that redis-py knows (it is not shown here:"
            " it may hold a password)"
        ) from None
    return pool


def check_prefix(prefix: object) -> None:
    """Raise ConfigurationError for what cannot stand in front of a key."""
    if not isinstance(prefix, str) or not prefix.isprintable():
        raise ConfigurationError(f"prefix must be a string of printable characters, not {prefix!a}")
