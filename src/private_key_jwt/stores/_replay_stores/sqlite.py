"""A replay store in a SQLite file, for several workers on one host."""

from __future__ import annotations

import contextlib
import os
import sqlite3

from ..._validation import check_number
from .._sqlite_file import SQLiteFile, Synchronous
from .errors import store_unavailable
from .sql import PURGE_BATCH, PurgeTurns, check_table, refused

_PURGE_TIMEOUT = 0.02  # seconds; a purge that meets a writer leaves it to a later add

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
        self._database = SQLiteFile(path, [statement.format(table=table) for statement in _SCHEMA], synchronous)

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
            raise store_unavailable(self, f"{type(error).__name__}: {error}") from error
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
