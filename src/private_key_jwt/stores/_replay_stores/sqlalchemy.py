"""Replay stores in a database that SQLAlchemy speaks to: PostgreSQL first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Double,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    bindparam,
    cast,
    delete,
    exists,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from ..._fork import renew_after_fork
from ..._validation import check_number
from ...exceptions import ConfigurationError, TemporarilyUnavailable
from .errors import store_unavailable
from .sql import PURGE_BATCH, PurgeTurns, check_table, clock_set_back, is_blocked, refused

_PURGE_SHARE = 0.25  # of the timeout, for each statement of a purge
_LOST_RACES = 3  # two tables and an index: hosts that start together may each make one of them first
_UNDEFINED_TABLE = "42P01"  # PostgreSQL, appendix A


class _Dialect(NamedTuple):
    """What a dialect brings: an INSERT that can turn into a conditional UPDATE, and time limits in the server."""

    insert: Callable[[Table], Any]
    has_limits: bool


# MySQL and MariaDB are not here. Their upsert has no WHERE and no answer but a count of rows; and because
# SQLAlchemy has their drivers count rows found, not rows changed, that count is 1 for a new key and for a live
# one: nobody could tell them apart.
_DIALECTS = {
    "postgresql": _Dialect(postgresql.insert, has_limits=True),
    "sqlite": _Dialect(sqlite.insert, has_limits=False),
}

# SET LOCAL, written so that it takes a parameter: it ends with the transaction, so that whoever uses the
# connection next knows nothing of it.
_LIMIT = text("SELECT set_config('statement_timeout', :limit, true)")


class _Marks:
    """The tables and the statements. What runs here runs over a connection of either edge."""

    def __init__(self, dialect: _Dialect, table: str) -> None:
        self.metadata = MetaData()
        self._table = marks = Table(
            table,
            self.metadata,
            Column("key", LargeBinary(32), primary_key=True),
            Column("expires_at", Double, nullable=False, index=True),
        )
        self._forgotten = forgotten = Table(
            f"{table}_forgotten",
            self.metadata,
            Column("id", Integer, primary_key=True, autoincrement=False),
            Column("until", Double, nullable=False),
            CheckConstraint("id = 1", name=f"{table}_forgotten_one_row"),
        )
        key = cast(bindparam("key"), LargeBinary)
        expires_at = cast(bindparam("expires_at"), Double)
        now = bindparam("now", type_=Double)
        insert = dialect.insert(marks).from_select(
            ["key", "expires_at"],
            select(key, expires_at).where(~exists().where(forgotten.c.until >= expires_at)),
        )
        self._add = insert.on_conflict_do_update(
            index_elements=[marks.c.key],
            set_={"expires_at": insert.excluded.expires_at},
            where=marks.c.expires_at <= now,
        ).returning(marks.c.key)
        self._look = select(
            select(marks.c.expires_at).where(marks.c.key == key).scalar_subquery(),
            select(forgotten.c.until).scalar_subquery(),
        )
        batch = select(marks).where(marks.c.expires_at <= now).order_by(marks.c.expires_at).limit(PURGE_BATCH)
        self._last = select(func.max(batch.subquery().c.expires_at))
        upsert = dialect.insert(forgotten).values(id=1, until=bindparam("until", type_=Double))
        self._forget = upsert.on_conflict_do_update(
            index_elements=[forgotten.c.id],
            set_={"until": upsert.excluded.until},
            where=forgotten.c.until < upsert.excluded.until,
        )
        # In a CTE, because the planner may run a subquery with LIMIT again for each row. A row that another host
        # is deleting is skipped, not waited for.
        expired = batch.with_for_update(skip_locked=True).cte("expired")
        self._purge = delete(marks).where(marks.c.key.in_(select(expired.c.key)))

    def add(self, connection: Connection, store: object, key: bytes, expires_at: float, now: float) -> bool:
        """One INSERT decides; a look at what has been forgotten confirms it.

        The look must be a statement of its own, with a snapshot later than the INSERT (READ COMMITTED or
        AUTOCOMMIT): a purge of a host whose clock runs ahead may have ended while the INSERT ran.
        """
        values = {"key": key, "expires_at": expires_at, "now": now}
        added = connection.execute(self._add, values).all()
        known, forgotten_until = connection.execute(self._look, {"key": key}).one()
        if not added:
            return refused(store, known, forgotten_until, now)
        if is_blocked(forgotten_until, expires_at):
            raise clock_set_back(store, forgotten_until, now)
        return True

    def purge(self, connection: Connection, now: float) -> None:
        """Delete a batch. What is forgotten is noted before it is, so that this holds without a transaction too."""
        until = connection.execute(self._last, {"now": now}).scalar()
        if until is not None:
            connection.execute(self._forget, {"until": until})
            connection.execute(self._purge, {"now": until})

    def failed(self, store: object, error: Exception) -> TemporarilyUnavailable:
        """Whatever a driver raises."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        if getattr(cause, "sqlstate", None) == _UNDEFINED_TABLE or "no such table" in str(cause):
            return store_unavailable(store, f"table {self._table.name} is missing: call create_table(), or migrate")
        return store_unavailable(store, cause or error)


