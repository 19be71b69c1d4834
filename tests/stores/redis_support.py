"""What the tests of Redis and Valkey share: stores, caches and clients of both edges."""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

import pytest
import redis
import redis.asyncio

from private_key_jwt import JWKSPolicy, Reason, TemporarilyUnavailable
from private_key_jwt.stores import AsyncRedisJWKSCache, AsyncRedisReplayStore, RedisJWKSCache, RedisReplayStore

NOW = 1_700_000_000.0
URI = "https://rp.example/jwks.json"
POLICY = JWKSPolicy(allow_http_loopback=True)

_numbers = itertools.count(int.from_bytes(os.urandom(8), "big"))


def fresh_key() -> bytes:
    return next(_numbers).to_bytes(32, "big")


def replay_store(edge: Any, url: str, **settings: Any) -> Any:
    kind: Any = RedisReplayStore if edge.name == "sync" else AsyncRedisReplayStore
    return edge._keep(kind.from_url(url, **settings))


def jwks_cache(edge: Any, url: str, **settings: Any) -> Any:
    kind: Any = RedisJWKSCache if edge.name == "sync" else AsyncRedisJWKSCache
    return edge._keep(kind.from_url(url, **{"timeout": 5, **settings}))


def user_client(edge: Any, url: str, **settings: Any) -> Any:
    """A client of the edge's kind, as a user would make it; the edge closes it."""
    kind: Any = redis.Redis if edge.name == "sync" else redis.asyncio.Redis
    return closing(edge, kind.from_url(url, **settings))


def closing(edge: Any, client: Any) -> Any:
    edge._opened.append(client)
    return client


def store_around(edge: Any, client: Any, **settings: Any) -> Any:
    kind: Any = RedisReplayStore if edge.name == "sync" else AsyncRedisReplayStore
    return edge._keep(kind(client, **settings))


def cache_around(edge: Any, client: Any, **settings: Any) -> Any:
    kind: Any = RedisJWKSCache if edge.name == "sync" else AsyncRedisJWKSCache
    return edge._keep(kind(client, **settings))


def refused(store: Any, key: bytes | None = None) -> float:
    """Has the store refuse; answers how many seconds that took."""
    began = time.monotonic()
    with pytest.raises(TemporarilyUnavailable) as caught:
        store.add(key or fresh_key(), NOW + 100, NOW)
    assert caught.value.reason is Reason.REPLAY_STORE_UNAVAILABLE
    return time.monotonic() - began


def close(opened: Any) -> None:
    """Close a store or a cache of either edge."""
    (opened.aclose if hasattr(opened, "aclose") else opened.close)()
