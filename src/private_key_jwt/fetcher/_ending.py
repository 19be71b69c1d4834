"""Wait for the end of a fetch, in threads and tasks, whatever signal handlers raise meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Ending"]


class Ending:
    """The end of a fetch, for threads and tasks that wait for it.

    Not a Future and not an Event: an exception that a signal handler raises while one of these takes its lock leaves
    that locked, and whoever ends the fetch would wait for ever. Here no lock is held but the one that is waited for.
    """

    def __init__(self) -> None:
        self._until_end = threading.Lock()
        self._until_end.acquire()
        self._callbacks: dict[object, Callable[[], object]] = {}
        self._has_ended = False

    def wait(self, timeout: float) -> None:
        """Wait for the end, at most so many seconds."""
        try:
            self._until_end.acquire(timeout=max(0.0, timeout))
        finally:
            if self._has_ended:  # for the next who waits, also when a signal handler raised
                try:  # noqa: SIM105  (`suppress` is a call, before which a signal handler may raise)
                    self._until_end.release()
                except RuntimeError:  # another has released it
                    pass

    def add_callback(self, token: object, call: Callable[[], object]) -> None:
        """Call at the end, in the thread that comes to it; at once if it has come."""
        self._callbacks[token] = call
        if self._has_ended:
            self._call(token)

    def remove_callback(self, token: object) -> None:
        """Do not call any more."""
        self._callbacks.pop(token, None)

    def _call(self, token: object) -> None:
        call = self._callbacks.pop(token, None)  # once, whoever comes first
        if call is not None:
            call()

    def end(self) -> None:
        """Wake all who wait. To be called once."""
        self._has_ended = True
        with suppress(RuntimeError):  # who waited until just now has released it
            self._until_end.release()
        for token in list(self._callbacks):
            self._call(token)
