"""Who saw what: every presentation of every assertion, what came of it, and whether that was within bounds.

Nothing of the library decides here. An assertion counts as accepted when a worker said so through its pipe.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

ACCEPTED = "accepted"
KILLED = "killed"  # the worker was, before it answered
PENDING = "pending"


@dataclass
class Presentation:
    """One assertion, sent to one worker once."""

    assertion: int
    kid: str
    sent: float
    answered: float = float("inf")
    outcome: str = PENDING


@dataclass(frozen=True)
class Limits:
    """Seconds: those of the policy, those of the store, and what a busy machine may take on top."""

    ttl: float
    window: float
    fetch_timeout: float
    store_timeout: float
    slack: float = 1.5


@dataclass
class Outage:
    """When something was down, from before it was killed to when it answers again."""

    begun: float
    ended: float = float("inf")


BOUNDS = {
    "replay_store_unavailable": "while the store is down, and its timeout after",
    "jwks_unavailable": "while the JWKS server or the store with the shared cache is down, and until a fetch attempt is"
    " free again: window + timeout",
    "unknown_kid": "a new key: window + timeout after it was published, or after such an outage; a removed key: always",
    "replayed": "of an assertion that was accepted, or whose mark was made for an answer that got lost",
    KILLED: "sent to a worker that was killed",
}


@dataclass
class Record:
    """What happened."""

    limits: Limits
    presentations: list[Presentation] = field(default_factory=list)
    store_outages: list[Outage] = field(default_factory=list)
    jwks_outages: list[Outage] = field(default_factory=list)
    published: dict[str, float] = field(default_factory=dict)
    removed: dict[str, float] = field(default_factory=dict)
    happened: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sent(self, assertion: int, kid: str) -> int:
        """A presentation is about to be sent: its number."""
        with self._lock:
            self.presentations.append(Presentation(assertion, kid, time.monotonic()))
            return len(self.presentations) - 1

    def note_outcome(self, number: int, outcome: str) -> None:
        """What came of it."""
        presentation = self.presentations[number]
        presentation.answered = time.monotonic()
        presentation.outcome = outcome

    def accepted_twice(self) -> int:
        """Assertions that more than one presentation was accepted of."""
        accepted = Counter(each.assertion for each in self.presentations if each.outcome == ACCEPTED)
        return sum(number > 1 for number in accepted.values())

    def accepted_after_removal(self) -> int:
        """Presentations accepted under a key that had left the set for longer than a ttl (law 3)."""
        bound = self.limits.ttl + self.limits.slack
        return sum(
            each.outcome == ACCEPTED and each.sent > self.removed.get(each.kid, float("inf")) + bound
            for each in self.presentations
        )

    def foreign(self) -> Counter[str]:
        """Exceptions that are not ours."""
        return Counter(each.outcome for each in self.presentations if each.outcome.startswith("foreign"))

    def counts(self) -> Counter[str]:
        """How often each outcome came."""
        return Counter(each.outcome for each in self.presentations)

    def outside(self) -> list[tuple[Presentation, str]]:
        """What was refused outside of the stated bounds, and how long after the last thing that could excuse it."""
        accepted = {each.assertion for each in self.presentations if each.outcome == ACCEPTED}
        lost = {each.assertion for each in self.presentations if each.outcome in (KILLED, "replay_store_unavailable")}
        return [
            (each, self._since(each))
            for each in self.presentations
            if each.outcome != ACCEPTED and not self._is_within(each, accepted, lost)
        ]

    def _is_within(self, each: Presentation, accepted: set[int], lost: set[int]) -> bool:
        limits = self.limits
        refetch = limits.window + limits.fetch_timeout + limits.slack
        # What was fetched while the cache was down is in no cache, and counts for all who share it.
        outages = [*self.jwks_outages, *self.store_outages]
        match each.outcome:
            case "replayed":
                return each.assertion in accepted or each.assertion in lost
            case "replay_store_unavailable":
                return _meets(each, self.store_outages, limits.store_timeout + limits.slack)
            case "jwks_unavailable":
                return _meets(each, outages, refetch)
            case "unknown_kid":
                new = Outage(self.published[each.kid], self.published[each.kid])
                gone = self.removed.get(each.kid, float("inf")) <= each.answered
                return gone or _meets(each, [new, *outages], refetch)
        return each.outcome == KILLED

    def _since(self, each: Presentation) -> str:
        moments = {
            "published": self.published[each.kid],
            "store up": max((outage.ended for outage in self.store_outages), default=float("nan")),
            "jwks up": max((outage.ended for outage in self.jwks_outages), default=float("nan")),
        }
        after = " ".join(f"{name} {each.sent - moment:+.1f}" for name, moment in moments.items())
        return f"{each.outcome}: took {each.answered - each.sent:.1f} s; {after}"


def _meets(each: Presentation, outages: Iterable[Outage], after: float) -> bool:
    return any(each.sent <= outage.ended + after and each.answered >= outage.begun for outage in outages)
