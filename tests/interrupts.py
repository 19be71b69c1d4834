"""Exceptions that a signal handler raises in the main thread, wherever CPython runs the handler."""

from __future__ import annotations

import itertools
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import private_key_jwt
from private_key_jwt._lock import NotedLock

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
        while not done.wait(random.uniform(0.00005, longest)):
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


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Let a signal handler raise in this thread after so many seconds, if the block is not over by then."""
    over = threading.Event()

    def interrupt(*_arguments: object) -> None:
        raise Interrupt

    def send() -> None:
        if not over.wait(seconds):
            signal.pthread_kill(here, SIGNAL)

    here = threading.get_ident()
    before = signal.signal(SIGNAL, interrupt)
    sender = threading.Thread(target=send)
    try:
        try:
            sender.start()
            yield
        finally:
            over.set()
            sender.join()
    finally:
        sender.join()
        signal.signal(SIGNAL, before)


def is_instant(frame: FrameType, event: str) -> bool:
    """Whether CPython runs signal handlers at what a profile function is called for.

    They are the starts and ends of functions, of Python and of C, ours and those of other libraries; but for the end of
    our lock's ``__enter__``, after which none runs before the block.
    """
    return event != "c_call" and not (event == "return" and frame.f_code is NotedLock.__enter__.__code__)


def interrupted(call: Callable[[], object], instant: int) -> bool:
    """Call, and raise at one of the instants at which CPython runs signal handlers; False when it ended before."""
    instants = itertools.count()

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        if is_instant(frame, event) and next(instants) == instant:
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
