"""What happens, told to a function of yours: ``on_event=`` of the verifiers and the fetchers.

    def on_event(event: Event) -> None:
        if isinstance(event, AssertionRefused):
            refused[event.reason] += 1

    verifier = ClientAssertionVerifier(..., on_event=on_event)

An event never holds an assertion, a claim value of a stranger, or a key. ``client_id`` is one that is registered,
``kid`` is escaped and at most 64 characters, ``jti_hash`` is the key of the replay mark in hexadecimal. Durations are
in seconds. The function is called where things happen, in a request, a fetching thread or an event loop: it should be
quick. Whatever it raises is logged and harms nothing.

``log_events`` is such a function: it logs to ``logging`` with the fields of the event as ``extra``. The fetchers have
it unless you give them another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

from ._text import one_line
from .exceptions import Reason

logger = logging.getLogger("private_key_jwt")


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionAccepted:
    """A client is authenticated. ``audience`` is the accepted value that matched."""

    client_id: str
    kid: str | None
    jti_hash: str
    audience: str
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionRefused:
    """Nobody is authenticated. ``check`` is the line of the recipe that refused, where one did.

    ``client_id`` and ``jti_hash`` are None unless the client is registered, ``kid`` unless the header could be read.
    """

    reason: Reason
    check: str | None
    client_id: str | None
    kid: str | None
    jti_hash: str | None
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysFetched:
    """A JWK Set was fetched. ``usable`` of its ``members`` are keys that can be used."""

    jwks_uri: str
    members: int
    usable: int
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchFailed:
    """A JWK Set was asked for and did not come. ``detail`` says why, escaped."""

    jwks_uri: str
    detail: str
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBudgetSpent:
    """No fetch is allowed for ``retry_after`` seconds. Told once for each time that it is spent."""

    jwks_uri: str
    retry_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleKeysServed:
    """A fetch failed, and keys past their ttl are used (``stale_if_error``). ``age`` is in seconds."""

    jwks_uri: str
    age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAdded:
    """A set that was known has a usable key that it had not."""

    jwks_uri: str
    kid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRemoved:
    """A set that was known has lost a usable key: it is refused from now on."""

    jwks_uri: str
    kid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed:
    """A store of yours failed: the replay store (the assertion was refused) or the cache (a fetch was spent).

    ``error`` is what it raised, escaped, or what was wrong with its answer.
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
    | StoreFailed
)
OnEvent = Callable[[Event], None]

_LEVELS: dict[type, int] = {
    AssertionAccepted: logging.DEBUG,
    AssertionRefused: logging.WARNING,
    KeysFetched: logging.DEBUG,
    FetchFailed: logging.WARNING,
    FetchBudgetSpent: logging.WARNING,
    StaleKeysServed: logging.WARNING,
    KeyAdded: logging.INFO,
    KeyRemoved: logging.INFO,
    StoreFailed: logging.ERROR,
}


def log_events(event: Event) -> None:
    """Log an event to ``private_key_jwt``: ``extra`` has its name as ``event``, and its fields.

    What went well is DEBUG, keys that come and go are INFO, what did not is WARNING, and a store that failed ERROR.
    """
    level = _LEVELS[type(event)]
    if logger.isEnabledFor(level):
        extra = {field.name: getattr(event, field.name) for field in fields(event)}
        # A client_id is one that is registered, and may hold a line break all the same.
        text = " ".join(f"{name}={one_line(str(value))}" for name, value in extra.items())
        name = type(event).__name__
        logger.log(level, "%s: %s", name, text, extra={"event": name, **extra})


def emit(on_event: OnEvent, event: Event) -> None:
    """Tell of an event. Raises nothing that an Exception is."""
    try:
        on_event(event)
    except Exception:  # the user's code: what watches must not decide
        logger.exception("on_event raised for %s", type(event).__name__)
