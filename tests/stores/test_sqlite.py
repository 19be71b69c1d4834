"""Replay marks and JWK Sets in SQLite files: real files, real processes."""

import asyncio
import contextlib
import ctypes
import json
import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import children
from interrupts import Interrupt, interrupt_often, interrupted
from private_key_jwt import ConfigurationError, JWKSDocument, JWKSPolicy, Reason, TemporarilyUnavailable
from private_key_jwt._clocks import boot_id, since_boot
from private_key_jwt.stores import SQLiteJWKSCache, SQLiteReplayStore, _sqlite_file
from private_key_jwt.stores._sqlite_file import SQLiteSession

NOW = 1_700_000_000.0
URI = "https://op.example/jwks.json"


def new_key() -> bytes:
    return secrets.token_bytes(32)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(TemporarilyUnavailable) as caught:
        call()
    assert caught.value.reason is Reason.REPLAY_STORE_UNAVAILABLE
    return caught.value.detail


def count(path: Path, table: str = "replay") -> int:
    connection = sqlite3.connect(path)
    [(number,)] = connection.execute(f"SELECT count(*) FROM {table}")
    connection.close()
    return int(number)


def connection_of(store: SQLiteReplayStore | SQLiteJWKSCache) -> sqlite3.Connection:
    return store._file.run(lambda session: session._connection, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replay.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteReplayStore]:
    store = SQLiteReplayStore(path)
    yield store
    store.close()


