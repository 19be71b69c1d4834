"""What a replay store costs: adds beside the engine's bare operation, and live entries.

    python benchmarks/replay_stores.py            about eight minutes
    python benchmarks/replay_stores.py --short    about half a minute
    python benchmarks/replay_stores.py --key-sets 100000    only the shared caches, with so many clients
    python benchmarks/replay_stores.py --against ../other/src    only adds, beside those of another version's stores
                                                                 (``--engine sqlite``: of this engine only)

Rounds of store and bare operation alternate in one process, so that a noisy machine disturbs both alike; the ratio
is the median over the rounds. ``REDIS_URL`` and ``DATABASE_URL`` name servers to use; without them servers of
their own are started, as the tests do (the ``test`` extra brings them).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sqlite3
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from suite.measuring import threads
from suite.report import machine_line

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from private_key_jwt import (
    AssertionPolicy,
    ClientAssertionVerifier,
    JWKSDocument,
    JWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
)
from private_key_jwt import stores as our_stores
from private_key_jwt.stores import (
    RedisJWKSCache,
    RedisReplayStore,
    SQLAlchemyReplayStore,
    SQLiteJWKSCache,
    SQLiteReplayStore,
)
from private_key_jwt.testing import RelyingParty

CALLERS = (1, 4, 16)
NOW = 1_700_000_000.0
LIFETIME = 376  # seconds that a mark lives for an assertion of one minute

Call = Callable[[bytes], object]


@dataclass(frozen=True)
class Subject:
    """A store, and the bare operation of its engine: each is called with a new key."""

    name: str
    add: Call
    bare: Call
    bare_name: str


def run(call: Call, callers: int, number: int) -> tuple[float, list[float]]:
    """Seconds for ``number`` calls by ``callers`` threads together, and the seconds of each call."""
    return threads(call, [[secrets.token_bytes(32) for _ in range(number // callers)] for _ in range(callers)])


@contextmanager
def sqlite(directory: Path) -> Iterator[Subject]:
    store = SQLiteReplayStore(directory / "store.db")
    connection = sqlite3.connect(directory / "bare.db", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE bare (key BLOB PRIMARY KEY, expires_at REAL) WITHOUT ROWID")
    lock = threading.Lock()

    def bare(key: bytes) -> None:
        with lock:
            connection.execute("INSERT INTO bare VALUES (?, ?)", (key, NOW))

    yield Subject("SQLiteReplayStore", lambda key: store.add(key, NOW + 90, NOW), bare, "INSERT, WAL")
    store.close()
    connection.close()


@contextmanager
def redis_store(url: str) -> Iterator[Subject]:
    import redis

    client = redis.Redis.from_url(url)
    store = RedisReplayStore(client)
    yield Subject(
        "RedisReplayStore",
        lambda key: store.add(key, NOW + 90, NOW),
        lambda key: client.set(b"bare:" + key, 1, nx=True, px=150_000),
        "SET NX PX",
    )
    client.flushdb()
    client.close()


@contextmanager
def postgresql(url: Any) -> Iterator[Subject]:
    from sqlalchemy import Column, Float, LargeBinary, MetaData, create_engine, insert
    from sqlalchemy import Table as SQLTable

    engine = create_engine(url.set(drivername="postgresql+psycopg"), pool_size=max(CALLERS))
    store = SQLAlchemyReplayStore(engine, table="benchmark_replay")
    store.create_table()
    metadata = MetaData()
    table = SQLTable("benchmark_bare", metadata, Column("key", LargeBinary, primary_key=True), Column("at", Float))
    metadata.create_all(engine)

    def bare(key: bytes) -> None:
        with engine.begin() as connection:
            connection.execute(insert(table), {"key": key, "at": NOW})

    yield Subject("SQLAlchemyReplayStore", lambda key: store.add(key, NOW + 90, NOW), bare, "INSERT in a transaction")
    metadata.drop_all(engine)
    store.close()
    store.metadata.drop_all(engine)
    engine.dispose()


@contextmanager
def memory() -> Iterator[Subject]:
    store = MemoryReplayStore(10_000_000)
    bare: dict[bytes, float] = {}
    yield Subject(
        "MemoryReplayStore", lambda key: store.add(key, NOW + 90, NOW), lambda key: bare.setdefault(key, NOW), "dict"
    )


def adds(subjects: list[Subject], number: int, rounds: int) -> Table:
    table = Table(box=SIMPLE_HEAD, title="Adds, by concurrent callers (threads)")
    for title in ("store", "callers", "adds/s", "p50 µs", "p99 µs", "bare operation", "bare/s", "overhead"):
        table.add_column(title, justify="left" if title in ("store", "bare operation") else "right")
    work = [(subject, callers) for subject in subjects for callers in CALLERS]
    for subject, callers in track(work, "adds", console=Console(stderr=True)):
        ours, bares, ratios, latencies = [], [], [], []
        for _ in range(rounds):
            seconds, times = run(subject.add, callers, number)
            bare_seconds, _ = run(subject.bare, callers, number)
            ours.append(number / seconds)
            bares.append(number / bare_seconds)
            ratios.append(seconds / bare_seconds)
            latencies += times
        cuts = quantiles(latencies, n=100)
        table.add_row(
            subject.name,
            str(callers),
            f"{median(ours):,.0f}",
            f"{cuts[49] * 1e6:,.0f}",
            f"{cuts[98] * 1e6:,.0f}",
            subject.bare_name,
            f"{median(bares):,.0f}",
            f"{median(ratios):.2f} x",
        )
    return table


@dataclass(frozen=True)
class Versions:
    """What one kind of caller does with this version's store, with the other's, and with the bare operation."""

    name: str
    callers: str
    numbers: tuple[int, ...]
    run: Callable[[Any, int, int], float]
    calls: tuple[Any, Any, Any]


def other_stores(src: Path) -> Any:
    """The stores of the version of the library in ``src``, beside those of this one."""
    package = src / "private_key_jwt"
    spec = spec_from_file_location("other_version", package / "__init__.py", submodule_search_locations=[str(package)])
    if spec is None or spec.loader is None:
        raise SystemExit(f"no version of the library in {src}")
    module = module_from_spec(spec)
    sys.modules["other_version"] = module
    spec.loader.exec_module(module)
    return import_module("other_version.stores")


def run_tasks(runner: asyncio.Runner, call: Any, callers: int, number: int) -> float:
    """Seconds for ``number`` calls by ``callers`` tasks together."""
    keys = [[secrets.token_bytes(32) for _ in range(number // callers)] for _ in range(callers)]

    async def one(own: list[bytes]) -> None:
        for key in own:
            await call(key)

    async def all_of_them() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(one(own) for own in keys))
        return time.perf_counter() - began

    return runner.run(all_of_them())


@contextmanager
def redis_versions(url: str, other: Any) -> Iterator[list[Versions]]:
    import redis
    import redis.asyncio

    with asyncio.Runner() as runner, redis.Redis.from_url(url) as client:
        stores = [module.RedisReplayStore.from_url(url, timeout=10) for module in (our_stores, other)]
        async_stores = [module.AsyncRedisReplayStore.from_url(url, timeout=10) for module in (our_stores, other)]
        async_client = redis.asyncio.Redis.from_url(url)

        def bare(client: Any) -> Any:
            return lambda key: client.set(b"bare:" + key, 1, nx=True, px=150_000)

        yield [
            Versions(
                "RedisReplayStore",
                "threads",
                (1, 16),
                in_threads,
                (*map(adds_of, stores), bare(client)),
            ),
            Versions(
                "AsyncRedisReplayStore",
                "tasks",
                (1, 16, 64),  # the bare client opens a connection for each task, and refuses to open more than 100
                lambda call, callers, number: run_tasks(runner, call, callers, number),
                (*map(adds_of, async_stores), bare(async_client)),
            ),
            Versions(
                "AsyncRedisReplayStore",
                "tasks",
                (256,),
                lambda call, callers, number: run_tasks(runner, call, callers, number),
                (*map(adds_of, async_stores), None),
            ),
        ]
        for store in stores:
            store.close()
        for store in async_stores:
            runner.run((store.aclose if hasattr(store, "aclose") else store.close)())  # its older name
        runner.run(async_client.aclose())
        client.flushdb()


def in_threads(call: Any, callers: int, number: int) -> float:
    """Seconds for ``number`` calls by ``callers`` threads together."""
    return run(call, callers, number)[0]


def as_a_server_does(add: Any) -> Any:
    """Call ``add`` with a clock that goes on, and expiries in whole seconds, as ``exp`` is: an index costs by these."""

    def call(key: bytes) -> Any:
        now = time.time()
        return add(key, int(now) + LIFETIME, now)

    return call


def adds_of(store: Any) -> Any:
    return as_a_server_does(store.add)


@contextmanager
def postgresql_versions(url: Any, other: Any) -> Iterator[list[Versions]]:
    from sqlalchemy import create_engine
    from sqlalchemy.ext.asyncio import create_async_engine

    with asyncio.Runner() as runner:
        engine = create_engine(url.set(drivername="postgresql+psycopg"), pool_size=16, max_overflow=64)
        async_engine = create_async_engine(url.set(drivername="postgresql+asyncpg"), pool_size=16, max_overflow=64)
        settings = {"table": "benchmark_versions", "timeout": 30}
        stores = [module.SQLAlchemyReplayStore(engine, **settings) for module in (our_stores, other)]
        async_stores = [module.AsyncSQLAlchemyReplayStore(async_engine, **settings) for module in (our_stores, other)]
        stores[0].create_table()
        bare_engine = engine.execution_options(isolation_level="AUTOCOMMIT")

        def bare(key: bytes) -> None:
            with bare_engine.connect() as connection:
                connection.exec_driver_sql("INSERT INTO benchmark_versions VALUES (%s, %s)", (key, NOW))

        yield [
            Versions(
                "SQLAlchemyReplayStore, PostgreSQL", "threads", (1, 16), in_threads, (*map(adds_of, stores), bare)
            ),
            Versions(
                "AsyncSQLAlchemyReplayStore, PostgreSQL",
                "tasks",
                (1, 16, 64),
                lambda call, callers, number: run_tasks(runner, call, callers, number),
                (*map(adds_of, async_stores), None),
            ),
        ]
        for store, async_store in zip(stores, async_stores, strict=True):
            store.close()
            runner.run(async_store.aclose())
        runner.run(async_engine.dispose())
        stores[0].metadata.drop_all(engine)
        engine.dispose()


@contextmanager
def sqlite_versions(directory: Path, other: Any) -> Iterator[list[Versions]]:
    with asyncio.Runner() as runner, ExitStack() as stack:

        def stores(synchronous: str) -> list[Any]:
            names = ("ours", "other")
            made = [
                module.SQLiteReplayStore(directory / f"{name}-{synchronous}.db", timeout=30, synchronous=synchronous)
                for name, module in zip(names, (our_stores, other), strict=True)
            ]
            for store in made:
                stack.callback(store.close)
            return made

        def bare(synchronous: str) -> Any:
            connection = sqlite3.connect(
                directory / f"bare-{synchronous}.db", isolation_level=None, check_same_thread=False
            )
            stack.callback(connection.close)
            for statement in (
                "PRAGMA journal_mode = WAL",
                f"PRAGMA synchronous = {synchronous}",
                "CREATE TABLE IF NOT EXISTS bare (key BLOB PRIMARY KEY, expires_at REAL) WITHOUT ROWID",
            ):
                connection.execute(statement)
            lock = threading.Lock()

            def insert(key: bytes) -> None:
                with lock:
                    connection.execute("INSERT INTO bare VALUES (?, ?)", (key, NOW))

            return insert

        def awaited(store: Any) -> Any:
            """As an async verifier calls it."""
            add = getattr(store, "add_async", None)
            if add is not None:
                return as_a_server_does(add)
            return as_a_server_does(lambda *arguments: asyncio.to_thread(store.add, *arguments))

        yield [
            *(
                Versions(
                    f"SQLiteReplayStore, {each}",
                    "threads",
                    (1, 16),
                    in_threads,
                    (*map(adds_of, stores(each)), bare(each)),
                )
                for each in ("NORMAL", "FULL")
            ),
            Versions(
                "SQLiteReplayStore, in an event loop",
                "tasks",
                (1, 32),
                lambda call, callers, number: run_tasks(runner, call, callers, number),
                (*map(awaited, stores("NORMAL")), None),
            ),
        ]


_FINER = 16  # times


def against(subjects: list[Versions], number: int, rounds: int) -> Table:
    table = Table(box=SIMPLE_HEAD, title="Adds a second, beside another version's")
    for title in (
        "store",
        "callers",
        "this",
        "other",
        "bare",
        "this / other",
        "this / bare",
        "processor µs: this, other",
    ):
        table.add_column(title, justify="left" if title == "store" else "right")
    for subject in subjects:
        for callers in subject.numbers:
            # One caller alone is measured more finely: there a difference of a few percent counts.
            calls, turns = (number // _FINER, rounds * _FINER) if callers == 1 else (number, rounds)
            seconds: list[list[float]] = [[], [], []]
            processor: list[list[float]] = [[], [], []]  # of this process: it tells the same on a machine that is busy
            for place in range(turns):
                for turn in range(3):  # each goes first as often
                    which = (turn + place) % 3
                    call = subject.calls[which]
                    began = time.process_time()
                    seconds[which].append(subject.run(call, callers, calls) if call else float("nan"))
                    processor[which].append(time.process_time() - began)
            ours, theirs, bare = seconds
            table.add_row(
                subject.name,
                f"{callers} {subject.callers}",
                *(f"{calls / median(each):,.0f}" for each in seconds),
                f"{median(b / a for a, b in zip(ours, theirs, strict=True)):.2f}",
                f"{median(b / a for a, b in zip(ours, bare, strict=True)):.2f}",
                ", ".join(f"{median(each) / calls * 1e6:.1f}" for each in processor[:2]),
            )
    return table


def entries(directory: Path, redis_url: str, sizes: tuple[int, ...]) -> Table:
    """What live entries weigh, and what one more costs then. The engine says itself how much it holds."""
    import redis

    table = Table(box=SIMPLE_HEAD, title="Live entries (32-byte keys)")
    for title in ("store", "live", "bytes/entry", "µs per add"):
        table.add_column(title, justify="left" if title == "store" else "right")
    for size in track(sizes, "entries", console=Console(stderr=True)):
        tracemalloc.start()
        store = MemoryReplayStore(10_000_000)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(size):
            store.add(secrets.token_bytes(32), NOW + 90 + number % 300, NOW)
        weight = (tracemalloc.get_traced_memory()[0] - before) / size
        tracemalloc.stop()
        table.add_row("MemoryReplayStore", f"{size:,}", f"{weight:.0f}", _cost(store))

        path = directory / f"entries{size}.db"
        sqlite_store = SQLiteReplayStore(path)
        for number in range(size):
            sqlite_store.add(secrets.token_bytes(32), NOW + 90 + number % 300, NOW)
        cost = _cost(sqlite_store)
        sqlite_store.close()
        table.add_row("SQLiteReplayStore", f"{size:,}", f"{path.stat().st_size / size:.0f}", cost)

        client = redis.Redis.from_url(redis_url)
        client.flushdb()
        redis_store = RedisReplayStore(client)
        before = client.info("memory")["used_memory"]
        redis_store.add(b"0" * 32, NOW + 90, NOW)
        pipe = client.pipeline(transaction=False)
        for number in range(size):
            pipe.set(b"private-key-jwt:replay:" + secrets.token_bytes(32), 1, nx=True, px=150_000 + number)
            if number % 10_000 == 9_999:
                pipe.execute()
        pipe.execute()
        weight = (client.info("memory")["used_memory"] - before) / size
        table.add_row("RedisReplayStore", f"{size:,}", f"{weight:.0f}", _cost(redis_store))
        client.flushdb()
        client.close()
    return table


def sql_entries(size: int) -> Table:
    """What live entries weigh in a database, with their index, as the server says."""
    from sqlalchemy import create_engine, text

    from stores import mysql, postgres

    table = Table(box=SIMPLE_HEAD, title="Live entries in a database (32-byte keys)")
    for title in ("store", "live", "bytes/entry"):
        table.add_column(title, justify="left" if title == "store" else "right")
    weights = {
        "postgresql+psycopg": "SELECT pg_total_relation_size('weights')",
        "mysql+pymysql": "SELECT data_length + index_length FROM information_schema.tables"
        " WHERE table_name = 'weights'",
    }
    for driver, weigh in weights.items():
        if driver.startswith("mysql") and not mysql.MARIADB.is_here():
            continue
        engine = create_engine((postgres if "postgresql" in driver else mysql.MARIADB).url().set(drivername=driver))
        store = SQLAlchemyReplayStore(engine, table="weights", timeout=60)
        store.create_table()
        insert = text("INSERT INTO weights VALUES (:key, :expires_at)")
        with engine.begin() as connection:
            for begin in range(0, size, 1_000):
                times = [NOW + 90 + number % 300 for number in range(begin, begin + 1_000)]
                connection.execute(insert, [{"key": secrets.token_bytes(32), "expires_at": each} for each in times])
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE TABLE weights" if "mysql" in driver else "VACUUM ANALYZE weights")
            weight = float(connection.exec_driver_sql(weigh).scalar() or 0)
        table.add_row(f"SQLAlchemyReplayStore, {driver}", f"{size:,}", f"{weight / size:.0f}")
        store.close()
        store.metadata.drop_all(engine)
        engine.dispose()
    return table


def _cost(store: Any, number: int = 2_000) -> str:
    seconds = min(run(lambda key: store.add(key, NOW + 500, NOW), 1, number)[0] for _ in range(3))
    return f"{seconds / number * 1e6:.1f}"


def key_sets(directory: Path, redis_url: str, clients: int) -> Table:
    """What the documents of so many clients weigh in each shared cache, and what each call costs then."""
    import redis

    body = json.dumps(RelyingParty().tenant().document()).encode()
    table = Table(box=SIMPLE_HEAD, title=f"Key sets of {clients:,} clients, {len(body)} bytes each")
    for title in ("cache", "bytes/client", "µs per put", "µs per get", "µs per fetch taken", "µs per fetch refused"):
        table.add_column(title, justify="left" if title == "cache" else "right")
    uris = [f"https://rp.example/tenants/{number}/jwks.json" for number in range(clients)]
    path = directory / "key_sets.db"
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        before = client.info("memory")["used_memory"]

        def used() -> int:
            return int(client.info("memory")["used_memory"] - before)

        caches: list[tuple[Any, Callable[[], int]]] = [
            (SQLiteJWKSCache(path, max_documents=2 * clients), lambda: path.stat().st_size),
            (RedisJWKSCache.from_url(redis_url, timeout=10), used),
            (_django_cache(redis_url), used),
        ]
        for cache, weigh in caches:
            client.flushdb()
            costs = [
                _each(lambda uri: cache.put(uri, JWKSDocument(body, 0), 0), uris),  # noqa: B023
                _each(lambda uri: cache.get(uri, 0), uris[::20]),  # noqa: B023
            ]
            weight = weigh() / clients
            costs += [_each(lambda uri: cache.claim(uri, JWKSPolicy(), 0), uris[::20]) for _ in range(3)]  # noqa: B023
            table.add_row(
                type(cache).__name__, f"{weight:,.0f}", *(f"{costs[place] * 1e6:.0f}" for place in (0, 1, 2, 4))
            )
            if hasattr(cache, "close"):
                cache.close()
        client.flushdb()
    return table


def _django_cache(redis_url: str) -> Any:
    """Django's cache on Redis; over any other the times and weights are that one's."""
    from django.conf import settings

    settings.configure(
        CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url}}
    )
    return our_stores.DjangoJWKSCache()


def _each(call: Callable[[str], object], uris: list[str]) -> float:
    """Seconds of one call: the median, for one that waits for a disk that others keep busy says nothing."""
    seconds = []
    for uri in uris:
        began = time.perf_counter()
        call(uri)
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def verifications(redis_url: str, number: int) -> Table:
    """Whole verifications against one Redis: what one process does, and what share the store has in it."""
    import redis

    relying_party = RelyingParty()
    tenant = relying_party.tenant()
    table = Table(box=SIMPLE_HEAD, title="Whole verifications in one process, one thread")
    for title in ("replay store", "verifications/s"):
        table.add_column(title)
    with relying_party.serve() as server, redis.Redis.from_url(redis_url) as client:
        stores: list[tuple[str, Any]] = [
            ("MemoryReplayStore", MemoryReplayStore()),
            ("RedisReplayStore", RedisReplayStore(client)),
        ]
        assertions = [tenant.assertion() for _ in range(number)]
        for name, store in stores:
            verifier = ClientAssertionVerifier(
                policy=AssertionPolicy(audience=relying_party.audience),
                clients=[tenant.client(server.base_url)],
                replay_store=store,
                fetcher=JWKSFetcher(JWKSPolicy(allow_http_loopback=True)),
            )
            verifier.verify(tenant.assertion())
            began = time.perf_counter()
            for assertion in assertions:
                verifier.verify(assertion)
            table.add_row(name, f"{number / (time.perf_counter() - began):,.0f}")
        client.flushdb()
    return table


def capacity(url: str, number: int) -> Table:
    """How many marks one Redis takes in a second of its own processor time, and what goes over the wire for each."""
    import redis

    table = Table(box=SIMPLE_HEAD, title="One Redis: marks for each second of its own processor time")
    for title in ("commands", "marks/s", "bytes sent", "bytes received"):
        table.add_column(title, justify="left" if title == "commands" else "right")
    with redis.Redis.from_url(url) as client:
        packed = client.connection_pool.get_connection().pack_command("SET", _mark(), 1, "NX", "PX", 151_000)
        for title, batch in (("one by one", 1), ("pipelined by 100", 100)):
            rates = []
            for _ in range(5):
                pipes = [client.pipeline(transaction=False) for _ in range(number // batch)]
                for pipe in pipes:
                    for _ in range(batch):
                        pipe.set(_mark(), 1, nx=True, px=151_000)
                began = _cpu(client)
                for pipe in pipes:
                    pipe.execute()
                rates.append(number / (_cpu(client) - began))
            table.add_row(title, f"{median(rates):,.0f}", str(sum(map(len, packed))), "5")
        client.flushdb()
    return table


def _mark() -> bytes:
    return b"private-key-jwt:replay:" + secrets.token_bytes(32)


def _cpu(client: Any) -> float:
    cpu = client.info("cpu")
    return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="fewer rounds, fewer entries")
    parser.add_argument("--against", type=Path, metavar="SRC", help="another version's source, to measure beside")
    parser.add_argument("--key-sets", type=int, metavar="CLIENTS", help="measure the shared caches of JWK Sets only")
    parser.add_argument("--engine", action="append", choices=["redis", "postgresql", "sqlite"], help="only this one")
    arguments = parser.parse_args()
    short = arguments.short
    from stores import postgres, redis_server

    number, rounds = (800, 3) if short else (4_000, 7)
    sizes = (10_000,) if short else (10_000, 100_000, 1_000_000)
    console = Console(width=120)
    if arguments.against:
        other = other_stores(arguments.against)
        console.print(machine_line("private-key-jwt", "redis", "sqlalchemy", "psycopg", "asyncpg"))
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            kinds = {
                "redis": lambda: redis_versions(redis_server.shared_url(), other),
                "postgresql": lambda: postgresql_versions(postgres.url(), other),
                "sqlite": lambda: sqlite_versions(directory, other),
            }
            for kind in arguments.engine or kinds:
                versions = stack.enter_context(kinds[kind]())
                console.print(against(versions, 800 if short else 4_096, 5 if short else 9))
        return
    if arguments.key_sets:
        with tempfile.TemporaryDirectory() as place:
            console.print(machine_line("private-key-jwt", "redis"))
            console.print(key_sets(Path(place), redis_server.shared_url(), arguments.key_sets))
        return
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis_url = redis_server.shared_url()
        subjects = [
            stack.enter_context(memory()),
            stack.enter_context(sqlite(directory)),
            stack.enter_context(redis_store(redis_url)),
            stack.enter_context(postgresql(postgres.url())),
        ]
        tables = [
            adds(subjects, number, rounds),
            entries(directory, redis_url, sizes),
            sql_entries(min(100_000, max(sizes))),
            verifications(redis_url, number),
            capacity(redis_url, number * 5),
        ]
    console.print(machine_line("private-key-jwt", "redis", "sqlalchemy", "psycopg"))
    for table in tables:
        console.print(table)


if __name__ == "__main__":
    main()
