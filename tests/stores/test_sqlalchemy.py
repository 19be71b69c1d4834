"""Replay marks through SQLAlchemy: a real PostgreSQL, a real MariaDB, and SQLite files, sync and async."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, text
from sqlalchemy.dialects import oracle, postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.schema import CreateTable

import children
from private_key_jwt import ConfigurationError
from private_key_jwt.stores import AsyncSQLAlchemyReplayStore, SQLAlchemyReplayStore
from private_key_jwt.stores._replay_stores.sql import Add
from stores import postgres
from stores.places import (
    MARIADB,
    MYSQL,
    NOW,
    POSTGRESQL,
    SQLITE,
    Place,
    Worker,
    accepted,
    check_a_restart_loses_no_mark,
    check_absence_refuses,
    make_place,
    new_key,
    place_fixture,
    refusal,
)

place = place_fixture(POSTGRESQL + MARIADB + MYSQL + SQLITE)
pg = place_fixture(POSTGRESQL)


def test_a_key_is_new_once_until_it_expires(place: Place) -> None:
    worker, key = place.worker(), new_key()
    assert worker.add(key, NOW + 60.5) is True
    assert worker.add(key, NOW + 60.5) is False
    assert worker.add(key, NOW + 600, NOW + 60.4) is False
    assert place.worker().add(key, NOW + 600, NOW + 60.4) is False
    assert worker.add(new_key()) is True
    assert worker.add(key, NOW + 600, NOW + 60.5) is True
    assert worker.add(key, NOW + 600, NOW + 61) is False
    assert getattr(worker.store, "in_process", False) is not True


def test_one_of_64_wins(place: Place) -> None:
    worker = place.worker(timeout=30)
    for _ in range(3):
        assert sorted(worker.together(64, new_key())) == [False] * 63 + [True]


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "REPEATABLE READ", "SERIALIZABLE"])
def test_the_isolation_of_the_engine_changes_nothing(pg: Place, level: str) -> None:
    worker = pg.worker(timeout=30, isolation_level=level)
    assert sorted(worker.together(32, new_key())) == [False] * 31 + [True]


def test_one_of_8_processes_wins(place: Place) -> None:
    key, inherited = new_key(), place.worker(timeout=30)
    assert inherited.add(new_key())

    def add() -> int:
        worker = place.worker(timeout=30)
        added = int(worker.add(key))
        worker.close()
        return added

    assert sorted(children.together(8, add)) == [0] * 7 + [1]
    assert inherited.add(key) is False


def test_a_store_carried_across_a_fork_has_connections_of_its_own(tmp_path: Path) -> None:
    place = make_place("psycopg", tmp_path)
    worker = place.worker()
    key = new_key()
    assert worker.add(key)

    def add() -> int:
        return int(worker.add(key)) + [worker.add(new_key()) for _ in range(20)].count(True)

    pids = [children.fork(add) for _ in range(3)]
    assert all(worker.add(new_key()) for _ in range(20))
    assert [children.wait(pid) for pid in pids] == [20] * 3
    place.close()


def test_another_table_knows_nothing(place: Place) -> None:
    other = Place(place.url, place.driver)
    key = new_key()
    workers = [place.worker(), other.worker()] * 2
    assert [worker.add(key) for worker in workers] == [True, True, False, False]
    other.close()


def test_expired_marks_leave_in_batches(place: Place) -> None:
    first = place.worker()
    for _ in range(150):
        assert first.add(new_key(), NOW + 1)
    worker = place.worker()
    assert worker.add(new_key(), NOW + 600, NOW + 2)
    assert place.count() == 150 - 100 + 1
    for _ in range(20):
        assert worker.add(new_key(), NOW + 600, NOW + 2)
    assert place.count() == 21


def test_many_hosts_may_purge_at_once(pg: Place) -> None:
    pg.execute("INSERT INTO {t} SELECT sha256(n::text::bytea), n FROM generate_series(1, 2000) AS n")
    with ThreadPoolExecutor(8) as pool:
        workers = [pg.worker() for _ in range(8)]
        assert all(pool.map(lambda worker: worker.add(new_key()), workers))
    assert 2_000 - 8 * 100 <= pg.count() - 8 <= 1_900


def test_a_purge_that_is_locked_out_fails_no_add(pg: Place) -> None:
    first = pg.worker()
    first.add(new_key(), NOW + 1)
    first.close()
    pg.execute("INSERT INTO {t}_forgotten VALUES (1, 0)")
    with pg.admin.begin() as connection:
        connection.execute(text(f"SELECT * FROM {pg.table}_forgotten FOR UPDATE"))
        started = time.monotonic()
        assert pg.worker(timeout=0.4).add(new_key(), NOW + 600, NOW + 2)
        assert time.monotonic() - started < 2
    assert pg.count() == 2
    assert pg.worker().add(new_key(), NOW + 600, NOW + 2)
    assert pg.count() == 2


def test_a_clock_set_back_revives_nothing(place: Place) -> None:
    key = new_key()
    assert place.worker().add(key)
    worker = place.worker()
    assert worker.add(new_key(), NOW + 5_000, NOW + 3_600)
    assert place.count() == 1
    for _ in range(2):
        assert "clock" in refusal(lambda: worker.add(key))
    assert place.count() == 1
    assert worker.add(key, NOW + 61)
    assert worker.add(key, NOW + 61) is False


def test_a_clock_that_leapt_ahead_for_a_moment_stops_nobody_for_long(place: Place) -> None:
    first, second = place.worker(), place.worker()
    assert first.add(new_key(), 331, 0)
    assert second.add(new_key(), NOW + 331, NOW)
    assert first.add(new_key(), 332, 1)


def test_two_clocks_10_s_apart_make_one_winner(place: Place) -> None:
    behind, ahead = (place.worker(), NOW), (place.worker(), NOW + 10)
    for one, other in ((behind, ahead), (ahead, behind)):
        key = new_key()
        assert one[0].add(key, NOW + 100, one[1]) is True
        assert other[0].add(key, NOW + 100, other[1]) is False


def test_a_purge_that_ends_while_an_add_runs_lets_nobody_in(pg: Place) -> None:
    worker, key = pg.worker(), new_key()
    assert worker.add(key)
    with ThreadPoolExecutor(1) as pool:
        # A host whose clock runs an hour ahead purges the mark; the add began before and must wait for it.
        with pg.admin.begin() as connection:
            connection.execute(text(f"INSERT INTO {pg.table}_forgotten VALUES (1, {NOW + 60})"))
            connection.execute(text(f"DELETE FROM {pg.table}"))
            adding = pool.submit(worker.add, key)
            await_waiting(connection, pg.table)
        assert "clock" in refusal(adding.result)


def await_waiting(connection: Connection, application: str) -> None:
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name AND wait_event_type = 'Lock'")
    deadline = time.monotonic() + 10
    while not connection.execute(waiting, {"name": application}).scalar():
        connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        assert time.monotonic() < deadline, "the add never waited"


def test_a_locked_table_refuses_in_time(pg: Place) -> None:
    worker = pg.worker(timeout=0.8)  # enough for the last add to connect anew on a busy machine
    assert pg.worker().add(new_key())
    with pg.admin.begin() as connection:
        connection.execute(text(f"LOCK TABLE {pg.table} IN ACCESS EXCLUSIVE MODE"))
        started = time.monotonic()
        refusal(lambda: worker.add(new_key()))
        assert 0.7 < time.monotonic() - started < 4
    assert worker.add(new_key()) is True


def test_a_locked_file_refuses_in_time(tmp_path: Path) -> None:
    for driver in SQLITE:
        place = make_place(driver, tmp_path)
        worker, key = place.worker(connect_args={"timeout": 0.2}), new_key()
        with place.admin.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            started = time.monotonic()
            refusal(lambda: worker.add(key))  # noqa: B023
            assert time.monotonic() - started < 2
        assert worker.add(key) is True
        place.close()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg_async"])
def test_no_free_connection_refuses_in_time(driver: str, tmp_path: Path) -> None:
    place = make_place(driver, tmp_path)
    worker = place.worker(timeout=0.2, pool_size=1, max_overflow=0)

    async def add() -> None:
        async with worker.store._engine.connect():
            await worker.store.add(new_key(), NOW + 60, NOW)

    started = time.monotonic()
    refusal(lambda: worker.runner.run(add()))
    assert time.monotonic() - started < 2
    assert worker.add(new_key())
    place.close()


def test_the_next_user_of_a_connection_has_no_limit(tmp_path: Path) -> None:
    place = make_place("psycopg", tmp_path)
    worker = place.worker(timeout=0.2, pool_size=1, max_overflow=0)
    assert worker.add(new_key())
    with worker.engine.connect() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "0"
        assert connection.get_isolation_level() == "READ COMMITTED"
    place.close()


def add_together(worker: Worker, *adds: Add) -> list[bool | str]:
    """One batch: True, False, or what nobody can tell, in words."""
    answers = worker.finish(worker.store._add_all(list(adds)))
    return [answer if isinstance(answer, bool) else answer.detail for answer in answers]


def test_each_add_of_a_batch_gets_the_answer_that_it_would_get_alone(pg: Place) -> None:
    worker, keys = pg.worker(), [new_key() for _ in range(7)]
    assert worker.add(keys[0], NOW + 10, NOW)
    assert worker.add(keys[5], NOW + 10, NOW)
    assert worker.add(keys[1], NOW + 60, NOW)
    answers = add_together(
        worker,
        Add(keys[2], NOW + 60, NOW),  # new
        Add(keys[0], NOW + 100, NOW + 20),  # expired by its own clock, and live by that of the first
        Add(keys[1], NOW + 100, NOW + 20),  # live by both
        Add(keys[5], NOW + 100, NOW + 5),  # live by its own clock, and expired by that of others
        Add(keys[3], NOW + 60, NOW),  # twice in one batch
        Add(keys[3], NOW + 60, NOW),
        Add(keys[4], NOW + 5, NOW),  # twice, and the second when the first has expired
        Add(keys[4], NOW + 100, NOW + 6),
    )
    assert answers == [True, True, False, False, True, False, True, True]
    assert [worker.add(key, NOW + 200, NOW + 50) for key in keys] == [False] * 5 + [True, True]


def test_a_clock_set_back_refuses_its_own_add_and_no_other_of_the_batch(pg: Place) -> None:
    worker, key = pg.worker(), new_key()
    pg.execute(f"INSERT INTO {{t}}_forgotten VALUES (1, {NOW + 60})")
    answers = add_together(
        worker, Add(new_key(), NOW + 61, NOW), Add(key, NOW + 60, NOW), Add(new_key(), NOW + 90, NOW)
    )
    assert [answer is True for answer in answers] == [True, False, True]
    assert "clock" in str(answers[1])
    assert pg.count() == 2


def test_batches_of_every_size_mark_each_key_once(pg: Place) -> None:
    worker = pg.worker(timeout=20)
    for size in (1, 2, 3, 5, 17, 100, 256):
        adds = [Add(new_key(), NOW + 60, NOW) for _ in range(size)]
        assert add_together(worker, *adds) == [True] * size
        assert add_together(worker, *reversed(adds)) == [False] * size


def test_a_missing_table_says_what_to_call(place: Place) -> None:
    worker = place.worker("missing")
    assert "create_table()" in refusal(lambda: worker.add(new_key()))


def test_create_table_may_be_called_again_and_by_many_at_once(pg: Place) -> None:
    for name in ("{t}", "{t}_forgotten"):
        pg.execute(f"DROP TABLE {name}")
    workers = [pg.worker() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda worker: worker.finish(worker.store.create_table()), workers))
    assert workers[0].add(new_key())


@pytest.mark.parametrize("driver", POSTGRESQL)
def test_create_table_tries_again_when_another_host_was_first(driver: str, tmp_path: Path) -> None:
    place = make_place(driver, tmp_path)
    for name in ("{t}", "{t}_forgotten"):
        place.execute(f"DROP TABLE {name}")
    worker, other = place.worker(), place.worker(driver="psycopg")

    def make_first(*_: Any, **__: Any) -> None:
        if not event_done:
            event_done.append(True)
            other.store.create_table()

    event_done: list[bool] = []
    marks = worker.store.metadata.tables[place.table]
    event.listen(marks, "before_create", make_first)
    worker.finish(worker.store.create_table())
    assert worker.add(new_key())
    place.close()


def test_create_table_says_why_it_cannot(pg: Place) -> None:
    taken = f"{pg.table}_taken"
    pg.execute(f"CREATE TYPE {taken} AS ENUM ()")  # a table brings a type of its own name
    worker = pg.worker(taken)
    with pytest.raises(DBAPIError):
        worker.finish(worker.store.create_table())
    pg.execute(f"DROP TABLE IF EXISTS {taken}_forgotten")
    pg.execute(f"DROP TYPE {taken}")


def test_a_terminated_connection_refuses_and_the_next_add_works(pg: Place) -> None:
    worker, key = pg.worker(), new_key()
    assert worker.add(key)
    pg.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{t}'")
    refusal(lambda: worker.add(new_key()))
    assert worker.add(key) is False
    assert worker.add(new_key()) is True


def test_an_answer_that_is_lost_lets_nobody_in_twice(pg: Place) -> None:
    lost = 0
    for answers in range(20):
        proxy = postgres.Proxy(pg.url)
        worker, key = pg.worker(url=pg.url.set(host="127.0.0.1", port=proxy.port)), new_key()
        for _ in range(8):  # so that statements are prepared
            assert worker.add(new_key())
        proxy.cut_after(answers)
        if accepted(worker, key):
            worker.close()
            proxy.close()
            break
        lost += 1
        direct = pg.worker()
        stored = pg.execute(f"SELECT count(*) FROM {{t}} WHERE key = '\\x{key.hex()}'")
        assert direct.add(key) is (stored == 0)
        assert direct.add(key) is False
        assert worker.add(key) is False
        worker.close()
        proxy.close()
    assert lost >= 2
    assert stored == 1  # the last answer that was lost said that it was done


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg_async"])
def test_a_server_that_falls_silent_is_given_up_in_time(tmp_path: Path, driver: str) -> None:
    """Also when the driver takes longer to clean up: that goes on in the background."""
    pg = make_place(driver, tmp_path)
    proxy = postgres.Proxy(pg.url)
    worker = pg.worker(url=pg.url.set(host="127.0.0.1", port=proxy.port), timeout=0.4)
    assert worker.add(new_key())
    proxy.free.clear()
    began = time.monotonic()
    assert "TimeoutError" in refusal(lambda: worker.add(new_key()))
    assert time.monotonic() - began < 2
    proxy.free.set()

    async def cleaned_up() -> None:
        await worker.settle()

    worker.finish(cleaned_up())
    worker.close()
    proxy.close()
    pg.close()


def test_an_add_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    pg = make_place("asyncpg", tmp_path)
    worker = pg.worker()

    async def run() -> None:
        for steps in range(12):
            adding = asyncio.create_task(worker.store.add(new_key(), NOW + 60, NOW))
            for _ in range(steps):
                await asyncio.sleep(0)
            adding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await adding
        await worker.settle()

    worker.finish(run())
    assert worker.add(new_key()) is True
    pg.close()


@pytest.mark.slow
def test_a_server_that_is_killed_and_restarted_loses_no_mark() -> None:
    check_a_restart_loses_no_mark(postgres.Server(), POSTGRESQL)


def test_a_server_that_is_not_there_refuses() -> None:
    check_absence_refuses(URL.create("postgresql", "x"), POSTGRESQL)


def test_the_metadata_is_what_a_migration_needs() -> None:
    engine = create_engine("postgresql+psycopg://")
    tables = SQLAlchemyReplayStore(engine).metadata.tables
    assert list(tables) == ["private_key_jwt_replay", "private_key_jwt_replay_forgotten"]
    made = str(CreateTable(tables["private_key_jwt_replay"]).compile(dialect=dialect_of(postgresql)))
    assert "key BYTEA NOT NULL" in made
    assert "expires_at DOUBLE PRECISION NOT NULL" in made


def dialect_of(module: Any) -> Any:
    return module.dialect()


def engine_of(dialect: Any) -> Engine:
    engine = create_engine("sqlite://")
    engine.dialect = dialect
    return engine


@pytest.mark.parametrize(
    ("engine", "settings", "match"),
    [
        (lambda: create_engine("sqlite://"), {}, "MemoryReplayStore"),
        (lambda: create_engine("sqlite:///file:x?mode=memory&uri=true", poolclass=QueuePool), {}, "MemoryReplayStore"),
        (lambda: engine_of(dialect_of(oracle)), {}, "postgresql, mysql, mariadb, sqlite, not oracle"),
        (lambda: create_async_engine("postgresql+asyncpg://"), {}, "Engine"),
        (lambda: "postgresql://", {}, "Engine"),
        (lambda: create_engine("postgresql+psycopg://"), {"table": "a b"}, "table"),
        (lambda: create_engine("postgresql+psycopg://"), {"timeout": 0}, "timeout"),
    ],
)
def test_settings_are_checked_and_named(engine: Callable[[], Any], settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        SQLAlchemyReplayStore(engine(), **settings)


def test_the_async_store_wants_an_async_engine() -> None:
    engine: Any = create_engine("postgresql+psycopg://")
    with pytest.raises(ConfigurationError, match="AsyncEngine"):
        AsyncSQLAlchemyReplayStore(engine)
