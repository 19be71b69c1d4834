"""Replay marks and documents in what a Django project has: its databases and its caches, on real engines."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path as url_path
from sqlalchemy import URL

import children
from private_key_jwt import ConfigurationError, Reason, TemporarilyUnavailable
from private_key_jwt.stores import DjangoReplayStore
from private_key_jwt.testing import ReplayStoreContract
from stores import postgres
from stores.django_places import PRODUCTS, SERVERS, alias_of, database, execute, migrated

NOW = 1_700_000_000.0
TABLE = "private_key_jwt_replay"


def new_key() -> bytes:
    return secrets.token_bytes(32)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(TemporarilyUnavailable) as caught:
        call()
    assert caught.value.reason is Reason.REPLAY_STORE_UNAVAILABLE
    return caught.value.detail


ON_SERVERS = list(SERVERS)
OF_MYSQL = ["mariadb", "mysql"]


@pytest.fixture(params=PRODUCTS)
def product(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def alias(product: str, tmp_path: Path) -> Iterator[str]:
    with migrated(product, tmp_path) as alias:
        yield alias


@pytest.fixture
def store(alias: str) -> Iterator[DjangoReplayStore]:
    store = DjangoReplayStore(alias, timeout=10)
    yield store
    store.close()


def count(alias: str) -> int:
    [(number,)] = execute(alias, f"SELECT count(*) FROM {TABLE}")
    return int(number)


class _OverDjango(ReplayStoreContract):
    """The contract, over one database of a project."""

    has_prefix = False
    many = 200
    product: str
    rounds = int(os.environ.get("ROUNDS", "5"))

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> Iterator[None]:
        with migrated(self.product, tmp_path) as self.alias:
            yield

    def open_store(self) -> Any:
        return DjangoReplayStore(self.alias, timeout=20)

    def break_store(self, store: Any) -> None:
        execute(self.alias, f"DROP TABLE {TABLE}")


class TestSQLite(_OverDjango):
    product = "sqlite"


class TestPostgreSQL(_OverDjango):
    product = "postgresql"


class TestMariaDB(_OverDjango):
    product = "mariadb"


class TestMySQL(_OverDjango):
    product = "mysql"


class _Awaited:
    """A store as async views call it."""

    def __init__(self, store: DjangoReplayStore) -> None:
        self.store = store

    async def add(self, key: bytes, expires_at: float, now: float) -> bool:
        return await self.store.add_async(key, expires_at, now)

    async def aclose(self) -> None:
        self.store.close()


class TestAsyncPostgreSQL(TestPostgreSQL):
    def open_store(self) -> Any:
        return _Awaited(super().open_store())


def test_migrations_say_all_that_the_models_say(alias: str) -> None:
    with override_settings(DATABASE_ROUTERS=[]):
        told = io.StringIO()
        call_command("makemigrations", "private_key_jwt", check=True, dry_run=True, stdout=told)
    assert "No changes detected" in told.getvalue()


def test_tables_that_are_not_migrated_are_named(product: str, tmp_path: Path) -> None:
    with migrated(product, tmp_path) as alias:
        call_command("migrate", "private_key_jwt", "zero", database=alias, verbosity=0)
        store = DjangoReplayStore(alias)
        assert "manage.py migrate private_key_jwt" in refusal(lambda: store.add(new_key(), NOW + 60, NOW))
        store.close()


def test_a_mark_is_not_rolled_back_with_the_transaction_of_a_request(alias: str, store: DjangoReplayStore) -> None:
    key = new_key()

    def use_and_fail() -> None:
        with transaction.atomic(using=alias):
            assert store.add(key, NOW + 60, NOW) is True
            raise LookupError

    with pytest.raises(LookupError):
        use_and_fail()
    assert store.add(key, NOW + 60, NOW) is False
    assert count(alias) == 1


@pytest.mark.parametrize("product", ON_SERVERS, indirect=True)
def test_a_mark_is_not_rolled_back_with_a_request_under_atomic_requests(product: str, tmp_path: Path) -> None:
    with migrated(product, tmp_path, ATOMIC_REQUESTS=True) as alias:
        store, key = DjangoReplayStore(alias), new_key()

        def token(_request: HttpRequest) -> HttpResponse:
            added = store.add(key, NOW + 60, NOW)
            execute(alias, "INSERT INTO private_key_jwt_replay_forgotten VALUES (1, 1)")
            if added:
                raise LookupError("after the assertion was used")
            return HttpResponse(f"{added}")

        urls = type("urls", (), {"urlpatterns": [url_path("token", token)]})
        with override_settings(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"], MIDDLEWARE=[]):
            client = Client(raise_request_exception=False)
            assert client.post("/token").status_code == 500
            assert execute(alias, "SELECT * FROM private_key_jwt_replay_forgotten") in ((), [])  # rolled back
            assert client.post("/token").content == b"False"
        store.close()


@pytest.mark.parametrize("mode", [None, "DEFERRED", "IMMEDIATE", "exclusive"])
def test_sqlite_whose_requests_lock_their_own_marks_out_is_refused(tmp_path: Path, mode: str | None) -> None:
    """In the default mode, too: a client that is looked up in the request's transaction locks the file for reading."""
    given = database("sqlite", tmp_path, "") | {"ATOMIC_REQUESTS": True, "OPTIONS": {"transaction_mode": mode}}
    with alias_of(given) as alias:
        with pytest.raises(
            ConfigurationError, match=r"SQLite with ATOMIC_REQUESTS: .* a database of their own \(using="
        ):
            DjangoReplayStore(alias)


