"""The statements for MariaDB and MySQL are plain SQL: here they keep the contract over SQLite."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError as DjangoOperationalError
from sqlalchemy import create_engine, event
from sqlalchemy.exc import OperationalError

from private_key_jwt import TemporarilyUnavailable
from private_key_jwt.stores import DjangoReplayStore, SQLAlchemyReplayStore
from private_key_jwt.stores._replay_stores.sql import Add, MySQL, limit_statements
from private_key_jwt.stores._values import Values
from private_key_jwt.testing import ReplayStoreContract
from stores.django_places import alias_of, migrated

NOW = 1_700_000_000.0


class SQLiteSession:
    """A connection, whose statements run one at a time; ``before`` may come between two of them."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self.lock = threading.Lock()

    def fetch(self, statement: str, values: Values) -> Sequence[Sequence[Any]]:
        with self.lock:
            return self.connection.execute(statement, values).fetchall()

    def change(self, statement: str, values: Values) -> int:
        with self.lock:
            try:
                return self.connection.execute(statement, values).rowcount
            except sqlite3.IntegrityError:
                return 0


class Store:
    """A store of the plain statements."""

    def __init__(self, path: Path, table: str = "replay") -> None:
        self.session = SQLiteSession(path)
        self.sql = MySQL(table, f"{table}_forgotten")
        execute = self.session.connection.execute
        execute(f"CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY, expires_at REAL)")
        execute(f"CREATE TABLE IF NOT EXISTS {table}_forgotten (id INTEGER PRIMARY KEY, until REAL)")

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        [answer] = self.sql.add_all(self.session, self, [Add(key, expires_at, now)])
        self.sql.purge(self.session, now)
        if isinstance(answer, TemporarilyUnavailable):
            raise answer
        return answer

    def close(self) -> None:
        self.session.connection.close()


class TestPlainSQL(ReplayStoreContract):
    can_break = False
    many = 200

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "replay.db"

    def open_store(self) -> Any:
        return Store(self.path)

    def open_other(self) -> Any:
        return Store(self.path, "other")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "replay.db")
    yield store
    store.close()


def test_a_purge_deletes_a_batch_and_notes_up_to_when(store: Store) -> None:
    for number in range(150):
        assert store.add(b"%d" % number, NOW + number / 1_000, NOW - 1)
    assert store.add(b"live", NOW + 600, NOW + 1)
    [(left, until)] = store.session.fetch("SELECT count(*), (SELECT until FROM replay_forgotten) FROM replay", {})
    assert (left, until) == (51, NOW + 0.099)
    assert store.add(b"live too", NOW + 600, NOW + 1)
    [(left, until)] = store.session.fetch("SELECT count(*), (SELECT until FROM replay_forgotten) FROM replay", {})
    assert (left, until) == (2, NOW + 0.149)


def test_a_mark_purged_while_it_is_deleted_by_another_is_no_matter(store: Store) -> None:
    store.sql._delete(store.session, NOW)


def overtake(store: Store, monkeypatch: pytest.MonkeyPatch, start: str, *statements: str) -> None:
    """Have others come before the first statement of the store that begins so."""
    change = store.session.change

    def change_after_others(statement: str, values: Values) -> int:
        if statement.startswith(start):
            monkeypatch.undo()
            for each in statements:
                store.session.connection.execute(each)
        return change(statement, values)

    monkeypatch.setattr(store.session, "change", change_after_others)


def test_one_that_was_overtaken_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    overtake(store, monkeypatch, "INSERT", f"INSERT INTO replay VALUES (x'61', {NOW + 60})")
    assert store.add(b"a", NOW + 60, NOW) is False


def test_an_expired_mark_that_another_took_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.session.connection.execute("INSERT INTO replay VALUES (x'61', 5)")
    overtake(store, monkeypatch, "UPDATE", f"UPDATE replay SET expires_at = {NOW + 60}")
    assert store.add(b"a", NOW + 60, NOW) is False


def test_an_expired_mark_that_was_purged_is_written_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.session.connection.execute("INSERT INTO replay VALUES (x'61', 5)")
    overtake(store, monkeypatch, "UPDATE", "DELETE FROM replay")
    assert store.add(b"a", NOW + 60, NOW) is True


