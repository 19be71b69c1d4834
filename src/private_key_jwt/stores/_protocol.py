"""What a replay store must do."""

from __future__ import annotations

from typing import Protocol


class ReplayStore(Protocol):
    """Remembers keys until they expire. Every verifier that shares an audience must share one store, and have
    the same leeway: a mark lives as long as the verifier that made it would accept.

    ``add`` is one atomic step: of any number of callers, in any number of threads, processes and hosts that
    share the store, exactly one gets True for a key until ``expires_at``. It never forgets a live key to
    make room, and never answers by guess: when it cannot tell, it raises (anything), and the assertion is
    refused. Times are seconds since the epoch; ``key`` is 32 bytes.
    """

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """True when ``key`` was not there and is now; False when it was there."""
        ...


class AsyncReplayStore(Protocol):
    """ReplayStore, awaited."""

    async def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See ReplayStore.add."""
        ...
