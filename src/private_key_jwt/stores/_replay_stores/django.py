"""Replay stores in what a Django project has: its database, or its cache."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import re
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.core.cache import caches
from django.core.cache.backends.memcached import BaseMemcachedCache
from django.core.cache.backends.redis import RedisCache
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connections

from ..._fork import renew_after_fork
from ..._lock import run_locked
from ..._log import log
from ..._validation import check_number, check_timeout
from ...exceptions import ConfigurationError, TemporarilyUnavailable
from .._combiner import AsyncCombiner, Combiner
from .._django_cache import open_cache
from .._one_file import OneFile, opened_file
from .._values import Values
from . import MARGIN, MAX_MARGIN, PREFIX
from .errors import store_unavailable
from .sql import (
    ENGINES,
    TABLE,
    Add,
    AddResult,
    PurgeTurns,
    is_missing_table,
    limit_statements,
    repeat_after_deadlock,
)

__all__ = ["DjangoCacheReplayStore", "DjangoReplayStore"]

Result = TypeVar("Result")

_TABLES = TABLE, f"{TABLE}_forgotten"
_CHECK_AFTER = 10.0  # seconds without use, after which a connection is asked whether it still is one


@functools.lru_cache(maxsize=1_000)
def _with_percent(statement: str) -> str:
    return re.sub(r":(\w+)", r"%(\1)s", statement)


class _Session:
    """A Session of sql.py over a connection of Django."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def fetch(self, statement: str, values: Values) -> Sequence[Sequence[Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute(_with_percent(statement), values)
            rows: Sequence[Sequence[Any]] = cursor.fetchall()
            return rows

    def change(self, statement: str, values: Values) -> int:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(_with_percent(statement), values)
                return int(cursor.rowcount)
        except IntegrityError:
            return 0


class _Connection:
    """One connection to a database of the project, for all threads of this process, and for no request.

    A request may roll back what it wrote (``ATOMIC_REQUESTS``, ``atomic()``), after a token was issued; a mark that
    goes with it would let the assertion in again. So marks never go over the connection of a request.
    """

    def __init__(self, using: str, timeout: float) -> None:
        self._using = using
        self._timeout = timeout
        self._connection: Any = None
        self._file: OneFile | None = None  # of SQLite, as the first connection found it
        self._inherited: list[Any] = []
        self._used_at = 0.0
        self.after_fork_in_child()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Start with no connection. Those of all parents are kept, unused: to close one would end the parent's."""
        self._lock = threading.RLock()
        self._inherited.append(self._connection)
        self._connection = None

    def run(self, work: Callable[[_Session], Result]) -> Result:
        """Return ``work(session)``; each statement is a transaction. Raises TimeoutError, and what ``work`` raises."""
        return run_locked(self._lock, lambda: self._run(work), self._timeout)

    def close(self) -> None:
        run_locked(self._lock, self._disconnect, self._timeout)

    def _run(self, work: Callable[[_Session], Result]) -> Result:
        is_idle = self._connection is not None and time.monotonic() - self._used_at > _CHECK_AFTER
        if is_idle and not self._connection.is_usable():
            self._disconnect()
        if self._connection is None:
            self._connection = self._connect()
        try:
            result = work(_Session(self._connection))
            if self._file is not None:
                self._file.check()
        except BaseException:
            # Whatever state it is in: the next add has a new one.
            self._disconnect()
            raise
        self._used_at = time.monotonic()
        return result

    def _connect(self) -> Any:
        connection = connections.create_connection(self._using)
        given = connection.settings_dict
        options = {name: value for name, value in given["OPTIONS"].items() if name != "pool"}
        connection.settings_dict = {**given, "OPTIONS": options, "AUTOCOMMIT": True, "CONN_MAX_AGE": None}
        connection.inc_thread_sharing()
        with connection.cursor() as cursor:
            limit_statements(connection.vendor, cursor, self._timeout)
            if connection.vendor == "sqlite" and self._file is None:
                self._file = opened_file(cursor)
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.connection.close()  # of the driver: Django's refuses in a thread that runs an event loop


