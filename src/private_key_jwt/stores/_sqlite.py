"""A replay store and a cache of JWK Sets in a SQLite file, for several workers on one host."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from ..exceptions import ConfigurationError
from ..policy import JWKSPolicy, check_integer, check_number
from ._failure import cannot_tell
from ._marks import PURGE_BATCH, PurgeTurns, check_table, refused
from ._protocol import JWKSDocument

Synchronous = Literal["NORMAL", "FULL"]
Execute = Callable[[str, Mapping[str, Any]], sqlite3.Cursor]

_OPEN_TIMEOUT = 5.0  # seconds, at start: several workers may create one file at once
_PURGE_TIMEOUT = 0.02  # seconds; a purge that meets a writer leaves it to a later add
_NOTHING: Mapping[str, Any] = {}


class _Database:
    """One connection to one file, for all threads of this process.

    SQLite has one writer at a time whatever we do. Threads that wait for a lock of Python wake up when it is
    free; connections that wait for each other sleep and try again (measured with 8 threads: up to 0.9 s for one
    write with a connection for each thread, up to 0.15 s with one for all).
    """

    def __init__(self, path: object, schema: Sequence[str], synchronous: Synchronous) -> None:
        self._path = _check_path(path)
        if synchronous not in get_args(Synchronous):
            raise ConfigurationError(f"synchronous must be NORMAL or FULL, not {synchronous!r}")
        self._synchronous = synchronous
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        try:
            self._connection = self._connect("rwc", time.monotonic() + _OPEN_TIMEOUT)
            self._identity = self._file()
            with self.session(_OPEN_TIMEOUT) as execute:
                execute("PRAGMA journal_mode = WAL", _NOTHING).fetchall()
                for statement in schema:
                    execute(statement, _NOTHING)
        except (sqlite3.Error, OSError, ValueError) as error:  # ValueError: no path at all, such as one with a NUL
            self.close()
            raise ConfigurationError(f"cannot use {str(self._path)!r} as a SQLite database: {error}") from error
        _forks.watch(self)

    @contextlib.contextmanager
    def session(self, timeout: float) -> Iterator[Execute]:
        """The connection, for this thread alone; what is done with it ends within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        if not self._lock.acquire(timeout=timeout):
            raise TimeoutError("other threads keep the connection busy")
        try:
            connection = self._usable(deadline)
            yield lambda statement, values: _execute(connection, statement, values, deadline)
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def transaction(self, timeout: float) -> Iterator[Execute]:
        """A session that writes all or nothing, and into which nobody else writes."""
        with self.session(timeout) as execute:
            execute("BEGIN IMMEDIATE", _NOTHING)
            try:
                yield execute
                execute("COMMIT", _NOTHING)
            except BaseException:
                # SQLite has rolled back by itself after some errors, and says so with one more.
                with contextlib.suppress(sqlite3.Error):
                    execute("ROLLBACK", _NOTHING)
                raise

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._disconnect()

    def before_fork(self) -> None:
        # A connection must not be carried across a fork: the child would believe that it holds the file locks
        # of the parent (https://www.sqlite.org/howtocorrupt.html §2.6), and not even closing it there is safe.
        # So it is closed here, and opened again by whoever needs it.
        self._lock.acquire()
        self._disconnect()

    def after_fork(self) -> None:
        self._lock.release()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _usable(self, deadline: float) -> sqlite3.Connection:
        if self._closed:
            raise sqlite3.ProgrammingError("it is closed")
        # A file that was removed or replaced under us has lost its marks, or other workers write to another.
        if self._file() != self._identity:
            raise sqlite3.OperationalError("the file was replaced")
        if self._connection is None:
            self._connection = self._connect("rw", deadline)
        return self._connection

    def _file(self) -> tuple[int, int]:
        status = os.stat(self._path)  # noqa: PTH116  (pathlib takes thrice as long, for each add)
        return status.st_dev, status.st_ino

    def _connect(self, mode: str, deadline: float) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode={mode}",
            uri=True,
            timeout=0,  # `_execute` waits
            isolation_level=None,  # each statement is a transaction, unless we begin one
            check_same_thread=False,  # the lock sees to it
        )
        try:
            _execute(connection, f"PRAGMA synchronous = {self._synchronous}", _NOTHING, deadline)
        except BaseException:
            connection.close()
            raise
        return connection


def _check_path(path: object) -> Path:
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str) or not os.fspath(path):
        raise ConfigurationError(f"path must be the path of a file, not {path!r}")
    if os.fspath(path).startswith((":memory:", "file:")):
        raise ConfigurationError(
            f"path must be the path of a file that all workers see, not {path!r}; for one process take"
            " MemoryReplayStore (or MemoryJWKSCache)"
        )
    return Path(path).absolute()