@pytest.fixture
def other(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of another program."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    yield connection
    connection.close()


def test_a_key_is_new_once_until_it_expires(store: SQLiteReplayStore) -> None:
    key = new_key()
    assert store.add(key, NOW + 60.5, NOW) is True
    assert store.add(key, NOW + 60.5, NOW) is False
    assert store.add(key, NOW + 600, NOW + 60.4) is False
    assert store.add(new_key(), NOW + 60, NOW) is True
    assert store.add(key, NOW + 600, NOW + 60.5) is True
    assert store.add(key, NOW + 600, NOW + 61) is False


def test_it_is_not_taken_for_a_store_of_one_process(store: SQLiteReplayStore) -> None:
    assert getattr(store, "in_process", False) is not True


def test_one_of_64_threads_wins(store: SQLiteReplayStore) -> None:
    start = threading.Barrier(64)

    def add(_: int) -> int:
        start.wait(30)
        return [store.add(b"%d" % number, NOW + 60, NOW) for number in range(20)].count(True)

    with ThreadPoolExecutor(64) as pool:
        assert sum(pool.map(add, range(64))) == 20


def test_one_of_8_processes_wins(store: SQLiteReplayStore, path: Path) -> None:
    for _ in range(3):
        key = new_key()
        assert sorted(children.together(8, lambda: int(store.add(key, NOW + 60, NOW)))) == [0] * 7 + [1]  # noqa: B023
        assert sorted(children.together(8, lambda: int(SQLiteReplayStore(path).add(key, NOW + 60, NOW)))) == [0] * 8  # noqa: B023


def test_8_processes_may_create_the_file_at_once(path: Path) -> None:
    key = new_key()
    assert sorted(children.together(8, lambda: int(SQLiteReplayStore(path).add(key, NOW + 60, NOW)))) == [0] * 7 + [1]


def test_8_processes_that_write_do_not_lock_each_other_out(path: Path) -> None:
    SQLiteReplayStore(path).close()

    def write() -> int:
        store = SQLiteReplayStore(path, timeout=5)
        return int(all(store.add(new_key(), NOW + 60, NOW) for _ in range(200)))

    assert children.together(8, write) == [1] * 8
    assert count(path) == 1_600


def test_another_table_knows_nothing(store: SQLiteReplayStore, path: Path) -> None:
    key = new_key()
    other = SQLiteReplayStore(path, table="other")
    assert [each.add(key, NOW + 60, NOW) for each in (store, other, store, other)] == [True, True, False, False]
    other.close()


def test_a_restart_forgets_nothing(path: Path) -> None:
    key = new_key()
    for expected in (True, False, False):
        store = SQLiteReplayStore(path, synchronous="FULL")
        assert store.add(key, NOW + 60, NOW) is expected
        store.close()


def test_kill_9_loses_no_mark(path: Path) -> None:
    SQLiteReplayStore(path).close()
    reader, writer = os.pipe()

    def write() -> int:
        store = SQLiteReplayStore(path)
        while True:
            key = new_key()
            assert store.add(key, NOW + 60, NOW)
            os.write(writer, key)

    child = children.fork(write)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        keys = [told.read(32) for _ in range(100)]
        os.kill(child, signal.SIGKILL)
        rest = told.read()
    assert children.wait(child) == -signal.SIGKILL
    keys += [rest[at : at + 32] for at in range(0, len(rest), 32)]
    store = SQLiteReplayStore(path)
    assert not any(store.add(key, NOW + 60, NOW) for key in keys)
    store.close()


@pytest.mark.slow
def test_a_fork_in_the_midst_of_adds_harms_nobody(store: SQLiteReplayStore) -> None:
    done = threading.Event()
    added: list[bool] = []

    def write() -> None:
        while not done.is_set():
            added.append(store.add(new_key(), NOW + 60, NOW))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            key = new_key()
            assert children.together(2, lambda: int(store.add(new_key(), NOW + 60, NOW))) == [1, 1]
            assert store.add(key, NOW + 60, NOW)
            assert children.wait(children.fork(lambda: int(store.add(key, NOW + 60, NOW)))) == 0  # noqa: B023
    finally:
        done.set()
        for thread in threads:
            thread.join(30)
    assert all(added)


def test_expired_marks_leave_in_batches(path: Path) -> None:
    first = SQLiteReplayStore(path)
    for _ in range(250):
        first.add(new_key(), NOW + 1, NOW)
    first.close()
    store = SQLiteReplayStore(path)
    assert store.add(new_key(), NOW + 600, NOW + 2)
    assert count(path) == 250 - 100 + 1
    for _ in range(19):
        store.add(new_key(), NOW + 600, NOW + 2)
    assert count(path) == 150 + 20
    for _ in range(40):
        store.add(new_key(), NOW + 600, NOW + 2)
    assert count(path) == 60
    store.close()


def test_a_purge_that_meets_a_writer_fails_no_add(path: Path, other: sqlite3.Connection) -> None:
    store = SQLiteReplayStore(path)
    store.add(new_key(), NOW + 1, NOW)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    store._purge(NOW + 2)
    assert time.monotonic() - started < 0.5
    other.execute("ROLLBACK")
    assert count(path) == 1
    store._purge(NOW + 2)
    assert count(path) == 0
    store.close()


def test_a_clock_set_back_revives_nothing(path: Path) -> None:
    key = new_key()
    store = SQLiteReplayStore(path)
    assert store.add(key, NOW + 60, NOW)
    store.close()
    store = SQLiteReplayStore(path)
    assert store.add(new_key(), NOW + 5_000, NOW + 3_600)
    assert count(path) == 1
    assert "clock" in refusal(lambda: store.add(key, NOW + 60, NOW))
    assert "clock" in refusal(lambda: store.add(key, NOW + 60, NOW))
    store.close()
    store = SQLiteReplayStore(path)
    assert "clock" in refusal(lambda: store.add(key, NOW + 60, NOW))
    assert store.add(key, NOW + 61, NOW)
    assert store.add(key, NOW + 61, NOW) is False
    store.close()


def test_a_clock_that_leapt_ahead_for_a_moment_stops_nobody_for_long(path: Path) -> None:
    first, second = SQLiteReplayStore(path), SQLiteReplayStore(path)
    assert first.add(new_key(), 331, 0)
    assert second.add(new_key(), NOW + 331, NOW)
    assert count(path) == 1
    assert first.add(new_key(), 332, 1)
    first.close()
    second.close()


def test_two_clocks_10_s_apart_make_one_winner(path: Path) -> None:
    behind, ahead = SQLiteReplayStore(path), SQLiteReplayStore(path)
    for store, following in ((behind, ahead), (ahead, behind)):
        key = new_key()
        clock = {id(behind): NOW, id(ahead): NOW + 10}
        assert store.add(key, NOW + 100, clock[id(store)])
        assert not following.add(key, NOW + 100, clock[id(following)])
    behind.close()
    ahead.close()


def test_a_full_disk_refuses_and_forgets_nothing_live(store: SQLiteReplayStore) -> None:
    kept: list[bytes] = []
    connection = connection_of(store)
    connection.execute("PRAGMA max_page_count = 30")
    try:
        while len(kept) < 10_000:
            key = new_key()
            assert store.add(key, NOW + 60, NOW)
            kept.append(key)
    except TemporarilyUnavailable as error:
        assert error.reason is Reason.REPLAY_STORE_UNAVAILABLE
        assert "full" in error.detail
    assert 100 < len(kept) < 10_000
    assert not any(store.add(key, NOW + 60, NOW) for key in kept)
    # Expired marks make room, by the adds that found none.
    for _ in range(300):
        with contextlib.suppress(TemporarilyUnavailable):
            store.add(new_key(), NOW + 600, NOW + 60)
    assert store.add(new_key(), NOW + 600, NOW + 60)


def test_a_locked_file_refuses_in_time(path: Path, other: sqlite3.Connection) -> None:
    store = SQLiteReplayStore(path, timeout=0.1)
    other.execute("BEGIN IMMEDIATE")
    key = new_key()
    started = time.monotonic()
    assert "locked" in refusal(lambda: store.add(key, NOW + 60, NOW))
    assert 0.09 < time.monotonic() - started < 0.6
    other.execute("ROLLBACK")
    assert store.add(key, NOW + 60, NOW)
    store.close()


def test_threads_behind_a_slow_one_are_refused_in_time(path: Path, other: sqlite3.Connection) -> None:
    store = SQLiteReplayStore(path, timeout=0.1)
    other.execute("BEGIN IMMEDIATE")
    start = threading.Barrier(8)

    def add(_: int) -> float:
        start.wait(10)
        started = time.monotonic()
        refusal(lambda: store.add(new_key(), NOW + 60, NOW))
        return time.monotonic() - started

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(add, range(8))) < 1
    other.execute("ROLLBACK")
    assert store.add(new_key(), NOW + 60, NOW)
    store.close()


