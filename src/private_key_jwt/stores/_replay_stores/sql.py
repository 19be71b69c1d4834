"""The SQL of replay marks, and what its results mean: once for SQLite, SQLAlchemy and Django.

Two tables: the marks, and one row that says up to when marks were forgotten, which a clock that is set back must not
revive. Each class below knows the statements of one kind of engine; parameters are written ``:name``, and a Session
sends them over whatever driver there is. Every statement is a transaction of its own, unless the caller began one.
"""

from __future__ import annotations

import itertools
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from ...exceptions import ConfigurationError, TemporarilyUnavailable
from .._combiner import MAX_BATCH
from .._values import Values
from .errors import store_unavailable

__all__ = [
    "ENGINES",
    "TABLE",
    "Add",
    "AddResult",
    "BulkSession",
    "MySQL",
    "PostgreSQL",
    "PurgeTurns",
    "SQLEngine",
    "SQLite",
    "Session",
    "check_table",
    "is_missing_table",
    "limit_statements",
    "repeat_after_deadlock",
]

Result = TypeVar("Result")

TABLE = "private_key_jwt_replay"
"""The table of marks, unless another name is given."""

_MAX_DEADLOCKS = 3  # one that goes on after that is no accident

PURGE_BATCH = 100
"""Expired rows that one purge deletes at most: no add pays for many."""
_ADDS_PER_PURGE = 20  # a fifth of the batch: purging keeps ahead, also when most purges meet a locked table

# PostgreSQL cuts an identifier after 63 bytes without a word, and ours get the suffix `_forgotten`.
_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,47}")


def check_table(table: object) -> str:
    """Return a table name that is one everywhere. Raises ConfigurationError."""
    if not isinstance(table, str) or not _TABLE_NAME.fullmatch(table) or table.endswith("_forgotten"):
        raise ConfigurationError(
            f"table must be 1 to 48 letters, digits and _, no digit first and no _forgotten last, not {table!a}"
        )
    return table


class PurgeTurns:
    """Says which adds also purge: the first of a process, which may live for one only, and every twentieth."""

    def __init__(self) -> None:
        self._adds = itertools.count()

    def is_due(self) -> bool:
        """Ask once for each add. Thread-safe: it is one step of the interpreter."""
        return next(self._adds) % _ADDS_PER_PURGE == 0


class Add(NamedTuple):
    """The arguments of one ``ReplayStore.add``."""

    key: bytes
    expires_at: float
    now: float


AddResult = bool | TemporarilyUnavailable
"""The result of one add: an error only when nobody can tell whether the assertion was used."""


class Session(Protocol):
    """One connection, over which statements are sent."""

    def fetch(self, statement: str, values: Values) -> Sequence[Sequence[Any]]:
        """Return all rows."""
        ...

    def change(self, statement: str, values: Values) -> int:
        """Return how many rows were written or deleted; none when an INSERT meets its primary key."""
        ...


class BulkSession(Session, Protocol):
    """A Session whose driver repeats a statement by itself, faster than we could."""

    def change_for_each(self, statement: str, values: Sequence[Values]) -> int:
        """Return how many rows were written for all ``values``."""
        ...


_UNDEFINED_TABLE = "42P01"  # PostgreSQL, appendix A
_NO_SUCH_TABLE = 1146  # MariaDB and MySQL
_DEADLOCK = 1213  # MariaDB and MySQL: the statement was rolled back for sure


def _code(error: BaseException) -> object:
    """Return the number that MariaDB and MySQL give an error."""
    return error.args[0] if error.args else None


def repeat_after_deadlock(call: Callable[[], Result]) -> Result:
    """Return ``call()``, and call again after a deadlock, three times at most. Raises what ``call`` raises."""
    for _ in range(_MAX_DEADLOCKS):
        try:
            return call()
        except Exception as error:
            if _code(getattr(error, "orig", None) or error) != _DEADLOCK:  # SQLAlchemy wraps what a driver raises
                raise
    return call()


def is_missing_table(error: BaseException) -> bool:
    """Report whether a driver says that there is no such table."""
    sqlstate = getattr(error, "sqlstate", None)
    return sqlstate == _UNDEFINED_TABLE or _code(error) == _NO_SUCH_TABLE or "no such table" in str(error)


def _limit_postgresql(cursor: Any, timeout: float) -> None:
    cursor.execute(f"SET statement_timeout = {timeout * 1_000:.0f}")


