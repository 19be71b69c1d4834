"""A replay store in a SQLite file, for several workers on one host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3

from ..._validation import check_timeout
from ...exceptions import TemporarilyUnavailable
from .._combiner import AsyncCombiner, Combiner
from .._sqlite_file import SQLiteFile, SQLiteSession, Synchronous
from .errors import store_unavailable
from .sql import Add, AddResult, PurgeTurns, SQLite, check_table

__all__ = ["SQLiteReplayStore"]

_PURGE_TIMEOUT = 0.02  # seconds; a purge that meets a writer leaves it to a later add

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY, expires_at REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS {table}_expires_at ON {table} (expires_at)",
    "CREATE TABLE IF NOT EXISTS {table}_forgotten (id INTEGER PRIMARY KEY CHECK (id = 1), until REAL NOT NULL)",
)


class SQLiteReplayStore:
    """Replay marks in a SQLite file: right for any number of workers on one host.

        store = SQLiteReplayStore("/var/lib/op/replay.db")
        verifier = ClientAssertionVerifier(..., replay_store=store, workers=8)
        store.close()

    path: the file. It is made if it is not there; its directory must be there, on a local disk (SQLite's locks
        do not work over network file systems). All workers must name the same file by one name: a file with
        hard links is refused, and into a container you mount the directory, not the file, for SQLite keeps
        a log beside it.
    timeout: seconds (0.01 to 60) that an add may wait for other writers; then it raises.
    table: the name of the table, for several stores in one file.
    synchronous: ``"NORMAL"``: marks survive the death of any process (``kill -9``), and the last moments before a
        power failure may be lost, so that an assertion of these moments could be used again within its
        lifetime. ``"FULL"`` survives that too, for the price of one sync of the disk for all adds that wait.

    A worker must not open the file by itself, not even to read it: POSIX drops SQLite's locks of a process as soon as
    it closes the file, and other workers then delete the log that this one writes to
    (https://www.sqlite.org/howtocorrupt.html §2.2). Back it up from another process, by SQLite's backup API
    (``sqlite3 replay.db ".backup copy.db"``). A worker whose log was deleted refuses every add until it is restarted,
    and so does one that was forked by other means than ``os.fork`` after the first add of its parent. Only what a
    worker accepts while another one is deleting its log is lost with the log.

    Thread-safe; works after a fork. In an event loop, the adds that wait share one transaction. When the disk is
    full, the file locked for too long, damaged or replaced, adds raise and nobody is let in. Each twentieth add
    also deletes up to 100 expired marks.
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
        check_timeout(timeout)
        check_table(table)
        self._timeout = timeout
        self._sql = SQLite(table, f"{table}_forgotten")
        self._purge_turns = PurgeTurns()
        self._file = SQLiteFile(path, [statement.format(table=table) for statement in _SCHEMA], synchronous)
        # Threads share a transaction where it costs a sync of the disk; else changing threads costs more than that.
        self._submit = Combiner(self._add_all, timeout=timeout).submit if synchronous == "FULL" else self._add_alone
        self._submit_async = AsyncCombiner(self._add_all_in_thread, timeout=timeout).submit

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See ReplayStore.add. Raises TemporarilyUnavailable: replay_store_unavailable."""
        try:
            return self._submit(Add(key, expires_at, now))
        except Exception as error:
            raise self._failed(error) from error

    async def add_async(self, key: bytes, expires_at: float, now: float) -> bool:
        """``add`` for an event loop: one thread and one transaction for all tasks that wait."""
        try:
            return await self._submit_async(Add(key, expires_at, now))
        except Exception as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Close the file. An add raises from then on."""
        self._file.close()

    def _add_alone(self, add: Add) -> bool:
        result = self._add(add)
        if result is True or result is False:
            return result
        raise result

    def _add(self, add: Add) -> AddResult:
        try:
            result = self._file.run(lambda session: self._sql.add(session, self, add), self._timeout)
        except sqlite3.Error as error:
            self._make_room(error, add.now)
            raise
        self._purge_in_turn(add.now)
        return result

    async def _add_all_in_thread(self, adds: list[Add]) -> list[AddResult]:
        # `asyncio.to_thread` copies the context, which nothing here reads.
        return await asyncio.get_running_loop().run_in_executor(None, self._add_all, adds)

    def _add_all(self, adds: list[Add]) -> list[AddResult]:
        if len(adds) == 1:
            return [self._add(adds[0])]
        try:
            results = self._file.run_in_transaction(lambda session: self._add_together(session, adds), self._timeout)
        except sqlite3.Error as error:
            self._make_room(error, adds[0].now)
            raise
        for add in adds:
            self._purge_in_turn(add.now)
        return results

    def _add_together(self, session: SQLiteSession, adds: list[Add]) -> list[AddResult]:
        if self._sql.add_all_new(session, adds):
            return [True] * len(adds)
        session.begin_again()
        return self._sql.add_all(session, self, adds)

    def _failed(self, error: Exception) -> TemporarilyUnavailable:
        if isinstance(error, TemporarilyUnavailable):
            return error
        return store_unavailable(self, f"{type(error).__name__}: {error}")

    def _purge_in_turn(self, now: float) -> None:
        if self._purge_turns.is_due():
            self._purge(now)

    def _make_room(self, error: sqlite3.Error, now: float) -> None:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            self._purge(now)  # or it would stay full for ever

    def _purge(self, now: float) -> None:
        # What an add has decided stands: a purge that fails is left to the next.
        with contextlib.suppress(Exception):
            timeout = min(_PURGE_TIMEOUT, self._timeout)
            # To look costs no writer anything, and mostly there is nothing.
            if self._file.run(lambda session: self._sql.last_expired(session, now), timeout) is not None:
                self._file.run_in_transaction(lambda session: self._sql.purge(session, now), timeout)