def test_a_database_of_their_own_takes_the_marks_of_atomic_requests(tmp_path: Path) -> None:
    with migrated("sqlite", tmp_path) as marks:
        given = database("sqlite", tmp_path, "") | {"NAME": str(tmp_path / "atomic.db"), "ATOMIC_REQUESTS": True}
        with alias_of(given):
            store = DjangoReplayStore(marks)
            assert store.add(new_key(), NOW + 60, NOW)
            store.close()


def test_a_request_that_holds_the_lock_of_a_sqlite_file_is_refused_in_time(tmp_path: Path) -> None:
    with migrated("sqlite", tmp_path) as alias:
        store = DjangoReplayStore(alias, timeout=0.2)
        with transaction.atomic(using=alias):
            execute(alias, "INSERT INTO private_key_jwt_replay_forgotten VALUES (1, 1)")
            began = time.monotonic()
            detail = refusal(lambda: store.add(new_key(), NOW + 60, NOW))
            assert time.monotonic() - began < 2
        assert "Django's ATOMIC_REQUESTS or another long one: give the marks a database of their own (using=)" in detail
        assert store.add(new_key(), NOW + 60, NOW)
        store.close()


def test_sync_and_async_views_share_their_marks(store: DjangoReplayStore) -> None:
    key = new_key()

    async def adds() -> list[bool]:
        return await asyncio.gather(*(store.add_async(each, NOW + 60, NOW) for each in [key, key, new_key(), key]))

    assert sorted(asyncio.run(adds())) == [False, False, True, True]
    assert store.add(key, NOW + 60, NOW) is False


def test_the_connection_is_of_no_request(alias: str, store: DjangoReplayStore) -> None:
    assert store.add(new_key(), NOW + 60, NOW)
    own = store._connection._connection
    assert own is not connections[alias]
    assert own not in connections.all(initialized_only=True)
    assert own.get_autocommit()
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: store.add(new_key(), NOW + 60, NOW), range(40)))
    assert store._connection._connection is own


def test_a_child_of_a_child_keeps_the_connection_of_its_grandparent(store: DjangoReplayStore) -> None:
    """Unused: where it is let go of, its driver may end the session that the grandparent has over it."""
    assert store.add(new_key(), NOW + 60, NOW)
    opened = weakref.ref(store._connection._connection)

    def is_kept() -> bool:
        gc.collect()
        return opened() is not None

    assert children.holds(lambda: children.holds(is_kept))


