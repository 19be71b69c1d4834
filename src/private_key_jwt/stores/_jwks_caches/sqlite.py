"""A cache of JWK Sets in a SQLite file, for several workers on one host."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from ..._clocks import boot_id, since_boot
from ..._validation import check_clock, check_integer, check_timeout
from ...policy import LONGEST_WINDOW, JWKSPolicy
from .._protocols import JWKSDocument
from .._sqlite_file import SQLiteFile, SQLiteSession

__all__ = ["SQLiteJWKSCache"]

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS jwks_documents (jwks_uri TEXT PRIMARY KEY, body BLOB NOT NULL,"
    " fetched_at REAL NOT NULL, boot TEXT NOT NULL, since_boot REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS jwks_documents_fetched_at ON jwks_documents (fetched_at)",
    "CREATE TABLE IF NOT EXISTS jwks_fetches (jwks_uri TEXT NOT NULL, at REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS jwks_fetches_jwks_uri ON jwks_fetches (jwks_uri, at)",
    "CREATE INDEX IF NOT EXISTS jwks_fetches_at ON jwks_fetches (at)",
)
# A document of another boot is none: its age since then is by no clock that this host still has.
_GET = "SELECT body, fetched_at, since_boot FROM jwks_documents WHERE jwks_uri = :jwks_uri AND boot = :boot"
_INSERT = (
    "INSERT INTO jwks_documents VALUES (:jwks_uri, :body, :fetched_at, :boot, :since_boot)"
    " ON CONFLICT (jwks_uri) DO NOTHING"
)
# A document from the future (the clock was set back), or from another boot, is replaced by any other.
_UPDATE = (
    "UPDATE jwks_documents SET body = :body, fetched_at = :fetched_at, boot = :boot, since_boot = :since_boot"
    " WHERE jwks_uri = :jwks_uri AND (fetched_at <= :fetched_at OR fetched_at > :wall OR boot <> :boot)"
)
_TRIM = (
    "DELETE FROM jwks_documents WHERE jwks_uri IN (SELECT jwks_uri FROM jwks_documents ORDER BY fetched_at"
    " LIMIT max(0, (SELECT count(*) FROM jwks_documents) - :max_documents))"
)
# A sliding window. A fetch from the future does not count: it would stop all fetches for as long.
_TAKE_FETCH = (
    "INSERT INTO jwks_fetches SELECT :jwks_uri, :wall WHERE (SELECT count(*) FROM jwks_fetches"
    " WHERE jwks_uri = :jwks_uri AND at > :wall - :window AND at <= :wall) < :limit"
)
_FORGET_FETCHES = (
    "DELETE FROM jwks_fetches WHERE rowid IN"
    " (SELECT rowid FROM jwks_fetches WHERE at <= :wall - :window OR at > :wall LIMIT :batch)"
)
_PURGE_BATCH = 100  # fetches out of the window that one call deletes at most


class SQLiteJWKSCache:
    """JWK Set documents in a SQLite file, and one fetch budget, for all workers on one host.

        cache = SQLiteJWKSCache("/var/lib/op/jwks.db")
        fetcher = JWKSFetcher(cache=cache)
        cache.close()

    path: the file, with the same rules as that of a SQLiteReplayStore, which it may be. Who can write to it can add
        keys to a client.
    timeout: seconds (0.01 to 60) that a call may wait for other writers; then it raises, and the fetcher goes
        on without the cache.
    max_documents: how many documents are kept; the oldest leaves first.
    wall_clock: seconds since the epoch; ages are kept by it, and by the time since boot, whichever says more.

    Thread-safe; works after a fork. Raises ConfigurationError, which names the path, when the file cannot be
    used; later, whatever SQLite raises.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 0.25,
        max_documents: int = 100_000,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        check_timeout(timeout)
        check_integer("max_documents", max_documents, 1, 100_000_000)
        check_clock("wall_clock", wall_clock)
        self._timeout = timeout
        self._max_documents = max_documents
        self._wall_clock = wall_clock
        self._boot = boot_id()
        self._file = SQLiteFile(path, _SCHEMA, "NORMAL")

    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        """Return the newest document known, or None."""
        values = {"jwks_uri": jwks_uri, "boot": self._boot}
        rows = self._file.run(lambda session: session.fetch(_GET, values), self._timeout)
        if not rows:
            return None
        [(body, fetched_at, kept_at)] = rows
        # By the wall clock, or, when that was set back, by the host's own: whichever is more, so that no removed key
        # comes back.
        age = max(self._wall_clock() - fetched_at, since_boot() - kept_at)
        return JWKSDocument.of_age(body, age, now)

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        """Keep a document, unless a newer one is there."""
        # Both clocks are read before it waits: waiting must not make a document younger.
        age = max(0.0, now - document.fetched_at)
        wall = self._wall_clock()
        times = {"fetched_at": wall - age, "boot": self._boot, "since_boot": since_boot() - age}
        values = {"jwks_uri": jwks_uri, "body": document.body, **times}

        def put(session: SQLiteSession) -> None:
            if session.change(_INSERT, values):
                session.change(_TRIM, {"max_documents": self._max_documents})
            else:
                session.change(_UPDATE, {**values, "wall": wall})

        self._file.run_in_transaction(put, self._timeout)

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        """Take one fetch out of the budget of all workers."""

        def take(session: SQLiteSession) -> bool:
            wall = self._wall_clock()  # read when nobody else can write, or two calls could miss each other
            session.change(_FORGET_FETCHES, {"wall": wall, "window": LONGEST_WINDOW, "batch": _PURGE_BATCH})
            budget = {"window": policy.fetch_window, "limit": policy.fetch_limit}
            return session.change(_TAKE_FETCH, {"jwks_uri": jwks_uri, "wall": wall, **budget}) == 1

        return self._file.run_in_transaction(take, self._timeout)

    def close(self) -> None:
        """Close the file. Every call raises from then on."""
        self._file.close()
