"""A replay store in the memory of one process."""

from __future__ import annotations

import heapq
import math
import multiprocessing
import warnings
from typing import ClassVar, NamedTuple

from ..._fork import renew_after_fork
from ..._lock import Lock
from ..._validation import check_integer
from ...exceptions import Reason, TemporarilyUnavailable

_FORGET_PER_ADD = 4

# How it can come that other processes have marks of their own.
_FORKED = "was made before a fork: an assertion can be used once in each process"
_SPAWNED = "is in a child process, and there may be other workers: each of them would accept an assertion once"


class _Second(NamedTuple):
    """The keys that expire within one second; ``end`` is one object for all of them, to save memory."""

    end: float
    keys: list[bytes]


class MemoryReplayStore:
    """Replay marks in the memory of this process: right for one process, wrong for several workers.

        store = MemoryReplayStore()
        verifier = ClientAssertionVerifier(..., replay_store=store)

    Thread-safe. Holds at most ``max_entries`` marks; full, it refuses (``replay_store_full``, fails closed)
    and never forgets a live mark. Each add also forgets up to four expired marks, so no call pays for
    many. After a fork every child has a store of its own, and says so once (RuntimeWarning). So does one in a process
    that ``multiprocessing`` started, which may be a worker among others (uvicorn's ``--workers``) or the only one
    (its ``--reload``).
    """

    in_process: ClassVar[bool] = True

    def __init__(self, max_entries: int = 1_000_000) -> None:
        check_integer("max_entries", max_entries, 1, 1_000_000_000)
        self._max_entries = max_entries
        self._expiry: dict[bytes, float] = {}
        self._seconds: dict[int, _Second] = {}
        self._order: list[int] = []
        self._forgotten_until = -math.inf
        self._unshared = _SPAWNED if multiprocessing.parent_process() is not None else ""
        self._lock = Lock()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Make a new lock: a thread that held the old one is not in this process; nor are the other workers' marks."""
        self._lock = Lock()
        self._unshared = _FORKED

    def __bool__(self) -> bool:
        """Return True, also when it is empty: ``store or MemoryReplayStore()`` is to be ``store``."""
        return True

    def __len__(self) -> int:
        """Return how many marks are held, those included that have expired and are not forgotten yet."""
        return len(self._expiry)

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        """See ReplayStore.add. Raises TemporarilyUnavailable: replay_store_full, replay_store_unavailable."""
        if self._unshared:
            self._warn()
        with self._lock:
            if self._order and self._order[0] <= now:
                self._forget_expired(now)
            known = self._expiry.get(key)
            if known is not None and known > now:
                return False
            if expires_at <= self._forgotten_until:
                # The clock was set back. A mark like this one may have been forgotten: nobody can tell.
                raise TemporarilyUnavailable(
                    Reason.REPLAY_STORE_UNAVAILABLE,
                    f"the clock stands {self._forgotten_until - now:.0f} s before marks already forgotten",
                )
            if len(self._expiry) >= self._max_entries:
                raise TemporarilyUnavailable(
                    Reason.REPLAY_STORE_FULL,
                    f"MemoryReplayStore is full, with max_entries={self._max_entries} of live marks: raise max_entries",
                )
            number = math.ceil(expires_at)
            second = self._seconds.get(number)
            if second is None:
                second = self._begin(number, key)
            else:
                second.keys.append(key)
            self._expiry[key] = second.end if second.end == expires_at else expires_at
            return True

    # A signal handler may raise between any two of these lines, and a fork may come there. So a number may stand in the
    # order twice, or without its second; never may a second be without its number, for then nobody would forget it.

    def _begin(self, number: int, key: bytes) -> _Second:
        heapq.heappush(self._order, number)
        second = self._seconds[number] = _Second(float(number), [key])
        return second

    def _forget_expired(self, now: float) -> None:
        for _ in range(_FORGET_PER_ADD):
            if not self._order or self._order[0] > now:
                return
            number = self._order[0]
            second = self._seconds.get(number)
            if second is not None and second.keys:
                self._forget(second)
            if second is None or not second.keys:
                self._seconds.pop(number, None)
                heapq.heappop(self._order)

    def _forget(self, second: _Second) -> None:
        key = second.keys[-1]
        # A key that was added anew after it expired may stand twice; its later mark is not this one's.
        if self._expiry.get(key, math.inf) <= second.end:
            self._forgotten_until = max(self._forgotten_until, second.end)
            del self._expiry[key]
        second.keys.pop()

    def _warn(self) -> None:
        reason, self._unshared = self._unshared, ""
        warnings.warn(
            f"This MemoryReplayStore {reason}. Take a store that workers share ("
            "SQLiteReplayStore, RedisReplayStore, SQLAlchemyReplayStore, DjangoReplayStore).",
            RuntimeWarning,
            stacklevel=3,
        )