class DjangoReplayStore:
    """Replay marks in a database of a Django project: PostgreSQL, MariaDB, MySQL or SQLite.

        INSTALLED_APPS += ["private_key_jwt.stores.django"]  # settings.py; then: manage.py migrate
        PRIVATE_KEY_JWT["REPLAY_STORE"] = "private_key_jwt.stores.DjangoReplayStore"
        store = DjangoReplayStore(using="default")           # or by hand

    using: the alias in ``DATABASES``. Migrate there: ``manage.py migrate private_key_jwt --database ALIAS``.
    timeout: seconds (0.01 to 60) for each statement, lock waits included, and for threads that wait for each other.

    Marks are written over one connection of the store's own for each process, never over that of a request: a request
    that is rolled back (``ATOMIC_REQUESTS``) has used its assertion all the same. For the same reason SQLite with
    ``ATOMIC_REQUESTS`` is refused: what a request reads or writes would lock its own mark out, and in WAL mode the mark
    would lock out what the request writes. Give the marks another alias there, with a file of its own. A pool
    (``OPTIONS["pool"]``) and ``CONN_MAX_AGE`` are not used; behind PgBouncer, pool sessions. A SQLite file that has two
    names (hard links), or was removed or replaced while it was in use, is refused.

    Thread-safe; works after a fork; in async views, and on PostgreSQL, adds that wait share a round trip. Each
    twentieth add also deletes up to 100 expired marks; ``manage.py purge_replay_marks`` deletes all. In tests that roll
    back, marks stay; ``close()`` before a test database is dropped.
    Raises ConfigurationError.
    """

    TABLES = _TABLES

    def __init__(self, using: str = "default", *, timeout: float = 1.0) -> None:
        check_timeout(timeout)
        database = _database(using)
        self.using = using
        quote = database.ops.quote_name
        self._sql = ENGINES[database.vendor](*(quote(name) for name in (*_TABLES, "key")))
        self._connection = _Connection(using, timeout)
        self._purge_turns = PurgeTurns()
        self._submit = Combiner(self._add_all, timeout=timeout).submit
        self._submit_async = AsyncCombiner(self._add_all_in_thread, timeout=timeout).submit

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See ReplayStore.add. Raises TemporarilyUnavailable: replay_store_unavailable."""
        try:
            return self._submit(Add(key, expires_at, now))
        except Exception as error:
            raise self._failed(error) from error

    async def add_async(self, key: bytes, expires_at: float, now: float) -> bool:
        """``add`` for an event loop: one thread for all tasks that wait."""
        try:
            return await self._submit_async(Add(key, expires_at, now))
        except Exception as error:
            raise self._failed(error) from error

    def purge(self, now: float) -> int:
        """Delete expired marks in batches until one finds none to delete; return how many were deleted.

        now: seconds since the epoch. Rows that another host is deleting are left to it.

        Raises DatabaseError, TimeoutError.
        """
        total = 0
        while number := self._connection.run(lambda session: self._sql.purge(session, now)):
            total += number
        return total

    def close(self) -> None:
        """Close the connection. The next add opens another."""
        self._connection.close()

    async def _add_all_in_thread(self, adds: list[Add]) -> list[AddResult]:
        return await asyncio.to_thread(self._add_all, adds)

    def _add_all(self, adds: list[Add]) -> list[AddResult]:
        results = self._connection.run(lambda session: self._add_over(session, adds))
        for add in adds:
            if self._purge_turns.is_due():
                self._purge(add.now)
        return results

    def _purge(self, now: float) -> None:
        # What an add has decided stands: a purge that fails is left to the next.
        with contextlib.suppress(Exception):
            self._connection.run(lambda session: self._sql.purge(session, now))

    def _add_over(self, session: _Session, adds: list[Add]) -> list[AddResult]:
        return repeat_after_deadlock(lambda: self._sql.add_all(session, self, adds))

    def _failed(self, error: Exception) -> TemporarilyUnavailable:
        if isinstance(error, TemporarilyUnavailable):
            return error
        cause = error.__cause__ or error
        if is_missing_table(cause):
            remedy = "manage.py migrate private_key_jwt, with private_key_jwt.stores.django in INSTALLED_APPS"
            return store_unavailable(self, f"table {_TABLES[0]} is missing: {remedy}")
        return store_unavailable(self, cause)


def _database(using: object) -> Any:
    """Return the connection of this thread to a database, which says of which kind it is. Raises ConfigurationError."""
    try:
        if not isinstance(using, str) or using not in connections.settings:
            known = ", ".join(connections.settings)
            raise ConfigurationError(f"using must be an alias of DATABASES ({known}), not {using!a}")
        database = connections[using]
    except ImproperlyConfigured as error:
        raise ConfigurationError(f"DjangoReplayStore needs Django's settings: {error}") from error
    if database.vendor not in ENGINES:
        raise ConfigurationError(f"DATABASES[{using!a}] must be one of {', '.join(ENGINES)}, not {database.vendor}")
    if database.vendor == "sqlite" and database.settings_dict["ATOMIC_REQUESTS"]:
        raise ConfigurationError(
            f"DATABASES[{using!a}] is SQLite with ATOMIC_REQUESTS: each request locks the file, and its own replay mark"
            " out; give the marks a database of their own (using=)"
        )
    return database


class DjangoCacheReplayStore:
    """Replay marks in a cache of a Django project: Redis or Memcached, and no other.

        CACHES = {"replay": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://redis"}}
        PRIVATE_KEY_JWT["REPLAY_STORE"] = "project.oauth.replay_store"
        replay_store = DjangoCacheReplayStore("replay")  # project/oauth.py

    alias: the alias in ``CACHES``. Other backends are refused by name: their ``add`` lets two callers in at once
        (file), or they forget live marks to make room (database, LocMem), or keep nothing.
    margin: seconds (0 to 86,400) for which a mark outlives its expiry, against clocks that differ.

    A cache is made to forget, and a mark that is forgotten lets its assertion in again: give marks a cache of their
    own, that evicts nothing: Redis with ``maxmemory-policy noeviction``, Memcached with ``-M``. Memcached loses all
    marks when it restarts, and Redis those that it had not written; several servers of Memcached are refused,
    since a key moves to another when one does not answer. Where you can, take RedisReplayStore, which checks its
    server, or DjangoReplayStore.

    The clients of both pair commands and replies by their order. Where an exception leaves a reply unread, as one that
    a signal handler raises can, the next command gets it. So a mark holds a random number, which must come back: an
    add is three round trips (Memcached: two), all to the server that is written to.

    Thread-safe; works after a fork. Raises ConfigurationError.
    """

    def __init__(self, alias: str = "default", *, margin: float = MARGIN) -> None:
        check_number("margin", margin, 0, MAX_MARGIN)
        self._alias = _checked_cache(alias)
        self._margin = margin
        renew_after_fork(self)

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See ReplayStore.add. Raises TemporarilyUnavailable: replay_store_unavailable."""
        lifetime = max(1, math.ceil(expires_at - now + self._margin))
        try:
            return _add_with_proof(caches[self._alias], f"{PREFIX}{key.hex()}", lifetime)
        except _WrongReplyError as error:
            raise store_unavailable(
                self, "the cache sent the reply to another command, and was disconnected"
            ) from error
        except Exception as error:
            raise store_unavailable(self, error) from error

    def after_fork_in_child(self) -> None:
        """Start with no connection: two processes on one would read each other's replies."""
        _disconnect(caches[self._alias])


class _WrongReplyError(Exception):
    """Say that what came back was not the reply to what was asked."""


def _add_with_proof(cache: Any, name: str, lifetime: int) -> bool:
    """Return whether the cache keeps a number that is ours alone under ``name``."""
    proof = secrets.randbits(63)  # what a cache can count with
    try:
        added = cache.add(name, proof, timeout=lifetime)
        kept = cache.incr(name, 0)  # unlike `get`, it asks the server that is written to, and unpickles nothing
        if kept == proof:
            return True
        if added is False and type(kept) is int:  # pymemcache returns False where it asked no server
            return False
        raise _WrongReplyError
    except BaseException:
        _disconnect(cache)
        raise


def _disconnect(cache: Any) -> None:
    """Close the connections that nobody uses: one of them may hold a reply that nobody read."""
    with contextlib.suppress(Exception):
        if isinstance(cache, RedisCache):
            client = cache._cache.get_client(write=True)  # noqa: SLF001  (Django has no other way to it)
            client.connection_pool.disconnect(inuse_connections=False)
        else:
            cache.close()


_EVICTS = {
    RedisCache: "set maxmemory-policy noeviction",
    BaseMemcachedCache: "start Memcached with -M, and with memory enough",
}


def _checked_cache(alias: object) -> str:
    cache = open_cache(alias)
    remedies = [remedy for kind, remedy in _EVICTS.items() if isinstance(cache, kind)]
    if not remedies:
        kind = type(cache)
        raise ConfigurationError(
            f"CACHES[{alias!a}] must be Django's Redis or Memcached, not {kind.__module__}.{kind.__qualname__}:"
            " it may forget live marks or let two in at once; take DjangoReplayStore"
        )
    location = caches.settings[alias].get("LOCATION", "")
    servers = re.split("[;,]", location) if isinstance(location, str) else location
    if isinstance(cache, BaseMemcachedCache) and len(servers) > 1:
        raise ConfigurationError(
            f"CACHES[{alias!a}] has {len(servers)} servers of Memcached: a key moves when one does not answer"
        )
    log(logging.WARNING, "replay marks in CACHES[%a] are lost when the cache evicts: %s", alias, remedies[0])
    return str(alias)
