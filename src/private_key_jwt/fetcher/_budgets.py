"""Remember, per ``jwks_uri``, which fetches were spent and how the last one failed, for longer than its key set."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from .._core.freshness import Budget, Instant
from .._text import one_line
from ..policy import JWKSPolicy

__all__ = ["Budgets", "Failure", "Spending", "cache_interval", "describe_failure"]

CACHE_INTERVAL = 1.0
"""Seconds until the shared cache is read again after it held nothing newer, or asked for a fetch after a refusal."""
SHORT_CACHE_INTERVAL = 0.1
"""The same when a fetch may be allowed at any moment."""

_FORGET_PER_URI = 2
_FAILURE_LENGTH = 200


def describe_failure(text: str) -> str:
    """Escape what a fetch met to one line of at most 200 characters."""
    return one_line(text)[:_FAILURE_LENGTH]


def cache_interval(free_at: float, now: float) -> float:
    """Return the seconds until the shared cache is read again, or asked again for a fetch.

    free_at: when a fetch that is known leaves the window, so that another is allowed. To find that a second later would
        keep a new key waiting for longer than the window.
    """
    left = free_at - now
    if left > 0:
        return min(left, CACHE_INTERVAL)
    return SHORT_CACHE_INTERVAL if left > -CACHE_INTERVAL else CACHE_INTERVAL


class Failure(NamedTuple):
    """Say how the last fetch failed, and when."""

    at: Instant
    detail: str


@dataclass(slots=True, eq=False)
class Spending:
    """Count what was spent on one ``jwks_uri``.

    fetches: those that this fetcher took.
    waits: how often it waited for a fetch of another who shares the cache: they have as many fetches as we.
    read_cache_from, fetch_from: from when on the shared cache is read again, and asked again for a fetch.
    free_at: when another fetch is allowed, as far as is known from the failures of those who share the cache.
    refused_until: when those who share the cache, and refused the last fetch, will allow one at the latest.
    failure: how the last fetch failed, unless another has brought a key set since.
    last_kid: the unknown kid that the last fetch was taken for; None where it was taken for none.
    """

    fetches: Budget = field(default_factory=Budget)
    waits: Budget = field(default_factory=Budget)
    read_cache_from: float = -math.inf
    fetch_from: float = -math.inf
    free_at: float = -math.inf
    refused_until: float = -math.inf
    failure: Failure | None = None
    last_kid: str | None = None

    def can_take(self, now: float, policy: JWKSPolicy) -> bool:
        """Report whether a fetch may be taken: here, and, as far as is known, by those who share the cache."""
        return now >= self.fetch_from and self.fetches.has_room(now, policy)

    def retry_after(self, now: float, policy: JWKSPolicy) -> float:
        """Return the seconds until the next fetch may be taken: at most, where those who share the cache decide."""
        return max(self.fetches.retry_after(now, policy), max(self.fetch_from, self.refused_until) - now, 0.0)

    def is_idle(self, now: float, policy: JWKSPolicy) -> bool:
        """Report whether there is nothing left to remember."""
        return (
            self.fetches.is_idle(now, policy)
            and self.waits.is_idle(now, policy)
            and now >= max(self.read_cache_from, self.fetch_from)
            and (self.failure is None or now - self.failure.at.clock >= policy.fetch_window)
        )


class Budgets:
    """The spending on each ``jwks_uri``. It outlives the key set, or evicting that would buy another fetch."""

    def __init__(self, policy: JWKSPolicy) -> None:
        self._policy = policy
        self._spending: OrderedDict[str, Spending] = OrderedDict()

    def __len__(self) -> int:
        return len(self._spending)

    def get(self, jwks_uri: str) -> Spending | None:
        """Return what is remembered, if anything is."""
        return self._spending.get(jwks_uri)

    def of(self, jwks_uri: str, now: float) -> Spending:
        """Return what is remembered, or begin to.

        Each new one looks at two others, and forgets those that are idle: no call pays for many.
        """
        spending = self._spending.get(jwks_uri)
        if spending is None:
            for _ in range(min(_FORGET_PER_URI, len(self._spending))):
                self._forget_first_if_idle(now)
            spending = self._spending[jwks_uri] = Spending()
        return spending

    def _forget_first_if_idle(self, now: float) -> None:
        jwks_uri, spending = next(iter(self._spending.items()))
        if spending.is_idle(now, self._policy):
            del self._spending[jwks_uri]
        else:
            self._spending.move_to_end(jwks_uri)
