"""Replay stores, which remember that an assertion was used, and caches of JWK Sets.

What needs an extra is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..exceptions import ConfigurationError
from ._jwks_caches.memory import MemoryJWKSCache
from ._protocols import AsyncJWKSCache, AsyncReplayStore, JWKSCache, JWKSDocument, ReplayStore
from ._replay_stores.memory import MemoryReplayStore

if TYPE_CHECKING:
    from ._jwks_caches.redis import AsyncRedisJWKSCache, RedisJWKSCache
    from ._jwks_caches.sqlite import SQLiteJWKSCache
    from ._replay_stores.redis import AsyncRedisReplayStore, RedisReplayStore
    from ._replay_stores.sqlalchemy import AsyncSQLAlchemyReplayStore, SQLAlchemyReplayStore
    from ._replay_stores.sqlite import SQLiteReplayStore

_SQLITE = "Python's module sqlite3, which this Python was built without"
_REDIS = "an extra: pip install 'private-key-jwt[redis]'"
_SQLALCHEMY = "an extra: pip install 'private-key-jwt[sqlalchemy]'"

# Where each store is that is not imported at once, and what it needs.
_LAZY = {
    "SQLiteReplayStore": ("_replay_stores.sqlite", _SQLITE),
    "SQLiteJWKSCache": ("_jwks_caches.sqlite", _SQLITE),
    "RedisReplayStore": ("_replay_stores.redis", _REDIS),
    "AsyncRedisReplayStore": ("_replay_stores.redis", _REDIS),
    "RedisJWKSCache": ("_jwks_caches.redis", _REDIS),
    "AsyncRedisJWKSCache": ("_jwks_caches.redis", _REDIS),
    "SQLAlchemyReplayStore": ("_replay_stores.sqlalchemy", _SQLALCHEMY),
    "AsyncSQLAlchemyReplayStore": ("_replay_stores.sqlalchemy", _SQLALCHEMY),
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
    module, need = _LAZY[name]
    try:
        return getattr(import_module(f".{module}", __name__), name)
    except ImportError as error:
        raise ConfigurationError(f"{name} needs {need}") from error