def test_a_dropped_table_refuses(store: SQLiteReplayStore, other: sqlite3.Connection) -> None:
    other.execute("DROP TABLE replay")
    assert "no such table" in refusal(lambda: store.add(new_key(), NOW + 60, NOW))


def test_a_row_that_is_no_mark_refuses_nothing_else(store: SQLiteReplayStore) -> None:
    refusal(lambda: store.add(object(), NOW + 60, NOW))  # type: ignore[arg-type]
    assert store.add(new_key(), NOW + 60, NOW)


@pytest.mark.parametrize("replace", ["nothing", "a directory", "another database"])
def test_a_file_that_was_replaced_refuses(path: Path, store: SQLiteReplayStore, replace: str) -> None:
    key = new_key()
    assert store.add(key, NOW + 60, NOW)
    path.rename(path.with_suffix(".gone"))
    if replace == "a directory":
        path.mkdir()
    elif replace == "another database":
        SQLiteReplayStore(path).close()
    refusal(lambda: store.add(key, NOW + 60, NOW))
    refusal(lambda: store.add(new_key(), NOW + 60, NOW))


def test_a_file_that_was_replaced_while_it_was_not_open_refuses(path: Path, store: SQLiteReplayStore) -> None:
    assert store.add(new_key(), NOW + 60, NOW)
    assert children.wait(children.fork(lambda: 7)) == 7  # before a fork it is closed
    path.rename(path.with_suffix(".gone"))
    SQLiteReplayStore(path).close()
    for _ in range(2):
        assert "replaced" in refusal(lambda: store.add(new_key(), NOW + 60, NOW))


def test_a_damaged_file_refuses(path: Path, store: SQLiteReplayStore) -> None:
    for _ in range(2_000):
        store.add(new_key(), NOW + 60, NOW)
    store._file._disconnect()  # so that no cache hides the damage
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(secrets.token_bytes(size - 4_096))
    for _ in range(10):
        refusal(lambda: store.add(new_key(), NOW + 60, NOW))


def test_a_closed_store_refuses(path: Path) -> None:
    store = SQLiteReplayStore(path)
    store.close()
    store.close()
    assert "closed" in refusal(lambda: store.add(new_key(), NOW + 60, NOW))
    assert children.wait(children.fork(lambda: len(refusal(lambda: store.add(new_key(), NOW, NOW))) > 0)) == 1


@pytest.mark.parametrize("path", ["", ":memory:", "file::memory:?cache=shared", None, 5, b"x"])
def test_a_path_that_is_none_is_refused_at_start(path: Any) -> None:
    with pytest.raises(ConfigurationError, match="path"):
        SQLiteReplayStore(path)


def test_in_memory_the_alternative_is_named() -> None:
    with pytest.raises(ConfigurationError, match="MemoryReplayStore"):
        SQLiteReplayStore(":memory:")


@pytest.mark.parametrize("name", [".", "missing/replay.db", "text"])
def test_a_path_that_cannot_be_used_is_named_at_start(tmp_path: Path, name: str) -> None:
    (tmp_path / "text").write_text("this is no database " * 1_000)
    with pytest.raises(ConfigurationError, match=str(tmp_path)):
        SQLiteReplayStore(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (".", "unable to open database file: it is a directory"),
        ("missing/replay.db", "there is no directory '{}/missing'; is it a URL, or a name with ~ or quotes?"),
        ("sqlite:///replay.db", "there is no directory '{}/sqlite:'; is it a URL, or a name with ~ or quotes?"),
        ("text", "file is not a database"),
    ],
)
def test_a_path_that_cannot_be_used_is_refused_with_the_cause(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "text").write_text("this is no database " * 1_000)
    with pytest.raises(ConfigurationError) as caught:
        SQLiteReplayStore(f"{tmp_path}/{name}")
    assert str(caught.value).endswith(said.format(tmp_path))


@pytest.mark.parametrize("path", ["a\0b", "a\ud800b"])
def test_a_path_that_is_no_path_is_refused_at_start(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigurationError):
        SQLiteReplayStore(f"{tmp_path}/{path}")


def test_a_table_cannot_be_named_like_that_of_what_was_forgotten(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="_forgotten"):
        SQLiteReplayStore(tmp_path / "replay.db", table="replay_forgotten")


