"""A clock that only goes forward, and, where the system has one, also while the machine sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

__all__ = ["boot_time_clock", "since_boot"]


def boot_time_clock() -> Callable[[], float]:
    """Return the clock: seconds since the machine started, or, where no clock tells them, monotonic ones."""
    number = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic if number is None else partial(time.clock_gettime, number)


since_boot = boot_time_clock()
