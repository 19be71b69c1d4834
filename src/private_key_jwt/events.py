"""Report what happens to a function of yours: ``on_event=`` of the verifiers and the fetchers.

    def on_event(event: Event) -> None:
        if isinstance(event, AssertionRefused):
            refused[event.reason] += 1

    verifier = ClientAssertionVerifier(..., on_event=on_event)

No event holds an assertion or a key, and of the claims none but what a ``detail`` quotes. ``client_id`` is that of a
registered client, ``kid`` is escaped and has at most 64 characters, ``jti_hash`` is the key of the replay mark in
hexadecimal. Durations are in seconds. The function is called where things happen, in a request, a fetching thread or an
event loop: it should be quick. Whatever it raises is logged, and harms nothing. Neither does what a handler or a filter
of ``logging`` raises: its line is lost.

Without ``on_event`` what went wrong is logged as by ``log_events``: a refusal as WARNING, and as ERROR what this
server must correct. In one second at most 100 lines are written of each kind of event, and of each reason for which
nothing could be decided; one more line says so, and one after that second how many were left out. Replays, refusals
that name a registered client, and all other refusals are counted apart. A flood of nonsense therefore hides no refusal
of a registered client; a flood that names registered clients can. Accepted assertions are not reported then, and cost
nothing.

A publisher that is down refuses every request of its client once its keys have expired: one AssertionRefused, an ERROR,
for each. To page once, alert on a rate of these by ``reason``, or page on FetchFailed: it comes once for each fetch
that is sent, so at most ``fetch_limit`` times in ``fetch_window`` for each publisher and fetcher, or for all fetchers
that share a cache. It is a WARNING: known keys serve on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

from ._log import admits_line, log_exception, write_fields
from .exceptions import UNDECIDED, Reason

__all__ = [
    "AssertionAccepted",
    "AssertionRefused",
    "Event",
    "FetchBudgetSpent",
    "FetchFailed",
    "KeyAdded",
    "KeyRemoved",
    "KeySetEvicted",
    "KeySkipped",
    "KeysFetched",
    "OnEvent",
    "RegistrationRefused",
    "StaleKeysServed",
    "StoreFailed",
    "StoreUnfit",
    "log_events",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionAccepted:
    """A client is authenticated.

        if isinstance(event, AssertionAccepted):
            accepted[event.client_id] += 1

    kid, alg: of the header.
    jti_hash: the key of the replay mark, in hexadecimal.
    audience: the accepted value that matched.
    duration: seconds that the verification took.
    """

    client_id: str
    kid: str | None
    alg: str
    jti_hash: str
    audience: str
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionRefused:
    """Nobody is authenticated.

        if isinstance(event, AssertionRefused):
            refused[event.reason] += 1
            log.warning("%s was refused: %s", event.client_id, event.detail)

    One event for each refusal, wherever it fell.

    reason: for programs. ``check`` is the line of the recipe that refused, ``detail`` what was expected, what came, and
        what to do. Where the client is not known yet it ends with the one that the sender names: "client 'x'
        (unverified)".
    client_id, jti_hash: None unless the client is registered; ``kid`` and ``alg`` are None unless the header could be
        read.
    """

    reason: Reason
    check: str | None
    detail: str
    client_id: str | None
    kid: str | None
    alg: str | None = None
    jti_hash: str | None
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysFetched:
    """A JWK Set was fetched.

        if isinstance(event, KeysFetched) and event.usable < event.members:
            alert(f"{event.jwks_uri}: {event.members - event.usable} keys cannot be used")

    members: how many members the set has.
    usable: how many of them are keys that can be used.
    duration: seconds that the fetch took.
    """

    jwks_uri: str
    members: int
    usable: int
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchFailed:
    """A JWK Set was asked for and did not come: once for each request that was sent to its publisher.

        if isinstance(event, FetchFailed):
            alert(f"{event.jwks_uri}: {event.detail}")

    detail: why, escaped.
    duration: seconds until it failed.
    """

    jwks_uri: str
    detail: str
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBudgetSpent:
    """No fetch is allowed for a while: ``fetch_limit`` fetches were made within ``fetch_window``.

        if isinstance(event, FetchBudgetSpent):
            alert(f"{event.jwks_uri} is not fetched again for {event.retry_after:.0f} s")

    Reported once for each time that the budget is spent.

    retry_after: seconds until the next fetch is allowed; at most, where others share the cache.
    """

    jwks_uri: str
    retry_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleKeysServed:
    """A fetch failed, and keys past their ttl are used (``JWKSPolicy.stale_if_error``).

        if isinstance(event, StaleKeysServed):
            alert(f"{event.jwks_uri} fails, and its keys are {event.age:.0f} s old")

    age: how old the set is, in seconds: since it was asked for, and the ``Age`` that it had then.
    """

    jwks_uri: str
    age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAdded:
    """A set that was known has a usable key that it had not.

        if isinstance(event, KeyAdded):
            audit("added", event.jwks_uri, event.kid)

    The first fetch of a set adds none.
    """

    jwks_uri: str
    kid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRemoved:
    """A set that was known has lost a usable key: it is refused from now on.

        if isinstance(event, KeyRemoved):
            audit("removed", event.jwks_uri, event.kid)

    After a rotation that is the old key, at the end of its grace window.
    """

    jwks_uri: str
    kid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySkipped:
    """A member of a JWK Set cannot be used, and the others can.

        if isinstance(event, KeySkipped):
            alert(f"key {event.kid} at {event.jwks_uri}: {event.fault}")

    jwks_uri: None for keys by value. Those are logged when they are read, whatever ``on_event`` is; a verifier reports
        them, too, once, of the clients that it knows at the start: a function may make its clients for each request.
    fault: what is wrong with the member, escaped.
    """

    jwks_uri: str | None
    kid: str | None
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySetEvicted:
    """A JWK Set that was still fresh made room for another.

        if isinstance(event, KeySetEvicted):
            alert(f"raise max_key_sets: {event.jwks_uri} is fetched anew after {event.age:.0f} s")

    age: how old the set is, in seconds: since it was asked for, and the ``Age`` that it had then.
    """

    jwks_uri: str
    age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationRefused:
    """A client must not be registered as it is described: its requests are refused.

        if isinstance(event, RegistrationRefused):
            page(f"correct the registration of {event.client_id}: {event.detail}")

    It comes from a ``clients`` function, where that makes the RegisteredClient: clients that are known at the start are
    refused at the start.
    """

    client_id: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUnfit:
    """A store cannot keep its promise as it is set up.

        if isinstance(event, StoreUnfit):
            page(f"{event.store}: {event.detail}")

    store: the name of its class.
    detail: why, and what to do.
    """

    store: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed:
    """A store of yours failed: the replay store (the assertion was refused) or the cache (a fetch was spent).

        if isinstance(event, StoreFailed) and event.store == "replay_store":
            page(f"nobody is let in: {event.error}")

    error: what it raised, escaped, or what was wrong with its reply.
    """

    store: Literal["replay_store", "jwks_cache"]
    error: str


Event = (
    AssertionAccepted
    | AssertionRefused
    | KeysFetched
    | FetchFailed
    | FetchBudgetSpent
    | StaleKeysServed
    | KeyAdded
    | KeyRemoved
    | KeySkipped
    | KeySetEvicted
    | RegistrationRefused
    | StoreFailed
    | StoreUnfit
)
OnEvent = Callable[[Event], None]

# What is ours is an ERROR, also where it is a refusal.
_LEVELS: dict[type, int] = {
    AssertionAccepted: logging.DEBUG,
    AssertionRefused: logging.WARNING,
    KeysFetched: logging.DEBUG,
    FetchFailed: logging.WARNING,
    FetchBudgetSpent: logging.WARNING,
    StaleKeysServed: logging.WARNING,
    KeyAdded: logging.INFO,
    KeyRemoved: logging.INFO,
    KeySkipped: logging.WARNING,
    KeySetEvicted: logging.WARNING,
    RegistrationRefused: logging.ERROR,
    StoreFailed: logging.ERROR,
    StoreUnfit: logging.ERROR,
}

_REFUSAL_LINE = (AssertionRefused.__name__, _LEVELS[AssertionRefused])
_CLIENTS_REFUSAL_LINE = (f"{AssertionRefused.__name__} of registered clients", _LEVELS[AssertionRefused])
_LINES: dict[str, tuple[str, int]] = {
    **{reason: (reason, logging.ERROR) for reason in UNDECIDED},
    Reason.REPLAYED: (f"{AssertionRefused.__name__} of replays", _LEVELS[AssertionRefused]),
}


def log_events(event: Event) -> None:
    """Log an event to ``private_key_jwt``: ``extra`` has its name as ``event``, and its fields.

    What went well is DEBUG, keys that come and go are INFO, refusals and failed fetches WARNING, what is ours ERROR.
    At most 100 lines of a kind are written in a second; the next one after that second counts those left out.
    """
    if admits_line(*_line_of_event(event)):
        write_line(event)


def line_of(reason: Reason, client_id: str | None) -> tuple[str, int]:
    """Return the kind and the level of the line that a refusal is logged as.

    client_id: the registered client that was refused; None where nobody knows whose it is.

    Each kind has a count of its own: one reason that is ours is a kind; a replay, whose signature was right, is one;
    and of all others those that name a registered client are one, and nonsense is the other.
    """
    return _LINES.get(reason) or (_REFUSAL_LINE if client_id is None else _CLIENTS_REFUSAL_LINE)


def _line_of_event(event: Event) -> tuple[str, int]:
    if isinstance(event, AssertionRefused):
        return line_of(event.reason, event.client_id)
    return type(event).__name__, _LEVELS[type(event)]


def level_of(event: Event) -> int:
    """Return the level of ``logging`` at which an event is logged."""
    return _line_of_event(event)[1]


def write_line(event: Event) -> None:
    """Log an event, whatever was logged before."""
    write_fields(
        level_of(event), type(event).__name__, {each.name: getattr(event, each.name) for each in fields(event)}
    )


def emit(on_event: OnEvent, event: Event) -> None:
    """Report an event. Raises nothing that an Exception is."""
    try:
        on_event(event)
    except Exception as error:  # the user's code: an observer must not decide
        log_exception(f"on_event raised for {type(event).__name__}", error)
