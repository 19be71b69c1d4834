"""What is MariaDB's and MySQL's own: isolation levels, deadlocks, limits, lost answers, and a server that is killed."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, event, text

from private_key_jwt.stores import SQLAlchemyReplayStore
from stores import postgres
from stores.mysql import MARIADB as MARIADB_SERVER
from stores.mysql import MYSQL as MYSQL_SERVER
from stores.mysql import Product
from stores.places import (
    MARIADB,
    MYSQL,
    MYSQL_DRIVERS,
    NOW,
    Place,
    Worker,
    accepted,
    check_a_restart_loses_no_mark,
    check_absence_refuses,
    new_key,
    place_fixture,
    refusal,
)

pytestmark = pytest.mark.slow  # servers of MariaDB and MySQL

PRODUCTS = [MARIADB_SERVER, MYSQL_SERVER]
NAMES = [product.name for product in PRODUCTS]


place = place_fixture(MARIADB + MYSQL)


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_one_of_64_wins_under_each_isolation_level(place: Place, level: str) -> None:
    settings = {"init_command": f"SET SESSION TRANSACTION ISOLATION LEVEL {level}"}
    worker = place.worker(timeout=30, connect_args=settings)
    for _ in range(3):
        key = new_key()
        assert worker.add(key, NOW + 1) is True
        assert sorted(worker.together(64, key)) == [False] * 64
        assert sorted(worker.together(64, new_key())) == [False] * 63 + [True]


def test_a_mark_that_has_expired_is_taken_by_one_of_many(place: Place) -> None:
    worker = place.worker(timeout=30)
    for number in range(3):
        key = new_key()
        assert worker.add(key, NOW - 1 + number * 100, NOW - 2 + number * 100) is True
        assert sorted(worker.together(32, key)) == ([False] * 31 + [True] if number == 0 else [False] * 32)


def test_the_tables_are_kept_in_innodb(place: Place) -> None:
    engines = (
        f"SELECT group_concat(DISTINCT engine) FROM information_schema.tables WHERE table_name LIKE '{place.table}%'"
    )
    assert place.execute(engines) == "InnoDB"


LIMITS: dict[Product, Any] = {
    MARIADB_SERVER: ({"max_statement_time": 0.25}, {"max_statement_time": 0}),
    MYSQL_SERVER: (
        {"max_execution_time": 250, "innodb_lock_wait_timeout": 1, "lock_wait_timeout": 1},
        {"max_execution_time": 0, "innodb_lock_wait_timeout": 50, "lock_wait_timeout": 31_536_000},
    ),
}


@pytest.mark.parametrize("product", PRODUCTS, ids=NAMES)
def test_the_server_limits_each_statement_of_the_store_and_of_nobody_else(product: Product) -> None:
    engine = create_engine(product.url().set(drivername="mysql+pymysql"))
    store = SQLAlchemyReplayStore(engine, timeout=0.25)
    for each, limits in zip((store._engine, engine), LIMITS[product], strict=True):
        with each.connect() as connection:
            assert {name: connection.execute(text(f"SELECT @@{name}")).scalar() for name in limits} == limits
    store.close()
    engine.dispose()


def test_a_locked_table_refuses_in_time(place: Place) -> None:
    worker = place.worker(timeout=0.8)
    assert worker.add(new_key())
    with place.admin.connect() as connection:
        connection.exec_driver_sql(f"LOCK TABLES {place.table} WRITE, {place.table}_forgotten WRITE")
        began = time.monotonic()
        refusal(lambda: worker.add(new_key()))
        assert 0.7 < time.monotonic() - began < 4
        connection.exec_driver_sql("UNLOCK TABLES")
    assert worker.add(new_key()) is True


def test_a_purge_that_comes_between_two_statements_of_an_add_lets_nobody_in(place: Place) -> None:
    """Before the INSERT, another host accepts the assertion, and one whose clock runs ahead forgets that."""
    worker, other, key = place.worker(), place.worker(driver="pymysql"), new_key()
    assert worker.add(new_key(), NOW + 600)

    def overtake(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(f"INSERT INTO {place.table} "):
            assert other.add(key) is True
            place.execute("DELETE FROM {t}")
            place.execute(f"INSERT INTO {{t}}_forgotten VALUES (1, {NOW + 60})")

    engine = worker.store._engine.sync_engine if worker.is_async else worker.store._engine
    event.listen(engine, "before_cursor_execute", overtake)
    assert "clock" in refusal(lambda: worker.add(key))


def test_an_add_that_another_overtakes_is_seen(place: Place) -> None:
    worker, other, key = place.worker(), place.worker(driver="pymysql"), new_key()

    def overtake(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(f"INSERT INTO {place.table} "):
            assert other.add(key) is True

    engine = worker.store._engine.sync_engine if worker.is_async else worker.store._engine
    event.listen(engine, "before_cursor_execute", overtake)
    assert worker.add(key) is False


def test_purges_of_many_hosts_fail_no_add(place: Place) -> None:
    first = place.worker()
    for _ in range(60):
        assert first.add(new_key(), NOW + 1)
    with ThreadPoolExecutor(8) as pool:
        workers = [place.worker(timeout=20) for _ in range(8)]

        def work(worker: Worker) -> bool:
            return all(worker.add(new_key(), NOW + 600, NOW + 2) for _ in range(25))

        assert all(pool.map(work, workers))
    assert place.count() == 8 * 25
    assert place.execute("SELECT until FROM {t}_forgotten") == NOW + 1


@pytest.mark.parametrize(("deadlocks", "accepted"), [(1, True), (3, True), (4, False)])
def test_deadlocks_are_repeated_for_a_while(place: Place, deadlocks: int, accepted: bool) -> None:
    """The server says 1213, as it does when it rolled one of two transactions back."""
    place.execute(
        f"CREATE TRIGGER {place.table}_deadlock BEFORE INSERT ON {place.table} FOR EACH ROW BEGIN"
        " SET @inserts = coalesce(@inserts, 0) + 1;"
        f" IF @inserts <= {deadlocks} THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213; END IF; END"
    )
    worker, key = place.worker(), new_key()
    if accepted:
        assert worker.add(key) is True
    else:
        refusal(lambda: worker.add(key))
    assert place.count() == accepted


def test_a_missing_table_and_another_error_are_told_apart(place: Place) -> None:
    assert "create_table()" in refusal(lambda: place.worker("missing").add(new_key()))
    assert "create_table()" not in refusal(lambda: place.worker(url=place.url.set(port=1)).add(new_key()))


def test_an_answer_that_is_lost_lets_nobody_in_twice(place: Place) -> None:
    lost = 0
    for answers in range(20):
        proxy = postgres.Proxy(place.url)
        worker, key = place.worker(url=place.url.set(host="127.0.0.1", port=proxy.port)), new_key()
        assert worker.add(new_key())
        proxy.cut_after(answers)
        spared = accepted(worker, key)
        worker.close()
        proxy.close()
        if spared:
            break
        lost += 1
        direct = place.worker()
        stored = place.execute(f"SELECT count(*) FROM {{t}} WHERE `key` = x'{key.hex()}'")
        assert direct.add(key) is (stored == 0)
        assert direct.add(key) is False
    assert lost >= 3
    assert stored == 1  # the last answer that was lost said that it was done


@pytest.mark.parametrize("product", PRODUCTS, ids=NAMES)
def test_a_server_that_is_killed_and_restarted_loses_no_mark(product: Product) -> None:
    check_a_restart_loses_no_mark(product.server(), MYSQL_DRIVERS)


def test_a_server_that_is_not_there_refuses() -> None:
    check_absence_refuses(URL.create("mysql", "x", database="x"), MYSQL_DRIVERS)


def test_a_login_with_a_hashed_password_works(place: Place) -> None:
    """MySQL's ``caching_sha2_password`` sends it encrypted by a key of the server; MariaDB has another way."""
    password = secrets.token_hex(8)
    user = f"op_{secrets.token_hex(4)}"
    place.execute(f"CREATE USER {user}@'%' IDENTIFIED BY '{password}'")
    place.execute(f"GRANT ALL ON *.* TO {user}@'%'")
    worker, key = place.worker(url=place.url.set(username=user, password=password)), new_key()
    assert [worker.add(key), worker.add(key)] == [True, False]
    place.execute(f"DROP USER {user}@'%'")
