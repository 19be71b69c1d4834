"""Keep what both fetchers know: key sets, unknown kids, budgets, and the fetches under way. Thread-safe.

Nothing here waits or does I/O, and getting a known set takes no lock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Generic

from .._core.freshness import Entry, Instant
from .._fork import renew_after_fork
from .._lock import Lock
from .._text import escape_name
from ..events import (
    Event,
    FetchBudgetSpent,
    FetchFailed,
    KeyAdded,
    KeyRemoved,
    KeySetEvicted,
    OnEvent,
    StoreFailed,
    emit,
)
from ..policy import JWKSPolicy
from ._budgets import Budgets, Failure, Spending, cache_interval, describe_failure
from ._fetches import DONE, Fetch, Handle, Outcome, Status
from ._key_sets import UNKNOWN_KID_SECONDS, KeySets, UnknownKids
from ._slots import fetch_slots

__all__ = ["FetcherState"]

_MIN_FETCHES_SWEPT = 1_024


class FetcherState(Generic[Handle]):
    """The state of one fetcher.

    clock, wall_clock: seconds that only go forward, and seconds since the epoch.
    max_key_sets: how many key sets are kept, or as many as were reserved, where these are more.
    shares_cache: whether others may share the cache: failures are written there for them, and
        they may have room in the budget.
    """

    def __init__(
        self,
        policy: JWKSPolicy,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        max_key_sets: int,
        on_event: OnEvent,
        *,
        shares_cache: bool,
    ) -> None:
        self.policy = policy
        self.clock = clock
        self.wall_clock = wall_clock
        self._on_event = on_event
        self.cache_failures = 0
        self.shares_cache = shares_cache
        self._reserved = 0
        self.last_number = 0
        """The number of the newest fetch. One that is started after this was read has a greater number."""
        self._key_sets = KeySets(max_key_sets)
        self._budgets = Budgets(policy)
        self.after_fork_in_child()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Forget the fetches of the parent process: no thread of theirs, and none that held the lock, is here."""
        self._lock = Lock()
        self._fetches: dict[str, Fetch[Handle]] = {}
        self._sweep_at = _MIN_FETCHES_SWEPT
        self._unknown_kids = UnknownKids()
        self._key_sets = self._key_sets.copy()
        self.entry = self._key_sets.get

    def now(self) -> Instant:
        """Read both clocks."""
        return Instant(self.clock(), self.wall_clock())

    def report(self, event: Event) -> None:
        """Report an event. Not with the lock held: the handler is the user's."""
        emit(self._on_event, event)

    def report_cache_failure(self, error: str) -> None:
        """Count and report that the shared cache failed, or held nonsense: the fetcher goes on without it."""
        with self._lock:
            self.cache_failures += 1
        self.report(StoreFailed(store="jwks_cache", error=error))

    # Key sets

    def reserve(self, count: int) -> int:
        """Keep so many key sets at least, beside those that were reserved before; return how many are kept now."""
        with self._lock:
            self._reserved += count
            self._key_sets.bound = max(self._key_sets.bound, self._reserved)
            return self._key_sets.bound

    def keep(self, jwks_uri: str, entry: Entry) -> None:
        """Keep a set, unless a newer one is known: a late response must not bring back a removed key."""
        with self._lock:
            known = self.entry(jwks_uri)
            if known is not None and entry.is_older(known):
                return
            if known is not None:
                entry = entry.after(known)
            evicted = self._key_sets.put(jwks_uri, entry)
        now = self.now()
        for uri, other in evicted:
            if not other.has_expired(now):
                self.report(KeySetEvicted(jwks_uri=uri, age=now.clock - other.fetched_at))
        if known is not None and known.digest != entry.digest:
            self._report_changes(jwks_uri, known, entry)

    def _report_changes(self, jwks_uri: str, known: Entry, entry: Entry) -> None:
        before, after = dict.fromkeys(known.keys.usable), dict.fromkeys(entry.keys.usable)
        for key in after:
            if key not in before:
                self.report(KeyAdded(jwks_uri=jwks_uri, kid=escape_name(key.kid)))
        for key in before:
            if key not in after:
                self.report(KeyRemoved(jwks_uri=jwks_uri, kid=escape_name(key.kid)))

    # Unknown kids

    def unknown_until(self, jwks_uri: str, kid: str | None) -> float | None:
        """Return until when a kid is not asked for again, by the fetcher's clock; None when it may be."""
        with self._lock:
            return self._unknown_kids.until(jwks_uri, kid, self.clock())

    def remember_unknown(self, jwks_uri: str, kid: str | None, asked_at: float) -> None:
        """Remember that the set that was asked for at ``asked_at`` does not serve this kid."""
        with self._lock:
            until = asked_at + min(UNKNOWN_KID_SECONDS, self.policy.fetch_window)
            self._unknown_kids.add(jwks_uri, kid, until)

    # Budgets

    def last_kid(self, jwks_uri: str) -> str | None:
        """Return the unknown kid that the last fetch was taken for; None where it was taken for none."""
        with self._lock:
            spending = self._budgets.get(jwks_uri)
            return None if spending is None else spending.last_kid

    def failure(self, jwks_uri: str) -> Failure | None:
        """Return how the last fetch failed, unless another has brought a key set since."""
        with self._lock:
            spending = self._budgets.get(jwks_uri)
            return None if spending is None else spending.failure

    def retry_after(self, jwks_uri: str) -> float:
        """Return the seconds until another fetch may be taken."""
        now = self.clock()
        with self._lock:
            spending = self._budgets.get(jwks_uri)
            return 0.0 if spending is None else spending.retry_after(now, self.policy)

    def may_read_cache(self, jwks_uri: str) -> bool:
        """Report whether the shared cache may be read now: that costs no fetch, and is done about once a second."""
        now = self.clock()
        with self._lock:
            return now >= self._budgets.of(jwks_uri, now).read_cache_from

    def note_cache_miss(self, jwks_uri: str) -> None:
        """Remember that the shared cache makes no fetch needless, and need not be read again for about a second."""
        now = self.clock()
        with self._lock:
            spending = self._budgets.of(jwks_uri, now)
            spending.read_cache_from = now + self._cache_interval(jwks_uri, spending, now)

    def take(self, fetch: Fetch[Handle]) -> Outcome | None:
        """Take a fetch out of the budget, before anything is sent; return why not, if not."""
        now = self.clock()
        with self._lock:
            spending = self._budgets.of(fetch.jwks_uri, now)
            if spending.can_take(now, self.policy) and spending.fetches.take(now, self.policy):
                fetch.taken_at = now
                query = fetch.request.query
                spending.last_kid = query.kid if query is not None and fetch.request.forced else None
                return None
            spent, is_first = self._spent(spending, now)
        self._report_spent(fetch.jwks_uri, spent, is_first=is_first)
        return spent

    def give_back(self, fetch: Fetch[Handle]) -> None:
        """Give a fetch back which those who share the cache refused, and ask them for none for about a second."""
        now = self.clock()
        with self._lock:
            spending = self._budgets.of(fetch.jwks_uri, now)
            spending.fetch_from = now + self._cache_interval(fetch.jwks_uri, spending, now)
            spending.refused_until = self._known_fetch_ends(fetch.jwks_uri)
            spending.fetches.give_back(fetch.taken_at)
            fetch.was_refused = True

    def _known_fetch_ends(self, jwks_uri: str) -> float:
        """Return when the fetch that brought the known set, whoever made it, leaves the window."""
        known = self.entry(jwks_uri)
        return -math.inf if known is None else known.asked_at + self.policy.fetch_window

    def _cache_interval(self, jwks_uri: str, spending: Spending, now: float) -> float:
        return min(cache_interval(each, now) for each in (self._known_fetch_ends(jwks_uri), spending.free_at))

    def take_none_before(self, jwks_uri: str, instant: float) -> None:
        """Take no fetch before an instant: those who share the cache are known to refuse it until then."""
        with self._lock:
            spending = self._budgets.of(jwks_uri, self.clock())
            spending.fetch_from = max(spending.fetch_from, instant)
            spending.free_at = instant

    def take_wait(self, jwks_uri: str) -> bool:
        """Take a wait for a fetch of others; return False when there were as many as they have fetches."""
        now = self.clock()
        with self._lock:
            return self._budgets.of(jwks_uri, now).waits.take(now, self.policy)

    def note_sent(self, fetch: Fetch[Handle]) -> None:
        """Remember that a fetch is sent: a refresh ahead of time is tried once."""
        fetch.was_sent = True
        if not fetch.request.ahead:
            return
        with self._lock:
            known = self.entry(fetch.jwks_uri)
            if known is not None:
                self._key_sets.replace(fetch.jwks_uri, known.without_refresh_ahead())

    def _spent(self, spending: Spending, now: float) -> tuple[Outcome, bool]:
        outcome = Outcome(Status.SPENT, "the fetch budget is spent", spending.retry_after(now, self.policy))
        return outcome, spending.fetches.note_refusal()

    def _report_spent(self, jwks_uri: str, spent: Outcome, *, is_first: bool) -> None:
        if is_first:
            self.report(FetchBudgetSpent(jwks_uri=jwks_uri, retry_after=spent.retry_after))

    # Fetches under way

    def join_or_start(self, fetch: Fetch[Handle], can_join: Callable[[Fetch[Handle]], bool]) -> Fetch[Handle] | Outcome:
        """Return the fetch that is under way for this ``jwks_uri``; or start ``fetch``; or say why neither can be.

        Where ``fetch`` itself is returned it is started: the caller must run it, and ``finish`` it, whatever is raised.
        """
        jwks_uri, now = fetch.jwks_uri, self.clock()
        with self._lock:
            under_way = self._fetches.get(jwks_uri)
            if under_way is not None and can_join(under_way):
                return under_way
            known = self.entry(jwks_uri)
            if known is not fetch.request.known:
                # A fetch has ended since: what it brought is to be tried, before another is started for the same.
                return DONE
            spending = self._budgets.of(jwks_uri, now)
            if now >= spending.read_cache_from or spending.can_take(now, self.policy):
                return self._start(fetch, has_answered=known is not None and spending.failure is None)
            spent, is_first = self._spent(spending, now)
        self._report_spent(jwks_uri, spent, is_first=is_first)
        return spent

    def _start(self, fetch: Fetch[Handle], *, has_answered: bool) -> Fetch[Handle] | Outcome:
        if not fetch_slots.acquire(fetch, has_answered=has_answered):
            return Outcome(Status.REFUSED, f"{fetch_slots.LIMIT} fetches are under way")
        self._sweep()
        replaced = self._fetches.get(fetch.jwks_uri)
        if replaced is not None:  # it hangs past its deadline, or its event loop is gone
            fetch_slots.release(replaced)
        self.last_number += 1
        fetch.number, fetch.started_at = self.last_number, self.clock()
        self._fetches[fetch.jwks_uri] = fetch
        return fetch

    def _sweep(self) -> None:
        """Forget fetches that nobody will ever finish: their event loop is gone, or their start was interrupted."""
        if len(self._fetches) >= self._sweep_at:
            oldest = time.monotonic() - self.policy.fetch_window
            self._fetches = {uri: each for uri, each in self._fetches.items() if each.deadline > oldest}
            self._sweep_at = max(_MIN_FETCHES_SWEPT, 2 * len(self._fetches))

    def finish(self, fetch: Fetch[Handle], outcome: Outcome) -> bool:
        """End a fetch, however it ended; return False when it had ended before."""
        now = self.now()
        with self._lock:
            if fetch.outcome is not None:
                return False
            fetch.outcome = outcome
            if not fetch.number:  # it was interrupted before it was started
                fetch_slots.release(fetch)
                return True
            if self._fetches.get(fetch.jwks_uri) is fetch:
                del self._fetches[fetch.jwks_uri]
            spending = self._budgets.of(fetch.jwks_uri, now.clock)
            if outcome.status is Status.FAILED:
                spending.failure = Failure(now, describe_failure(outcome.detail))
            elif outcome.status is Status.DONE:
                spending.failure, spending.read_cache_from, spending.refused_until = None, -math.inf, -math.inf
        fetch_slots.release(fetch)
        return True

    def report_end(self, fetch: Fetch[Handle], outcome: Outcome) -> None:
        """Report a fetch that has ended: if it was sent, and failed. Why none was sent stands in each refusal."""
        if fetch.was_sent and outcome.status is Status.FAILED:
            detail, duration = describe_failure(outcome.detail), self.clock() - fetch.started_at
            self.report(FetchFailed(jwks_uri=fetch.jwks_uri, detail=detail, duration=duration))

    def fetches(self) -> list[Fetch[Handle]]:
        """Return all fetches under way."""
        with self._lock:
            return list(self._fetches.values())
