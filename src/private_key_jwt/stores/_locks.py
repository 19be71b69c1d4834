"""A lock that is given back whatever a signal handler raises, and whenever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["run_locked"]

Result = TypeVar("Result")


def run_locked(lock: threading.RLock, work: Callable[[], Result], timeout: float) -> Result:
    """Return ``work()``, called while this thread holds the lock. Raises TimeoutError, and what ``work`` raises.

    timeout: seconds that it may take to get the lock.

    A signal handler may raise as soon as the lock is taken, before anything can note that it is. So the lock is taken
    within the ``try``, and is asked itself whether this thread holds it.
    """
    try:
        if not lock.acquire(timeout=timeout):
            raise TimeoutError("other threads keep the connection busy")
        return work()
    finally:
        try:  # noqa: SIM105  (`suppress` is a call, before which a signal handler may raise)
            lock.release()
        except RuntimeError:
            pass
