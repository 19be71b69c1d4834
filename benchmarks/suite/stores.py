"""Measure what an add to each replay store costs, beside the engine's bare operation and another version's store.

``REDIS_URL`` and ``DATABASE_URL`` name servers to use; without them servers of their own are started, as the tests do.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import redis
import redis.asyncio
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from private_key_jwt import stores as our_stores
from stores import postgres
from stores.redis_server import shared_url

from .measuring import Step, percentiles, tasks, threads
from .report import Section
from .versions import worktree

_LIFETIME = 376  # seconds that a mark lives for an assertion of one minute
_FINER = 16  # times: of one caller alone a difference of a few percent counts

Add = Callable[[bytes], Any]


class Kind(NamedTuple):
    """A store, of this version and perhaps another, and the bare operation of its engine."""

    name: str
    callers: tuple[int, ...]
    adds: Sequence[Add]
    bare: Add | None
    loop: asyncio.Runner | None = None

    def run(self, call: Add, callers: int, number: int) -> tuple[float, list[float]]:
        """Seconds for ``number`` calls by so many threads, or tasks, and the seconds of each."""
        keys = [[secrets.token_bytes(32) for _ in range(number // callers)] for _ in range(callers)]
        return self.loop.run(tasks(call, keys)) if self.loop else threads(call, keys)


def _as_a_server_does(add: Callable[..., Any]) -> Add:
    """Call ``add`` with a clock that goes on, and expiries in whole seconds, as ``exp`` is: an index costs by these."""

    def call(key: bytes) -> Any:
        now = time.time()
        return add(key, int(now) + _LIFETIME, now)

    return call


def _adds(stores: Sequence[Any]) -> list[Add]:
    return [_as_a_server_does(store.add) for store in stores]


def _close(store: Any) -> Any:
    """Close an async store, which older versions name ``close``."""
    return (store.aclose if hasattr(store, "aclose") else store.close)()


Versions = Sequence[Any]
"""The module of stores of this version, and that of another where there is one."""


@contextmanager
def memory(versions: Versions) -> Iterator[list[Kind]]:
    bare: dict[bytes, float] = {}
    stores = [module.MemoryReplayStore(10_000_000) for module in versions]
    yield [Kind("MemoryReplayStore; dict", (1, 16), _adds(stores), lambda key: bare.setdefault(key, 0.0))]


@contextmanager
def sqlite(versions: Versions) -> Iterator[list[Kind]]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        loop = stack.enter_context(asyncio.Runner())

        def stores(synchronous: str, name: str = "") -> list[Any]:
            made = [
                module.SQLiteReplayStore(
                    directory / f"{place}-{synchronous}{name}.db", timeout=30, synchronous=synchronous
                )
                for place, module in enumerate(versions)
            ]
            for store in made:
                stack.callback(store.close)
            return made

        def bare(synchronous: str) -> Add:
            path = directory / f"bare-{synchronous}.db"
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            stack.callback(connection.close)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute("CREATE TABLE bare (key BLOB PRIMARY KEY, expires_at REAL) WITHOUT ROWID")
            lock = threading.Lock()

            def insert(key: bytes) -> None:
                with lock:
                    connection.execute("INSERT INTO bare VALUES (?, ?)", (key, time.time()))

            return insert

        def in_a_loop(store: Any) -> Add:
            """As an async verifier calls it."""
            return _as_a_server_does(getattr(store, "add_async", partial(asyncio.to_thread, store.add)))

        kinds = [
            Kind(f"SQLiteReplayStore, {each}; INSERT, WAL", (1, 16), _adds(stores(each)), bare(each))
            for each in ("NORMAL", "FULL")
        ]
        awaited = [in_a_loop(store) for store in stores("NORMAL", "-loop")]
        yield [*kinds, Kind("SQLiteReplayStore in an event loop", (1, 32), awaited, None, loop)]


@contextmanager
def redis_(versions: Versions) -> Iterator[list[Kind]]:
    url = shared_url()
    with asyncio.Runner() as loop, redis.Redis.from_url(url) as client:
        # Its tasks all open a connection at once, for which a busy machine needs its time.
        async_client = redis.asyncio.Redis.from_url(url, max_connections=300, socket_connect_timeout=60)
        stores = [module.RedisReplayStore.from_url(url, timeout=10) for module in versions]
        async_stores = [module.AsyncRedisReplayStore.from_url(url, timeout=10) for module in versions]

        def bare(client: Any) -> Add:
            return lambda key: client.set(b"bare:" + key, 1, nx=True, px=150_000)

        yield [
            Kind("RedisReplayStore; SET NX PX", (1, 16), _adds(stores), bare(client)),
            Kind("AsyncRedisReplayStore", (1, 16, 64, 256), _adds(async_stores), bare(async_client), loop),
        ]
        for store in stores:
            store.close()
        for store in async_stores:
            loop.run(_close(store))
        loop.run(async_client.aclose())
        client.flushdb()


@contextmanager
def postgresql(versions: Versions) -> Iterator[list[Kind]]:
    url, pool, settings = postgres.url(), {"pool_size": 16, "max_overflow": 64}, {"table": "benchmark", "timeout": 30}
    engine = create_engine(url.set(drivername="postgresql+psycopg"), **pool)
    async_engine = create_async_engine(url.set(drivername="postgresql+asyncpg"), **pool)
    bare_engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    stores = [module.SQLAlchemyReplayStore(engine, **settings) for module in versions]
    async_stores = [module.AsyncSQLAlchemyReplayStore(async_engine, **settings) for module in versions]
    stores[0].create_table()

    def bare(key: bytes) -> None:
        with bare_engine.connect() as connection:
            connection.exec_driver_sql("INSERT INTO benchmark VALUES (%s, %s)", (key, time.time() + _LIFETIME))

    with asyncio.Runner() as loop:
        yield [
            Kind("SQLAlchemyReplayStore, PostgreSQL; INSERT", (1, 16), _adds(stores), bare),
            Kind("AsyncSQLAlchemyReplayStore, PostgreSQL", (1, 16, 64), _adds(async_stores), None, loop),
        ]
        for store in stores:
            store.close()
        for store in async_stores:
            loop.run(_close(store))
        loop.run(async_engine.dispose())
    stores[0].metadata.drop_all(engine)
    engine.dispose()


ENGINES = {"memory": memory, "SQLite": sqlite, "Redis": redis_, "PostgreSQL": postgresql}


def other_version(source: Path) -> Any:
    """The stores of the version of the library in ``source``, beside those of this one."""
    package = source / "private_key_jwt"
    spec = spec_from_file_location("other_version", package / "__init__.py", submodule_search_locations=[str(package)])
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"no version of the library in {source}")
    module = module_from_spec(spec)
    sys.modules["other_version"] = module
    spec.loader.exec_module(module)
    return import_module("other_version.stores")


HEADS = (
    *("store; bare operation", "callers", "adds/s", "p50 µs", "p99 µs", "processor µs", "time to bare"),
    *("time to the other version's", "processor µs of that"),
)


def measure(kind: Kind, callers: int, number: int, rounds: int) -> list[str]:
    """A row of the table: medians over rounds in which each goes first as often. Processor time is this process's."""
    if callers == 1:
        number, rounds = max(1, number // _FINER), rounds * _FINER
    calls = [*kind.adds, *([kind.bare] if kind.bare else [])]
    seconds: list[list[float]] = [[] for _ in calls]
    processor: list[list[float]] = [[] for _ in calls]
    latencies: list[float] = []
    for first in range(rounds):
        for place in ((first + turn) % len(calls) for turn in range(len(calls))):
            began = time.process_time()
            took, times = kind.run(calls[place], callers, number)
            processor[place].append((time.process_time() - began) / number * 1e6)
            seconds[place].append(took)
            latencies += times if place == 0 else []

    def ratio(place: int, *, there: bool) -> str:
        pairs = zip(seconds[0], seconds[place], strict=True) if there else ()
        return f"{median(one / two for one, two in pairs):.2f}" if there else "–"

    found, another = percentiles(latencies), len(kind.adds) > 1
    return [
        kind.name,
        f"{callers} {'tasks' if kind.loop else 'threads'}",
        f"{number / median(seconds[0]):,.0f}",
        *(f"{found[part]:,.0f}" for part in ("p50", "p99")),
        f"{median(processor[0]):.1f}",
        ratio(len(kind.adds), there=kind.bare is not None),
        ratio(1, there=another),
        f"{median(processor[1]):.1f}" if another else "–",
    ]


def run(step: Step, *, short: bool, commit: str | None = None) -> Section:
    number, rounds = (800, 5) if short else (4_096, 9)
    section = Section("stores", "Adds to replay stores, by concurrent callers")
    rows = []
    with ExitStack() as stack:
        versions = [our_stores]
        if commit:
            versions.append(other_version(stack.enter_context(worktree(commit)) / "src"))
            section.title += f", beside {commit}"
        for name, engine in ENGINES.items():
            for kind in stack.enter_context(engine(versions)):
                for callers in kind.callers:
                    step(f"{name}: {callers} callers")
                    rows.append(measure(kind, callers, number, rounds))
    section.tables.append(("Adds", HEADS, rows))
    return section
