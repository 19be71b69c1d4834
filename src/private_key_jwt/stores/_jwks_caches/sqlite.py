"""A cache of JWK Sets in a SQLite file, for several workers on one host."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from ..._validation import check_integer, check_number
from ...exceptions import ConfigurationError
from ...policy import JWKSPolicy
from .._protocols import JWKSDocument
from .._sqlite_file import SQLiteFile

_SCHEMA = (
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
_PURGE_BATCH = 100  # idle claims that one claim deletes at most


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
        self._database = SQLiteFile(path, _SCHEMA, "NORMAL")

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
            execute(_FORGET_CLAIMS, {"wall": wall, "batch": _PURGE_BATCH})
            budget = {"window": policy.fetch_window, "burst": policy.fetch_limit}
            return execute(_CLAIM, {"jwks_uri": jwks_uri, "wall": wall, **budget}).rowcount == 1

    def close(self) -> None:
        """Close the file. Every call raises from then on."""
        self._database.close()
