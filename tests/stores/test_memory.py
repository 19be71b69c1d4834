"""Replay marks in one process."""

import contextlib
import functools
import linecache
import random
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

import children
from private_key_jwt import ConfigurationError, MemoryReplayStore, Reason, TemporarilyUnavailable
from private_key_jwt.stores._replay_stores import memory
from support import switching_threads


def refused(call: Callable[[], object]) -> Reason:
    with pytest.raises(TemporarilyUnavailable) as caught:
        call()
    return caught.value.reason


def test_a_key_is_new_once_until_it_expires() -> None:
    store = MemoryReplayStore()
    assert store.add(b"k", 100, 0) is True
    assert store.add(b"k", 100, 0) is False
    assert store.add(b"k", 200, 99.9) is False
    assert store.add(b"other", 100, 0) is True
    assert store.add(b"k", 200, 100) is True
    assert store.add(b"k", 300, 199.9) is False


def test_fractions_of_a_second_count() -> None:
    store = MemoryReplayStore()
    assert store.add(b"k", 100.25, 100)
    assert not store.add(b"k", 200, 100.2)
    assert store.add(b"k", 100.75, 100.25)
    assert not store.add(b"k", 200, 100.7)
    assert store.add(b"k", 200, 101)
    assert not store.add(b"k", 300, 199)
    assert len(store) == 1


def test_one_of_many_threads_wins() -> None:
    store = MemoryReplayStore()
    start = threading.Barrier(64)

    def add(_: int) -> int:
        start.wait()
        return [store.add(b"%d" % number, 100, 0) for number in range(200)].count(True)

    with switching_threads(64) as pool:
        assert sum(pool.map(add, range(64))) == 200


def test_full_it_refuses_and_forgets_nothing_live() -> None:
    store = MemoryReplayStore(max_entries=3)
    for key in (b"a", b"b", b"c"):
        assert store.add(key, 100, 0)
    assert refused(lambda: store.add(b"d", 100, 99)) is Reason.REPLAY_STORE_FULL
    assert [store.add(key, 200, 99) for key in (b"a", b"b", b"c")] == [False] * 3
    assert store.add(b"d", 200, 100)


def test_expired_marks_leave_a_few_with_each_add() -> None:
    store = MemoryReplayStore()
    for number in range(1_000):
        store.add(b"%d" % number, 100, 0)
    store.add(b"x", 200, 100)
    assert len(store) == 1_000 - 4 + 1
    for number in range(249):
        store.add(b"y%d" % number, 200, 100)
    assert len(store) == 250


def test_an_add_costs_the_same_however_many_marks_there_are() -> None:
    def per_add(live: int) -> float:
        store = MemoryReplayStore()
        keys = [random.randbytes(32) for _ in range(live)]
        for key in keys:
            store.add(key, 100 + key[0], 0)
        best = float("inf")
        for round_number in range(5):
            fresh = [random.randbytes(32) for _ in range(2_000)]
            started = time.thread_time()
            for key in fresh:
                store.add(key, 500, 50 + round_number)
            best = min(best, time.thread_time() - started)
        return best

    assert per_add(200_000) < 5 * per_add(1_000)


def test_a_clock_set_back_revives_nothing() -> None:
    store = MemoryReplayStore()
    assert store.add(b"k", 100, 0)
    assert store.add(b"x", 5_000, 3_600)
    # An hour back: k was forgotten, and nobody can tell whether it was there.
    assert refused(lambda: store.add(b"k", 100, 0)) is Reason.REPLAY_STORE_UNAVAILABLE
    assert store.add(b"k", 101, 0)
    assert not store.add(b"x", 5_000, 0)


def test_a_clock_that_leapt_ahead_for_a_moment_stops_nobody_for_long() -> None:
    store = MemoryReplayStore()
    assert store.add(b"a", 331, 0)
    assert store.add(b"b", 10**9 + 331, 10**9)
    assert store.add(b"c", 332, 1)


