"""Describe one fetch of one JWK Set: what it is for, who waits for it, and how it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Generic, NamedTuple, TypeVar

from .._core.freshness import Entry, KeyQuery
from ..exceptions import RETRY_AFTER
from ._progress import Progress

__all__ = ["DONE", "Fetch", "Handle", "Outcome", "RefreshRequest", "Status"]

Handle = TypeVar("Handle")


class Status(Enum):
    """Say how a fetch ended."""

    DONE = auto()  # what is published is known
    STARTED = auto()  # it may be under way, and nobody waits for it
    FAILED = auto()  # it was tried and brought nothing
    SPENT = auto()  # the budget allows none now
    REFUSED = auto()  # too many are under way, or the fetcher is closed


class Outcome(NamedTuple):
    """Say how a fetch ended, why, and after how many seconds another can be tried."""

    status: Status
    detail: str = ""
    retry_after: float = RETRY_AFTER


DONE = Outcome(Status.DONE)


class RefreshRequest(NamedTuple):
    """Say what a key set is refreshed for.

    query: the header that the new set must serve, or None.
    forced: whether a newer set than ``known`` is needed, though that has not expired: HTTP caches in between must ask
        the publisher, and a document of the shared cache ends the refresh only where it is newer and serves the query.
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
        """Return the URL that is fetched."""
        return self.request.jwks_uri

    @property
    def time_left(self) -> float:
        """Return for how many seconds its waiters will wait."""
        return self.deadline - time.monotonic()
