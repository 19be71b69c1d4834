"""Replay stores, which remember that an assertion was used, and caches of JWK Sets.

What needs an extra is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..exceptions import ConfigurationError
from ._memory import MemoryReplayStore
from ._memory_jwks import MemoryJWKSCache
from ._protocol import AsyncJWKSCache, AsyncReplayStore, JWKSCache, JWKSDocument, ReplayStore

if TYPE_CHECKING:
    from ._redis import AsyncRedisJWKSCache, AsyncRedisReplayStore, RedisJWKSCache, RedisReplayStore
    from ._sqlalchemy import AsyncSQLAlchemyReplayStore, SQLAlchemyReplayStore
    from ._sqlite import SQLiteJWKSCache, SQLiteReplayStore

# Where each store is that is not imported at once, and the extra that brings what it needs.
_LAZY = {
    "SQLiteReplayStore": ("_sqlite", "sqlite"),
    "SQLiteJWKSCache": ("_sqlite", "sqlite"),
    "RedisReplayStore": ("_redis", "redis"),
    "AsyncRedisReplayStore": ("_redis", "redis"),
    "RedisJWKSCache": ("_redis", "redis"),
    "AsyncRedisJWKSCache": ("_redis", "redis"),
    "SQLAlchemyReplayStore": ("_sqlalchemy", "sqlalchemy"),
    "AsyncSQLAlchemyReplayStore": ("_sqlalchemy", "sqlalchemy"),
}

__all__ = [
    "AsyncJWKSCache",
    "AsyncRedisJWKSCache",
    "AsyncRedisReplayStore",
    "AsyncReplayStore",
    "AsyncSQLAlchemyReplayStore",
    "JWKSCache",
    "JWKSDocument",
    "MemoryJWKSCache",
    "MemoryReplayStore",
    "RedisJWKSCache",
    "RedisReplayStore",
    "ReplayStore",
    "SQLAlchemyReplayStore",
    "SQLiteJWKSCache",
    "SQLiteReplayStore",
]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra = _LAZY[name]
    try:
        return getattr(import_module(f".{module}", __name__), name)
    except ImportError as error:
        raise ConfigurationError(f"{name} needs an extra: pip install 'private-key-jwt[{extra}]'") from error