def test_an_add_that_was_interrupted_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler may raise between any two lines; here it does so where the heap is pushed to."""
    store = MemoryReplayStore()
    assert store.add(b"a", 50, 0)

    def interrupt(heap: list[int], number: int) -> None:
        list.append(heap, number)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("heapq.heappush", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.add(b"b", 60, 0)
    for now in (10, 55, 65, 1_000, 10**6):
        assert store.add(b"%d" % now, now + 1_000, now)


def interrupted(call: Callable[[], object], at: int) -> bool:
    """Whether ``call`` came to the store's line of that number, and was interrupted there."""
    passed = 0

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal passed
        if frame.f_code.co_filename != memory.__file__:
            return None
        # No signal is handled within a `with` line but before the lock is taken or after it is free.
        if event == "line" and not linecache.getline(memory.__file__, frame.f_lineno).lstrip().startswith("with "):
            passed += 1
            if passed == at:
                raise KeyboardInterrupt
        return trace

    def run() -> None:
        sys.settrace(trace)  # of this thread only
        with contextlib.suppress(KeyboardInterrupt):
            call()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return passed >= at


def test_an_add_that_was_interrupted_at_any_line_forgets_what_it_should_and_nothing_else() -> None:
    for line in range(1, 200):
        store = MemoryReplayStore()
        for key, expires_at in ((b"a", 50), (b"b", 60), (b"c", 60), (b"live", 500)):
            assert store.add(key, expires_at, 0)
        if not interrupted(functools.partial(store.add, b"new", 300, 100), line):
            break
        for number in range(10):
            assert store.add(b"%d" % number, 400, 100)
        assert not store.add(b"live", 500, 100)
        # Set back before what was forgotten: nobody can tell.
        for key in (b"a", b"b", b"c"):
            assert refused(functools.partial(store.add, key, 50, 0)) is Reason.REPLAY_STORE_UNAVAILABLE
        for number in range(20):
            assert store.add(b"x%d" % number, 2_000, 1_000)
        assert len(store) == 20
    assert line > 30


@pytest.mark.parametrize("bound", [0, -1, 1.5, "x", None, True])
def test_the_bound_is_a_positive_integer(bound: object) -> None:
    with pytest.raises(ConfigurationError, match="max_entries"):
        MemoryReplayStore(bound)  # type: ignore[arg-type]


def test_each_child_of_a_fork_is_warned_once() -> None:
    store = MemoryReplayStore()
    assert store.add(b"k", 100, 0)

    def check() -> bool:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answers = [store.add(b"k", 100, 0), store.add(b"new", 100, 0), store.add(b"new", 100, 0)]
        return answers == [False, True, False] and [w.category for w in caught] == [RuntimeWarning]

    assert children.holds(check)
    assert children.holds(check)
    assert store.add(b"new", 100, 0)


def test_a_worker_that_was_spawned_is_warned_once() -> None:
    """As uvicorn starts its workers."""
    code = """
import multiprocessing, warnings
from private_key_jwt import MemoryReplayStore

def work():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        store = MemoryReplayStore()
        answers = [store.add(b"k", 100, 0), store.add(b"k", 100, 0)]
    print(answers, [str(each.message)[:62] for each in caught])

if __name__ == "__main__":
    work()
    process = multiprocessing.get_context("spawn").Process(target=work)
    process.start()
    process.join()
"""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(code)
        script.flush()
        ran = subprocess.run([sys.executable, script.name], capture_output=True, text=True, check=True, timeout=60)
    alone, spawned = ran.stdout.splitlines()
    assert alone == "[True, False] []"
    assert spawned == "[True, False] ['This MemoryReplayStore is in a child process, and there may be']"


def test_a_store_is_true_also_when_it_is_empty() -> None:
    store = MemoryReplayStore()
    assert (store or MemoryReplayStore()) is store


def test_a_store_made_after_the_fork_warns_nobody() -> None:
    assert children.holds(lambda: MemoryReplayStore().add(b"k", 100, 0))


def test_a_lock_held_at_the_fork_is_free_in_the_child() -> None:
    store = MemoryReplayStore()
    store._lock.acquire()

    def check() -> bool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return store.add(b"k", 100, 0)

    try:
        assert children.holds(check)
    finally:
        store._lock.release()
