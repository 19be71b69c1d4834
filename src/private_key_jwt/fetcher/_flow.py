"""The two flows of a fetcher, written once: to find a key, and to refresh a set.

Each is a generator. It yields what it needs done and is sent the result; the fetchers, sync and async, do it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from .._core.freshness import (
    Action,
    Entry,
    Instant,
    KeyQuery,
    decide,
    lifetime,
    may_be_stale,
    new_entry,
    select_key,
)
from .._core.jwk_set import KeySet, NoKey, VerificationKey
from .._core.response import FetchError, JWKSResponse
from .._jwks_uri import check_jwks_uri
from .._text import escape_name, one_line
from ..events import KeysFetched, KeySkipped, StaleKeysServed
from ..exceptions import Reason
from ..stores import JWKSDocument
from . import _failures, _refusals
from ._cache import AskCache, check_document, describe_grant
from ._failures import SharedFailures
from ._fetches import DONE, Fetch, Outcome, RefreshRequest, Status
from ._state import FetcherState

__all__ = [
    "SPENT_BY_OTHERS",
    "End",
    "Get",
    "ParseKeys",
    "Pause",
    "Refresh",
    "RefreshAhead",
    "RefreshStep",
    "fetch_now",
    "find_key",
    "refresh",
]

SPENT_BY_OTHERS = Outcome(Status.SPENT, "the fetch budget is spent, by others who share the cache")
_NONE_BY_OTHERS = Outcome(
    Status.FAILED, "others who share the cache have spent the fetch budget, and have brought no key set"
)

# After how many seconds each the shared cache is read again for what another is fetching, and by how many the same
# document must be newer to have been fetched again: ages in a shared cache are a little off.
_PAUSES = (0.1, 0.1, 0.2, 0.4, 0.8, 0.8)
_NEWER = 0.5
# The part of the timeout that is kept for the last reads: whoever waits is to get the result before the deadline.
_KEPT_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Refresh:
    """Refresh a set, or join the refresh under way, and wait for its end: send me the Outcome."""

    request: RefreshRequest


@dataclass(frozen=True, slots=True)
class RefreshAhead:
    """Start to refresh a set, and do not wait for it."""

    request: RefreshRequest


FindStep = Refresh | RefreshAhead


def find_key(state: FetcherState[Any], jwks_uri: str, query: KeyQuery) -> Generator[FindStep, Outcome, VerificationKey]:
    """Find the key for one assertion header. Raises InvalidClient or TemporarilyUnavailable."""
    arrived = state.last_number
    while True:
        now = state.now()
        entry = state.entry(jwks_uri)
        decision = decide(entry, query, now)
        if decision.action is Action.USE_AND_REFRESH:
            yield RefreshAhead(RefreshRequest(jwks_uri, query, forced=False, known=entry, ahead=True))
        found = decision.found
        if isinstance(found, VerificationKey):
            return found
        usable = None if found.reason is Reason.JWKS_UNAVAILABLE else entry
        if usable is not None:
            _raise_if_final(state, jwks_uri, query.kid, usable, found, arrived)
        outcome = yield Refresh(RefreshRequest(jwks_uri, query, forced=usable is not None, known=entry))
        if outcome.status is Status.DONE or state.entry(jwks_uri) is not entry:
            continue  # the set that came may serve this header, also where it was fetched for another
        if usable is None:
            return _stale_key(state, jwks_uri, query, outcome)
        # Made-up kids spend the budget: whoever sends them is refused as a client. A fetch that failed is ours.
        if outcome.status is Status.SPENT:
            raise _refusals.no_key(state, jwks_uri, query.kid, usable, found, is_spent=True)
        raise _refusals.unavailable(state, jwks_uri, outcome)


def _raise_if_final(
    state: FetcherState[Any], jwks_uri: str, kid: str | None, entry: Entry, found: NoKey, arrived: int
) -> None:
    """Refuse when no refetch could help, and else return.

    None could when the set was asked for after the request came, which is remembered of the kid for a while; during
    that while; and when the set itself leaves no doubt.
    """
    if entry.number > arrived:
        state.remember_unknown(jwks_uri, kid, entry.asked_at)
    elif not found.is_final and state.unknown_until(jwks_uri, kid) is None:
        return
    raise _refusals.no_key(state, jwks_uri, kid, entry, found)


def _stale_key(state: FetcherState[Any], jwks_uri: str, query: KeyQuery, outcome: Outcome) -> VerificationKey:
    entry, now = state.entry(jwks_uri), state.now()
    failure = state.failure(jwks_uri)
    # Its own failure counts, also when the fetch has not ended yet and only this wait is over.
    failed_at = now.clock if outcome.status is Status.FAILED else None if failure is None else failure.at.clock
    if entry is not None and failed_at is not None and may_be_stale(entry, failed_at, now, state.policy):
        if outcome.status is Status.FAILED:
            state.report(StaleKeysServed(jwks_uri=jwks_uri, age=now.clock - entry.fetched_at))
        found = select_key(entry.keys, query).found
        if isinstance(found, VerificationKey):
            return found
    raise _refusals.unavailable(state, jwks_uri, outcome)


def fetch_now(state: FetcherState[Any], jwks_uri: str) -> Generator[FindStep, Outcome, KeySet]:
    """Ask the publisher now, and return what it publishes. Raises ConfigurationError, TemporarilyUnavailable."""
    check_jwks_uri(jwks_uri)
    arrived = state.last_number
    while True:
        outcome = yield Refresh(RefreshRequest(jwks_uri, None, forced=True, known=state.entry(jwks_uri)))
        if outcome.status is not Status.DONE:
            raise _refusals.unavailable(state, jwks_uri, outcome)
        entry = state.entry(jwks_uri)
        if entry is not None and entry.number > arrived:
            return entry.keys


@dataclass(frozen=True, slots=True)
class Get:
    """Fetch the document: send me the JWKSResponse, or throw FetchError."""


@dataclass(frozen=True, slots=True)
class ParseKeys:
    """Read a document: send me its KeySet, or throw ValueError."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class End:
    """Let those who wait go on: what is yet to be done is for others."""

    outcome: Outcome


