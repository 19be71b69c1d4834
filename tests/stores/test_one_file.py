"""A file of SQLite, under the stores of Django and SQLAlchemy: one name, one file as long as it is used, and locks."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from private_key_jwt.stores import DjangoReplayStore
from stores.django_places import alias_of, execute, migrated
from stores.places import NOW, SQLITE, make_place, new_key, refusal


class Workers:
    """Workers that write to one file, each with a store of its own; in WAL mode, whose log has the file's name."""

    def __init__(self, kind: str, tmp_path: Path, opened: ExitStack) -> None:
        self.kind, self._opened = kind, opened
        self._new: Callable[[], Any]
        if kind == "Django":
            self.path = tmp_path / "project.db"
            alias = opened.enter_context(migrated("sqlite", tmp_path))
            execute(alias, "PRAGMA journal_mode = WAL")
            self._new = lambda: DjangoReplayStore(alias)
        else:
            self.path = tmp_path / "replay.db"
            place = make_place(kind, tmp_path)
            opened.callback(place.close)
            place.execute("PRAGMA journal_mode = WAL")
            self._new = place.worker

    def new(self) -> Any:
        worker = self._new()
        self._opened.callback(worker.close)
        return worker

    @property
    def other_name(self) -> Path:
        return self.path.with_name("other.db")


@pytest.fixture(params=["Django", *SQLITE])
def workers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workers]:
    with ExitStack() as opened:
        yield Workers(request.param, tmp_path, opened)


def test_a_file_with_two_names_is_refused(workers: Workers) -> None:
    """Law 1: whoever opens it under the other name sees no mark of this one."""
    workers.other_name.hardlink_to(workers.path)
    assert "2 names" in refusal(lambda: workers.new().add(new_key(), NOW + 60, NOW))


def test_a_file_that_gets_a_second_name_is_refused_until_it_has_one(workers: Workers) -> None:
    worker, key = workers.new(), new_key()
    assert worker.add(key, NOW + 60, NOW)
    workers.other_name.hardlink_to(workers.path)
    assert "2 names" in refusal(lambda: worker.add(new_key(), NOW + 60, NOW))
    workers.other_name.unlink()
    assert worker.add(key, NOW + 60, NOW) is False


def test_a_file_that_was_replaced_is_refused(workers: Workers) -> None:
    """Law 1: workers that start now write to another file, and a worker that goes on has lost its marks."""
    worker = workers.new()
    assert worker.add(new_key(), NOW + 60, NOW)
    shutil.copy(workers.path, workers.other_name)
    workers.other_name.replace(workers.path)
    for _ in range(2):  # over another connection, too
        assert "replaced" in refusal(lambda: worker.add(new_key(), NOW + 60, NOW))


def test_a_file_that_was_moved_is_refused_until_it_is_back(workers: Workers) -> None:
    worker, key = workers.new(), new_key()
    assert worker.add(key, NOW + 60, NOW)
    workers.path.rename(workers.other_name)
    refusal(lambda: worker.add(new_key(), NOW + 60, NOW))
    workers.other_name.rename(workers.path)
    assert worker.add(key, NOW + 60, NOW) is False


def test_a_database_in_memory_has_no_file_and_is_taken_for_tests() -> None:
    shared = {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:tests?mode=memory&cache=shared"}
    with alias_of(shared) as alias:
        execute(alias, "CREATE TABLE private_key_jwt_replay (key BLOB PRIMARY KEY, expires_at REAL)")
        execute(alias, "CREATE TABLE private_key_jwt_replay_forgotten (id INTEGER PRIMARY KEY, until REAL)")
        store, key = DjangoReplayStore(alias), new_key()
        assert [store.add(key, NOW + 60, NOW) for _ in range(2)] == [True, False]
        store.close()


@pytest.mark.slow  # two drivers wait for five seconds
def test_a_file_that_another_has_locked_is_said_to_be_locked(workers: Workers) -> None:
    worker = workers.new()
    assert worker.add(new_key(), NOW + 60, NOW)
    with contextlib.closing(sqlite3.connect(workers.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        detail = refusal(lambda: worker.add(new_key(), NOW + 60, NOW))
    locked = "OperationalError: database is locked: another connection has a transaction open"
    assert ("TimeoutError" if workers.kind == "aiosqlite" else locked) in detail  # asyncio's timer is the first there