def _limit_mysql(cursor: Any, timeout: float) -> None:
    cursor.execute("SELECT VERSION()")
    [server] = cursor.fetchone()
    if "mariadb" in server.lower():
        cursor.execute(f"SET SESSION max_statement_time = {timeout}")
        return
    whole = max(1, math.ceil(timeout))
    cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {whole}, SESSION lock_wait_timeout = {whole}")
    cursor.execute(f"SET SESSION max_execution_time = {timeout * 1_000:.0f}")  # of a SELECT


def _limit_sqlite(cursor: Any, timeout: float) -> None:
    cursor.execute(f"PRAGMA busy_timeout = {timeout * 1_000:.0f}")


_LIMITS = {
    "postgresql": _limit_postgresql,
    "mysql": _limit_mysql,
    "mariadb": _limit_mysql,
    "sqlite": _limit_sqlite,
}


def limit_statements(engine: str, cursor: Any, timeout: float) -> None:
    """Have the engine itself end every statement of a connection after ``timeout`` seconds, lock waits included."""
    _LIMITS[engine](cursor, timeout)


def _values(add: Add) -> Values:
    return {"key": add.key, "expires_at": add.expires_at, "now": add.now}


def _clock_set_back(store: object, forgotten_until: float | None, now: float) -> TemporarilyUnavailable:
    """Make the error of an add that nobody can decide: a mark like its own may have been purged."""
    behind = 0 if forgotten_until is None else forgotten_until - now
    return store_unavailable(store, f"the clock stands {behind:.0f} s before marks already forgotten")


def _is_blocked(forgotten_until: float | None, expires_at: float) -> bool:
    """Report whether a mark like this one may have been there, and have been purged."""
    return forgotten_until is not None and expires_at <= forgotten_until


def _not_written(store: object, add: Add, known: float | None, forgotten_until: float | None) -> AddResult:
    """Say what it means that an add wrote nothing. ``known``: until when the key is kept, read after that."""
    if known is not None and known > add.now:
        return False
    return _clock_set_back(store, forgotten_until, add.now)


def _written(store: object, add: Add, forgotten_until: float | None) -> AddResult:
    """Say what it means that an add wrote its mark. ``forgotten_until``: read after that.

    A purge of a host whose clock runs ahead may have ended while the mark was being written.
    """
    return _clock_set_back(store, forgotten_until, add.now) if _is_blocked(forgotten_until, add.expires_at) else True


class SQLEngine(ABC):
    """Send the statements that all engines have in common.

    table, forgotten, key: the names of the two tables and of the column of keys, quoted where they need it.
    """

    combines: ClassVar[bool] = False
    """Report whether many adds at once cost about as much as one."""

    TEMPLATES: ClassVar[dict[str, str]] = {
        # Named: MariaDB names a column after its text, with the bytes of the key in it, which drivers cannot decode.
        "look": "SELECT (SELECT expires_at FROM {table} WHERE {key} = :key) AS known,"
        " (SELECT until FROM {forgotten}) AS forgotten_until",
        "last": "SELECT max(expires_at) FROM (SELECT expires_at FROM {table} WHERE expires_at <= :now"
        " ORDER BY expires_at LIMIT {batch}) AS batch",
    }

    def __init__(self, table: str, forgotten: str, key: str = "key") -> None:
        names = {"table": table, "forgotten": forgotten, "key": key, "batch": PURGE_BATCH}
        names |= {"rows": "{rows}", "keys": "{keys}"}  # left open: how many there are, each batch knows
        self._sql = {name: template.format(**names) for name, template in self.TEMPLATES.items()}

    @abstractmethod
    def add(self, session: Session, store: object, add: Add) -> AddResult:
        """Perform one add. ``store``: whose errors these are. Raises what the driver raises."""

    def add_all(self, session: Session, store: object, adds: Sequence[Add]) -> list[AddResult]:
        """Perform each add, in order."""
        return [self.add(session, store, add) for add in adds]

    def last_expired(self, session: Session, now: float) -> float | None:
        """Return when the last mark of a batch of expired ones has expired, or None when there are none."""
        [(until,)] = session.fetch(self._sql["last"], {"now": now})
        return None if until is None else float(until)

    def purge(self, session: Session, now: float) -> int:
        """Delete a batch of expired marks, and return how many there were.

        What is forgotten is noted first: no transaction is needed for that.
        """
        until = self.last_expired(session, now)
        if until is None:
            return 0
        self._forget(session, until)
        return self._delete(session, until)

    @abstractmethod
    def _forget(self, session: Session, until: float) -> None:
        """Note that marks that expired by ``until`` are about to be deleted."""

    @abstractmethod
    def _delete(self, session: Session, until: float) -> int:
        """Delete at most a batch of marks that expired by ``until``, and return how many there were."""


