"""A clock that stands still until it is advanced."""

from __future__ import annotations

import time


class Clock:
    """A settable clock: calling it gives its time in seconds.

        clock = Clock()
        verifier = ClientAssertionVerifier(..., clock=clock)
        clock.advance(90)  # what LedgerBee signed before has expired

    now: seconds since the epoch; the real time, cut to a whole second, unless given.

    It serves as the wall clock of a verifier and as the monotonic clock of a fetcher, or as both at once.
    """

    def __init__(self, now: float | None = None) -> None:
        self._now = float(int(time.time())) if now is None else now

    def __call__(self) -> float:
        return self._now

    def __repr__(self) -> str:
        return f"Clock({self._now!r})"

    def advance(self, seconds: float) -> None:
        """Let time pass; a negative number sets the clock back."""
        self._now += seconds

    def set(self, now: float) -> None:
        """Set the clock, to seconds since the epoch."""
        self._now = now