def _execute(
    connection: sqlite3.Connection, statement: str, values: Mapping[str, Any], deadline: float
) -> sqlite3.Cursor:
    # SQLite's own waiting backs off to 100 ms and more between two tries, so that under 8 writers one that is
    # unlucky waits for 0.65 s; with short, random pauses the longest wait was 0.08 s.
    while True:
        try:
            return connection.execute(statement, values)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
        time.sleep(random.uniform(0.0002, 0.001))  # noqa: S311


class _Forks:
    """Closes what is open before a fork, in the parent, and holds the locks until it is done."""

    def __init__(self) -> None:
        self._databases: weakref.WeakSet[_Database] = weakref.WeakSet()
        self._paused: list[_Database] = []
        self._lock = threading.Lock()
        # Absent where there is no fork.
        register = getattr(os, "register_at_fork", lambda **_hooks: None)
        register(before=self._before, after_in_parent=self._after, after_in_child=self._after)

    def watch(self, database: _Database) -> None:
        with self._lock:
            self._databases.add(database)

    def _before(self) -> None:
        self._lock.acquire()
        self._paused = list(self._databases)
        for database in self._paused:
            database.before_fork()

    def _after(self) -> None:
        for database in self._paused:
            database.after_fork()
        self._paused = []
        self._lock.release()


_forks = _Forks()


_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY, expires_at REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS {table}_expires_at ON {table} (expires_at)",
    "CREATE TABLE IF NOT EXISTS {table}_forgotten (id INTEGER PRIMARY KEY CHECK (id = 1), until REAL NOT NULL)",
)
# One step, whatever it reads: SQLite takes the write lock before it begins.
_ADD = (
    "INSERT INTO {table} (key, expires_at) SELECT :key, :expires_at"
    " WHERE NOT EXISTS (SELECT 1 FROM {table}_forgotten WHERE until >= :expires_at)"
    " ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at WHERE expires_at <= :now"
)
_LOOK = "SELECT (SELECT expires_at FROM {table} WHERE key = :key), (SELECT until FROM {table}_forgotten)"
# Up to when marks were forgotten is noted as they are: a clock that is set back must not revive them.
_FORGET = (
    "INSERT INTO {table}_forgotten (id, until) SELECT 1, until FROM (SELECT max(expires_at) AS until FROM"
    " (SELECT expires_at FROM {table} WHERE expires_at <= :now ORDER BY expires_at LIMIT :batch))"
    " WHERE until IS NOT NULL ON CONFLICT (id) DO UPDATE SET until = max(until, excluded.until)"
)
_PURGE = (
    "DELETE FROM {table} WHERE key IN"
    " (SELECT key FROM {table} WHERE expires_at <= :now ORDER BY expires_at LIMIT :batch)"
)


class SQLiteReplayStore:
    """Replay marks in a SQLite file: right for any number of workers on one host.

    path: the file. It is made if it is not there; its directory must be there, on a local disk (SQLite's locks
        do not work over network file systems), and all workers must name the same file.
    timeout: seconds (0.01 to 60) that an add may wait for other writers; then it raises.
    table: the name of the table, for several stores in one file.
    synchronous: ``"NORMAL"``: marks survive the death of any process (``kill -9``), and the last moments before a
        power failure may be lost, so that an assertion of these moments could be used again within its
        lifetime. ``"FULL"`` survives that too, for the price of one sync of the disk for each add.

    Thread-safe; works after a fork. When the disk is full, the file locked for too long, damaged or
    replaced, adds raise and nobody is let in. Each twentieth add also deletes up to 100 expired marks.
    Raises ConfigurationError, which names the path, when the file cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 1.0,
        table: str = "replay",
        synchronous: Synchronous = "NORMAL",
    ) -> None:
        check_number("timeout", timeout, 0.01, 60)
        self._timeout = timeout
        check_table(table)
        self._add, self._look, self._forget, self._delete = (
            statement.format(table=table) for statement in (_ADD, _LOOK, _FORGET, _PURGE)
        )
        self._purge_turns = PurgeTurns()
        self._database = _Database(path, [statement.format(table=table) for statement in _SCHEMA], synchronous)

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See ReplayStore.add. Raises TemporarilyUnavailable: replay_store_unavailable."""
        values = {"key": key, "expires_at": expires_at, "now": now}
        try:
            with self._database.session(self._timeout) as execute:
                added = execute(self._add, values).rowcount == 1
                known, forgotten_until = (None, None) if added else execute(self._look, {"key": key}).fetchone()
        except Exception as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                self._purge(now)  # or it would stay full for ever
            raise cannot_tell(self, f"{type(error).__name__}: {error}") from error
        if self._purge_turns.is_due():
            self._purge(now)
        return added or refused(self, known, forgotten_until, now)

    def close(self) -> None:
        """Close the file. An add raises from then on."""
        self._database.close()

    def _purge(self, now: float) -> None:
        # What an add has decided stands: a purge that fails is left to the next.
        with contextlib.suppress(Exception), self._database.transaction(min(_PURGE_TIMEOUT, self._timeout)) as execute:
            for statement in (self._forget, self._delete):
                execute(statement, {"now": now, "batch": PURGE_BATCH})


