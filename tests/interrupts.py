"""Exceptions that a signal handler raises in the main thread, again and again, wherever CPython runs the handler."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import private_key_jwt

SIGNAL = signal.SIGUSR1
SOURCE = str(Path(private_key_jwt.__file__).parent)


class Interrupt(BaseException):
    """What the handler raises."""


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
