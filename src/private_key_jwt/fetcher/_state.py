"""What both fetchers know: key sets, budgets, unknown kids, and the fetches under way. Thread-safe.

Nothing here waits or does I/O, and a look-up of a known set takes no lock.

A *flight* is one refresh of one ``jwks_uri``. Who needs it *boards* (joins it, or begins it when the budget
allows), and waits until it *lands* with an outcome. A *wish* is what it was begun for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Generic, NamedTuple, TypeVar

from cachetools import FIFOCache, TLRUCache

from .._core.freshness import Budget, Entry
from .._fork import rebuilt, renew_after_fork
from .._text import escape_name, one_line
from ..events import Event, FetchBudgetSpent, FetchFailed, KeyAdded, KeyRemoved, OnEvent, StoreFailed, emit
from ..policy import JWKSPolicy

logger = logging.getLogger("private_key_jwt")

Handle = TypeVar("Handle")

MAX_FETCHES_IN_FLIGHT = 256
_MAX_UNKNOWN_KIDS = 10_000
_MIN_BUDGETS_SWEPT = 1_024
_DETAIL_LENGTH = 200


class Landing(Enum):
    """How a refresh ended."""

    DONE = auto()  # what is published is known
    FAILED = auto()  # a fetch was tried and brought nothing
    SPENT = auto()  # the budget allows none now
    REFUSED = auto()  # too many fetches are under way, or the fetcher is closed


class Outcome(NamedTuple):
    """How a refresh ended, why, and after how many seconds another can be tried."""

    landing: Landing
    detail: str
    retry_after: float = 5


DONE = Outcome(Landing.DONE, "")


class Wish(NamedTuple):
    """What a refresh is for: the header it must serve (None: none), and whether caches are to be passed by.

    ``known`` is the set that was found wanting.
    """

    alg: str | None
    kid: str | None
    forced: bool
    known: Entry | None


@dataclass(slots=True, eq=False)
class Flight(Generic[Handle]):
    """One refresh of one ``jwks_uri``. ``handle`` is what its waiters wait on, until ``deadline`` (real seconds).

    ``begun_at`` is by the fetcher's clock.
    """

    number: int
    jwks_uri: str
    wish: Wish
    deadline: float
    begun_at: float
    handle: Handle
    outcome: Outcome | None = field(default=None)


class InFlight:
    """What is under way in this process, over all fetchers: a bound on threads, sockets and memory."""

    def __init__(self) -> None:
        self.after_fork_in_child()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def enter(self) -> bool:
        """Take a place, or answer False."""
        with self._lock:
            free = self._count < MAX_FETCHES_IN_FLIGHT
            self._count += free
            return free

    def leave(self) -> None:
        """Give the place back."""
        with self._lock:
            self._count -= 1


_in_flight = InFlight()


class FetchState(Generic[Handle]):
    """The memory of one fetcher."""

    def __init__(self, policy: JWKSPolicy, clock: Callable[[], float], max_key_sets: int, on_event: OnEvent) -> None:
        self.policy = policy
        self.clock = clock
        self._on_event = on_event
        self.cache_failures = 0
        # First in, first out: a set is put anew by each refresh, so the one that leaves is the longest unasked
        # for; and a look-up changes nothing, so it needs no lock.
        self._entries: FIFOCache[str, Entry] = FIFOCache(max_key_sets)
        self._budgets: dict[str, Budget] = {}
        self._sweep_at = _MIN_BUDGETS_SWEPT
        self.begun = 0
        """The number of the newest flight: what begins later, begins after whoever reads this now."""
        self.after_fork_in_child()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """The threads that fetched, and those that held the lock, are not in this process."""
        self._lock = threading.Lock()
        self._flights: dict[str, Flight[Handle]] = {}
        self._entries = rebuilt(self._entries)
        # Not kept: while it is changed its clock stands still, and would for ever. Budgets bound what is asked again.
        self._unknown: TLRUCache[tuple[str, str | None], float] = TLRUCache(
            _MAX_UNKNOWN_KIDS, ttu=lambda _key, until, _now: until, timer=self.clock
        )

    def tell(self, event: Event) -> None:
        """Tell whoever watches. Not with the lock held: what he does is his."""
        emit(self._on_event, event)

    def cache_failed(self, error: str) -> None:
        """The shared cache failed, or held nonsense: the fetcher goes on without it."""
        self.cache_failures += 1
        self.tell(StoreFailed(store="jwks_cache", error=error))

    # Key sets

    def entry(self, jwks_uri: str) -> Entry | None:
        """The newest set known of a ``jwks_uri``."""
        try:
            return self._entries[jwks_uri]
        except KeyError:
            return None

    def adopt(self, jwks_uri: str, entry: Entry) -> None:
        """Keep a set, unless a newer one is known: a late answer must not bring back a removed key."""
        with self._lock:
            known = self.entry(jwks_uri)
            if known is not None and (known.fetched_at, known.flight) > (entry.fetched_at, entry.flight):
                return
            self._entries[jwks_uri] = entry
        if known is not None and known.digest != entry.digest:
            self._tell_changes(jwks_uri, known, entry)

    def _tell_changes(self, jwks_uri: str, known: Entry, entry: Entry) -> None:
        before, after = known.keys.usable, entry.keys.usable
        for key in after:
            if key not in before:
                self.tell(KeyAdded(jwks_uri=jwks_uri, kid=escape_name(key.kid)))
        for key in before:
            if key not in after:
                self.tell(KeyRemoved(jwks_uri=jwks_uri, kid=escape_name(key.kid)))

    # Unknown kids

    def is_unknown(self, jwks_uri: str, kid: str | None) -> bool:
        """Whether a set fetched within the last window is known not to serve this ``kid``."""
        with self._lock:
            return (jwks_uri, kid) in self._unknown

    def remember_unknown(self, jwks_uri: str, kid: str | None, fetched_at: float) -> None:
        """A set asked for at ``fetched_at`` does not serve this ``kid``: do not ask again for one window."""
        with self._lock:
            self._unknown[jwks_uri, kid] = fetched_at + self.policy.fetch_window

    # Flights

    def board(
        self,
        jwks_uri: str,
        wish: Wish,
        deadline: float,
        handle: Callable[[], Handle],
        can_join: Callable[[Flight[Handle]], bool],
        *,
        ahead: bool = False,
    ) -> tuple[Flight[Handle] | Outcome, bool]:
        """The flight under way for this ``jwks_uri``, or a new one (and True), or why there can be none.

        The budget is claimed here, before anything is sent and whatever will come back.
        """
        now = self.clock()
        with self._lock:
            flight = self._flights.get(jwks_uri)
            if flight is not None and can_join(flight):
                return flight, False
            if self.entry(jwks_uri) is not wish.known:
                # A flight has landed since: what it brought is to be looked at, before another is begun for the same.
                return DONE, False
            budget = self._budget(jwks_uri, now)
            if not _in_flight.enter():
                return Outcome(Landing.REFUSED, f"{MAX_FETCHES_IN_FLIGHT} fetches are under way"), False
            if budget.claim(now, self.policy):
                return self._begin(jwks_uri, wish, deadline, now, handle(), ahead=ahead), True
            _in_flight.leave()
            spent = Outcome(Landing.SPENT, "the fetch budget is spent", budget.wait(now, self.policy))
            is_news = budget.tell()
        if is_news:
            self.tell(FetchBudgetSpent(jwks_uri=jwks_uri, retry_after=spent.retry_after))
        return spent, False

    def _begin(
        self, jwks_uri: str, wish: Wish, deadline: float, now: float, handle: Handle, *, ahead: bool
    ) -> Flight[Handle]:
        self.begun += 1
        flight = Flight(self.begun, jwks_uri, wish, deadline, now, handle)
        self._flights[jwks_uri] = flight
        known = self.entry(jwks_uri)
        if ahead and known is not None:
            self._entries[jwks_uri] = replace(known, refresh_ahead_tried=True)
        return flight

    def land(self, flight: Flight[Handle], outcome: Outcome) -> None:
        """The end of a flight, once and however it ended."""
        with self._lock:
            if flight.outcome is not None:
                return
            flight.outcome = outcome
            if self._flights.get(flight.jwks_uri) is flight:
                del self._flights[flight.jwks_uri]
            known = self.entry(flight.jwks_uri)
            if outcome.landing is Landing.FAILED and known is not None:
                self._entries[flight.jwks_uri] = replace(known, failed_at=self.clock())
        _in_flight.leave()
        if outcome.landing is Landing.FAILED:
            self.tell(
                FetchFailed(
                    jwks_uri=flight.jwks_uri,
                    detail=one_line(outcome.detail)[:_DETAIL_LENGTH],
                    duration=self.clock() - flight.begun_at,
                )
            )

    def give_back(self, flight: Flight[Handle]) -> None:
        """Undo the claim of a flight that sent nothing."""
        with self._lock:
            self._budget(flight.jwks_uri, self.clock()).give_back(flight.begun_at)

    def flights(self) -> list[Flight[Handle]]:
        """All flights under way."""
        with self._lock:
            return list(self._flights.values())

    def _budget(self, jwks_uri: str, now: float) -> Budget:
        # Budgets outlive the documents, or evicting one would buy another fetch. They go when idle.
        if len(self._budgets) >= self._sweep_at:
            self._budgets = {uri: kept for uri, kept in self._budgets.items() if not kept.idle(now, self.policy)}
            self._sweep_at = max(_MIN_BUDGETS_SWEPT, 2 * len(self._budgets))
        return self._budgets.setdefault(jwks_uri, Budget())
