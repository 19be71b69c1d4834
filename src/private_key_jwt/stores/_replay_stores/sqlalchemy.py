"""Replay stores in a database that SQLAlchemy speaks to: PostgreSQL, MariaDB and MySQL, or a SQLite file."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Dialect,
    Double,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    create_engine,
    event,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ..._fork import renew_after_fork
from ..._validation import check_timeout
from ...exceptions import ConfigurationError, TemporarilyUnavailable
from .._combiner import AsyncCombiner, Combiner
from .._one_file import OneFile, opened_file
from .._values import Values
from .errors import store_unavailable
from .sql import (
    ENGINES,
    TABLE,
    Add,
    AddResult,
    PurgeTurns,
    check_table,
    is_missing_table,
    limit_statements,
    repeat_after_deadlock,
)

__all__ = ["AsyncSQLAlchemyReplayStore", "SQLAlchemyReplayStore"]

AnyEngine = TypeVar("AnyEngine", Engine, AsyncEngine)

_PURGE_SHARE = 0.25  # of the timeout, for a purge
_LOST_RACES = 3  # two tables and an index: hosts that start together may each make one of them first


class _Statements:
    """Statements as the driver of a dialect takes them.

    Compiling them, and no more, is left to SQLAlchemy: what else it does for each execution is time that a lone add
    has no use for.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._compiled: dict[str, tuple[str, Sequence[str] | None]] = {}

    def prepare(self, statement: str, values: Values) -> tuple[str, Any]:
        """Return the text and the parameters to send."""
        if statement not in self._compiled:
            compiled: Any = text(statement).compile(dialect=self._dialect)
            self._compiled[statement] = (compiled.string, compiled.positiontup)
        string, names = self._compiled[statement]
        return string, values if names is None else tuple(values[name] for name in names)


class _Session:
    """A Session of sql.py over a connection of SQLAlchemy."""

    __slots__ = ("_connection", "_statements")

    def __init__(self, connection: Connection, statements: _Statements) -> None:
        self._connection = connection
        self._statements = statements

    def fetch(self, statement: str, values: Values) -> Sequence[Sequence[Any]]:
        return self._connection.exec_driver_sql(*self._statements.prepare(statement, values)).all()

    def change(self, statement: str, values: Values) -> int:
        try:
            return self._connection.exec_driver_sql(*self._statements.prepare(statement, values)).rowcount
        except IntegrityError:
            return 0


def _tables(table: str) -> MetaData:
    metadata = MetaData()
    # InnoDB, whatever the server's default is: other engines of MariaDB and MySQL lose rows in a crash.
    innodb: dict[str, Any] = {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}
    key = LargeBinary(32).with_variant(mysql.VARBINARY(32), "mysql", "mariadb")
    Table(
        table,
        metadata,
        Column("key", key, primary_key=True),
        Column("expires_at", Double, nullable=False, index=True),
        **innodb,
    )
    Table(
        f"{table}_forgotten",
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("until", Double, nullable=False),
        CheckConstraint("id = 1", name=f"{table}_forgotten_one_row"),
        **innodb,
    )
    return metadata


class _Store:
    """Hold what the sync and the async store have in common."""

    def __init__(self, engine: Engine, table: str, timeout: float) -> None:
        check_timeout(timeout)
        dialect = engine.dialect
        if dialect.name not in ENGINES:
            raise ConfigurationError(f"engine must speak one of {', '.join(ENGINES)}, not {dialect.name}")
        in_memory = ":memory:" in (engine.url.database or ":memory:") or engine.url.query.get("mode") == "memory"
        if dialect.name == "sqlite" and in_memory:
            raise ConfigurationError("engine must be one that workers share, not in memory: take MemoryReplayStore")
        self._metadata = _tables(check_table(table))
        self._table = table
        self._sql = ENGINES[dialect.name](*map(dialect.identifier_preparer.quote, (table, f"{table}_forgotten", "key")))
        self._statements = _Statements(dialect)
        self._dialect_name = dialect.name
        self._timeout = timeout
        self._file: OneFile | None = None  # of SQLite, as the first connection found it
        self._purge_turns = PurgeTurns()

    @property
    def metadata(self) -> MetaData:
        """The tables, for migrations (Alembic: one more ``target_metadata``)."""
        return self._metadata

    def _prepare(self, connection: Any, _record: object) -> None:
        """Prepare a connection of a driver that has just been opened."""
        with contextlib.closing(connection.cursor()) as cursor:
            if self._dialect_name != "sqlite":  # whose driver has a `timeout` for that, which is the user's
                limit_statements(self._dialect_name, cursor, self._timeout)
            elif self._file is None:
                self._file = opened_file(cursor)

    def _add_over(self, connection: Connection, adds: Sequence[Add]) -> list[AddResult]:
        session = _Session(connection, self._statements)
        results = repeat_after_deadlock(lambda: self._sql.add_all(session, self, adds))
        if self._file is not None:
            self._file.check()
        return results

    def _purge_over(self, connection: Connection, now: float) -> None:
        self._sql.purge(_Session(connection, self._statements), now)

    def _failed(self, error: Exception) -> TemporarilyUnavailable:
        """Make what an add raises for whatever a driver raised."""
        if isinstance(error, TemporarilyUnavailable):
            return error
        cause = _cause(error)
        if is_missing_table(cause):
            return store_unavailable(self, f"table {self._table} is missing: call create_table(), or migrate")
        return store_unavailable(self, cause)