RefreshStep = AskCache | Get | ParseKeys | Pause | End


def refresh(state: FetcherState[Any], fetch: Fetch[Any]) -> Generator[RefreshStep, Any, Outcome]:
    """Refresh one set: out of the shared cache, or, if both budgets allow it, from its publisher."""
    jwks_uri, policy = fetch.jwks_uri, state.policy
    if state.may_read_cache(jwks_uri):
        if (yield from _read_cache(state, fetch)) is _SharedSet.ENOUGH:
            return DONE
        state.note_cache_miss(jwks_uri)
    spent = state.take(fetch)
    if spent is not None:
        return spent
    granted: object = yield AskCache("claim", (jwks_uri, policy), otherwise=True)
    if granted is not True:
        state.give_back(fetch)
        if granted is False:
            return (yield from _await_others(state, fetch))
        undecided = Outcome(Status.FAILED, describe_grant(granted))
        state.report_cache_failure(undecided.detail)
        return undecided
    state.note_sent(fetch)
    asked = state.now()
    try:
        response: JWKSResponse = yield Get()
        keys: KeySet = yield ParseKeys(response.body)
    except (FetchError, ValueError) as error:
        failed = Outcome(Status.FAILED, one_line(str(error)))  # httpx quotes a Location that is no URL
        yield End(failed)
        yield from _share_failure(state, jwks_uri, asked, failed.detail)
        return failed
    digest = hash(response.body)
    yield from _report(state, jwks_uri, keys, state.clock() - asked.clock, digest)
    entry = new_entry(keys, asked, policy, age=response.age, number=fetch.number, digest=digest)
    state.keep(jwks_uri, entry)
    yield AskCache("put", (jwks_uri, JWKSDocument(response.body, entry.fetched_at)))
    return DONE


def _await_others(state: FetcherState[Any], fetch: Fetch[Any]) -> Generator[RefreshStep, Any, Outcome]:
    """Wait for the document of others who share the cache: they have taken the fetches, and are fetching now.

    Where each of these fetches is known to have failed, there is nothing to wait for.
    """
    jwks_uri = fetch.jwks_uri
    failures: SharedFailures | None = None
    if state.take_wait(jwks_uri):
        failures = yield from _read_failures(state, jwks_uri)
        next_fetch_at = None if failures is None else failures.next_fetch_at(state.policy)
        if next_fetch_at is not None:
            state.take_none_before(jwks_uri, next_fetch_at)
            return _refused_by_others(state, fetch, failures)
        for pause in _PAUSES:
            if fetch.time_left - pause < _KEPT_SHARE * state.policy.timeout:
                break
            yield Pause(pause)
            found = yield from _read_cache(state, fetch)
            if found is _SharedSet.ENOUGH:
                return DONE
            if found is _SharedSet.UNFIT:
                break
        state.note_cache_miss(jwks_uri)
        failures = yield from _read_failures(state, jwks_uri)
    return _refused_by_others(state, fetch, failures)


