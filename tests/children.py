"""Forked children that all begin at once."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable


def fork(call: Callable[[], int]) -> int:
    """The process id of a child that exits with what ``call`` returns; 99 when it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork of a process with threads
        pid = os.fork()
    if pid == 0:
        try:
            os._exit(call())
        except BaseException:
            os._exit(99)
    return pid


def wait(pid: int) -> int:
    """The exit status of a child; negative when a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def holds(check: Callable[[], bool]) -> bool:
    """Whether ``check`` says so in a forked child."""
    return wait(fork(lambda: 0 if check() else 1)) == 0


def together(number: int, call: Callable[[], int]) -> list[int]:
    """The exit statuses of that many children."""
    ready, go = os.pipe()

    def begin() -> int:
        os.close(go)
        os.read(ready, 1)  # until the last child is there
        return call()

    children = [fork(begin) for _ in range(number)]
    os.close(ready)
    os.close(go)
    return [wait(child) for child in children]
