"""Locks that no exception out of a signal handler leaves locked."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Lock", "NotedLock", "RLock", "run_locked"]

Result = TypeVar("Result")

_ONCE = (True,)


class NotedLock(type(threading.RLock())):  # type: ignore[misc]  # it is a class, which typeshed calls final
    """A reentrant lock that notes that it is taken before the interpreter can run a signal handler.

        lock = NotedLock()
        with lock:
            ...

    ``with`` of CPython 3.14 runs signal handlers between taking a lock and the block that would give it back: what a
    handler raises there (KeyboardInterrupt, a time limit) leaves a ``threading.Lock`` locked for good.
    """

    __slots__ = ()

    def __enter__(self) -> bool:
        """Take the lock, and give it back when a signal handler raises before this returns."""
        taken: list[bool] = []
        try:
            taken.extend(map(self.acquire, _ONCE))  # one call: no handler runs between taking and noting
        except BaseException:
            if taken:
                self.release()
            raise
        return True


# Other versions set up the block together with taking the lock, and need no note.
_NEEDS_NOTE = sys.version_info[:2] == (3, 14)
Lock = NotedLock if _NEEDS_NOTE else threading.Lock
RLock = NotedLock if _NEEDS_NOTE else threading.RLock


def run_locked(lock: threading.RLock, work: Callable[[], Result], timeout: float) -> Result:
    """Return ``work()``, called while this thread holds the lock. Raises TimeoutError, and what ``work`` raises.

    timeout: seconds that it may take to get the lock.

    A signal handler may raise as soon as the lock is taken, before anything can note that it is. So the lock is taken
    within the ``try``, and is asked itself whether this thread holds it.
    """
    try:
        # Mostly it is free: not to wait is asked for first, at a third of the time.
        if not (lock.acquire(blocking=False) or lock.acquire(timeout=timeout)):
            raise TimeoutError("other threads keep the connection busy")
        return work()
    finally:
        try:  # noqa: SIM105  (`suppress` is a call, before which a signal handler may raise)
            lock.release()
        except RuntimeError:
            pass
