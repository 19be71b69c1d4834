"""Weigh live marks and key sets in each store and cache, and measure what a call costs then."""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import redis
from sqlalchemy import Engine, create_engine, text

from private_key_jwt import JWKSDocument, JWKSPolicy
from private_key_jwt.stores import (
    DjangoJWKSCache,
    RedisJWKSCache,
    RedisReplayStore,
    SQLAlchemyReplayStore,
    SQLiteJWKSCache,
    SQLiteReplayStore,
)
from private_key_jwt.testing import RelyingParty
from stores import mysql, postgres
from stores.redis_server import shared_url

from .measuring import Step, in_own_process, threads
from .report import Row, Section
from .scaling import mark_bytes

_NOW = 1_700_000_000.0


def _marks(size: int) -> list[tuple[bytes, float]]:
    """Keys, and until when they live."""
    return [(secrets.token_bytes(32), _NOW + 90 + number % 300) for number in range(size)]


def _row(store: Any, size: int, weight: float, name: str = "") -> Row:
    """The line of a store, with what one more add takes."""
    keys = [secrets.token_bytes(32) for _ in range(500)]
    seconds, _ = threads(lambda key: store.add(key, _NOW + 500, _NOW), [keys])
    name = f"a mark, {size:,} live: {type(store).__name__}{name}"
    return Row(name, weight, unit="bytes", note=f"{seconds / len(keys) * 1e6:.1f} µs for one more")


def in_sqlite(size: int, directory: Path) -> Row:
    path = directory / f"{size}.db"
    store = SQLiteReplayStore(path)
    for key, expires_at in _marks(size):
        store.add(key, expires_at, _NOW)
    row = _row(store, size, path.stat().st_size / size)
    store.close()
    return row


def in_redis(size: int) -> Row:
    with redis.Redis.from_url(shared_url()) as client:
        client.flushdb()
        before = client.info("memory")["used_memory"]
        _send(client, size, 10_000)
        row = _row(RedisReplayStore(client), size, (client.info("memory")["used_memory"] - before) / size)
        client.flushdb()
    return row


def _send(client: Any, size: int, batch: int) -> None:
    """Add so many marks, in pipelines of ``batch``."""
    for begin in range(0, size, batch):
        pipe = client.pipeline(transaction=False)
        for number in range(begin, min(size, begin + batch)):
            pipe.set(b"private-key-jwt:replay:" + secrets.token_bytes(32), 1, nx=True, px=151_000 + number)
        pipe.execute()


def _processor_seconds(client: Any) -> float:
    used = client.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


def redis_capacity(size: int, batch: int) -> Row:
    """Marks for each second of Redis's own processor time."""
    rates = []
    with redis.Redis.from_url(shared_url()) as client:
        for _ in range(5):
            before = _processor_seconds(client)
            _send(client, size, batch)
            rates.append(size / (_processor_seconds(client) - before))
        client.flushdb()
    return Row(f"one Redis, marks for a second of its processor time, pipelined by {batch}", median(rates), unit="/s")


_WEIGH = {
    "postgresql+psycopg": ("VACUUM ANALYZE weights", "SELECT pg_total_relation_size('weights')"),
    "mysql+pymysql": (
        "ANALYZE TABLE weights",
        "SELECT data_length + index_length FROM information_schema.tables WHERE table_name = 'weights'",
    ),
}


def _engines() -> list[Engine]:
    urls = [postgres.url().set(drivername="postgresql+psycopg")]
    if mysql.MARIADB.is_here():
        urls.append(mysql.MARIADB.url().set(drivername="mysql+pymysql"))
    return [create_engine(url) for url in urls]


def in_sql(size: int) -> list[Row]:
    """In databases, with their index, as the server says."""
    rows = []
    for engine in _engines():
        store = SQLAlchemyReplayStore(engine, table="weights", timeout=60)
        store.create_table()
        prepare, weigh = _WEIGH[engine.url.drivername]
        marks = [{"key": key, "expires_at": expires_at} for key, expires_at in _marks(size)]
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO weights VALUES (:key, :expires_at)"), marks)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(prepare)
            weight = float(connection.exec_driver_sql(weigh).scalar() or 0)
        rows.append(_row(store, size, weight / size, f", {engine.name}"))
        store.close()
        store.metadata.drop_all(engine)
        engine.dispose()
    return rows


def _django_cache(redis_url: str) -> DjangoJWKSCache:
    """Django's cache on Redis; over any other the times and weights are that one's."""
    from django.conf import settings

    backend = "django.core.cache.backends.redis.RedisCache"
    settings.configure(CACHES={"default": {"BACKEND": backend, "LOCATION": redis_url}})
    return DjangoJWKSCache()


def _microseconds(call: Callable[..., object], uris: list[str], *rest: object) -> str:
    """Of one call: the median, for one that waits for a disk that others keep busy says nothing."""
    seconds = []
    for uri in uris:
        began = time.perf_counter()
        call(uri, *rest)
        seconds.append(time.perf_counter() - began)
    return f"{median(seconds) * 1e6:.0f}"


def key_sets(url: str, directory: Path, clients: int) -> list[list[str]]:
    """The documents of so many clients in each shared cache."""
    document = JWKSDocument(json.dumps(RelyingParty().tenant().document()).encode(), 0)
    uris = [f"https://rp.example/tenants/{number}/jwks.json" for number in range(clients)]
    path = directory / "key_sets.db"
    caches = (SQLiteJWKSCache(path, max_documents=2 * clients), RedisJWKSCache.from_url(url, timeout=10))
    rows = []
    with redis.Redis.from_url(url) as client:
        for cache in (*caches, _django_cache(url)):
            client.flushdb()
            before = client.info("memory")["used_memory"]
            times = [
                _microseconds(cache.put, uris, document, 0),
                _microseconds(cache.get, uris[::20], 0),
            ]
            used = path.stat().st_size if cache is caches[0] else client.info("memory")["used_memory"] - before
            taken = [_microseconds(cache.claim, uris[::20], JWKSPolicy(), 0) for _ in range(3)]
            rows.append([type(cache).__name__, f"{used / clients:,.0f}", *times, taken[0], taken[2]])
        client.flushdb()
    for each in caches:
        each.close()
    return rows


def run(step: Step, *, short: bool, clients: int = 100_000) -> Section:
    section = Section("weights", "Live marks and key sets in stores and caches")
    clients = 300 if short else clients
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for size in (2_000,) if short else (10_000, 100_000, 1_000_000):
            step(f"{size:,} marks")
            weight = Row(f"a mark, {size:,} live: MemoryReplayStore", mark_bytes(size), unit="bytes")
            section.rows += [weight, in_sqlite(size, directory), in_redis(size)]
        step("databases")
        section.rows += in_sql(2_000 if short else 100_000)
        section.rows += [redis_capacity(1_000 if short else 20_000, batch) for batch in (1, 100)]
        step(f"key sets of {clients:,} clients")
        # In a process of its own: Django has settings once.
        rows = in_own_process(key_sets, shared_url(), directory, clients)
    heads = ("cache", "bytes/client", "put, µs", "get, µs", "fetch taken, µs", "fetch refused, µs")
    section.tables.append((f"Key sets of {clients:,} clients", heads, rows))
    return section
