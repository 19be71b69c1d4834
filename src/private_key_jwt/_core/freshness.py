"""Decide when keys are used, refreshed or refused: the rules as data.

A fetcher has two clocks. Its own goes forward only and, where the system has such a clock, also while the machine
sleeps: budgets and ages are counted by it. The wall clock can be set by anybody, so it may end the life of a key set
early and never prolong it.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import NamedTuple

from ..exceptions import Reason
from ..policy import JWKSPolicy
from .jwk_set import KeySet, NoKey, VerificationKey

__all__ = [
    "Action",
    "Budget",
    "Decision",
    "Entry",
    "Instant",
    "KeyQuery",
    "decide",
    "lifetime",
    "may_be_stale",
    "new_entry",
    "select_key",
]

MIN_REMAINING = 30.0
"""Seconds for which a set is used, whatever ``Age`` says: a broken one must not cost a fetch for each assertion."""


MAX_REMOVED = 64
"""The kids that were removed, of which an entry knows: as many as a set may have."""


class Instant(NamedTuple):
    """One moment: ``clock`` in seconds of the fetcher's clock, ``wall`` in seconds since the epoch."""

    clock: float
    wall: float


class KeyQuery(NamedTuple):
    """Name what an assertion's header asks a key set for; ``signing_algs`` are those of its client."""

    alg: str
    kid: str | None
    signing_algs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A key set, and for how long it is used. ``new_entry`` makes one.

    asked_at: when the set was asked for, by the fetcher's clock.
    fetched_at: the same, less the ``Age`` that the set had then.
    fresh_until: from then on it is refreshed in the background.
    expires_at, wall_expires_at: from then on, by either clock, it is not used.
    number: the number of the fetch. A set out of a shared cache has 0: no request can have waited for it.
    digest: tells its document from others in this process.
    known_since: when the first set of its ``jwks_uri`` was asked for in this process, by the fetcher's clock.
    removed: kids that earlier sets in this process had and this one lacks, newest last, each with when the first set
        without it was asked for.
    """

    keys: KeySet
    asked_at: float
    fetched_at: float
    fresh_until: float
    expires_at: float
    wall_expires_at: float
    number: int
    digest: int
    known_since: float
    removed: tuple[tuple[str | None, float], ...] = ()

    def after(self, known: Entry) -> Entry:
        """Return the same set, with what the one before it tells of sets in this process."""
        kids = {member.kid for member in self.keys.members}
        gone = dict.fromkeys((member.kid for member in known.keys.members if member.kid not in kids), self.asked_at)
        removed = [each for each in known.removed if each[0] not in kids] + list(gone.items())
        left_out = removed[:-MAX_REMOVED]
        # Of a kid that is no more known to have been there, nothing is said for the time when it may have been.
        known_since = max((known.known_since, *(removed_at for _, removed_at in left_out)))
        return replace(self, known_since=known_since, removed=tuple(removed[-MAX_REMOVED:]))

    def removed_at(self, kid: str | None) -> float | None:
        """Return when the first set without a kid was asked for, where sets before it had the kid; else None."""
        return dict(self.removed).get(kid)

    def is_older(self, other: Entry) -> bool:
        """Report whether this set was asked for before another; one out of a shared cache is known by its age alone.

        A fetched one is not judged by its age: two caches of a publisher may differ in theirs, and its own document is
        what the request that waits for it gets.
        """
        if self.number:
            return (self.asked_at, self.number) < (other.asked_at, other.number)
        return (self.fetched_at, self.number) < (other.fetched_at, other.number)

    def has_expired(self, now: Instant) -> bool:
        """Report whether it is used no more, by either clock."""
        return now.clock >= self.expires_at or now.wall >= self.wall_expires_at

    def without_refresh_ahead(self) -> Entry:
        """Return the same set, which is not refreshed again before it expires."""
        return replace(self, fresh_until=self.expires_at)


def lifetime(keys: KeySet, policy: JWKSPolicy) -> float:
    """Return for how many seconds a set is used; one without keys shorter, for it is a client that is being set up."""
    return policy.ttl if keys.members else min(policy.empty_ttl, policy.ttl)


def new_entry(
    keys: KeySet,
    asked: Instant,
    policy: JWKSPolicy,
    *,
    age: float = 0.0,
    seen: Instant | None = None,
    number: int = 0,
    digest: int = 0,
) -> Entry:
    """Make the entry of a key set.

    asked: when it was asked for.
    age: how old it was then, in seconds, by the caches it came through (``Age``, RFC 9111 §5.1). It counts as far as
        MIN_REMAINING seconds are left.
    seen: when this fetcher saw it first, where that was later. Refreshing ahead counts in what remains from then.
    """
    whole = lifetime(keys, policy)
    left = whole - min(age, max(0.0, whole - MIN_REMAINING))
    expires_at = asked.clock + left
    start = asked.clock if seen is None else seen.clock
    return Entry(
        keys=keys,
        asked_at=asked.clock,
        fetched_at=expires_at - whole,
        fresh_until=start + policy.refresh_ahead * (expires_at - start),
        expires_at=expires_at,
        wall_expires_at=asked.wall + left,
        number=number,
        digest=digest,
        known_since=asked.clock,
    )


class Action(Enum):
    """Say what to do for one query."""

    USE = auto()
    USE_AND_REFRESH = auto()
    REFRESH = auto()
    REFUSE = auto()


class Decision(NamedTuple):
    """The action; with the key to use, or why there is none when a refresh changes nothing."""

    action: Action
    found: VerificationKey | NoKey


_NO_SET = Decision(Action.REFRESH, NoKey(Reason.JWKS_UNAVAILABLE))


def select_key(keys: KeySet, query: KeyQuery) -> Decision:
    """Decide by the keys of a set that may be used."""
    found = keys.find(query.alg, query.kid, query.signing_algs)
    if isinstance(found, VerificationKey):
        return Decision(Action.USE, found)
    # Two keys that fit are the publisher's fault, and stay so until the next refresh ahead of time; a key that only the
    # client's registration rules out is not changed by a fetch.
    return Decision(Action.REFUSE if found.is_final else Action.REFRESH, found)


def decide(entry: Entry | None, query: KeyQuery, now: Instant) -> Decision:
    """Decide what to do with what is known.

    | known set                     | its key for the header | action                                |
    |-------------------------------|------------------------|---------------------------------------|
    | none, or expired              |                        | REFRESH                               |
    | not expired                   | one                    | USE                                   |
    | not expired, past fresh_until | one                    | USE_AND_REFRESH                       |
    | not expired                   | none                   | REFRESH (OpenID Connect Core §10.1.1) |
    | not expired                   | several, or one that   | REFUSE                                |
    |                               | the client's other     |                                       |
    |                               | algorithms rule out    |                                       |
    """
    if entry is None or entry.has_expired(now):
        return _NO_SET
    decision = select_key(entry.keys, query)
    if isinstance(decision.found, VerificationKey) and now.clock >= entry.fresh_until:
        return decision._replace(action=Action.USE_AND_REFRESH)
    return decision


def may_be_stale(entry: Entry, failed_at: float, now: Instant, policy: JWKSPolicy) -> bool:
    """Report whether an expired set may be used: up to the cap, and when a fetch failed within the last window.

    failed_at: when a fetch of it last failed, by the fetcher's clock.
    """
    if now.clock - failed_at >= policy.fetch_window:
        return False
    cap = policy.stale_if_error
    return now.clock < entry.expires_at + cap and now.wall < entry.wall_expires_at + cap


class Budget:
    """Count fetches: at most ``fetch_limit`` within any ``fetch_window`` seconds.

    A fetch is taken before it starts, and counts whatever it brings.
    """

    __slots__ = ("_reported", "_taken")

    def __init__(self) -> None:
        self._taken: deque[float] = deque()
        self._reported = False

    def has_room(self, now: float, policy: JWKSPolicy) -> bool:
        """Report whether a fetch may be taken."""
        taken = self._taken
        while taken and now - taken[0] >= policy.fetch_window:
            taken.popleft()
        return len(taken) < policy.fetch_limit

    def take(self, now: float, policy: JWKSPolicy) -> bool:
        """Take a fetch; return False when none is left."""
        if not self.has_room(now, policy):
            return False
        self._taken.append(now)
        self._reported = False
        return True

    def note_refusal(self) -> bool:
        """Return True for the first refusal since a fetch was taken: the one to report."""
        first, self._reported = not self._reported, True
        return first

    def give_back(self, taken_at: float) -> None:
        """Give a fetch back, unless it has left the window already: others were taken since, and count."""
        with contextlib.suppress(ValueError):
            self._taken.remove(taken_at)

    def retry_after(self, now: float, policy: JWKSPolicy) -> float:
        """Return the seconds until the next fetch may be taken."""
        if len(self._taken) < policy.fetch_limit:
            return 0
        return max(0.0, self._taken[0] + policy.fetch_window - now)

    def is_idle(self, now: float, policy: JWKSPolicy) -> bool:
        """Report whether no fetch is left in the window."""
        return not self._taken or now - self._taken[-1] >= policy.fetch_window
