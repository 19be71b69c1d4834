"""Child processes: forked ones that all begin at once, and servers."""

from __future__ import annotations

import os
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import until


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


def await_server(
    process: subprocess.Popen[Any], answers: Callable[[], object], name: str, log: Path | None = None
) -> None:
    """Wait until a server that was started answers; one that does not is ended. Raises AssertionError."""
    try:
        until(lambda: process.poll() is not None or answers(), f"{name} does not answer", 60)
        assert process.returncode is None, f"{name} ended: {log.read_text() if log else process.returncode}"
    except BaseException:
        with process:
            process.kill()
        raise
