"""Tell those who share a cache that a fetch failed: they need not wait for it, and can name the cause.

It is kept in the shared cache like a document, under a name that is no ``jwks_uri`` (that has no fragment), as text::

    12.250 0.031
    connect to idp.example.com: connection refused

In the first line stands how many seconds before this document each failed fetch was taken out of the budget; in the
second how the last of them failed. Whoever writes at the same time as another may lose one of them: then others wait as
ever.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..policy import JWKSPolicy
from ..stores import JWKSDocument
from ._budgets import describe_failure

__all__ = ["SharedFailures", "name_of", "read", "write"]

_MAX_BYTES = 2_048  # 100 fetches (the most that a policy allows) and a detail
_FORM = re.compile(rb"((?:[0-9]{1,7}\.[0-9]{3} ?){1,100})\n([ -~]+)")


class SharedFailures(NamedTuple):
    """The fetches of all who share a cache that failed within the window; instants are of this fetcher's clock.

    taken_at: when each was taken out of the budget, the newest first.
    failed_at, detail: when and how the last of them failed.
    """

    taken_at: tuple[float, ...]
    failed_at: float
    detail: str

    def next_fetch_at(self, policy: JWKSPolicy) -> float | None:
        """Return when the next fetch can be taken; None while one that has not failed may be under way."""
        if len(self.taken_at) < policy.fetch_limit:
            return None
        return self.taken_at[policy.fetch_limit - 1] + policy.fetch_window


def name_of(jwks_uri: str) -> str:
    """Return under which name the failures are shared."""
    return f"{jwks_uri}#failures"


def read(document: JWKSDocument | None, now: float, policy: JWKSPolicy) -> SharedFailures | None:
    """Read what was shared; None when it is nothing of this form, or no fetch of it counts any more."""
    if document is None or len(document.body) > _MAX_BYTES:
        return None
    matched = _FORM.fullmatch(document.body)
    if matched is None:
        return None
    failed_at = min(document.fetched_at, now)
    taken_at = sorted((failed_at - float(each) for each in matched[1].split()), reverse=True)
    counted = tuple(each for each in taken_at if now - each < policy.fetch_window)
    return SharedFailures(counted, failed_at, describe_failure(matched[2].decode("ascii"))) if counted else None


def write(known: SharedFailures | None, taken_at: float, failed_at: float, detail: str, limit: int) -> JWKSDocument:
    """Add a failure to those that are known, of which the newest ``limit`` count."""
    taken = [taken_at, *(known.taken_at if known is not None else ())]
    ages = " ".join(f"{max(0.0, failed_at - each):.3f}" for each in sorted(taken, reverse=True)[:limit])
    text = describe_failure(detail) or "?"
    return JWKSDocument(f"{ages}\n{text}".encode("ascii", "backslashreplace"), failed_at)
