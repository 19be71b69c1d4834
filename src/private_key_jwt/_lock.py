"""A lock for ``with`` that no exception out of a signal handler leaves locked."""

from __future__ import annotations

import sys
import threading

__all__ = ["Lock", "NotedLock", "RLock"]

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