class _OnConflict(SQLEngine):
    """Send the statements that the engines with ``ON CONFLICT`` have in common."""

    TEMPLATES: ClassVar = SQLEngine.TEMPLATES | {
        "forget": "INSERT INTO {forgotten} (id, until) VALUES (1, :until) ON CONFLICT (id) DO UPDATE"
        " SET until = excluded.until WHERE {forgotten}.until < excluded.until",
    }

    def _forget(self, session: Session, until: float) -> None:
        session.change(self._sql["forget"], {"until": until})

    def _delete(self, session: Session, until: float) -> int:
        return session.change(self._sql["delete"], {"until": until})


class SQLite(_OnConflict):
    """One INSERT decides, whatever it reads: SQLite takes the write lock before it begins."""

    TEMPLATES: ClassVar = _OnConflict.TEMPLATES | {
        "add": "INSERT INTO {table} ({key}, expires_at) SELECT :key, :expires_at"
        " WHERE NOT EXISTS (SELECT 1 FROM {forgotten} WHERE until >= :expires_at)"
        " ON CONFLICT ({key}) DO UPDATE SET expires_at = excluded.expires_at WHERE {table}.expires_at <= :now",
        "delete": "DELETE FROM {table} WHERE {key} IN"
        " (SELECT {key} FROM {table} WHERE expires_at <= :until ORDER BY expires_at LIMIT {batch})",
    }

    def add_all_new(self, session: BulkSession, adds: Sequence[Add]) -> bool:
        """Write the marks of all adds; False when one of them was not written: then roll back, and ask ``add_all``.

        Mostly all are new, and to ask for each what it wrote costs as much as to write it.
        """
        return session.change_for_each(self._sql["add"], [_values(add) for add in adds]) == len(adds)

    def add(self, session: Session, store: object, add: Add) -> AddResult:
        """See SQLEngine.add."""
        if session.change(self._sql["add"], _values(add)) == 1:
            return True
        [(known, forgotten_until)] = session.fetch(self._sql["look"], {"key": add.key})
        return _not_written(store, add, known, forgotten_until)


_SIZES = [1 << exponent for exponent in range(MAX_BATCH.bit_length())]
_ROW = "(CAST(:key{0} AS BYTEA), CAST(:expires_at{0} AS DOUBLE PRECISION))"


def _size(number: int) -> int:
    """Return the first power of two that is no less."""
    return 1 << (number - 1).bit_length()


class PostgreSQL(_OnConflict):
    """One INSERT decides for all adds of a batch, and one look at what has been forgotten confirms it.

    The look must be a statement of its own, with a snapshot later than that of the INSERT: the connection must be
    in AUTOCOMMIT or READ COMMITTED. Keys are written in their order, so that no two batches wait for each other.
    """

    combines = True

    TEMPLATES: ClassVar = _OnConflict.TEMPLATES | {
        "add": "INSERT INTO {table} ({key}, expires_at) SELECT added.key, added.expires_at"
        " FROM (VALUES {rows}) AS added (key, expires_at) WHERE added.expires_at IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM {forgotten} WHERE until >= added.expires_at) ORDER BY added.key"
        " ON CONFLICT ({key}) DO UPDATE SET expires_at = excluded.expires_at"
        " WHERE {table}.expires_at <= CAST(:now AS DOUBLE PRECISION) RETURNING {key}",
        "look": "SELECT CAST(NULL AS BYTEA), until FROM {forgotten}",
        "look_at_keys": "SELECT CAST(NULL AS BYTEA), until FROM {forgotten}"
        " UNION ALL SELECT {key}, expires_at FROM {table} WHERE {key} IN ({keys})",
        # In a CTE, because the planner may run a subquery with LIMIT again for each row. A row that another host
        # is deleting is skipped, not waited for.
        "delete": "WITH expired AS (SELECT {key} FROM {table} WHERE expires_at <= :until ORDER BY expires_at"
        " LIMIT {batch} FOR UPDATE SKIP LOCKED) DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM expired)",
    }

    def __init__(self, table: str, forgotten: str, key: str = "key") -> None:
        super().__init__(table, forgotten, key)
        # One text for each power of two: what is left over is filled up with rows and keys that change nothing.
        # (One text for all sizes, with an array, costs PostgreSQL a new plan each time: 110 µs more for a lone add.)
        rows = {size: ", ".join(_ROW.format(number) for number in range(size)) for size in _SIZES}
        keys = {size: ", ".join(f":key{number}" for number in range(size)) for size in _SIZES}
        self._add_sql = {size: self._sql["add"].format(rows=rows[size]) for size in _SIZES}
        self._look_sql = {size: self._sql["look_at_keys"].format(keys=keys[size]) for size in _SIZES}

    def add_all(self, session: Session, store: object, adds: Sequence[Add]) -> list[AddResult]:
        """See SQLEngine.add_all. Of several adds of one key in a batch the first one writes."""
        first: dict[bytes, Add] = {}
        for add in adds:
            first.setdefault(add.key, add)
        written = self._write(session, list(first.values()))
        known = self._look(session, [key for key in first if key not in written])
        known |= {key: first[key].expires_at for key in written}
        forgotten_until = known.get(None)
        results = []
        for add in adds:
            if add.key in written and first[add.key] is add:
                results.append(_written(store, add, forgotten_until))
                continue
            result = _not_written(store, add, known.get(add.key), forgotten_until)
            if result is not False and len(adds) > 1:
                # By its own clock, and not by that of the batch, the mark that was there may have expired.
                result = self.add(session, store, add)
            results.append(result)
        return results

    def add(self, session: Session, store: object, add: Add) -> AddResult:
        """See SQLEngine.add."""
        [result] = self.add_all(session, store, [add])
        return result

    def _write(self, session: Session, adds: Sequence[Add]) -> set[bytes]:
        """Return the keys that were new."""
        # The earliest time: no mark that is live for one of them is overwritten by another.
        values: dict[str, Any] = {"now": min(add.now for add in adds)}
        size = _size(len(adds))
        for number in range(size):
            key, expires_at = adds[number][:2] if number < len(adds) else (b"", None)
            values[f"key{number}"] = key
            values[f"expires_at{number}"] = expires_at
        return {bytes(key) for (key,) in session.fetch(self._add_sql[size], values)}

    def _look(self, session: Session, keys: Sequence[bytes]) -> dict[bytes | None, float]:
        """Return until when keys are kept, and under None, up to when marks were forgotten."""
        if keys:
            size = _size(len(keys))
            values = {f"key{number}": keys[min(number, len(keys) - 1)] for number in range(size)}
            rows = session.fetch(self._look_sql[size], values)
        else:
            rows = session.fetch(self._sql["look"], {})
        return {None if key is None else bytes(key): until for key, until in rows}


