"""Exceptions that a signal handler raises in the main thread, wherever CPython runs the handler."""

from __future__ import annotations

import itertools
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import private_key_jwt

SIGNAL = signal.SIGUSR1
SOURCE = str(Path(private_key_jwt.__file__).parent)


class Interrupt(BaseException):
    """What a signal handler raises."""


def _interrupt(_number: int, frame: FrameType | None) -> None:
    # Code of ours only: what the test, pytest and coverage do must go on.
    if frame is not None and frame.f_code.co_filename.startswith(SOURCE):
        raise Interrupt


def interrupt_often(call: Callable[[], object], times: int, longest: float = 0.001) -> None:
    """Call over and over in the main thread, until it was interrupted so many times at random moments."""
    done = threading.Event()
    main = threading.main_thread().ident or 0

    def send() -> None:
        while not done.is_set():
            time.sleep(random.uniform(0.00005, longest))
            signal.pthread_kill(main, SIGNAL)

    before = signal.signal(SIGNAL, _interrupt)
    thread = threading.Thread(target=send)
    thread.start()
    try:
        while times:
            try:
                call()
            except Interrupt:
                times -= 1
    finally:
        done.set()
        thread.join()
        signal.signal(SIGNAL, before)


def interrupted(call: Callable[[], object], instant: int) -> bool:
    """Call, and raise at the given instant of those at which CPython runs signal handlers; False when it ended before.

    They are the starts and ends of functions, of Python and of C, ours and those of other libraries.
    """
    instants = itertools.count()

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        if event != "c_call" and next(instants) == instant:
            raise Interrupt

    sys.setprofile(profile)
    try:
        call()
    except Interrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


def interrupt_everywhere(call: Callable[[], object]) -> Iterator[int]:
    """Interrupt call after call, each an instant later than the one before; stop when none is interrupted any more."""
    for instant in itertools.count(1):
        # More than one in a row, since what __del__ raises is only reported.
        if not any(interrupted(call, instant) for _ in range(3)):
            break
        yield instant
