"""When keys are used, refreshed or refused: the rules as data. All times are monotonic seconds."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from ..exceptions import Reason
from ..policy import JWKSPolicy
from .jwk_set import KeySet, VerificationKey


@dataclass(frozen=True, slots=True)
class Entry:
    """A fetched key set. ``fetched_at`` is when it was asked for; ``flight`` is the number of the fetch.

    A set out of a shared cache has flight 0: no request here can have waited for it. ``failed_at`` is when a
    refresh of it last failed; ``digest`` tells its document from others in this process.
    """

    keys: KeySet
    fetched_at: float
    flight: int
    refresh_ahead_tried: bool = False
    failed_at: float = -math.inf
    digest: int = 0


class Action(Enum):
    """What to do for one look-up."""

    USE = auto()
    USE_AND_REFRESH = auto()
    REFRESH = auto()
    REFUSE = auto()


class Decision(NamedTuple):
    """The action; with the key to use, or the reason to give when a refresh changes nothing."""

    action: Action
    key: VerificationKey | None
    reason: Reason


_NO_SET = Decision(Action.REFRESH, None, Reason.JWKS_UNAVAILABLE)


def lifetime(keys: KeySet, policy: JWKSPolicy) -> float:
    """How long a set is used: one without keys shorter, for it is a tenant that is being set up."""
    return policy.ttl if keys.members else min(policy.empty_ttl, policy.ttl)


def look_up(keys: KeySet, alg: str, kid: str | None) -> Decision:
    """The decision within a set that may be used."""
    found = keys.find(alg, kid)
    if not isinstance(found, Reason):
        return Decision(Action.USE, found, Reason.UNKNOWN_KID)
    # Two keys that fit are the publisher's fault, and stay so until its next periodic answer.
    action = Action.REFUSE if found is Reason.AMBIGUOUS_KEY else Action.REFRESH
    return Decision(action, None, found)


def quiet_key(entry: Entry, alg: str, kid: str | None, now: float, policy: JWKSPolicy) -> VerificationKey | None:
    """The key, when it is known and nothing else is to be done: the second row of the table below."""
    quiet = policy.ttl if entry.refresh_ahead_tried else policy.ttl * policy.refresh_ahead
    if now - entry.fetched_at >= quiet:
        return None
    found = entry.keys.find(alg, kid)
    return found if isinstance(found, VerificationKey) else None


def decide(entry: Entry | None, alg: str, kid: str | None, now: float, policy: JWKSPolicy) -> Decision:
    """What to do with what is known.

    | known set                    | its key for the header | action                                |
    |------------------------------|------------------------|---------------------------------------|
    | none, or past ttl            |                        | REFRESH                               |
    | within ttl                   | one                    | USE                                   |
    | past refresh_ahead the first | one                    | USE_AND_REFRESH                       |
    | within ttl                   | none                   | REFRESH (OpenID Connect Core §10.1.1) |
    | within ttl                   | several                | REFUSE                                |
    """
    if entry is None or now - entry.fetched_at >= lifetime(entry.keys, policy):
        return _NO_SET
    decision = look_up(entry.keys, alg, kid)
    if decision.key is not None and quiet_key(entry, alg, kid, now, policy) is None:
        return Decision(Action.USE_AND_REFRESH, decision.key, decision.reason)
    return decision


def stale_allowed(entry: Entry, now: float, policy: JWKSPolicy) -> bool:
    """Whether a set past its ttl may be used: up to the cap, and only when a fetch failed within the last window."""
    if now - entry.failed_at >= policy.fetch_window:
        return False
    return now - entry.fetched_at < lifetime(entry.keys, policy) + policy.stale_if_error


class Budget:
    """At most ``burst`` claims within any ``window`` seconds. Claimed before a fetch, whatever it brings."""

    __slots__ = ("_claims", "_told")

    def __init__(self) -> None:
        self._claims: deque[float] = deque()
        self._told = False

    def claim(self, now: float, policy: JWKSPolicy) -> bool:
        """Take one of the attempts, or answer False."""
        claims = self._claims
        while claims and now - claims[0] >= policy.fetch_window:
            claims.popleft()
        if len(claims) >= policy.fetch_limit:
            return False
        claims.append(now)
        self._told = False
        return True

    def tell(self) -> bool:
        """Whether a refused claim is the first since one was granted: the one to tell of."""
        first, self._told = not self._told, True
        return first

    def give_back(self, claimed_at: float) -> None:
        """Undo a claim, unless it has left the window already: others have claimed since, and keep theirs."""
        with contextlib.suppress(ValueError):
            self._claims.remove(claimed_at)

    def wait(self, now: float, policy: JWKSPolicy) -> float:
        """Seconds until the next claim can succeed."""
        if len(self._claims) < policy.fetch_limit:
            return 0
        return self._claims[0] + policy.fetch_window - now

    def idle(self, now: float, policy: JWKSPolicy) -> bool:
        """Whether it has nothing left to remember."""
        return not self._claims or now - self._claims[-1] >= policy.fetch_window
