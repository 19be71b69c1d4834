"""One fetch of one JWK Set: what it is for, who waits for it, and how it ended. And how many may be under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Generic, NamedTuple, TypeVar

from .._core.freshness import Entry, KeyQuery
from .._fork import renew_after_fork
from .._lock import Lock
from ..exceptions import RETRY_AFTER
from ._progress import Progress

__all__ = ["DONE", "Ending", "Fetch", "FetchSlots", "Outcome", "RefreshRequest", "Status", "fetch_slots"]

Handle = TypeVar("Handle")


class Status(Enum):
    """How a fetch ended."""

    DONE = auto()  # what is published is known
    STARTED = auto()  # it may be under way, and nobody waits for it
    FAILED = auto()  # it was tried and brought nothing
    SPENT = auto()  # the budget allows none now
    REFUSED = auto()  # too many are under way, or the fetcher is closed


class Outcome(NamedTuple):
    """How a fetch ended, why, and after how many seconds another can be tried."""

    status: Status
    detail: str = ""
    retry_after: float = RETRY_AFTER


DONE = Outcome(Status.DONE)


class RefreshRequest(NamedTuple):
    """What a key set is refreshed for.

    query: the header that the new set must serve, or None.
    forced: whether ``known`` is too old, however fresh it is: HTTP caches in between must ask the publisher, and
        a document of the shared cache ends the refresh only where it is newer and serves the query.
    known: the set that does not serve the query, or is to be renewed.
    ahead: nobody waits for it.
    """

    jwks_uri: str
    query: KeyQuery | None
    forced: bool
    known: Entry | None
    ahead: bool = False


@dataclass(slots=True, eq=False)
class Fetch(Generic[Handle]):
    """One refresh of one ``jwks_uri``, which all who need it share.

    deadline: when its waiters give up, in seconds of ``time.monotonic``.
    handle: what they wait on.
    number: counted from 1 in the order in which its fetcher starts them; 0 before it is started.
    runner: the thread or the task that does it.
    taken_at: when it was taken out of the budget, by the fetcher's clock.
    was_refused: whether those who share the cache have refused it, and it waits for what they bring.
    was_sent: whether its GET was sent, or tried to be.
    """

    request: RefreshRequest
    deadline: float
    handle: Handle
    number: int = 0
    started_at: float = 0.0
    taken_at: float = 0.0
    was_refused: bool = False
    was_sent: bool = False
    runner: Any = None
    outcome: Outcome | None = field(default=None)
    progress: Progress = field(default_factory=Progress)

    @property
    def jwks_uri(self) -> str:
        """What is fetched."""
        return self.request.jwks_uri

    @property
    def time_left(self) -> float:
        """For how many seconds its waiters will wait."""
        return self.deadline - time.monotonic()


class Ending:
    """The end of a fetch, for threads and tasks that wait for it.

    Not a Future and not an Event: an exception that a signal handler raises while one of these takes its lock leaves
    that locked, and whoever ends the fetch would wait for ever. Here no lock is held but the one that is waited for.
    """

    def __init__(self) -> None:
        self._until_end = threading.Lock()
        self._until_end.acquire()
        self._callbacks: dict[object, Callable[[], object]] = {}
        self._has_ended = False

    def wait(self, timeout: float) -> None:
        """Wait for the end, at most so many seconds."""
        try:
            self._until_end.acquire(timeout=max(0.0, timeout))
        finally:
            if self._has_ended:  # for the next who waits, also when a signal handler raised
                try:  # noqa: SIM105  (`suppress` is a call, before which a signal handler may raise)
                    self._until_end.release()
                except RuntimeError:  # another has released it
                    pass

    def add_callback(self, token: object, call: Callable[[], object]) -> None:
        """Call at the end, in the thread that comes to it; at once if it has come."""
        self._callbacks[token] = call
        if self._has_ended:
            self._call(token)

    def remove_callback(self, token: object) -> None:
        """Do not call any more."""
        self._callbacks.pop(token, None)

    def _call(self, token: object) -> None:
        call = self._callbacks.pop(token, None)  # once, whoever comes first
        if call is not None:
            call()

    def end(self) -> None:
        """Wake all who wait. To be called once."""
        self._has_ended = True
        with suppress(RuntimeError):  # who waited until just now has released it
            self._until_end.release()
        for token in list(self._callbacks):
            self._call(token)


class FetchSlots:
    """Bound the fetches under way in this process, over all fetchers: their threads, sockets and memory.

    Publishers whose last fetch brought a key set have slots of their own, so that those who register publishers that
    never answer cannot take them. A slot is free again when its fetch ends, and at the deadline of its fetch, whatever
    hangs or was interrupted.
    """

    LIMIT = 512
    """How many slots there are of each kind."""

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
