"""Every store and cache of ours keeps the contract, on real engines, sync and async."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from private_key_jwt.stores import (
    AsyncRedisJWKSCache,
    AsyncRedisReplayStore,
    AsyncSQLAlchemyReplayStore,
    RedisJWKSCache,
    RedisReplayStore,
    SQLAlchemyReplayStore,
    SQLiteJWKSCache,
    SQLiteReplayStore,
)
from private_key_jwt.testing import JWKSCacheContract, ReplayStoreContract

from . import mysql, postgres
from .redis_server import Proxy, RedisServer, oldest

pytestmark = pytest.mark.slow  # the whole contract on each engine

# Seconds. What is looked at here is who wins, on a machine that may be busy; each engine's timeout has its own test.
PATIENT = 20
# Rounds of 8 processes with 16 callers each; ROUNDS=300 is what the design asks for, and takes minutes.
ReplayStoreContract.rounds = int(os.environ.get("ROUNDS", "10"))


@pytest.fixture(scope="module", params=["redis", "valkey", "oldest"])
def server(request: pytest.FixtureRequest) -> Any:
    """A Redis or Valkey of our own, for it is cut off; and the oldest Redis that will do."""
    server = RedisServer(executable=oldest()) if request.param == "oldest" else RedisServer(request.param)
    yield server
    server.stop()


class TestSQLite(ReplayStoreContract):
    can_fill = True

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "replay.db"

    def open_store(self) -> Any:
        return SQLiteReplayStore(self.path, timeout=PATIENT)

    def open_other(self) -> Any:
        return SQLiteReplayStore(self.path, timeout=PATIENT, table="other")

    def open_small(self) -> Any:
        store = SQLiteReplayStore(self.path, timeout=PATIENT)
        store._file.run(lambda session: session.change("PRAGMA max_page_count = 12"), 1)
        return store

    def break_store(self, store: Any) -> None:
        self.path.rename(self.path.with_suffix(".gone"))


class BehindProxy:
    """A prefix of its own in a Redis that can be cut off."""

    @pytest.fixture(autouse=True)
    def prefixes(self, server: RedisServer) -> Any:
        self.prefix = f"test:{secrets.token_hex(8)}:"
        self.server = server
        self.proxy = Proxy(server.port)
        yield
        self.proxy.close()


class TestRedis(BehindProxy, ReplayStoreContract):
    """``margin=0``, because the engine expires by its own clock, and the contract looks at what is gone."""

    kind: Any = RedisReplayStore

    def open_store(self) -> Any:
        return self.kind.from_url(self.proxy.url, timeout=PATIENT, prefix=self.prefix, margin=0)

    def open_other(self) -> Any:
        return self.kind.from_url(self.server.url, timeout=PATIENT, prefix=f"{self.prefix}other:", margin=0)

    def break_store(self, store: Any) -> None:
        self.proxy.close()

    def let_pass(self, store: Any, key: bytes) -> None:
        with redis.Redis.from_url(self.server.url) as client:
            while client.exists(self.prefix.encode() + key):
                client.blpop([f"{self.prefix}nothing"], 0.02)  # Redis waits, and its clock goes on


class TestAsyncRedis(TestRedis):
    kind = AsyncRedisReplayStore


class TestPostgreSQL(ReplayStoreContract):
    many = 300  # each add opens a connection here

    @pytest.fixture(autouse=True)
    def table(self) -> Any:
        self.name = f"replay_{secrets.token_hex(6)}"
        self.tables: list[Any] = []
        yield
        engine = self._engine()
        for store in self.tables:
            store.metadata.drop_all(engine)
        engine.dispose()

    def _engine(self) -> Any:
        # No pool: each caller has a connection of its own, and none is carried into a child.
        return create_engine(postgres.url().set(drivername="postgresql+psycopg"), poolclass=NullPool)

    def _open(self, name: str) -> Any:
        store = SQLAlchemyReplayStore(self._engine(), table=name, timeout=PATIENT)
        store.create_table()
        self.tables.append(store)
        return store

    def open_store(self) -> Any:
        return self._open(self.name)

    def open_other(self) -> Any:
        return self._open(f"{self.name}_other")

    def break_store(self, store: Any) -> None:
        engine = self._engine()
        with engine.begin() as connection:
            connection.execute(text(f"DROP TABLE {self.name}"))
        engine.dispose()


class TestAsyncPostgreSQL(TestPostgreSQL):
    def _open(self, name: str) -> Any:
        engine = create_async_engine(postgres.url().set(drivername="postgresql+asyncpg"), poolclass=NullPool)
        store = AsyncSQLAlchemyReplayStore(engine, table=name, timeout=PATIENT)
        self.finish(store.create_table())
        self.tables.append(store)
        return store


class TestMariaDB(TestPostgreSQL):
    """The one above, with another engine."""

    many = 200
    product = mysql.MARIADB

    def _engine(self) -> Any:
        return create_engine(self.product.url().set(drivername="mysql+pymysql"), pool_size=64)


class TestAsyncMariaDB(TestMariaDB):
    def _open(self, name: str) -> Any:
        engine = create_async_engine(self.product.url().set(drivername="mysql+asyncmy"), poolclass=NullPool)
        store = AsyncSQLAlchemyReplayStore(engine, table=name, timeout=PATIENT)
        self.finish(store.create_table())
        self.tables.append(store)
        return store


class TestMySQL(TestMariaDB):
    product = mysql.MYSQL


class TestAsyncMySQL(TestAsyncMariaDB):
    product = mysql.MYSQL


class TestSQLiteJWKSCache(JWKSCacheContract):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "jwks.db"

    def open_cache(self) -> Any:
        return SQLiteJWKSCache(self.path, timeout=PATIENT)

    def break_cache(self, cache: Any) -> None:
        self.path.rename(self.path.with_suffix(".gone"))


class TestRedisJWKSCache(BehindProxy, JWKSCacheContract):
    kind: Any = RedisJWKSCache

    def open_cache(self) -> Any:
        return self.kind.from_url(self.proxy.url, timeout=PATIENT, prefix=self.prefix)

    def break_cache(self, cache: Any) -> None:
        self.proxy.close()


class TestAsyncRedisJWKSCache(TestRedisJWKSCache):
    kind = AsyncRedisJWKSCache
