"""The two flows of a fetcher, written once: to find a key, and to refresh a set.

Each is a generator. It yields what it needs done and is sent the result; the edges, sync and async, do it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from .._core import jwk_set
from .._core.freshness import Action, Decision, Entry, decide, lifetime, look_up, stale_allowed
from .._core.jwk_set import KeySet, VerificationKey
from .._core.response import Answer, FetchFailed
from .._text import one_line
from ..clients import check_jwks_uri
from ..events import KeysFetched, StaleKeysServed
from ..exceptions import Reason, TemporarilyUnavailable
from ..stores import JWKSDocument
from ._state import DONE, FetchState, Flight, Landing, Outcome, Wish, logger

_SPENT_ELSEWHERE = Outcome(Landing.SPENT, "the fetch budget is spent, by others who share the cache")
_NONE_ELSEWHERE = Outcome(Landing.FAILED, "no answer to others who share the cache, and they have spent the budget")

# How often the shared cache is asked whether the fetch of another worker has ended, and by how much the same document
# must be newer to have been fetched again: ages in a shared cache are a little off.
_PAUSE = 0.1
_NEWER = 0.5
# The part of the timeout spent on that: whoever waits for the flight is to get its answer before he gives up.
_PATIENCE = 0.8


@dataclass(frozen=True, slots=True)
class Refresh:
    """Refresh a set, or join the refresh under way, and wait for its end: send me the Outcome."""

    wish: Wish


@dataclass(frozen=True, slots=True)
class RefreshAhead:
    """Begin to refresh a set, and do not wait for it."""

    wish: Wish


def unavailable(jwks_uri: str, outcome: Outcome) -> TemporarilyUnavailable:
    """A refresh that left nothing to decide with."""
    return TemporarilyUnavailable(Reason.JWKS_UNAVAILABLE, f"{outcome.detail} ({jwks_uri})", outcome.retry_after)


def find_key(
    state: FetchState[Any], jwks_uri: str, alg: str, kid: str | None
) -> Generator[Refresh | RefreshAhead, Outcome, VerificationKey]:
    """The key for one assertion header. Raises InvalidClient or TemporarilyUnavailable."""
    arrived = state.begun
    while True:
        now = state.clock()
        entry = state.entry(jwks_uri)
        decision = decide(entry, alg, kid, now, state.policy)
        if decision.action is Action.USE_AND_REFRESH:
            yield RefreshAhead(Wish(alg, kid, forced=False, known=entry))
        if decision.key is not None:
            return decision.key
        fresh = None if decision.reason is Reason.JWKS_UNAVAILABLE else entry
        if fresh is not None:
            _check_last_word(state, jwks_uri, kid, fresh, decision, arrived)
        outcome = yield Refresh(Wish(alg, kid, forced=fresh is not None, known=entry))
        if outcome.landing is Landing.DONE:
            continue
        if fresh is not None:
            _refuse_unknown(jwks_uri, kid, outcome, decision.reason)
        return _stale_key(state, jwks_uri, alg, kid, outcome)


def _check_last_word(
    state: FetchState[Any], jwks_uri: str, kid: str | None, entry: Entry, decision: Decision, arrived: int
) -> None:
    """Raise the reason when no refetch could help: only a set asked for after the request came is the last word."""
    if decision.action is Action.REFUSE or state.is_unknown(jwks_uri, kid):
        raise jwk_set.refusal(decision.reason, kid)
    if entry.flight > arrived:
        state.remember_unknown(jwks_uri, kid, entry.fetched_at)
        raise jwk_set.refusal(decision.reason, kid)


def _refuse_unknown(jwks_uri: str, kid: str | None, outcome: Outcome, reason: Reason) -> NoReturn:
    # A spent budget is what a flood of made-up kids runs into: theirs is the fault. A fetch that failed is ours.
    raise jwk_set.refusal(reason, kid) if outcome.landing is Landing.SPENT else unavailable(jwks_uri, outcome)


def _stale_key(state: FetchState[Any], jwks_uri: str, alg: str, kid: str | None, outcome: Outcome) -> VerificationKey:
    entry = state.entry(jwks_uri)
    now = state.clock()
    if entry is not None and outcome.landing is Landing.FAILED:
        # Its own failure counts, also when the flight has not landed yet and only this wait is over.
        entry = replace(entry, failed_at=now)
    if entry is None or not stale_allowed(entry, now, state.policy):
        raise unavailable(jwks_uri, outcome)
    if outcome.landing is Landing.FAILED:
        state.tell(StaleKeysServed(jwks_uri=jwks_uri, age=now - entry.fetched_at))
    decision = look_up(entry.keys, alg, kid)
    if decision.key is None:
        raise unavailable(jwks_uri, outcome)
    return decision.key


def renew(state: FetchState[Any], jwks_uri: str) -> Generator[Refresh | RefreshAhead, Outcome, KeySet]:
    """Ask the publisher now, and answer with what it says. Raises ConfigurationError, TemporarilyUnavailable."""
    check_jwks_uri(jwks_uri)
    arrived = state.begun
    while True:
        outcome = yield Refresh(Wish(None, None, forced=True, known=state.entry(jwks_uri)))
        if outcome.landing is not Landing.DONE:
            raise unavailable(jwks_uri, outcome)
        entry = state.entry(jwks_uri)
        if entry is not None and entry.flight > arrived:
            return entry.keys


@dataclass(frozen=True, slots=True)
class ReadCache:
    """Read the shared document: send me it, or None."""


@dataclass(frozen=True, slots=True)
class ClaimShared:
    """Claim a fetch from those who share the cache: send me whether it is granted."""


@dataclass(frozen=True, slots=True)
class Get:
    """Fetch the document: send me the Answer, or throw FetchFailed."""


@dataclass(frozen=True, slots=True)
class WriteCache:
    """Share the document."""

    document: JWKSDocument


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


RefreshStep = ReadCache | ClaimShared | Get | WriteCache | Pause


def refresh(state: FetchState[Any], flight: Flight[Any]) -> Generator[RefreshStep, Any, Outcome]:
    """One flight: the shared cache first, then, if the shared budget allows, the publisher."""
    if _adopt_shared(state, flight, (yield ReadCache())):
        return _shared(state, flight)
    if not (yield ClaimShared()):
        return (yield from _await_others(state, flight))
    sent_at = state.clock()
    try:
        answer: Answer = yield Get()
        body = answer.body
        keys = jwk_set.loads_key_set(body, state.policy.max_keys)
    except (FetchFailed, ValueError) as error:
        return Outcome(Landing.FAILED, one_line(str(error)))  # httpx quotes a Location that is no URL
    _report(state, flight.jwks_uri, keys, state.clock() - sent_at)
    state.adopt(flight.jwks_uri, Entry(keys, sent_at, flight.number, digest=hash(body)))
    yield WriteCache(JWKSDocument(body, sent_at))
    return DONE


def _shared(state: FetchState[Any], flight: Flight[Any]) -> Outcome:
    # Nothing was fetched here, so nothing of this process's own budget is used up.
    state.give_back(flight)
    return DONE


def _await_others(state: FetchState[Any], flight: Flight[Any]) -> Generator[RefreshStep, Any, Outcome]:
    """Others who share the cache have claimed the fetches, and are fetching now: their document serves us, too."""
    for _ in range(int(_PATIENCE * state.policy.timeout / _PAUSE)):
        yield Pause(_PAUSE)
        adopted = _adopt_shared(state, flight, (yield ReadCache()))
        if adopted:
            return _shared(state, flight)
        if adopted is False:
            break
    return _SPENT_ELSEWHERE if flight.wish.forced else _NONE_ELSEWHERE


def _adopt_shared(state: FetchState[Any], flight: Flight[Any], document: JWKSDocument | None) -> bool | None:
    """Take a newer document that somebody else fetched: None when there is none.

    True when it makes a fetch of our own needless, False when it does not serve what the flight is for.
    """
    if document is None:
        return None
    now = state.clock()
    fetched_at = min(document.fetched_at, now)
    known = state.entry(flight.jwks_uri)
    if known is not None and fetched_at <= known.fetched_at + (known.digest == hash(document.body)) * _NEWER:
        return None
    try:
        keys = jwk_set.loads_key_set(document.body, state.policy.max_keys)
    except ValueError as error:
        state.cache_failed(f"no JWK Set: {error}")
        return None
    if now - fetched_at >= lifetime(keys, state.policy):
        return None
    state.adopt(flight.jwks_uri, Entry(keys, fetched_at, 0, digest=hash(document.body)))
    wish = flight.wish
    return not wish.forced or (wish.alg is not None and look_up(keys, wish.alg, wish.kid).key is not None)


def _report(state: FetchState[Any], jwks_uri: str, keys: KeySet, duration: float) -> None:
    state.tell(KeysFetched(jwks_uri=jwks_uri, members=len(keys.members), usable=len(keys.usable), duration=duration))
    for member in keys.members:
        if member.fault is not None:
            logger.warning("skipping a key of %s: %s", jwks_uri, member.fault)
