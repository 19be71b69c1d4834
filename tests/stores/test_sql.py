"""The statements for MariaDB and MySQL are plain SQL: here they keep the contract over SQLite."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from private_key_jwt import TemporarilyUnavailable
from private_key_jwt.stores._replay_stores.sql import Add, MySQL, Values
from private_key_jwt.testing import ReplayStoreContract

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
