"""Tables in databases that SQLAlchemy speaks to, and workers that have stores in them."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from private_key_jwt import Reason, TemporarilyUnavailable
from private_key_jwt.stores import AsyncSQLAlchemyReplayStore, SQLAlchemyReplayStore
from stores import mysql, postgres

NOW = 1_700_000_000.0
POSTGRESQL = ["psycopg", "asyncpg", "psycopg_async"]
MYSQL_DRIVERS = ["pymysql", "asyncmy"]
MARIADB = [f"{driver} on MariaDB" for driver in MYSQL_DRIVERS]
MYSQL = [f"{driver} on MySQL" for driver in MYSQL_DRIVERS]
SQLITE = ["pysqlite", "aiosqlite"]
ASYNC = {"asyncpg", "psycopg_async", "aiosqlite", "asyncmy"}


def named(driver: str, application: str) -> dict[str, Any]:
    """Connect arguments, so that the server can be asked for the connections of one test."""
    if driver in SQLITE + MYSQL_DRIVERS:
        return {}
    settings = {"application_name": application}
    return {"server_settings": settings} if driver == "asyncpg" else settings


class Worker:
    """A store with an engine of its own, as one more worker has it, called without ``await``."""

    def __init__(self, url: URL, driver: str, table: str, timeout: float = 5, **engine: Any) -> None:
        self.is_async = driver in ASYNC
        url = url.set(drivername=f"{url.get_backend_name()}+{driver}")
        engine.setdefault("connect_args", named(driver, table))
        self.is_closed = False
        self.runner = asyncio.Runner()
        make = create_async_engine if self.is_async else create_engine
        self.engine: Any = make(url, **engine)
        kind: Any = AsyncSQLAlchemyReplayStore if self.is_async else SQLAlchemyReplayStore
        self.store = kind(self.engine, table=table, timeout=timeout)

    def finish(self, result: Any) -> Any:
        async def awaited() -> Any:
            return await result

        return self.runner.run(awaited()) if self.is_async else result

    def add(self, key: bytes, expires_at: float = NOW + 60, now: float = NOW) -> Any:
        return self.finish(self.store.add(key, expires_at, now))

    def together(self, number: int, key: bytes) -> list[Any]:
        if not self.is_async:
            start = threading.Barrier(number)

            def add(_: int) -> Any:
                start.wait(30)
                return self.store.add(key, NOW + 60, NOW)

            with ThreadPoolExecutor(number) as pool:
                return list(pool.map(add, range(number)))

        async def gathered() -> list[Any]:
            return await asyncio.gather(*(self.store.add(key, NOW + 60, NOW) for _ in range(number)))

        return self.runner.run(gathered())

    async def settle(self) -> None:
        """Wait for the adds and purges that ran out of time, and that their driver still cleans up after."""
        while self.store._tasks:
            await asyncio.wait(set(self.store._tasks))

    def close(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        if self.is_async:
            self.runner.run(self.settle())
        self.finish(self.store.aclose() if self.is_async else self.store.close())
        self.finish(self.engine.dispose())
        self.runner.close()


class Place:
    """A table in a database."""

    def __init__(self, url: URL, driver: str) -> None:
        self.url, self.driver = url, driver
        self.table = f"replay_{secrets.token_hex(6)}"
        sync = {"postgresql": "psycopg", "mysql": "pymysql", "sqlite": "pysqlite"}[url.get_backend_name()]
        self.admin = create_engine(url.set(drivername=f"{url.get_backend_name()}+{sync}"))
        self._workers: list[Worker] = []
        self.worker().finish(self._workers[0].store.create_table())

    def worker(self, table: str | None = None, url: URL | None = None, **settings: Any) -> Worker:
        worker = Worker(url or self.url, settings.pop("driver", self.driver), table or self.table, **settings)
        self._workers.append(worker)
        return worker

    def execute(self, statement: str) -> Any:
        with self.admin.begin() as connection:
            result = connection.execute(text(statement.format(t=self.table)))
            return result.scalar() if result.returns_rows else None

    def count(self) -> Any:
        return self.execute("SELECT count(*) FROM {t}")

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        for name in (self.table, f"{self.table}_forgotten"):
            self.execute(f"DROP TABLE IF EXISTS {name}")
        self.admin.dispose()


def make_place(name: str, tmp_path: Path) -> Place:
    """Make a table; ``name``: of the driver, and for those of MySQL, on which product."""
    driver, _, product = name.partition(" on ")
    file = URL.create("sqlite", database=str(tmp_path / "replay.db"))
    if driver in SQLITE:
        return Place(file, driver)
    servers: dict[str, Any] = {"": postgres, "MariaDB": mysql.MARIADB, "MySQL": mysql.MYSQL}
    return Place(servers[product].url(), driver)


def place_fixture(names: list[str]) -> Any:
    """Make a fixture: a place for each of these names, closed after its test."""

    @pytest.fixture(params=names)
    def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
        place = make_place(request.param, tmp_path)
        yield place
        place.close()

    return place


def new_key() -> bytes:
    return secrets.token_bytes(32)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(TemporarilyUnavailable) as caught:
        call()
    assert caught.value.reason is Reason.REPLAY_STORE_UNAVAILABLE
    return caught.value.detail


def accepted(worker: Worker, key: bytes) -> bool:
    try:
        return bool(worker.add(key))
    except TemporarilyUnavailable as error:
        assert error.reason is Reason.REPLAY_STORE_UNAVAILABLE
        return False


def check_a_restart_loses_no_mark(server: Any, drivers: list[str]) -> None:
    """Kill the server and start it again, under load, and remove it in the end."""
    try:
        for driver in drivers:
            place = Place(server.url, driver)
            _restart_under_load(server, place)
            place.admin.dispose()
            place.close()
    finally:
        server.remove()


def _restart_under_load(server: Any, place: Place) -> None:
    stop = threading.Event()
    answers: list[list[bool]] = []

    def load(worker: Worker) -> None:
        while not stop.is_set():
            key = new_key()
            answers.append([accepted(worker, key) for _ in range(2)])

    threads = [threading.Thread(target=load, args=(place.worker(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    before = [new_key() for _ in range(20)]
    probe = place.worker()
    assert all(probe.add(key) for key in before)
    server.stop()
    refusal(lambda: probe.add(new_key()))
    server.start()
    assert not any(accepted(probe, key) for key in before)
    assert accepted(probe, new_key())
    stop.set()
    for thread in threads:
        thread.join(30)
    assert [True, True] not in answers
    assert [True, False] in answers


def check_absence_refuses(url: URL, drivers: list[str]) -> None:
    """Ask a server that is not there."""
    for driver in drivers:
        worker = Worker(url.set(host="127.0.0.1", port=1), driver, "replay")
        refusal(lambda: worker.add(new_key()))  # noqa: B023
        worker.close()
