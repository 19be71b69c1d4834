"""Refuse an assertion for want of a key: with the reason, and a detail of what a fetcher knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .._core.freshness import Entry
from .._core.jwk_set import NoKey
from ..exceptions import InvalidClient, Reason, TemporarilyUnavailable
from . import _details
from ._fetches import Outcome, Status
from ._state import FetcherState

__all__ = ["describe_set", "no_key", "unavailable"]


def unavailable(state: FetcherState[Any], jwks_uri: str, outcome: Outcome) -> TemporarilyUnavailable:
    """Say that there is no key set to decide with; where nothing was tried, what the last fetch met is the cause."""
    now, wait, last = state.now(), state.retry_after(jwks_uri), state.failure(jwks_uri)
    is_spent = outcome.status is Status.SPENT
    cause, failure, failed_at = outcome.detail, None, now.wall
    if outcome.status is Status.FAILED:
        failure = cause
    elif is_spent and last is not None:
        cause = failure = last.detail
        failed_at = last.at.wall
    known = _details.Known(now.wall, now.wall, wait, jwks_uri, failure, failed_at, is_shared=state.shares_cache)
    detail = _details.describe_unavailable(cause, known, is_spent=is_spent)
    return TemporarilyUnavailable(Reason.JWKS_UNAVAILABLE, detail, wait or outcome.retry_after)


def no_key(
    state: FetcherState[Any], jwks_uri: str, kid: str | None, entry: Entry, found: NoKey, *, is_spent: bool = False
) -> InvalidClient:
    """Say that a set that may be used has no key for an assertion.

    is_spent: a newer set could not be asked for, since the fetch budget is spent.
    """
    now = state.clock()
    until = max(state.unknown_until(jwks_uri, kid) or now, now + state.retry_after(jwks_uri))
    if found.is_final:  # nothing but the next refresh ahead of time asks
        until = entry.fresh_until
    known = _known(state, jwks_uri, entry, until - now)
    removed_at = entry.removed_at(kid)
    if removed_at is not None:
        known = replace(known, removed_at=known.now - (now - removed_at))
    if is_spent:
        known = replace(known, spent_on=state.last_kid(jwks_uri))
    return InvalidClient(found.reason, lambda: _details.describe_no_key(found, kid, known, is_spent=is_spent), "key")


def describe_set(state: FetcherState[Any], jwks_uri: str) -> str | None:
    """Say how old the set of a client is, and when it is asked for again; None when there is none."""
    entry = state.entry(jwks_uri)
    if entry is None:
        return None
    return _details.describe_set(_known(state, jwks_uri, entry, entry.fresh_until - state.clock()))


def _known(state: FetcherState[Any], jwks_uri: str, entry: Entry, wait: float) -> _details.Known:
    now, last = state.now(), state.failure(jwks_uri)
    asked_at = now.wall - (now.clock - entry.fetched_at)
    since = None if entry.known_since == entry.asked_at else now.wall - (now.clock - entry.known_since)
    known = _details.Known(asked_at, now.wall, wait, jwks_uri, since=since, is_shared=state.shares_cache)
    return known if last is None else replace(known, failure=last.detail, failed_at=last.at.wall)
