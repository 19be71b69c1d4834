"""Clients of Redis: which kind fits where, and how one is opened from a URL."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, cast

import redis.asyncio
import redis.asyncio.retry
import redis.backoff
import redis.retry

from .._validation import check_number
from ..exceptions import ConfigurationError

_MAX_CONNECTIONS = 50  # as redis-py has it for a pool that waits


def sync_client(client: object) -> Any:
    """``client``, when it is one to call. Raises ConfigurationError, which names what it is."""
    return _checked(client, is_async=False)


def async_client(client: object) -> Any:
    """``client``, when it is one to await. Raises ConfigurationError, which names what it is."""
    return _checked(client, is_async=True)


def _checked(client: object, *, is_async: bool) -> Any:
    # By what it can do, not by its class: single server, Cluster and Sentinel have classes of their own.
    send = getattr(client, "execute_command", None)
    if callable(send) and callable(getattr(client, "set", None)) and inspect.iscoroutinefunction(send) is is_async:
        return client
    wanted = "redis.asyncio.Redis or redis.asyncio.RedisCluster" if is_async else "redis.Redis or redis.RedisCluster"
    found = f"{type(client).__module__}.{type(client).__qualname__}"
    raise ConfigurationError(f"client must be a {wanted}, not {found}")


class _AsyncClient(redis.asyncio.Redis):
    """Serves as many callers at a time as it has connections, first come, first served, each in time.

    redis-py's own pools refuse whoever comes when all connections are taken, or let newcomers pass those who
    wait until their time is up.
    """

    turns: asyncio.Semaphore
    timeout: float

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        async with asyncio.timeout(self.timeout), self.turns:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


def open_sync(url: str, timeout: float) -> redis.Redis:
    """A client of its own. Nothing is sent yet. Raises ConfigurationError."""
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    # A pool that waits for a free connection: more threads than connections are no failure.
    pool = _pool(redis.BlockingConnectionPool, url, timeout, retry, {"timeout": timeout})
    client: redis.Redis = redis.Redis.from_pool(pool)
    return client


def open_async(url: str, timeout: float) -> redis.asyncio.Redis:
    """open_sync, for asyncio. The timeout is of a whole command, with the wait for its turn."""
    retry = redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0)
    pool = _pool(redis.asyncio.ConnectionPool, url, timeout, retry, {"max_connections": _MAX_CONNECTIONS})
    client = cast(_AsyncClient, _AsyncClient.from_pool(pool))
    client.turns = asyncio.Semaphore(pool.max_connections)
    client.timeout = timeout
    return client


def _pool(kind: Any, url: str, timeout: float, retry: object, settings: dict[str, object]) -> Any:
    check_number("timeout", timeout, 0.01, 60)
    if not isinstance(url, str):
        raise ConfigurationError(f"url must be a string, not {type(url).__name__}")
    settings |= {"socket_timeout": timeout, "socket_connect_timeout": timeout, "retry": retry}
    # RESP 2: its answers are all that is needed, and no notice of the server's (RESP 3) can stretch a timeout.
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
    """Raises ConfigurationError for what cannot stand in front of a key."""
    if not isinstance(prefix, str) or not prefix.isprintable():
        raise ConfigurationError(f"prefix must be a string of printable characters, not {prefix!a}")
