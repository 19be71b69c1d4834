"""What happens, reported to a function of yours: ``on_event=`` of the verifiers and the fetchers.

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
nothing could be decided; one more line says so, and one after that second how many were left out. Refusals of
registered clients are a kind of their own, so that a flood of nonsense does not hide them. Accepted assertions are not
reported then, and cost nothing.

A publisher that is down refuses every request of its client once its keys have expired: one AssertionRefused, an ERROR,
for each. To page once, alert on a rate of these by ``reason``, or page on FetchFailed: it comes once for each fetch, so
at most ``fetch_limit`` times in ``fetch_window`` for each publisher and fetcher. It is a WARNING: known keys serve on.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from time import monotonic
from traceback import walk_tb
from typing import Any, Literal

from ._text import describe_in_full, one_line
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

_logger = logging.getLogger("private_key_jwt")


def log(level: int, message: str, *values: object, **options: Any) -> None:
    """Log a line to ``private_key_jwt``, as ``Logger.log`` does. Raises nothing that an Exception is."""
    with suppress(Exception):  # of a handler or a filter of the project: a log that is down must not decide
        _logger.log(level, message, *values, **options)


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
    """A JWK Set was asked for and did not come.

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

    age: seconds since the set was asked for.
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

    jwks_uri: None for keys by value.
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

    age: seconds since the set was asked for.
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
_UNDECIDED_LINES: dict[str, tuple[str, int]] = {reason: (reason, logging.ERROR) for reason in UNDECIDED}


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

    Each kind has a count of its own: one reason that is ours is a kind, and of all others those of registered clients
    are one, and those of whoever says anything are the other, so that nonsense hides no client's trouble.
    """
    return _UNDECIDED_LINES.get(reason) or (_REFUSAL_LINE if client_id is None else _CLIENTS_REFUSAL_LINE)


def _line_of_event(event: Event) -> tuple[str, int]:
    if isinstance(event, AssertionRefused):
        return line_of(event.reason, event.client_id)
    return type(event).__name__, _LEVELS[type(event)]


def level_of(event: Event) -> int:
    """Return the level of ``logging`` at which an event is logged."""
    return _line_of_event(event)[1]


def write_line(event: Event) -> None:
    """Log an event, whatever was logged before."""
    name = type(event).__name__
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    # Last what quotes a stranger, so that nothing of it can pass for a field.
    ordered = sorted(values, key=lambda each: each in _TEXTS)
    shown = (f"{each}={_shown(values[each])}" for each in ordered if values[each] is not None)
    log(level_of(event), "%s: %s", name, " ".join(shown), extra={"event": name, **values})


_TEXTS = ("detail", "error", "fault")
_PLAIN = re.compile(r"[!#-<>-~]+")  # printable ASCII but a space, a quote and "="


def _shown(value: object) -> str:
    if isinstance(value, float):
        return _number(value)
    # A client_id is one that is registered, and may hold a line break all the same.
    text = one_line(str(value))
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _number(value: float) -> str:
    """Format seconds without an exponent: three digits of what is less than one, else tenths."""
    text = f"{float(f'{value:.3g}'):.6f}" if value < 1 else f"{value:.1f}"
    return text.rstrip("0").rstrip(".")


MAX_LINES = 100
"""Lines of one kind that are logged in a second at most."""


@dataclass(slots=True)
class _Second:
    """The lines of one kind in the second that ends at ``end`` (monotonic)."""

    end: float = 0
    lines: int = 0


_EXCEPTION = "UnexpectedException"
_KINDS = (*(each.__name__ for each in _LEVELS), _CLIENTS_REFUSAL_LINE[0], *UNDECIDED, _EXCEPTION)
_seconds: dict[str, _Second] = {kind: _Second() for kind in _KINDS}


def admits_line(kind: str, level: int) -> bool:
    """Count a line of a kind, and report whether it may be written: a flood of refusals must not fill the disk.

    kind: as ``line_of`` has it, or the name of the event. Each has a count of its own, so that a flood of what
        strangers can cause hides nothing else.
    """
    # Without a lock: threads that meet here may write a line more or less, and nothing worse.
    second, now = _seconds[kind], monotonic()
    if second.lines > MAX_LINES and now < second.end:  # first of all: a flood must cost next to nothing
        second.lines += 1
        return False
    if not _logger.isEnabledFor(level):
        return False
    if now >= second.end:
        left_out, second.end, second.lines = second.lines - MAX_LINES, now + 1, 0
        if left_out > 0:
            _write_left_out(level, "%d lines of %s were left out", left_out, kind)
    second.lines += 1
    if second.lines > MAX_LINES:
        _write_left_out(level, "%d lines of %s in a second: the rest is counted", MAX_LINES, kind)
    return second.lines <= MAX_LINES


def _write_left_out(level: int, message: str, number: int, kind: str) -> None:
    log(level, message, number, kind, extra={"event": "LinesLeftOut"})


_FRAMES = 3


def log_exception(what: str, error: BaseException) -> None:
    """Log an exception that nothing here expects, as ERROR: one line, with the innermost three places in the code.

    No traceback, which has many lines, and quotes what was being handled: a refusal, with what a stranger sent. Counted
    as the lines of events are.
    """
    if admits_line(_EXCEPTION, logging.ERROR):
        frames = [f"{frame.f_code.co_filename}:{line}" for frame, line in walk_tb(error.__traceback__)]
        places = one_line(" < ".join(frames[: -_FRAMES - 1 : -1]))
        log(logging.ERROR, "%s: %s (%s)", what, describe_in_full(error), places, extra={"event": _EXCEPTION})


def emit(on_event: OnEvent, event: Event) -> None:
    """Report an event. Raises nothing that an Exception is."""
    try:
        on_event(event)
    except Exception as error:  # the user's code: an observer must not decide
        log_exception(f"on_event raised for {type(event).__name__}", error)