class MySQL(SQLEngine):
    """MariaDB and MySQL: update a mark that has expired, else insert one, where the primary key decides.

    Their own upsert says by a count of rows what it did, and drivers differ in what they count.
    """

    TEMPLATES: ClassVar = SQLEngine.TEMPLATES | {
        "update": "UPDATE {table} SET expires_at = :expires_at WHERE {key} = :key AND expires_at <= :now",
        "insert": "INSERT INTO {table} ({key}, expires_at) VALUES (:key, :expires_at)",
        "forget": "UPDATE {forgotten} SET until = :until WHERE until < :until",
        "forget_first": "INSERT INTO {forgotten} (id, until) VALUES (1, :until)",
        "expired": "SELECT {key} FROM {table} WHERE expires_at <= :until ORDER BY expires_at LIMIT {batch}",
        # By primary key: a DELETE that goes along the index of times would lock the gaps where others insert.
        "delete": "DELETE FROM {table} WHERE expires_at <= :until AND {key} IN ",
    }

    def add(self, session: Session, store: object, add: Add) -> AddResult:
        """See SQLEngine.add."""
        key, expires_at, now = add
        [(known, forgotten_until)] = session.fetch(self._sql["look"], {"key": key})
        if (known is not None and known > now) or _is_blocked(forgotten_until, expires_at):
            return _not_written(store, add, known, forgotten_until)
        values = {"key": key, "expires_at": expires_at}
        written = known is not None and session.change(self._sql["update"], {**values, "now": now}) == 1
        written = written or session.change(self._sql["insert"], values) == 1
        [(known, forgotten_until)] = session.fetch(self._sql["look"], {"key": key})
        if written:
            return _written(store, add, forgotten_until)
        return _not_written(store, add, known, forgotten_until)

    def _forget(self, session: Session, until: float) -> None:
        values = {"until": until}
        # The last one in case that another host noted something just now.
        for name in ("forget", "forget_first", "forget"):
            if session.change(self._sql[name], values):
                return

    def _delete(self, session: Session, until: float) -> int:
        rows = session.fetch(self._sql["expired"], {"until": until})
        keys = {f"key{number}": row[0] for number, row in enumerate(rows)}
        if not keys:
            return 0
        parameters = ", ".join(f":{name}" for name in keys)
        return session.change(f"{self._sql['delete']}({parameters})", {"until": until, **keys})


ENGINES: dict[str, type[SQLEngine]] = {"postgresql": PostgreSQL, "mysql": MySQL, "mariadb": MySQL, "sqlite": SQLite}
"""By the name that SQLAlchemy and Django give them."""