class _Store:
    """What both edges are made of."""

    def __init__(self, engine: Engine, table: str, timeout: float) -> None:
        check_number("timeout", timeout, 0.01, 60)
        if engine.dialect.name not in _DIALECTS:
            raise ConfigurationError(f"engine must speak one of {', '.join(_DIALECTS)}, not {engine.dialect.name}")
        in_memory = ":memory:" in (engine.url.database or ":memory:") or engine.url.query.get("mode") == "memory"
        if engine.dialect.name == "sqlite" and in_memory:
            raise ConfigurationError("engine must be one that workers share, not in memory: take MemoryReplayStore")
        self._dialect = _DIALECTS[engine.dialect.name]
        self._marks = _Marks(self._dialect, check_table(table))
        self._timeout = timeout
        self._purge_turns = PurgeTurns()
        self._pool_owner = engine
        renew_after_fork(self)

    @property
    def metadata(self) -> MetaData:
        """The tables, for migrations (Alembic: one more ``target_metadata``)."""
        return self._marks.metadata

    def after_fork_in_child(self) -> None:
        """Two processes on one connection would read each other's answers: the child starts with none."""
        self._pool_owner.dispose(close=False)


class SQLAlchemyReplayStore(_Store):
    """Replay marks in a table that all hosts share: PostgreSQL, or a SQLite file.

    engine: yours; it stays open. Whatever its isolation level, adds run under READ COMMITTED or AUTOCOMMIT.
    table: the name of the table; a second one, for what has been forgotten, ends in ``_forgotten``. Make both
        with ``create_table()``, or out of ``metadata`` in a migration.
    timeout: seconds (0.01 to 60) for each statement, lock waits included; PostgreSQL itself sees to it. What
        no server can bound is for your engine: ``pool_timeout=1`` for a free connection, and in ``connect_args``
        ``connect_timeout`` and ``tcp_user_timeout`` for a host that is gone (SQLite: ``timeout``).

    Thread-safe; works after a fork (the engine's pool starts anew in the child). Each twentieth add also
    deletes up to 100 expired marks; any number of hosts may do so at once. ``synchronous_commit = off`` in the
    server would lose marks in a crash; so does a failover to a replica that lags behind.
    Raises ConfigurationError.
    """

    def __init__(self, engine: Engine, *, table: str = "private_key_jwt_replay", timeout: float = 1.0) -> None:
        if not isinstance(engine, Engine):
            raise ConfigurationError(f"engine must be a SQLAlchemy Engine, not {type(engine).__name__}")
        super().__init__(engine, table, timeout)
        # Limits are local to a transaction, so where there are limits there is one.
        level = "READ COMMITTED" if self._dialect.has_limits else "AUTOCOMMIT"
        self._engine = engine.execution_options(isolation_level=level)

    def create_table(self) -> None:
        """Make the tables, if they are not there. Raises what SQLAlchemy raises."""
        for _ in range(_LOST_RACES):
            with contextlib.suppress(DBAPIError), self._engine.begin() as connection:
                return self.metadata.create_all(connection)
        with self._engine.begin() as connection:
            return self.metadata.create_all(connection)

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See ReplayStore.add. Raises TemporarilyUnavailable: replay_store_unavailable."""
        try:
            with self._engine.begin() as connection:
                self._limit(connection, self._timeout)
                added = self._marks.add(connection, self, key, expires_at, now)
        except TemporarilyUnavailable:
            raise
        except Exception as error:
            raise self._marks.failed(self, error) from error
        if self._purge_turns.is_due():
            self._purge(now)
        return added

    def close(self) -> None:
        """Nothing: the engine is yours."""

    def _purge(self, now: float) -> None:
        # What an add has decided stands: a purge that fails is left to the next.
        with contextlib.suppress(Exception), self._engine.begin() as connection:
            self._limit(connection, self._timeout * _PURGE_SHARE)
            self._marks.purge(connection, now)

    def _limit(self, connection: Connection, seconds: float) -> None:
        if self._dialect.has_limits:
            connection.execute(_LIMIT, {"limit": f"{seconds * 1_000:.0f}"})


class AsyncSQLAlchemyReplayStore(_Store):
    """SQLAlchemyReplayStore for asyncio: the same, with an ``AsyncEngine`` (asyncpg, psycopg, aiosqlite).

    timeout: seconds (0.01 to 60) for a whole add, the wait for a free connection included.

    Adds run under AUTOCOMMIT. An engine belongs to one event loop (so says SQLAlchemy); so does the store then.
    """

    def __init__(self, engine: AsyncEngine, *, table: str = "private_key_jwt_replay", timeout: float = 1.0) -> None:
        if not isinstance(engine, AsyncEngine):
            raise ConfigurationError(f"engine must be a SQLAlchemy AsyncEngine, not {type(engine).__name__}")
        super().__init__(engine.sync_engine, table, timeout)
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._tasks: set[asyncio.Task[Any]] = set()

    async def create_table(self) -> None:
        """See SQLAlchemyReplayStore.create_table."""
        for _ in range(_LOST_RACES):
            with contextlib.suppress(DBAPIError):
                async with self._engine.begin() as connection:
                    return await connection.run_sync(self.metadata.create_all)
        async with self._engine.begin() as connection:
            return await connection.run_sync(self.metadata.create_all)

    async def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See AsyncReplayStore.add. Raises TemporarilyUnavailable: replay_store_unavailable."""
        try:
            added: bool = await self._in_time(self._execute(self._marks.add, self, key, expires_at, now), self._timeout)
        except TemporarilyUnavailable:
            raise
        except Exception as error:
            raise self._marks.failed(self, error) from error
        if self._purge_turns.is_due():
            # What an add has decided stands: a purge that fails is left to the next.
            with contextlib.suppress(Exception):
                await self._in_time(self._execute(self._marks.purge, now), self._timeout * _PURGE_SHARE)
        return added

    async def _execute(self, call: Callable[..., Any], *arguments: Any) -> Any:
        async with self._engine.begin() as connection:
            return await connection.run_sync(call, *arguments)

    async def _in_time(self, work: Coroutine[Any, Any, Any], timeout: float) -> Any:
        """What ``work`` gives, or TimeoutError: on time, also when its driver takes longer to clean up."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        try:
            done, _ = await asyncio.wait({task}, timeout=timeout)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            task.cancel()
            raise TimeoutError
        return task.result()

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, so that nobody warns of one that was never retrieved

    async def close(self) -> None:
        """Nothing: the engine is yours."""
