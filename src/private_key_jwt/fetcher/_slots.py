"""Bound the fetches that are under way in this process, and share their places out."""

from __future__ import annotations

import time
from typing import Any

from .._fork import renew_after_fork
from .._lock import Lock
from ._fetches import Fetch

__all__ = ["FetchSlots", "fetch_slots"]


class FetchSlots:
    """Bound the fetches under way in this process, over all fetchers: their threads, sockets and memory.

    Publishers whose last fetch brought a key set have slots of their own, so that those who register publishers that
    never answer cannot take them. A slot is free again when its fetch ends, and at the deadline of its fetch, whatever
    hangs or was interrupted.
    """

    LIMIT = 512
    """The number of slots of each kind."""

    def __init__(self) -> None:
        self.after_fork_in_child()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Forget the fetches of the parent process: no thread of theirs is here."""
        self._lock = Lock()
        self._of_answering: set[Fetch[Any]] = set()
        self._of_others: set[Fetch[Any]] = set()

    def acquire(self, fetch: Fetch[Any], *, has_answered: bool) -> bool:
        """Take a slot; return False when there is none.

        has_answered: whether the last fetch from this publisher brought a key set.
        """
        with self._lock:
            for slots in (self._of_answering, self._of_others)[not has_answered :]:
                if len(slots) >= self.LIMIT:
                    now = time.monotonic()
                    slots.difference_update([held for held in slots if held.deadline <= now])
                if len(slots) < self.LIMIT:
                    slots.add(fetch)
                    return True
            return False

    def release(self, fetch: Fetch[Any]) -> None:
        """Give the slot of a fetch back, if it has one."""
        with self._lock:
            self._of_answering.discard(fetch)
            self._of_others.discard(fetch)

    def __len__(self) -> int:
        now = time.monotonic()
        with self._lock:
            return sum(fetch.deadline > now for slots in (self._of_answering, self._of_others) for fetch in slots)


fetch_slots = FetchSlots()