def _cause(error: Exception) -> BaseException:
    """Return what the driver raised."""
    return (isinstance(error, DBAPIError) and error.orig) or error


def _own_engine(make: Callable[..., AnyEngine], engine: Engine, prepare: Callable[[Any, object], None]) -> AnyEngine:
    """Make an engine that opens connections as ``engine`` does, has a pool of its own, and prepares each connection.

    A limit that is set when a connection is opened costs no add a round trip; it must not be met by whoever else
    uses ``engine``. Each statement is a transaction of its own (AUTOCOMMIT), and nothing is sent to end it.
    """
    own = make(engine.url, pool=engine.pool.recreate(), isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)
    event.listen(getattr(own, "sync_engine", own), "connect", prepare)
    return own


class SQLAlchemyReplayStore(_Store):
    """Replay marks in a table that all hosts share: PostgreSQL, MariaDB, MySQL, or a SQLite file.

        store = SQLAlchemyReplayStore(create_engine("postgresql+psycopg://op@db/op"))
        store.create_table()
        verifier = ClientAssertionVerifier(..., replay_store=store, workers=8)

    engine: yours; it stays open. The store opens connections as this engine does, in a pool of its own, for they
        are in AUTOCOMMIT and have limits. On PostgreSQL it uses one at a time, and one round trip serves all
        threads that wait; on MariaDB and MySQL each thread that adds uses one. Limits last as long as a connection:
        behind a pooler that hands one connection to many clients, pool sessions, not transactions (PgBouncer).
    table: the name of the table; a second one, for what has been forgotten, ends in ``_forgotten``. Make both
        with ``create_table()``, or out of ``metadata`` in a migration.
    timeout: seconds (0.01 to 60) for each statement, lock waits included; the server itself sees to it (MySQL, other
        than MariaDB, counts lock waits in whole seconds). What no server can bound is for your engine:
        ``pool_timeout=1`` for a free connection, and in ``connect_args`` PostgreSQL's ``connect_timeout`` and
        ``tcp_user_timeout`` (pymysql: ``connect_timeout``, ``read_timeout``; SQLite: ``timeout``).

    Thread-safe; works after a fork (the pool starts anew in the child). Each twentieth add also deletes up to 100
    expired marks; any number of hosts may do so at once. A crash loses marks where the server does not sync them:
    PostgreSQL with ``synchronous_commit = off``, MariaDB and MySQL with ``innodb_flush_log_at_trx_commit`` other than
    1; so does a failover to a replica that lags behind, also one that a URL with several hosts makes (the guide of
    ``private_key_jwt.stores``). With several writable masters (MySQL NDB or circular
    replication) nothing is promised; Galera and MySQL group replication decide at commit, and are sound.
    A SQLite file that has two names (hard links), or was removed or replaced while it was in use, is refused.
    Run with MariaDB 10.11, and with MySQL 9.7, whose logins by ``caching_sha2_password`` need ``cryptography``.
    Raises ConfigurationError.
    """

    def __init__(self, engine: Engine, *, table: str = TABLE, timeout: float = 1.0) -> None:
        if not isinstance(engine, Engine):
            raise ConfigurationError(f"engine must be a SQLAlchemy Engine, not {type(engine).__name__}")
        super().__init__(engine, table, timeout)
        self._given_engine = engine
        self._engine = _own_engine(create_engine, engine, self._prepare)
        combiner = Combiner(self._add_all, timeout=timeout)
        self._submit = combiner.submit if self._sql.combines else self._add_alone
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Start with no connection: two processes on one would read each other's rows."""
        self._engine.dispose(close=False)

    def create_table(self) -> None:
        """Make the tables, if they are not there. Raises what SQLAlchemy raises."""
        for _ in range(_LOST_RACES):
            with contextlib.suppress(DBAPIError), self._given_engine.begin() as connection:
                return self.metadata.create_all(connection)
        with self._given_engine.begin() as connection:
            return self.metadata.create_all(connection)

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See ReplayStore.add. Raises TemporarilyUnavailable: replay_store_unavailable."""
        try:
            added = self._submit(Add(key, expires_at, now))
        except Exception as error:
            raise self._failed(error) from error
        if self._purge_turns.is_due():
            # What an add has decided stands: a purge that fails is left to the next.
            with contextlib.suppress(Exception), self._engine.connect() as connection:
                self._purge_over(connection, now)
        return added

    def close(self) -> None:
        """Close the connections of the store; your engine stays open."""
        self._engine.dispose()

    def _add_alone(self, add: Add) -> bool:
        [result] = self._add_all([add])
        if isinstance(result, TemporarilyUnavailable):
            raise result
        return result

    def _add_all(self, adds: Sequence[Add]) -> list[AddResult]:
        with self._engine.connect() as connection:
            return self._add_over(connection, adds)


class AsyncSQLAlchemyReplayStore(_Store):
    """SQLAlchemyReplayStore for asyncio: the same, with an ``AsyncEngine`` (asyncpg, psycopg, asyncmy).

        store = AsyncSQLAlchemyReplayStore(create_async_engine("postgresql+asyncpg://op@db/op"))
        await store.create_table()
        verifier = AsyncClientAssertionVerifier(..., replay_store=store, workers=8)

    timeout: seconds (0.01 to 60) for a whole add, the wait for a free connection included.

    An engine belongs to one event loop (so says SQLAlchemy); so does the store then.
    """

    def __init__(self, engine: AsyncEngine, *, table: str = TABLE, timeout: float = 1.0) -> None:
        if not isinstance(engine, AsyncEngine):
            raise ConfigurationError(f"engine must be a SQLAlchemy AsyncEngine, not {type(engine).__name__}")
        super().__init__(engine.sync_engine, table, timeout)
        self._given_engine = engine
        self._engine = _own_engine(create_async_engine, engine.sync_engine, self._prepare)
        self._tasks: set[asyncio.Task[Any]] = set()
        combiner = AsyncCombiner(self._add_all, timeout=timeout)
        self._submit = combiner.submit if self._sql.combines else self._add_alone
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """See SQLAlchemyReplayStore.after_fork_in_child."""
        self._engine.sync_engine.dispose(close=False)

    async def create_table(self) -> None:
        """See SQLAlchemyReplayStore.create_table."""
        for _ in range(_LOST_RACES):
            with contextlib.suppress(DBAPIError):
                async with self._given_engine.begin() as connection:
                    return await connection.run_sync(self.metadata.create_all)
        async with self._given_engine.begin() as connection:
            return await connection.run_sync(self.metadata.create_all)

    async def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See AsyncReplayStore.add. Raises TemporarilyUnavailable: replay_store_unavailable."""
        try:
            added = await self._submit(Add(key, expires_at, now))
        except Exception as error:
            raise self._failed(error) from error
        if self._purge_turns.is_due():
            # What an add has decided stands: a purge that fails is left to the next.
            with contextlib.suppress(Exception):
                await self._in_time(self._execute(self._purge_over, now), self._timeout * _PURGE_SHARE)
        return added

    async def aclose(self) -> None:
        """Close the connections of the store; your engine stays open."""
        await self._engine.dispose()

    async def _add_alone(self, add: Add) -> bool:
        [result] = await self._add_all([add])
        if isinstance(result, TemporarilyUnavailable):
            raise result
        return result

    async def _add_all(self, adds: Sequence[Add]) -> list[AddResult]:
        results: list[AddResult] = await self._in_time(self._execute(self._add_over, adds), self._timeout)
        return results

    async def _execute(self, call: Callable[..., Any], *arguments: Any) -> Any:
        async with self._engine.connect() as connection:
            return await connection.run_sync(call, *arguments)

    async def _in_time(self, work: Coroutine[Any, Any, Any], timeout: float) -> Any:
        """Return what ``work`` gives, or TimeoutError: on time, also when its driver takes longer to clean up."""
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
