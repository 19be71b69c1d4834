"""One connection to a SQLite file, for all threads of a process."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from .._lock import Lock
from ..exceptions import ConfigurationError
from ._locks import run_locked

Synchronous = Literal["NORMAL", "FULL"]
Result = TypeVar("Result")
Values = Mapping[str, Any]

_OPEN_TIMEOUT = 5.0  # seconds, at start: several workers may create one file at once
_NO_VALUES: Values = {}
_BEGIN = "BEGIN IMMEDIATE"  # nobody else writes from here on


class SQLiteSession:
    """The connection, for one thread at a time; what is done with it ends by ``deadline`` (monotonic seconds)."""

    __slots__ = ("_connection", "_deadline")

    def __init__(self, connection: sqlite3.Connection, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def fetch(self, statement: str, values: Values = _NO_VALUES) -> list[Any]:
        """Return all rows. Raises sqlite3.Error."""
        return self._execute(statement, values).fetchall()

    def change(self, statement: str, values: Values = _NO_VALUES) -> int:
        """Return how many rows were changed. Raises sqlite3.Error."""
        return self._execute(statement, values).rowcount

    def change_for_each(self, statement: str, values: Sequence[Values]) -> int:
        """Return how many rows were changed for all ``values``, in a transaction. Raises sqlite3.Error."""
        return self._connection.executemany(statement, values).rowcount

    def begin_again(self) -> None:
        """Undo what this transaction did, and begin it again. Raises sqlite3.Error."""
        self.change("ROLLBACK")
        self.change(_BEGIN)

    def _execute(self, statement: str, values: Values) -> sqlite3.Cursor:
        # SQLite's own waiting backs off to 100 ms and more between two tries, so that under 8 writers one that is
        # unlucky waits for 0.65 s; with short, random pauses the longest wait was 0.08 s.
        while True:
            try:
                return self._connection.execute(statement, values)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= self._deadline:
                    raise
            time.sleep(random.uniform(0.0002, 0.001))  # noqa: S311


class SQLiteFile:
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
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        try:
            self._connection = self._connect("rwc", time.monotonic() + _OPEN_TIMEOUT)
            self._identity = self._file()
            self.run(lambda session: _prepare(session, schema), _OPEN_TIMEOUT)
        except (sqlite3.Error, OSError, ValueError) as error:  # ValueError: no path at all, such as one with a NUL
            self.close()
            raise ConfigurationError(f"cannot use {str(self._path)!r} as a SQLite database: {error}") from error
        _forks.register(self)

    def run(self, work: Callable[[SQLiteSession], Result], timeout: float) -> Result:
        """Return ``work(session)``: each statement is a transaction. Raises TimeoutError, and what ``work`` raises."""
        deadline = time.monotonic() + timeout
        return run_locked(self._lock, lambda: work(SQLiteSession(self._usable(deadline), deadline)), timeout)

    def run_in_transaction(self, work: Callable[[SQLiteSession], Result], timeout: float) -> Result:
        """Return ``work(session)``, which writes all or nothing, and into which nobody else writes."""

        def run(session: SQLiteSession) -> Result:
            session.change(_BEGIN)
            try:
                result = work(session)
                session.change("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after some errors, and says so with one more.
                with contextlib.suppress(sqlite3.Error):
                    session.change("ROLLBACK")
                raise
            return result

        return self.run(run, timeout)

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
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect("rw", deadline)
        elif connection.in_transaction:  # whoever began it was interrupted twice
            connection.rollback()
        return connection

    def _file(self) -> tuple[int, int]:
        status = os.stat(self._path)  # noqa: PTH116  (pathlib takes thrice as long, for each add)
        if status.st_nlink > 1:
            # SQLite names its log after the file: under two names there are two logs, and neither knows of the other
            # (https://www.sqlite.org/howtocorrupt.html §2.5).
            raise sqlite3.OperationalError(f"the file has {status.st_nlink} names (hard links), and may have one only")
        return status.st_dev, status.st_ino

    def _connect(self, mode: str, deadline: float) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode={mode}",
            uri=True,
            timeout=0,  # the session waits
            isolation_level=None,  # each statement is a transaction, unless we begin one
            check_same_thread=False,  # the lock sees to it
        )
        try:
            SQLiteSession(connection, deadline).change(f"PRAGMA synchronous = {self._synchronous}")
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


def _prepare(session: SQLiteSession, schema: Sequence[str]) -> None:
    session.fetch("PRAGMA journal_mode = WAL")
    for statement in schema:
        session.change(statement)


class _Forks:
    """Closes what is open before a fork, in the parent, and holds the locks until it is done."""

    def __init__(self) -> None:
        self._databases: weakref.WeakSet[SQLiteFile] = weakref.WeakSet()
        self._paused: list[SQLiteFile] = []
        self._lock = Lock()
        # Absent where there is no fork.
        register = getattr(os, "register_at_fork", lambda **_hooks: None)
        register(before=self._before, after_in_parent=self._after, after_in_child=self._after)

    def register(self, database: SQLiteFile) -> None:
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
