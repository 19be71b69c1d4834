"""Replay stores, which remember that an assertion was used, and caches of JWK Sets.

What needs an extra is imported when it is asked for: ``help("private_key_jwt.stores.DjangoReplayStore")``, or
``python -m pydoc`` and that name, shows the page of one store.

## Which replay store

Take the first line that is true of you.

| you have | take | what a crash, or a failover, can lose |
|---|---|---|
| one process | `MemoryReplayStore` | all marks, with the process |
| one host, several workers | `SQLiteReplayStore` | the last moments before a power failure (`FULL`: nothing) |
| Django | `DjangoReplayStore` | what its database can lose: see the next line |
| PostgreSQL, MariaDB, MySQL | `SQLAlchemyReplayStore` | crash: nothing; failover: what the replica had not received |
| Redis, Valkey | `RedisReplayStore` | crash: by `appendfsync`; failover: what the replica had not received |
| Memcached, by Django's cache | `DjangoCacheReplayStore` | all marks, with the server |

In the engines' own words: PostgreSQL keeps what it acknowledged with `synchronous_commit = on`, MariaDB and MySQL with
`innodb_flush_log_at_trx_commit = 1`; Redis with `appendonly yes` and `appendfsync always`, and with `everysec` all but
the last second. Only synchronous replication makes a failover lose nothing.

A mark that is lost lets its assertion in a second time, until the assertion expires: minutes, and to whoever has it.
A store that does not answer lets nobody in. Async servers take the store of the same name with `Async` in front, or
any of the others: SQLite and Django serve all tasks that wait in one thread, and what is left is called in a thread.

## What a mark costs

A mark is a key of 32 bytes and its time. Measured with 100,000 of them, index included: 150 bytes in MemoryReplayStore,
94 in SQLite, 141 in Redis, 179 in PostgreSQL, 200 in MariaDB. It is kept until ``exp`` + 601 s: twice the longest
leeway that any policy can have (300 s), whatever this one has, and a second. With the defaults that is at most 916 s
after its use, and eleven minutes for assertions that live for one. So the marks that live are at most the rate times
916 s. Redis, and Django's cache, keep each for ``margin`` longer (60 s, against clocks that differ): times 976 s.

| verifications/s | live marks | memory of the store | a store that holds that |
|---|---|---|---|
| 100 | 0.09 million | 14 MB | any |
| 10,000 | 9.2 million | 1.4 GB (Redis), 1.6 GB (PostgreSQL) | one Redis, or one PostgreSQL |
| 100,000 | 92 million | 14 GB (Redis) | a Redis Cluster of some nodes |
| 1,000,000 | 920 million | 138 GB (Redis) | a Redis Cluster of ten nodes and more |

Keys are digests, so that a cluster spreads them evenly, and no add needs a second node. `python benchmarks/run.py
--only stores` measures adds on your machine, beside the engine's bare operation; with `--against COMMIT`, beside
another version's; `--only weights`, what marks and key sets weigh. Over a network each add waits for a round trip (SQL:
two) whatever the engine does, and callers that wait together share one. Compared with version 0.1.0 (`--short`, medians
of five runs on two cores that had much other work, which ratios bear better than times do):

| store | callers | adds per second, as a multiple of 0.1.0's | processor time of an add, now and in 0.1.0 |
|---|---|---|---|
| SQLAlchemy, PostgreSQL | 1 thread | 2.5 | 361 µs, 875 µs |
| | 16 threads | 5.3 | 78 µs, 633 µs |
| AsyncSQLAlchemy, PostgreSQL | 1 task | 1.3 | 775 µs, 980 µs |
| | 16 tasks | 7.1 | 81 µs, 724 µs |
| | 64 tasks | 20 | 59 µs, 1,049 µs |
| SQLite, `NORMAL` | 1 thread | 0.99 | 38 µs, 38 µs |
| SQLite, `FULL` | 1 thread | 1.0 | 314 µs, 301 µs |
| | 16 threads | 3.0 | 61 µs, 149 µs |
| SQLite in an event loop | 1 task | 0.97 | 123 µs, 115 µs |
| | 32 tasks | 2.9 | 26 µs, 79 µs |

## What cannot keep the promise

Several writable masters (circular replication, MySQL NDB, KeyDB's active replicas, Redis Enterprise's Active-Active,
a client that fails over to another writable server): each would accept once. So would two files (a hard link, or a
file that is mounted into a container: mount its directory), and a file system that is not local. Galera and MySQL's
group replication decide at commit, on all nodes at once, and are sound.

The tests ran on MySQL 9.7, MariaDB 10.11, PostgreSQL 15, SQLite 3.40, Redis 6.2, 7.0, Valkey 9.1 and Memcached 1.6.
MySQL is run where `MYSQL_URL` names a server or `mysqld` is installed; no CI of this library has one.

A URL of PostgreSQL with several hosts leaves the failover to the driver: it takes the first host that answers, with
`target_session_attrs=read-write` the first that takes writes. A former primary that nobody has shut off takes them,
too, and no setting of the driver tells it from the new one. So such a URL is not refused, and promises what any
failover does: with asynchronous replication a mark may be missing at the new primary. Shut former primaries off before
a replica is promoted, and replicate synchronously. Hosts that take writes at the same time are several masters.

## A store of your own

Any object with ``add`` (see ``ReplayStore``) is one; ``private_key_jwt.testing.ReplayStoreContract`` tests it. One that
is to stand here, say for DynamoDB, is a module in ``_replay_stores``, which raises ``errors.store_unavailable`` for
what its engine raises; a line each in ``_LAZY``, ``__all__`` and the imports for type checkers here; an extra in
``pyproject.toml``, which ``how_to_install`` names here; and a class in ``tests/stores/test_engines.py``.

## Caches of JWK Sets

A fetcher without one is right. Hosts that share one fetch each set once for all, and have one budget: `RedisJWKSCache`
(any number of hosts; ages by the server's clock), `SQLiteJWKSCache` (one host), `DjangoJWKSCache` (what the project
has). A loss, or an eviction, costs a fetch. Whoever can write to a shared cache can add keys to a client.

With 100,000 clients and sets of 447 bytes (`python benchmarks/run.py --only weights`: medians by the clock of
two cores that had other work):

| cache | memory, or file | a put | a get | a fetch taken | a fetch refused |
|---|---|---|---|---|---|
| `SQLiteJWKSCache` | 66 MB | 44 µs | 14 µs | 33 µs | 19 µs |
| `RedisJWKSCache` | 67 MB | 127 µs | 72 µs | 67 µs | 60 µs |
| `DjangoJWKSCache` on Redis | 70 MB | 271 µs | 142 µs | 143 µs | 270 µs |
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .._extra import how_to_install, missing
from ._jwks_caches.memory import MemoryJWKSCache
from ._protocols import AsyncJWKSCache, AsyncReplayStore, JWKSCache, JWKSDocument, ReplayStore
from ._replay_stores.memory import MemoryReplayStore

if TYPE_CHECKING:
    from ._jwks_caches.django import DjangoJWKSCache
    from ._jwks_caches.redis import AsyncRedisJWKSCache, RedisJWKSCache
    from ._jwks_caches.sqlite import SQLiteJWKSCache
    from ._replay_stores.django import DjangoCacheReplayStore, DjangoReplayStore
    from ._replay_stores.redis import AsyncRedisReplayStore, RedisReplayStore
    from ._replay_stores.sqlalchemy import AsyncSQLAlchemyReplayStore, SQLAlchemyReplayStore
    from ._replay_stores.sqlite import SQLiteReplayStore

_SQLITE = "Python's module sqlite3, which this Python was built without"
_REDIS, _DJANGO, _SQLALCHEMY = map(how_to_install, ("redis", "django", "sqlalchemy"))

# Where each store is that is not imported at once, and what it needs.
_LAZY = {
    "SQLiteReplayStore": ("_replay_stores.sqlite", _SQLITE),
    "SQLiteJWKSCache": ("_jwks_caches.sqlite", _SQLITE),
    "DjangoReplayStore": ("_replay_stores.django", _DJANGO),
    "DjangoCacheReplayStore": ("_replay_stores.django", _DJANGO),
    "DjangoJWKSCache": ("_jwks_caches.django", _DJANGO),
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
    "DjangoCacheReplayStore",
    "DjangoJWKSCache",
    "DjangoReplayStore",
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
        raise missing(f"{__name__}.{name}", need, error) from error
