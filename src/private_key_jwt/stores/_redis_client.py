"""Clients of Redis: which ones keep the promises of a store."""

from __future__ import annotations

import logging
import math
from typing import Any

import redis
import redis.asyncio
import redis.client
import redis.cluster

from .._log import log
from ..exceptions import ConfigurationError
from ._redis_pool import own_client

__all__ = ["async_client", "check_prefix", "is_cluster", "sync_client"]

_SYNC = (redis.Redis, redis.RedisCluster)
_ASYNC = (redis.asyncio.Redis, redis.asyncio.RedisCluster)
_PIPELINES = (redis.client.Pipeline, redis.cluster.ClusterPipeline, redis.asyncio.client.Pipeline)


def sync_client(client: object, timeout: float) -> Any:
    """Return a client of the store's own that goes where ``client`` goes, and waits for ``timeout`` seconds at most.

    Of a Cluster return ``client`` itself, and log a warning where it waits for longer. Raises ConfigurationError unless
    it is a sync client with one writable server for each key.
    """
    checked = _checked(client, _SYNC, "redis.Redis or redis.RedisCluster")
    if not is_cluster(checked):
        return own_client(checked, timeout)
    if _longest_wait(checked) > timeout:
        log(
            logging.WARNING,
            "a node of the Cluster that does not answer may hold up a call for %g s, and timeout is %g s: give the"
            " RedisCluster socket_timeout=%g, socket_connect_timeout=%g and retry=Retry(NoBackoff(), 0)",
            *(_longest_wait(checked), timeout, timeout, timeout),
        )
    return checked


def async_client(client: object, timeout: float) -> Any:
    """See ``sync_client``, for an async client; a Cluster's needs no warning, since calls to it end in time."""
    checked = _checked(client, _ASYNC, "redis.asyncio.Redis or redis.asyncio.RedisCluster")
    return checked if is_cluster(checked) else own_client(checked, timeout)


def _longest_wait(cluster: Any) -> float:
    """Return for how many seconds a sync client waits for a node of a Cluster that accepts and never answers."""
    pool = cluster.get_redis_connection(cluster.get_default_node()).connection_pool
    connection = pool.connection_class(**pool.connection_kwargs)  # not connected: it knows what redis-py's defaults are
    retry: Any = getattr(cluster, "retry", None)
    retries: int = retry.get_retries() if hasattr(retry, "get_retries") else cluster.cluster_error_retry_attempts
    seconds: float | None = connection.socket_timeout
    return (seconds or math.inf) * (1 + retries)


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


def check_prefix(prefix: object) -> None:
    """Raise ConfigurationError for what cannot stand in front of a key."""
    if not isinstance(prefix, str) or not prefix.isprintable():
        raise ConfigurationError(f"prefix must be a string of printable characters, not {prefix!a}")
