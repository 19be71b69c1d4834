"""Connections to Redis that belong to a store: they wait no longer than it, and retry nothing.

A client of the user's may wait for a minute when its server hangs (redis-py 8 waits 5 s, and tries eleven times), and
each login with it. Its connections are not the store's to change, so the store opens others in the same way.
"""

from __future__ import annotations

import copy
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.retry
import redis.asyncio.sentinel
import redis.backoff
import redis.retry
import redis.sentinel

from .._validation import check_timeout
from ..exceptions import ConfigurationError

__all__ = ["is_own", "open_async", "open_sync", "own_client"]


class _Own:
    """The connections of a client that a store opened: nobody else uses them."""


class _OwnPool(_Own, redis.ConnectionPool):
    pass


class _OwnSentinelPool(_Own, redis.sentinel.SentinelConnectionPool):
    def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002  (as redis-py has it)
        """Close the connections to the Sentinels, too."""
        super().disconnect(inuse_connections)
        for each in self.sentinel_manager.sentinels:
            each.connection_pool.disconnect(inuse_connections)


class _AsyncOwn(_Own):
    """``_Own``, for asyncio."""


class _AsyncOwnPool(_AsyncOwn, redis.asyncio.ConnectionPool):
    pass


class _AsyncOwnSentinelPool(_AsyncOwn, redis.asyncio.sentinel.SentinelConnectionPool):
    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002
        """Close the connections to the Sentinels, too."""
        await super().disconnect(inuse_connections)
        for each in self.sentinel_manager.sentinels:
            await each.connection_pool.disconnect(inuse_connections)


# By the exact class of a client's pool. What a class derived from one does otherwise is not known here.
_OWN: dict[type, Any] = {
    redis.ConnectionPool: _OwnPool,
    redis.BlockingConnectionPool: _OwnPool,
    redis.sentinel.SentinelConnectionPool: _OwnSentinelPool,
    redis.asyncio.ConnectionPool: _AsyncOwnPool,
    redis.asyncio.BlockingConnectionPool: _AsyncOwnPool,
    redis.asyncio.sentinel.SentinelConnectionPool: _AsyncOwnSentinelPool,
}
# What redis-py adds to the settings of a pool's connections for this pool, or for a protocol that is not spoken here.
_OF_ITS_POOL = ("cache", "connection_pool", "event_dispatcher", "maint_", "orig_", "oss_")


def is_own(client: object) -> bool:
    """Return whether a store opened the connections of a client."""
    return isinstance(getattr(client, "connection_pool", None), _Own)


def own_client(client: Any, timeout: float) -> Any:
    """Return a client that opens connections as ``client`` does, bounded by ``timeout`` seconds, in a pool of its own.

    Return ``client`` itself when its pool is of a class that redis-py does not have.
    """
    pool = client.connection_pool
    kind = _OWN.get(type(pool))
    if kind is None:
        return client
    given = {name: value for name, value in pool.connection_kwargs.items() if not name.startswith(_OF_ITS_POOL)}
    settings = {**given, **_bounds(kind, timeout, given), "connection_class": pool.connection_class}
    if isinstance(pool, (redis.sentinel.SentinelConnectionPool, redis.asyncio.sentinel.SentinelConnectionPool)):
        manager = copy.copy(pool.sentinel_manager)
        manager.sentinels = [own_client(each, timeout) for each in manager.sentinels]
        settings |= {"service_name": pool.service_name, "sentinel_manager": manager}
        settings["check_connection"] = pool.check_connection
    return _client_of(kind(max_connections=pool.max_connections, **settings))


_SCHEMES = ("redis://", "rediss://", "unix://")


def _client_of(pool: Any) -> Any:
    return (redis.asyncio.Redis if isinstance(pool, _AsyncOwn) else redis.Redis).from_pool(pool)


def _bounds(kind: type, timeout: float, given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of connections that wait for ``timeout`` seconds at most, or for less as is given."""
    retry: Any = redis.asyncio.retry.Retry if issubclass(kind, _AsyncOwn) else redis.retry.Retry
    return {
        # RESP 2: its replies are all that is needed, and no notice of the server's (RESP 3) can stretch a timeout.
        "protocol": 2,
        "retry": retry(redis.backoff.NoBackoff(), 0),
        **{name: min(given.get(name) or timeout, timeout) for name in ("socket_timeout", "socket_connect_timeout")},
    }


def open_sync(url: str, timeout: float) -> redis.Redis:
    """Return a client of its own; nothing is sent yet. Raises ConfigurationError, which never quotes the URL."""
    client: redis.Redis = _open(_OwnPool, url, timeout)
    return client


def open_async(url: str, timeout: float) -> redis.asyncio.Redis:
    """``open_sync``, for asyncio."""
    client: redis.asyncio.Redis = _open(_AsyncOwnPool, url, timeout)
    return client


def _why_unread(url: str) -> str:
    """Say of a URL why it may be that redis-py does not read it, and nothing of what it holds."""
    if not url.strip():
        return "it is empty"
    if url.startswith(_SCHEMES):
        return "what stands in it for a port, a database or an option is none; is / ? # or % in a password escaped?"
    if url.strip("\"' \n").startswith(_SCHEMES):
        return "quotes or white space stand around it"
    return "it begins with something else"


def _open(kind: Any, url: str, timeout: float) -> Any:
    check_timeout(timeout)
    if not isinstance(url, str):
        raise ConfigurationError(f"url must be a string, not {type(url).__name__}")
    settings = _bounds(kind, timeout, {})
    if url.startswith("rediss:"):
        settings["ssl_check_hostname"] = True  # redis-py before 6 verifies the certificate, but not whose it is
    try:
        pool = kind.from_url(url, **settings)
        pool.connection_class(**pool.connection_kwargs)  # an unknown option in the URL shows only here
    except Exception:
        pool = None
    if pool is None:
        # Not within the except: the text of that error may quote the URL, and with it a password.
        raise ConfigurationError(
            "url must be redis://, rediss:// or unix://, with options that redis-py knows (it is not shown here:"
            f" it may hold a password): {_why_unread(url)}"
        )
    return _client_of(pool)
