"""The lock that no exception out of a signal handler leaves locked."""

import sys
import threading

import pytest

from interrupts import interrupt_often
from private_key_jwt import _lock as lock_module
from private_key_jwt._lock import NotedLock
from support import switching_threads


def test_one_thread_holds_it_at_a_time() -> None:
    lock, counted = NotedLock(), [0]

    def count(_: int) -> None:
        for _step in range(2_000):
            with lock:
                counted[0], _before = counted[0] + 1, counted[0]

    with switching_threads(8) as pool:
        list(pool.map(count, range(8)))
    assert counted == [16_000]


@pytest.mark.slow
def test_exceptions_out_of_signal_handlers_never_leave_it_locked() -> None:
    lock = NotedLock()

    def take() -> None:
        with lock:
            pass

    interrupt_often(take, times=300)
    others: list[bool] = []
    thread = threading.Thread(target=lambda: others.append(lock.acquire(timeout=5)))
    thread.start()
    thread.join()
    assert others == [True]


def test_it_is_taken_where_with_runs_signal_handlers_before_its_block() -> None:
    assert (lock_module.Lock is NotedLock) is (lock_module.RLock is NotedLock) is (sys.version_info[:2] == (3, 14))
