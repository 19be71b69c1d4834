"""A clock that only goes forward, and, where the system has one, also while the machine sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

__all__ = ["boot_id", "boot_time_clock", "since_boot"]


def boot_time_clock() -> Callable[[], float]:
    """Return the clock: seconds since the machine started, or, where no clock tells them, monotonic ones."""
    number = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic if number is None else partial(time.clock_gettime, number)


since_boot = boot_time_clock()


def boot_id(path: str = "/proc/sys/kernel/random/boot_id") -> str:
    """Name the boot of this host: by the id that Linux gives it, on other systems by its time to the minute."""
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return f"{(time.time() - since_boot()) / 60:.0f}"
