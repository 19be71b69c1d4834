"""One connection to a SQLite file, for all threads of a process."""

from __future__ import annotations

import contextlib
import ctypes
import operator
import os
import random
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, get_args

from .._lock import RLock, run_locked
from ..exceptions import ConfigurationError
from ._one_file import identity
from ._values import Values

Synchronous = Literal["NORMAL", "FULL"]
Result = TypeVar("Result")

_OPEN_TIMEOUT = 5.0  # seconds, at start: several workers may create one file at once
_NO_VALUES: Values = {}
_UNKNOWN = (0, 0)  # the identity of no file
_REPLACED = "the file was replaced"
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
    """One connection to one file, for all threads of this process, made when it is first used.

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
        self._pid = 0  # of the process that made the connection
        self._logs: _Logs | None = None  # those that the connection writes to
        self._identity = _UNKNOWN
        self._closed = False
        try:
            self._connection = self._connect("rwc", time.monotonic() + _OPEN_TIMEOUT)
            self.run(lambda session: _prepare(session, schema), _OPEN_TIMEOUT)
            # A server that forks its workers in C, once the application is loaded, asks no hook of ours.
            self._disconnect()
        except (sqlite3.Error, OSError, ValueError) as error:  # ValueError: no path at all, such as one with a NUL
            self.close()
            raise ConfigurationError(
                f"cannot use {self._path!r} as a SQLite database: {error}{_why_not(self._path)}"
            ) from error
        _forks.register(self)

    def run(self, work: Callable[[SQLiteSession], Result], timeout: float) -> Result:
        """Return ``work(session)``: each statement is a transaction. Raises TimeoutError, and what ``work`` raises.

        What ``work`` began and did not commit is rolled back. Raises sqlite3.OperationalError when the file, or its
        log, was removed or replaced: what was written is not where others look for it.
        """
        deadline = time.monotonic() + timeout

        def run() -> Result:
            connection = self._usable(deadline)
            try:
                result = work(SQLiteSession(connection, deadline))
            finally:
                if connection.in_transaction:
                    connection.rollback()
            self._check_file()  # last: others must find what was written
            self._check_logs()
            return result

        return run_locked(self._lock, run, timeout)

    def run_in_transaction(self, work: Callable[[SQLiteSession], Result], timeout: float) -> Result:
        """Return ``work(session)``, which writes all or nothing, and into which nobody else writes."""

        def run(session: SQLiteSession) -> Result:
            session.change(_BEGIN)
            result = work(session)
            session.change("COMMIT")
            return result

        return self.run(run, timeout)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._disconnect()

    def before_fork(self, held: list[threading.RLock], raised: list[BaseException]) -> None:
        """Close the connection, and add the lock to ``held``, and what signal handlers raise to ``raised``."""
        # A connection must not be carried across a fork: the child would believe that it holds the file locks
        # of the parent (https://www.sqlite.org/howtocorrupt.html §2.6), and not even closing it there is safe.
        # So it is closed here, and opened again by whoever needs it.
        _take(self._lock, held, raised)
        _finish(self._disconnect, raised)

    def after_fork_in_child(self) -> None:
        self._lock = threading.RLock()  # whoever held it is not in this process

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.OperationalError):
                self._check_process()
                self._check_logs()
        connection, self._connection, self._logs = self._connection, None, None
        if connection is not None:
            connection.close()

    def _usable(self, deadline: float) -> sqlite3.Connection:
        if self._closed:
            raise sqlite3.ProgrammingError("it is closed")
        if self._connection is None:
            self._connection = self._connect("rw", deadline)
        else:
            self._check_process()
        connection = self._connection
        if connection.in_transaction:  # whoever began it was interrupted twice
            connection.rollback()
        return connection

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            self._abandon("this process was forked by other means than os.fork, from one that used the file")

    def _check_file(self) -> None:
        # A file that was removed or replaced under us has lost its marks, or other workers write to another.
        if identity(self._path) != self._identity:
            raise sqlite3.OperationalError(_REPLACED)

    def _check_logs(self) -> None:
        if not (self._logs and self._logs.are_there()):
            self._abandon(
                "its log (-wal, -shm) was removed or replaced, as happens when this process opens and closes the file"
                " by itself (see SQLiteReplayStore)"
            )

    def _abandon(self, reason: str) -> NoReturn:
        # To close it could write the old log into the file, and delete the new one. As long as it is open, SQLite
        # takes the locks and the index of this process from it, for any other connection too.
        _unusable[self._identity] = f"{reason}: restart this worker"
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))  # not even the end of the interpreter closes it
        self._connection = self._logs = None
        raise sqlite3.OperationalError(_unusable[self._identity])

    def _connect(self, mode: str, deadline: float) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{Path(self._path).as_uri()}?mode={mode}",
            uri=True,
            timeout=0,  # the session waits
            isolation_level=None,  # each statement is a transaction, unless we begin one
            check_same_thread=False,  # the lock sees to it
        )
        try:
            opened = identity(self._path)
            if reason := _unusable.get(opened):
                raise sqlite3.OperationalError(reason)
            if self._identity != _UNKNOWN:
                self._check_file()
            session = SQLiteSession(connection, deadline)
            session.fetch("PRAGMA journal_mode = WAL")
            session.change(f"PRAGMA synchronous = {self._synchronous}")
            session.fetch("PRAGMA schema_version")  # a first read opens the log
            self._logs = _Logs(os.path.realpath(self._path))  # SQLite follows symbolic links
            self._identity, self._pid = opened, os.getpid()
        except BaseException:
            connection.close()
            raise
        return connection


_log_identity = partial(identity, may_have_names=True)  # it is the name of the database that counts


class _Logs:
    """The two files that SQLite keeps beside a database, by their names.

    To look up two names costs a fifth of an add. So a descriptor of their directory tells when a name in it was
    changed last, and the names are looked up only when that time is another one than before.
    """

    __slots__ = ("_changed_at", "_directories", "_files")

    def __init__(self, path: str) -> None:
        self._directories: list[int] = []  # one descriptor; none where directories cannot be opened
        self._files = [(f"{path}{suffix}", _log_identity(f"{path}{suffix}")) for suffix in ("-wal", "-shm")]
        self._changed_at = 0  # the directory, in nanoseconds since the epoch; 0: the names must be looked up
        with contextlib.suppress(OSError):
            # One call of C opens it and notes it: no signal handler runs in between.
            self._directories.extend(map(os.open, (Path(path).parent,), (_TO_ASK,)))

    def __del__(self) -> None:
        deque(map(os.close, map(self._directories.pop, repeat(-1, len(self._directories)))), 0)

    def are_there(self) -> bool:
        """Return whether each name is that of the file that had it when this object was made."""
        changed_at = os.fstat(self._directories[0]).st_mtime_ns if self._directories else 0
        if changed_at and changed_at == self._changed_at:
            return True
        now = time.time_ns()
        try:
            if any(_log_identity(path) != known for path, known in self._files):
                return False
        except OSError:
            return False
        # Rely on a time only when a change from ``now`` on gets another: file systems count in ticks of up to 10 ms,
        # some in whole seconds.
        is_reliable = changed_at % _SECOND != 0 and now - changed_at > _TICK
        self._changed_at = changed_at if is_reliable else 0
        return True


_TO_ASK = getattr(os, "O_PATH", os.O_RDONLY)  # O_PATH: of a directory that may not be read, too
_SECOND = 1_000_000_000  # nanoseconds
_TICK = 100_000_000  # nanoseconds: ten times the longest

# Files that this process must not open any more, and why.
_unusable: dict[tuple[int, int], str] = {}


def _check_path(path: object) -> str:
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str) or not os.fspath(path):
        raise ConfigurationError(f"path must be the path of a file, not {path!r}")
    if os.fspath(path).startswith((":memory:", "file:")):
        raise ConfigurationError(
            f"path must be the path of a file that all workers see, not {path!r}; for one process take"
            " MemoryReplayStore (or MemoryJWKSCache)"
        )
    return str(Path(path).absolute())


def _why_not(path: str) -> str:
    """Say what is wrong with a path that cannot be opened; "" where that is not seen."""
    parent = Path(path).parent
    if Path(path).is_dir():
        return ": it is a directory"
    if parent.is_dir():
        return ""
    return f": there is no directory {str(parent)!r}; is it a URL, or a name with ~ or quotes?"


def _prepare(session: SQLiteSession, schema: Sequence[str]) -> None:
    for statement in schema:
        session.change(statement)


def _finish(step: Callable[[], object], raised: list[BaseException]) -> None:
    """Run a step, which may be run anew, until no exception ends it, and add the exceptions to ``raised``."""
    while True:
        try:
            step()
        except BaseException as error:
            raised.append(error)
        else:
            return


def _take(lock: threading.RLock, held: list[threading.RLock], raised: list[BaseException]) -> None:
    # One call of C takes the lock and notes it: no signal handler runs in between.
    _finish(lambda: held.extend(filter(_ACQUIRE, () if lock in held else (lock,))), raised)


_ACQUIRE = operator.methodcaller("acquire")
_RELEASE = operator.methodcaller("release")


class _Forks:
    """Closes what is open before a fork, in the parent, and holds the locks until it is done."""

    def __init__(self) -> None:
        self._databases: weakref.WeakSet[SQLiteFile] = weakref.WeakSet()
        self._lock = RLock()
        self._held: dict[int, list[threading.RLock]] = {}  # by thread: the locks that it took for its fork
        # Absent where there is no fork.
        register = getattr(os, "register_at_fork", lambda **_hooks: None)
        register(before=self._before, after_in_parent=self._after, after_in_child=self._after_in_child)

    def register(self, database: SQLiteFile) -> None:
        with self._lock:
            self._databases.add(database)

    def _before(self) -> None:
        held = self._held.setdefault(threading.get_ident(), [])
        raised: list[BaseException] = []
        _take(self._lock, held, raised)
        for database in list(self._databases):
            database.before_fork(held, raised)
        if raised:  # the interpreter reports it, and forks
            raise raised[0]

    def _after(self) -> None:
        held = self._held.get(threading.get_ident(), [])
        raised: list[BaseException] = []
        # Again one call of C, so that what is given back is not noted as held any more, however often it begins.
        _finish(lambda: deque(map(_RELEASE, map(held.pop, repeat(-1, len(held)))), 0), raised)
        self._held.pop(threading.get_ident(), None)
        if raised:
            raise raised[0]

    def _after_in_child(self) -> None:
        self._held.clear()
        self._lock = RLock()
        for database in list(self._databases):
            database.after_fork_in_child()


_forks = _Forks()