def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    store = SQLiteReplayStore(str(tmp_path / "a b?c#d%20é.db"))
    assert store.add(new_key(), NOW + 60, NOW)
    store.close()
    assert (tmp_path / "a b?c#d%20é.db").exists()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("timeout", value) for value in (0, "1", 61)),
        *(("table", value) for value in ("a b", "1a", "", 1, "x" * 49, 'a"; DROP TABLE replay; --')),
        *(("synchronous", value) for value in ("OFF", None)),
    ],
)
def test_settings_are_checked_and_named(path: Path, setting: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        SQLiteReplayStore(path, **{setting: value})


# The cache of JWK Sets


class Wall:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def cache(path: Path, wall: Wall) -> Iterator[SQLiteJWKSCache]:
    cache = SQLiteJWKSCache(path, timeout=5, wall_clock=wall)
    yield cache
    cache.close()


def document(fetched_at: float, body: bytes = b"{}") -> JWKSDocument:
    return JWKSDocument(body, fetched_at)


def age(cache: SQLiteJWKSCache, now: float = 0.0) -> float:
    found = cache.get(URI, now)
    assert found is not None
    return now - found.fetched_at


def test_a_document_comes_back_with_its_age(cache: SQLiteJWKSCache, path: Path, wall: Wall) -> None:
    assert cache.get(URI, 0) is None
    body = json.dumps({"keys": []}).encode() + b"\0\xff"
    cache.put(URI, document(90, body), 100)
    # Another process has another monotonic clock.
    worker = SQLiteJWKSCache(path, timeout=5, wall_clock=wall)
    found = worker.get(URI, 5_000)
    assert found is not None
    assert found.body == body
    assert found.fetched_at == pytest.approx(4_990, abs=0.5)
    wall.now += 100
    assert age(worker) == pytest.approx(110, abs=0.5)
    assert worker.get(URI + "/other", 5_000) is None
    worker.close()


def test_the_newer_document_stays(cache: SQLiteJWKSCache) -> None:
    cache.put(URI, document(90, b"new"), 100)
    cache.put(URI, document(80, b"old"), 100)
    found = cache.get(URI, 100)
    assert found is not None
    assert found.body == b"new"


def test_a_document_is_never_younger_than_now(cache: SQLiteJWKSCache) -> None:
    cache.put(URI, document(1_000), 100)
    assert 0 <= age(cache) < 0.5


def test_a_clock_set_back_makes_no_document_younger(
    cache: SQLiteJWKSCache, other: sqlite3.Connection, wall: Wall
) -> None:
    cache.put(URI, document(0, b"old"), 200)
    wall.now -= 100
    assert age(cache) == pytest.approx(200, abs=0.5)
    other.execute(
        "UPDATE jwks_documents SET since_boot = ?", [time.monotonic() + 1_000]
    )  # before the host was restarted
    assert age(cache) == pytest.approx(100, abs=0.5)
    wall.now -= 1_000
    assert cache.get(URI, 0) is None
    cache.put(URI, document(0, b"new"), 0)
    found = cache.get(URI, 0)
    assert found is not None
    assert found.body == b"new"


def test_the_oldest_document_leaves(path: Path, wall: Wall) -> None:
    cache = SQLiteJWKSCache(path, max_documents=3, wall_clock=wall)
    for number in range(5):
        cache.put(f"{URI}{number}", document(number), 10)
    assert [cache.get(f"{URI}{number}", 10) is None for number in range(5)] == [True, True, False, False, False]
    assert count(path, "jwks_documents") == 3
    cache.close()


def test_workers_share_one_budget(cache: SQLiteJWKSCache, path: Path, wall: Wall) -> None:
    policy = JWKSPolicy(fetch_limit=2, fetch_window=30)
    worker = SQLiteJWKSCache(path, timeout=5, wall_clock=wall)
    granted = []
    for wait in (0, 10, 10, 9, 1, 0, 9, 1, 0):  # at 0, 10, 20, 29, 30, 30, 39, 40, 40
        wall.now += wait
        granted.append((cache.claim(URI, policy, 0), worker.claim(URI + "/other", policy, 0))[0])
    assert granted == [True, True, False, False, True, False, False, True, False]
    assert worker.claim(URI, policy, 0) is False
    worker.close()


def test_8_processes_share_one_budget(cache: SQLiteJWKSCache) -> None:
    policy = JWKSPolicy(fetch_limit=3)
    patient = SQLiteJWKSCache(cache._file._path, timeout=5)
    codes = children.together(8, lambda: int(patient.claim(URI, policy, 0)))
    assert sorted(codes) == [0] * 5 + [1] * 3
    patient.close()


def test_idle_budgets_leave(cache: SQLiteJWKSCache, path: Path, wall: Wall) -> None:
    for number in range(150):
        assert cache.claim(f"{URI}{number}", JWKSPolicy(), 0)
    wall.now += 3_600
    for _ in range(2):
        assert cache.claim(URI, JWKSPolicy(), 0)
    assert count(path, "jwks_fetches") == 2


def test_fetches_from_the_future_stop_nobody(cache: SQLiteJWKSCache, wall: Wall) -> None:
    policy = JWKSPolicy(fetch_limit=1)
    assert cache.claim(URI, policy, 0)
    wall.now -= 3_600
    assert cache.claim(URI, policy, 0)
    assert not cache.claim(URI, policy, 0)


def test_a_locked_cache_raises_in_time(cache: SQLiteJWKSCache, other: sqlite3.Connection) -> None:
    hasty = SQLiteJWKSCache(cache._file._path, timeout=0.25)
    other.execute("BEGIN IMMEDIATE")
    for call in (lambda: hasty.put(URI, document(0), 0), lambda: hasty.claim(URI, JWKSPolicy(), 0)):
        started = time.monotonic()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            call()
        assert time.monotonic() - started < 2
    hasty.close()
    assert cache.get(URI, 0) is None  # a reader waits for nobody
    other.execute("ROLLBACK")
    assert cache.claim(URI, JWKSPolicy(), 0)


def test_a_transaction_that_fails_leaves_nothing(cache: SQLiteJWKSCache, other: sqlite3.Connection) -> None:
    other.execute("CREATE TRIGGER t BEFORE INSERT ON jwks_fetches BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(sqlite3.IntegrityError):
        cache.claim(URI, JWKSPolicy(), 0)
    other.execute("DROP TRIGGER t")
    assert cache.claim(URI, JWKSPolicy(), 0)


def test_a_replay_store_and_a_cache_may_share_a_file(cache: SQLiteJWKSCache, store: SQLiteReplayStore) -> None:
    cache.put(URI, document(0), 0)
    assert store.add(new_key(), NOW + 60, NOW)
    assert cache.get(URI, 0) is not None


@pytest.mark.parametrize("column", ["fetched_at", "since_boot"])
def test_a_corrupt_value_of_a_cache_is_an_error_and_the_next_document_replaces_it(path: Path, column: str) -> None:
    cache = SQLiteJWKSCache(path, timeout=5)
    cache.put(URI, JWKSDocument(b"old", 0), 0)
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute(f"UPDATE jwks_documents SET {column} = 'text'")
    with pytest.raises(TypeError):
        cache.get(URI, 0)
    cache.put(URI, JWKSDocument(b"new", 0), 0)
    found = cache.get(URI, 0)
    assert found is not None
    assert found.body == b"new"
    cache.close()


@pytest.mark.parametrize(
    ("setting", "value"), [("timeout", 0), ("max_documents", 0), ("max_documents", "x"), ("wall_clock", 5)]
)
def test_the_caches_settings_are_checked_and_named(path: Path, setting: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        SQLiteJWKSCache(path, **{setting: value})


def test_for_the_cache_too_memory_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="MemoryJWKSCache"):
        SQLiteJWKSCache(":memory:")


# One file, one name


def test_a_file_with_two_names_is_refused_at_start(tmp_path: Path, path: Path) -> None:
    """SQLite keeps its log beside the name: under two names nobody would see the marks of the other."""
    SQLiteReplayStore(path).close()
    other = tmp_path / "other.db"
    other.hardlink_to(path)
    for name in (path, other):
        for kind in (SQLiteReplayStore, SQLiteJWKSCache):
            with pytest.raises(ConfigurationError, match="2 names"):
                kind(name)
    other.unlink()
    SQLiteReplayStore(path).close()


def test_a_file_that_gets_a_second_name_refuses(tmp_path: Path, path: Path, store: SQLiteReplayStore) -> None:
    key = new_key()
    assert store.add(key, NOW + 60, NOW)
    (tmp_path / "other.db").hardlink_to(path)
    assert "2 names" in refusal(lambda: store.add(new_key(), NOW + 60, NOW))
    (tmp_path / "other.db").unlink()
    assert store.add(key, NOW + 60, NOW) is False


def test_two_symbolic_links_are_one_file(tmp_path: Path, path: Path, store: SQLiteReplayStore) -> None:
    (tmp_path / "link.db").symlink_to(path)
    other, key = SQLiteReplayStore(tmp_path / "link.db"), new_key()
    assert [store.add(key, NOW + 60, NOW), other.add(key, NOW + 60, NOW)] == [True, False]
    other.close()


# Interrupts


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
def test_exceptions_out_of_signal_handlers_leave_nothing_behind(path: Path, synchronous: Any) -> None:
    """Wherever they come, hundreds of times; and what was accepted is not accepted again."""
    store = SQLiteReplayStore(path, synchronous=synchronous, timeout=5)

    accepted: list[bytes] = []

    def add() -> None:
        key = new_key()
        if store.add(key, NOW + 60, NOW):
            accepted.append(key)

    interrupt_often(add, times=500)
    # Of this thread and of others: nobody holds the lock, nor a transaction.
    assert store.add(new_key(), NOW + 60, NOW)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(store.add, new_key(), NOW + 60, NOW).result(10)
    other = SQLiteReplayStore(path, timeout=0.1)
    assert other.add(new_key(), NOW + 60, NOW)
    assert not any(other.add(key, NOW + 60, NOW) for key in accepted)
    other.close()
    store.close()


def test_a_transaction_that_was_interrupted_twice_is_rolled_back(path: Path, store: SQLiteReplayStore) -> None:
    connection_of(store).execute("BEGIN IMMEDIATE")
    key = new_key()
    assert store.add(key, NOW + 60, NOW)
    other = SQLiteReplayStore(path)
    assert other.add(key, NOW + 60, NOW) is False
    other.close()


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
def test_an_exception_right_after_a_transaction_began_leaves_it_not_open(
    path: Path, monkeypatch: pytest.MonkeyPatch, synchronous: Any
) -> None:
    """As a signal handler may raise it, in the midst of nothing that could undo."""
    store = SQLiteReplayStore(path, synchronous=synchronous)
    other = SQLiteReplayStore(path, timeout=0.05)
    change = SQLiteSession.change

    def change_and_raise(session: SQLiteSession, statement: str, values: Any = ()) -> int:
        changed = change(session, statement, values)
        if statement == "BEGIN IMMEDIATE":
            raise Interrupt
        return changed

    async def add_all() -> list[object]:
        adds = [store.add_async(new_key(), NOW + 60, NOW) for _ in range(3)]
        return await asyncio.gather(*adds, return_exceptions=True)

    for call in (
        lambda: store._file.run_in_transaction(lambda session: None, 1),
        lambda: asyncio.run(add_all()),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(SQLiteSession, "change", change_and_raise)
            with contextlib.suppress(Interrupt):
                call()
        assert other.add(new_key(), NOW + 60, NOW)
    other.close()
    store.close()


# Logs and locks that are not those of others any more


def run_worker(path: Path, key: bytes) -> bool:
    """Whether a worker that starts, adds as the store does, and ends, is the first with a key."""
    code = (
        "import sqlite3\n"
        f"connection = sqlite3.connect({str(path)!r}, isolation_level=None)\n"
        f"print(connection.execute('INSERT OR IGNORE INTO replay VALUES (?, ?)', [{key!r}, {NOW + 60}]).rowcount)\n"
        "connection.close()"
    )
    return subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True).stdout == b"1\n"


def add_in_loop(store: SQLiteReplayStore, key: bytes) -> bool:
    return asyncio.run(store.add_async(key, NOW + 60, NOW))


def add(store: SQLiteReplayStore, key: bytes) -> bool:
    return store.add(key, NOW + 60, NOW)


@pytest.mark.slow
@pytest.mark.parametrize("add", [add, add_in_loop])
def test_of_two_processes_one_accepts_when_one_has_read_the_file_by_itself(
    path: Path, tmp_path: Path, add: Callable[[SQLiteReplayStore, bytes], bool]
) -> None:
    def worker() -> int:
        store = SQLiteReplayStore(path)
        assert add(store, new_key())
        shutil.copy(path, tmp_path / "backup.db")
        assert run_worker(path, new_key())  # it ends, and takes itself for the last
        for key in (new_key(), new_key()):
            assert "restart this worker" in refusal(lambda: add(store, key))  # noqa: B023
            assert run_worker(path, key)
        store.close()
        assert not run_worker(path, key)
        with pytest.raises(ConfigurationError, match="restart this worker"):
            SQLiteReplayStore(path)
        return 7

    assert children.wait(children.fork(worker)) == 7


@pytest.mark.parametrize("add", [add, add_in_loop])
@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_log_that_is_gone_refuses(
    path: Path, add: Callable[[SQLiteReplayStore, bytes], bool], suffix: str, replaced: bool
) -> None:
    store = SQLiteReplayStore(path)
    assert add(store, new_key())
    log = path.with_name(path.name + suffix)
    log.rename(log.with_suffix(".gone"))
    if replaced:
        log.touch()
    for _ in range(3):
        assert "restart this worker" in refusal(lambda: add(store, new_key()))
    store.close()


@pytest.mark.parametrize("seconds_ago", [10.5, 10.0, 0.0])
def test_a_log_that_is_gone_refuses_whatever_the_time_of_its_directory(
    path: Path, store: SQLiteReplayStore, seconds_ago: float
) -> None:
    """A time of last change is relied on only when the next change must get another one."""

    def set_time(at: int) -> None:
        os.utime(path.parent, ns=(at, at))

    assert store.add(new_key(), NOW + 60, NOW)
    now = time.time_ns()
    changed_at = now // 10**9 * 10**9 - int(seconds_ago * 1e9) if seconds_ago else now
    set_time(changed_at)
    assert [store.add(new_key(), NOW + 60, NOW) for _ in range(3)] == [True] * 3
    path.with_name(path.name + "-wal").unlink()
    if seconds_ago != 10.5:  # no two changes have one time that is in the past and not of a whole second
        set_time(changed_at)
    assert "restart this worker" in refusal(lambda: add(store, new_key()))


def test_names_are_looked_up_again_only_after_a_change(
    path: Path, store: SQLiteReplayStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    log_identity = _sqlite_file._log_identity

    def look_up(name: str) -> tuple[int, int]:
        looked_up.append(name.removeprefix(f"{path}"))
        return log_identity(name)

    assert store.add(new_key(), NOW + 60, NOW)
    at = time.time_ns() // 10**9 * 10**9 - 10**10 + 1
    os.utime(path.parent, ns=(at, at))
    monkeypatch.setattr(_sqlite_file, "_log_identity", look_up)
    for _ in range(3):
        assert store.add(new_key(), NOW + 60, NOW)
    assert looked_up == ["-wal", "-shm"]
    (path.parent / "other").touch()
    assert store.add(new_key(), NOW + 60, NOW)
    assert looked_up == ["-wal", "-shm"] * 2


def test_where_a_directory_cannot_be_opened_a_log_that_is_gone_refuses(
    path: Path, store: SQLiteReplayStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError("as of any directory on Windows")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert store.add(new_key(), NOW + 60, NOW)
    assert store.add(new_key(), NOW + 60, NOW)
    path.with_name(path.name + "-wal").unlink()
    assert "restart this worker" in refusal(lambda: add(store, new_key()))


def test_a_closed_store_leaves_no_descriptor_open(path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(3):
        store = SQLiteReplayStore(path)
        assert store.add(new_key(), NOW + 60, NOW)
        assert descriptors() > before
        store.close()
        assert descriptors() == before


def test_a_directory_that_was_replaced_refuses(tmp_path: Path) -> None:
    """As a release does that moves a symbolic link: other workers now look elsewhere."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    link = tmp_path / "current"
    link.symlink_to("old")
    store = SQLiteReplayStore(link / "replay.db")
    assert store.add(new_key(), NOW + 60, NOW)
    link.unlink()
    link.symlink_to("new")
    refusal(lambda: store.add(new_key(), NOW + 60, NOW))
    other = SQLiteReplayStore(link / "replay.db")
    assert other.add(new_key(), NOW + 60, NOW)
    assert "replaced" in refusal(lambda: store.add(new_key(), NOW + 60, NOW))
    other.close()
    store.close()


def test_a_log_that_goes_while_it_is_written_to_refuses(path: Path, store: SQLiteReplayStore) -> None:
    log = path.with_name(path.name + "-wal")

    def write(session: SQLiteSession) -> None:
        session.change("INSERT INTO replay VALUES (x'00', 1)")
        log.unlink()

    for run in (store._file.run, store._file.run_in_transaction):
        with pytest.raises(sqlite3.OperationalError, match="restart this worker"):
            run(write, 1)


def test_a_cache_whose_log_is_gone_raises(cache: SQLiteJWKSCache, path: Path) -> None:
    cache.put(URI, document(0), 0)
    path.with_name(path.name + "-wal").unlink()
    for call in (
        lambda: cache.get(URI, 0),
        lambda: cache.put(URI, document(0), 0),
        lambda: cache.claim(URI, JWKSPolicy(), 0),
    ):
        with pytest.raises(sqlite3.OperationalError, match="restart this worker"):
            call()


def test_no_other_connection_of_a_process_goes_on_when_the_log_of_one_is_gone(path: Path) -> None:
    """SQLite takes the index of the log, and the locks, of one connection from another of the same process."""
    store, cache = SQLiteReplayStore(path), SQLiteJWKSCache(path)
    assert add(store, new_key())
    path.with_name(path.name + "-wal").unlink()
    refusal(lambda: add(store, new_key()))
    with pytest.raises(sqlite3.OperationalError, match="restart this worker"):
        cache.get(URI, 0)
    store.close()
    cache.close()


def test_a_connection_whose_log_is_gone_is_never_closed(path: Path, store: SQLiteReplayStore) -> None:
    connection = connection_of(store)
    path.with_name(path.name + "-wal").unlink()
    store.close()
    assert sys.getrefcount(connection) > 2  # this name, the argument, and one that nobody gives back
    assert connection.execute("SELECT 1").fetchall() == [(1,)]


def fork_in_c(call: Callable[[], int]) -> int:
    """As servers do that embed the interpreter: without the hooks that are run before a fork."""
    pid = int(ctypes.PyDLL(None).fork())
    if pid == 0:
        try:
            ctypes.pythonapi.PyOS_AfterFork_Child()
            os._exit(call())
        except BaseException:
            os._exit(99)
    return pid


@pytest.mark.parametrize("add", [add, add_in_loop])
def test_a_connection_that_crossed_a_fork_is_not_used(
    store: SQLiteReplayStore, add: Callable[[SQLiteReplayStore, bytes], bool]
) -> None:
    assert store.add(new_key(), NOW + 60, NOW)

    def child() -> int:
        for _ in range(2):
            assert "forked" in refusal(lambda: add(store, new_key()))
        store.close()
        return 7

    assert children.wait(fork_in_c(child)) == 7
    assert store.add(new_key(), NOW + 60, NOW)


def test_a_store_that_was_made_and_not_used_before_a_fork_in_c_works(store: SQLiteReplayStore) -> None:
    key = new_key()
    assert children.wait(fork_in_c(lambda: int(store.add(key, NOW + 60, NOW)))) == 1
    assert store.add(key, NOW + 60, NOW) is False


def test_locks_that_others_held_are_new_after_a_fork_in_c(store: SQLiteReplayStore) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with _sqlite_file._forks._lock, store._file._lock:
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    try:
        assert children.wait(fork_in_c(lambda: int(store.add(new_key(), NOW + 60, NOW)))) == 1
    finally:
        done.set()
        thread.join()


def test_an_exception_at_any_moment_around_a_fork_leaves_no_lock_taken(path: Path, store: SQLiteReplayStore) -> None:
    forks = _sqlite_file._forks

    def is_free(lock: Any) -> bool:
        return bool(lock.acquire(timeout=5)) and lock.release() is None

    with ThreadPoolExecutor(1) as pool:
        instants = 0
        for instant in range(1, 60):
            assert add(store, new_key())
            instants += interrupted(forks._before, instant)
            forks._after()
            assert all(pool.submit(is_free, lock).result(10) for lock in (forks._lock, store._file._lock))
        assert instants > 10
        for instant in range(1, 30):
            forks._before()
            instants += interrupted(forks._after, instant)
            forks._before()  # by the next fork at the latest
            forks._after()
            assert all(pool.submit(is_free, lock).result(10) for lock in (forks._lock, store._file._lock))
        assert instants > 20


def test_an_exception_while_a_fork_waits_leaves_no_connection_open_and_no_lock_taken(tmp_path: Path) -> None:
    stores = [SQLiteReplayStore(tmp_path / f"{number}.db") for number in range(4)]
    for store in stores:
        assert store.add(new_key(), NOW + 60, NOW)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.ExitStack() as stack:
            for store in stores:
                stack.enter_context(store._file._lock)
            held.set()
            done.wait(30)

    reported: list[object] = []

    def interrupt(*_: object) -> None:
        done.set()
        raise Interrupt

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    hook, sys.unraisablehook = sys.unraisablehook, lambda raised: reported.append(raised.exc_type)
    handler = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        child = children.fork(
            lambda: (
                10 * [store._file._connection for store in stores].count(None)
                + [add(store, new_key()) for store in stores].count(True)
            )
        )
    finally:
        signal.signal(signal.SIGALRM, handler)
        sys.unraisablehook = hook
    thread.join()
    assert reported == [Interrupt]
    assert children.wait(child) == 44
    with ThreadPoolExecutor(1) as pool:  # another thread
        assert all(pool.submit(store.add, new_key(), NOW + 60, NOW).result(10) for store in stores)
        assert pool.submit(lambda: children.wait(children.fork(lambda: 7))).result(10) == 7
    for store in stores:
        store.close()


# Batches


def test_threads_share_one_sync_of_the_disk(path: Path) -> None:
    store = SQLiteReplayStore(path, synchronous="FULL", timeout=10)
    start = threading.Barrier(16)

    def add(_: int) -> int:
        start.wait(10)
        return [store.add(b"%d" % number, NOW + 60, NOW) for number in range(40)].count(True)

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(add, range(16))) == 40
    store.close()


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
def test_tasks_that_wait_share_one_transaction(path: Path, synchronous: Any) -> None:
    store = SQLiteReplayStore(path, synchronous=synchronous)
    transactions: list[str] = []
    connection_of(store).set_trace_callback(transactions.append)

    async def run() -> list[bool]:
        keys = [b"%d" % (number % 20) for number in range(41)]
        return await asyncio.gather(*(store.add_async(key, NOW + 60, NOW) for key in keys))

    assert asyncio.run(run()).count(True) == 20
    assert transactions.count("COMMIT") == 1
    store.close()


def test_a_batch_of_new_assertions_is_written_at_once_and_one_with_a_replay_anew(path: Path) -> None:
    store = SQLiteReplayStore(path)
    transactions: list[str] = []
    connection_of(store).set_trace_callback(transactions.append)

    async def run(keys: list[bytes]) -> list[bool]:
        return await asyncio.gather(*(store.add_async(key, NOW + 60, NOW) for key in keys))

    new, more = [new_key() for _ in range(21)], [new_key() for _ in range(20)]
    assert asyncio.run(run(new)) == [True] * 21
    assert transactions.count("ROLLBACK") == 0
    assert asyncio.run(run([new[0], *more[:10], new[1], *more[10:]])) == [False, *[True] * 10, False, *[True] * 10]
    assert (transactions.count("ROLLBACK"), transactions.count("COMMIT")) == (1, 2)
    assert asyncio.run(run(new + more)) == [False] * 41
    store.close()


def test_a_batch_that_meets_a_full_disk_refuses_all_of_it(path: Path) -> None:
    store = SQLiteReplayStore(path)
    connection_of(store).execute("PRAGMA max_page_count = 8")

    async def run() -> list[object]:
        adds = [store.add_async(new_key(), NOW + 60, NOW) for _ in range(200)]
        return await asyncio.gather(*adds, return_exceptions=True)

    first, *others = asyncio.run(run())
    assert first is True
    assert {type(each) for each in others} == {TemporarilyUnavailable}
    assert count(path) == 1
    store.close()


def test_a_clock_set_back_refuses_its_own_add_and_no_other_of_the_batch(path: Path) -> None:
    store = SQLiteReplayStore(path)
    assert store.add(new_key(), NOW + 60, NOW)
    store.close()
    store = SQLiteReplayStore(path)
    assert store.add(new_key(), NOW + 5_000, NOW + 3_600)

    async def run() -> list[object]:
        adds = [store.add_async(new_key(), until, NOW) for until in (NOW + 600, NOW + 60, NOW + 600, NOW + 30)]
        return await asyncio.gather(*adds, return_exceptions=True)

    assert [each is True for each in asyncio.run(run())] == [True, False, True, False]
    assert "clock" in refusal(lambda: asyncio.run(store.add_async(new_key(), NOW + 60, NOW)))
    store.close()


# Boots


def test_a_document_of_another_boot_is_none(cache: SQLiteJWKSCache, other: sqlite3.Connection, wall: Wall) -> None:
    """After a reboot with a wall clock that is behind nobody knows how old it is."""
    cache.put(URI, document(0, b"old"), 0)
    other.execute("UPDATE jwks_documents SET boot = 'another'")
    wall.now -= 50
    assert cache.get(URI, 0) is None
    cache.put(URI, document(0, b"new"), 1_000)  # older by every clock, and the only one of this boot
    found = cache.get(URI, 1_000)
    assert found is not None
    assert found.body == b"new"


def test_a_boot_has_a_name_everywhere() -> None:
    assert boot_id() == boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    minutes = int(boot_id("/nowhere"))
    assert minutes * 60 == pytest.approx(time.time() - since_boot(), abs=61)


def test_the_age_of_a_document_counts_while_the_machine_sleeps() -> None:
    assert since_boot() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=5)