def test_a_child_of_a_fork_has_a_connection_of_its_own(store: DjangoReplayStore) -> None:
    key = new_key()
    assert store.add(key, NOW + 60, NOW)

    def add() -> int:
        return int(store.add(key, NOW + 60, NOW)) + [store.add(new_key(), NOW + 60, NOW) for _ in range(9)].count(True)

    pids = [children.fork(add) for _ in range(3)]
    assert all(store.add(new_key(), NOW + 60, NOW) for _ in range(9))
    assert [children.wait(pid) for pid in pids] == [9] * 3


@pytest.mark.parametrize("product", ON_SERVERS, indirect=True)
def test_a_connection_that_was_lost_costs_one_add_or_none(store: DjangoReplayStore) -> None:
    key = new_key()
    assert store.add(key, NOW + 60, NOW)
    store._connection._connection.connection.close()
    refusal(lambda: store.add(new_key(), NOW + 60, NOW))
    assert store.add(key, NOW + 60, NOW) is False
    # After some seconds without use it is looked at first.
    store._connection._connection.connection.close()
    store._connection._used_at -= 11
    assert store.add(new_key(), NOW + 60, NOW) is True
    store._connection._used_at -= 11
    assert store.add(new_key(), NOW + 60, NOW) is True


@pytest.mark.parametrize(
    ("product", "lock", "unlock"),
    [
        ("postgresql", f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE", "SELECT 1"),
        *((each, f"LOCK TABLES {TABLE} WRITE", "UNLOCK TABLES") for each in OF_MYSQL),
    ],
)
def test_a_locked_table_refuses_in_time(product: str, lock: str, unlock: str, tmp_path: Path) -> None:
    with migrated(product, tmp_path) as alias:
        store = DjangoReplayStore(alias, timeout=0.3)
        assert store.add(new_key(), NOW + 60, NOW)
        with transaction.atomic(using=alias):
            execute(alias, lock)
            began = time.monotonic()
            refusal(lambda: store.add(new_key(), NOW + 60, NOW))
            assert time.monotonic() - began < 3
            execute(alias, unlock)
        assert store.add(new_key(), NOW + 60, NOW)
        store.close()


def test_expired_marks_leave_with_adds_and_with_the_command(alias: str, store: DjangoReplayStore) -> None:
    for _ in range(130):
        assert store.add(new_key(), NOW + 1, NOW)
    for _ in range(20):
        assert store.add(new_key(), time.time() + 600, NOW + 2)
    assert count(alias) == 50
    told = io.StringIO()
    call_command("purge_replay_marks", database=alias, stdout=told)
    assert told.getvalue() == "30 replay marks had expired, and are deleted.\n"
    assert count(alias) == 20
    assert "clock" in refusal(lambda: store.add(new_key(), NOW + 1, NOW))


def test_purges_beside_adds_fail_none(alias: str) -> None:
    stores = [DjangoReplayStore(alias, timeout=20) for _ in range(4)]
    done = threading.Event()

    def purge() -> None:
        while not done.is_set():
            stores[0].purge(NOW)

    purging = threading.Thread(target=purge)
    purging.start()
    try:
        with ThreadPoolExecutor(3) as pool:
            work = [[new_key() for _ in range(60)] for _ in range(3)]

            def add(number: int) -> bool:
                keys, store = work[number], stores[number + 1]
                first = [store.add(key, NOW + 60, NOW) for key in keys]
                return first == [True] * 60 and not any(store.add(key, NOW + 60, NOW + 59) for key in keys)

            assert all(pool.map(add, range(3)))
    finally:
        done.set()
        purging.join()
        for store in stores:
            store.close()


@pytest.mark.parametrize(("deadlocks", "accepted"), [(2, True), (4, False)])
@pytest.mark.parametrize("product", OF_MYSQL)
def test_deadlocks_are_repeated_for_a_while(product: str, tmp_path: Path, deadlocks: int, accepted: bool) -> None:
    with migrated(product, tmp_path) as alias:
        execute(
            alias,
            f"CREATE TRIGGER deadlock BEFORE INSERT ON {TABLE} FOR EACH ROW BEGIN"
            " SET @inserts = coalesce(@inserts, 0) + 1;"
            f" IF @inserts <= {deadlocks} THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213; END IF; END",
        )
        store = DjangoReplayStore(alias)
        if accepted:
            assert store.add(new_key(), NOW + 60, NOW) is True
        else:
            refusal(lambda: store.add(new_key(), NOW + 60, NOW))
        store.close()


def accepted(store: DjangoReplayStore, key: bytes) -> bool:
    try:
        return store.add(key, NOW + 60, NOW)
    except TemporarilyUnavailable as error:
        assert error.reason is Reason.REPLAY_STORE_UNAVAILABLE
        return False


@pytest.mark.parametrize("product", ON_SERVERS, indirect=True)
def test_an_answer_that_is_lost_lets_nobody_in_twice(product: str, tmp_path: Path) -> None:
    lost = 0
    with migrated(product, tmp_path) as alias:
        given = connections.settings[alias]
        direct = DjangoReplayStore(alias, timeout=10)
        for answers in range(20):
            proxy = postgres.Proxy(URL.create("mysql", host=given["HOST"], port=int(given["PORT"])))
            with alias_of({**given, "HOST": "127.0.0.1", "PORT": proxy.port}) as behind:
                store, key = DjangoReplayStore(behind, timeout=10), new_key()
                assert store.add(new_key(), NOW + 60, NOW)
                proxy.cut_after(answers)
                spared = accepted(store, key)
                store.close()
            proxy.close()
            if spared:
                break
            lost += 1
            with connections[alias].cursor() as cursor:
                cursor.execute(
                    f"SELECT count(*) FROM {TABLE} WHERE {connections[alias].ops.quote_name('key')} = %s", [key]
                )
                [stored] = cursor.fetchone()
            assert direct.add(key, NOW + 60, NOW) is (stored == 0)
            assert direct.add(key, NOW + 60, NOW) is False
        direct.close()
    assert lost >= 2
    assert stored == 1  # the last answer that was lost said that it was done


@pytest.mark.slow
@pytest.mark.parametrize("product", ON_SERVERS, indirect=True)
def test_a_server_that_is_killed_and_restarted_loses_no_mark(product: str, tmp_path: Path) -> None:
    server: Any = postgres.Server() if product == "postgresql" else SERVERS[product].server()
    try:
        login = {"HOST": server.url.host, "PORT": server.url.port, "USER": server.url.username, "PASSWORD": ""}
        with migrated(product, tmp_path, **login) as alias:
            store, keys = DjangoReplayStore(alias, timeout=10), [new_key() for _ in range(30)]
            assert all(store.add(key, NOW + 60, NOW) for key in keys)
            connections[alias].close()
            server.stop()
            refusal(lambda: store.add(new_key(), NOW + 60, NOW))
            server.start()
            assert not any(accepted(store, key) for key in keys)
            assert store.add(new_key(), NOW + 60, NOW)
            store.close()
    finally:
        server.remove()


@pytest.mark.parametrize(
    ("using", "match"),
    [
        ("nowhere", "using must be an alias of DATABASES"),
        (None, "using"),
        (["default"], "using"),
        ("default", "dummy|unknown"),
    ],
)
def test_a_database_that_will_not_do_is_refused_at_start(using: Any, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        DjangoReplayStore(using)


def test_a_backend_that_is_not_there_is_refused_at_start() -> None:
    connections.settings["broken"] = connections.configure_settings({"default": {}, "broken": {"ENGINE": "x"}})[
        "broken"
    ]
    try:
        with pytest.raises(ConfigurationError, match="DjangoReplayStore needs Django's settings"):
            DjangoReplayStore("broken")
    finally:
        del connections.settings["broken"]


@pytest.mark.parametrize("timeout", [0, 61, "1"])
def test_the_timeout_is_checked(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        DjangoReplayStore("default", timeout=timeout)


def test_nothing_is_logged_above_debug(store: DjangoReplayStore, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert store.add(new_key(), NOW + 60, NOW)
    assert caplog.records == []