_JWKS_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS jwks_documents (jwks_uri TEXT PRIMARY KEY, body BLOB NOT NULL,"
    " fetched_at REAL NOT NULL, since_boot REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS jwks_documents_fetched_at ON jwks_documents (fetched_at)",
    "CREATE TABLE IF NOT EXISTS jwks_claims (jwks_uri TEXT NOT NULL, at REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS jwks_claims_jwks_uri ON jwks_claims (jwks_uri, at)",
    "CREATE INDEX IF NOT EXISTS jwks_claims_at ON jwks_claims (at)",
)
_GET = "SELECT body, fetched_at, since_boot FROM jwks_documents WHERE jwks_uri = :jwks_uri"
# What claims to come from the future (the clock was set back) gives way to anything.
_PUT = (
    "INSERT INTO jwks_documents VALUES (:jwks_uri, :body, :fetched_at, :since_boot) ON CONFLICT (jwks_uri) DO UPDATE"
    " SET body = excluded.body, fetched_at = excluded.fetched_at, since_boot = excluded.since_boot"
    " WHERE fetched_at <= excluded.fetched_at OR fetched_at > :wall"
)
_TRIM = (
    "DELETE FROM jwks_documents WHERE jwks_uri IN (SELECT jwks_uri FROM jwks_documents ORDER BY fetched_at"
    " LIMIT max(0, (SELECT count(*) FROM jwks_documents) - :max_documents))"
)
# A sliding window. A claim from the future does not count: it would stop all fetches for as long.
_CLAIM = (
    "INSERT INTO jwks_claims SELECT :jwks_uri, :wall WHERE (SELECT count(*) FROM jwks_claims"
    " WHERE jwks_uri = :jwks_uri AND at > :wall - :window AND at <= :wall) < :burst"
)
# No policy has a window of more than an hour.
_FORGET_CLAIMS = (
    "DELETE FROM jwks_claims WHERE rowid IN"
    " (SELECT rowid FROM jwks_claims WHERE at <= :wall - 3600 OR at > :wall LIMIT :batch)"
)
_ROUNDING = 1e-3


class SQLiteJWKSCache:
    """JWK Set documents in a SQLite file, and one fetch budget, for all workers on one host.

    path: the file; it may be that of a SQLiteReplayStore. Who can write to it can add keys to a client.
    timeout: seconds (0.01 to 60) that a call may wait for other writers; then it raises, and the fetcher goes
        on without the cache.
    max_documents: how many documents are kept; the oldest leaves first.
    wall_clock: seconds since the epoch; ages are kept by it, since monotonic clocks differ between processes.

    Thread-safe; works after a fork. Raises ConfigurationError, which names the path, when the file cannot be
    used; later, whatever SQLite raises.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 0.25,
        max_documents: int = 10_000,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        check_number("timeout", timeout, 0.01, 60)
        check_integer("max_documents", max_documents, 1, 100_000_000)
        if not callable(wall_clock):
            raise ConfigurationError("wall_clock must be a function that gives seconds since the epoch")
        self._timeout = timeout
        self._max_documents = max_documents
        self._wall_clock = wall_clock
        self._database = _Database(path, _JWKS_SCHEMA, "NORMAL")

    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        """The newest document known, or None."""
        with self._database.session(self._timeout) as execute:
            row = execute(_GET, {"jwks_uri": jwks_uri}).fetchone()
        if row is None:
            return None
        body, fetched_at, since_boot = row
        # By the wall clock, or, when that was set back, by the host's monotonic clock, which starts anew with
        # the host: whichever is more, so that no removed key comes back.
        age = max(self._wall_clock() - fetched_at, time.monotonic() - since_boot)
        return JWKSDocument(body, now - max(0.0, age)) if age >= -_ROUNDING else None

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        """Keep a document, unless a newer one is there."""
        # Both clocks are read before it waits: waiting must not make a document younger.
        age = max(0.0, now - document.fetched_at)
        wall = self._wall_clock()
        values = {"fetched_at": wall - age, "since_boot": time.monotonic() - age, "wall": wall}
        with self._database.transaction(self._timeout) as execute:
            execute(_PUT, {"jwks_uri": jwks_uri, "body": document.body, **values})
            execute(_TRIM, {"max_documents": self._max_documents})

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        """Claim one fetch out of the budget of all workers."""
        with self._database.transaction(self._timeout) as execute:
            wall = self._wall_clock()  # read when nobody else can write, or two claims could miss each other
            execute(_FORGET_CLAIMS, {"wall": wall, "batch": PURGE_BATCH})
            budget = {"window": policy.unknown_kid_window, "burst": policy.unknown_kid_burst}
            return execute(_CLAIM, {"jwks_uri": jwks_uri, "wall": wall, **budget}).rowcount == 1

    def close(self) -> None:
        """Close the file. Every call raises from then on."""
        self._database.close()