def _refused_by_others(state: FetcherState[Any], fetch: Fetch[Any], failures: SharedFailures | None) -> Outcome:
    if fetch.request.forced:
        return SPENT_BY_OTHERS
    if failures is None:
        return _NONE_BY_OTHERS
    age = max(0.0, state.clock() - failures.failed_at)
    return Outcome(Status.FAILED, f"{failures.detail} (met {age:.0f} s ago by another who shares the cache)")


def _read_failures(state: FetcherState[Any], jwks_uri: str) -> Generator[RefreshStep, Any, SharedFailures | None]:
    document = yield from _get_document(state, _failures.name_of(jwks_uri))
    return _failures.read(document, state.clock(), state.policy)


def _share_failure(
    state: FetcherState[Any], jwks_uri: str, asked: Instant, detail: str
) -> Generator[RefreshStep, Any, None]:
    if not state.shares_cache:
        return
    known = yield from _read_failures(state, jwks_uri)
    shared = _failures.write(known, asked.clock, state.clock(), detail, state.policy.fetch_limit)
    yield AskCache("put", (_failures.name_of(jwks_uri), shared))


def _get_document(state: FetcherState[Any], name: str) -> Generator[RefreshStep, Any, JWKSDocument | None]:
    """Get a document from the cache. One that nobody can use is none, and a failure of the cache."""
    answer: object = yield AskCache("get", (name,))
    try:
        return check_document(answer, state.clock())
    except ValueError as error:
        state.report_cache_failure(str(error))
        return None


class _SharedSet(Enum):
    """Say what the shared cache holds for a fetch."""

    NOTHING = auto()  # no document, or none that is newer than the set that is known
    UNFIT = auto()  # a newer one, which does not serve what the fetch is for
    ENOUGH = auto()  # a newer one, which makes a fetch of our own needless


def _read_cache(state: FetcherState[Any], fetch: Fetch[Any]) -> Generator[RefreshStep, Any, _SharedSet]:
    """Read a document, which somebody else fetched, from the shared cache, and keep its set where it is newer."""
    jwks_uri, request = fetch.jwks_uri, fetch.request
    document = yield from _get_document(state, jwks_uri)
    if document is None:
        return _SharedSet.NOTHING
    now = state.now()
    age = max(0.0, now.clock - document.fetched_at)
    asked = Instant(now.clock - age, now.wall - age)
    digest = hash(document.body)
    known = state.entry(jwks_uri)
    if known is not None:
        # A kid that anybody can make up must not bring back a set that is older than the last one fetched; an expired
        # set is renewed by any younger one, or each worker behind a cache that sends an Age would fetch for itself.
        since = known.asked_at if request.forced else known.fetched_at
        if asked.clock <= since + (known.digest == digest) * _NEWER:
            return _SharedSet.NOTHING
    try:
        keys: KeySet = yield ParseKeys(document.body)
    except ValueError as error:
        state.report_cache_failure(f"no JWK Set: {error}")
        return _SharedSet.NOTHING
    if age >= lifetime(keys, state.policy):
        return _SharedSet.NOTHING
    state.keep(jwks_uri, new_entry(keys, asked, state.policy, seen=now, digest=digest))
    if not request.forced:
        return _SharedSet.ENOUGH
    serves = request.query is not None and isinstance(select_key(keys, request.query).found, VerificationKey)
    return _SharedSet.ENOUGH if serves else _SharedSet.UNFIT


def _report(
    state: FetcherState[Any], jwks_uri: str, keys: KeySet, duration: float, digest: int
) -> Generator[RefreshStep, Any, None]:
    """Report a fetch, and the keys that are skipped where its document is a new one."""
    state.report(KeysFetched(jwks_uri=jwks_uri, members=len(keys.members), usable=len(keys.usable), duration=duration))
    known = state.entry(jwks_uri)
    if known is not None and known.digest == digest:
        return
    for member in keys.members:
        if member.fault is not None:
            state.report(KeySkipped(jwks_uri=jwks_uri, kid=escape_name(member.kid), fault=one_line(member.fault)))
            yield Pause(0)  # other tasks run in between: a handler that logs takes a while for 64 of them