def test_a_purge_by_a_clock_that_is_ahead_lets_nobody_in(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    overtake(store, monkeypatch, "INSERT", f"INSERT INTO replay_forgotten VALUES (1, {NOW + 60})")
    with pytest.raises(TemporarilyUnavailable, match="clock"):
        store.add(b"a", NOW + 60, NOW)


def test_two_purges_at_once_note_the_later_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    note = f"INSERT INTO replay_forgotten VALUES (1, {NOW})"
    overtake(store, monkeypatch, "INSERT INTO replay_forgotten", note)
    store.sql._forget(store.session, NOW + 5)
    assert store.session.fetch("SELECT until FROM replay_forgotten", {}) == [(NOW + 5,)]


@pytest.mark.parametrize(
    ("version", "limits"),
    [
        ("11.4.2-MariaDB-ubu2404", ["SET SESSION max_statement_time = 0.25"]),
        (
            "8.4.3",
            [
                "SET SESSION innodb_lock_wait_timeout = 1, SESSION lock_wait_timeout = 1",
                "SET SESSION max_execution_time = 250",
            ],
        ),
    ],
)
def test_mariadb_and_mysql_have_limits_of_their_own(version: str, limits: list[str]) -> None:
    sent: list[str] = []

    class Cursor:
        def execute(self, statement: str) -> None:
            sent.append(statement)

        def fetchone(self) -> tuple[str]:
            return (version,)

    limit_statements("mysql", Cursor(), 0.25)
    assert sent == ["SELECT VERSION()", *limits]


class Deadlocks:
    """What MariaDB and MySQL say when they rolled a statement back, so many times."""

    def __init__(self, number: int) -> None:
        self.left = number

    def come(self, statement: str) -> bool:
        if not statement.startswith("INSERT INTO") or not self.left:
            return False
        self.left -= 1
        return True


@pytest.mark.parametrize(("number", "accepted"), [(3, True), (4, False)])
def test_sqlalchemy_repeats_a_statement_that_was_rolled_back(tmp_path: Path, number: int, accepted: bool) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/replay.db")
    store = SQLAlchemyReplayStore(engine, table="replay")
    store.create_table()
    store._sql = MySQL("replay", "replay_forgotten")
    deadlocks = Deadlocks(number)

    def interfere(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if deadlocks.come(statement):
            raise OperationalError(statement, {}, Exception(1213, "Deadlock found"))

    event.listen(store._engine, "before_cursor_execute", interfere)
    check_deadlocks(store, accepted)
    engine.dispose()


@pytest.mark.parametrize(("number", "accepted"), [(3, True), (4, False)])
def test_django_repeats_a_statement_that_was_rolled_back(tmp_path: Path, number: int, accepted: bool) -> None:
    with migrated("sqlite", tmp_path) as alias:
        store = DjangoReplayStore(alias)
        store._sql = MySQL("private_key_jwt_replay", "private_key_jwt_replay_forgotten")
        assert store.add(b"a" * 32, NOW + 60, NOW)  # which connects
        deadlocks = Deadlocks(number)

        def interfere(execute: Any, statement: str, *arguments: Any) -> Any:
            if deadlocks.come(statement):
                raise DjangoOperationalError(1213, "Deadlock found")
            return execute(statement, *arguments)

        store._connection._connection.execute_wrappers.append(interfere)
        check_deadlocks(store, accepted)


def check_deadlocks(store: Any, accepted: bool) -> None:
    if accepted:
        assert store.add(b"b" * 32, NOW + 60, NOW) is True
        assert store.add(b"b" * 32, NOW + 60, NOW) is False
    else:
        with pytest.raises(TemporarilyUnavailable):
            store.add(b"b" * 32, NOW + 60, NOW)
    store.close()


def test_an_insert_that_meets_its_key_changes_nothing(tmp_path: Path) -> None:
    """With the statements of MariaDB, over SQLAlchemy and Django: another host inserts between look and INSERT."""
    key = b"c" * 32
    engine = create_engine(f"sqlite:///{tmp_path}/replay.db")
    first = SQLAlchemyReplayStore(engine, table="private_key_jwt_replay")
    first.create_table()
    first._sql = MySQL("private_key_jwt_replay", "private_key_jwt_replay_forgotten")
    second = SQLAlchemyReplayStore(engine, table="private_key_jwt_replay")

    def overtake(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT"):
            assert second.add(key, NOW + 60, NOW) is True

    event.listen(first._engine, "before_cursor_execute", overtake)
    assert first.add(key, NOW + 60, NOW) is False
    first.close()
    second.close()
    with alias_of({"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "replay.db")}) as alias:
        other, another = DjangoReplayStore(alias), DjangoReplayStore(alias)
        other._sql = MySQL("private_key_jwt_replay", "private_key_jwt_replay_forgotten")
        key = b"d" * 32
        assert other.add(b"e" * 32, NOW + 60, NOW)

        def overtake_django(execute: Any, statement: str, *arguments: Any) -> Any:
            if statement.startswith("INSERT"):
                other._connection._connection.execute_wrappers.clear()
                assert another.add(key, NOW + 60, NOW) is True
            return execute(statement, *arguments)

        other._connection._connection.execute_wrappers.append(overtake_django)
        assert other.add(key, NOW + 60, NOW) is False
        other.close()
        another.close()
    engine.dispose()


def test_a_clock_set_back_is_said_each_time_and_writes_nothing(store: Store) -> None:
    store.session.connection.execute(f"INSERT INTO replay_forgotten VALUES (1, {NOW + 60})")
    for _ in range(2):
        with pytest.raises(TemporarilyUnavailable, match="clock"):
            store.add(b"a", NOW + 60, NOW)
    assert store.session.fetch("SELECT count(*) FROM replay", {}) == [(0,)]
