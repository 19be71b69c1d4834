"""Say why no key was found, for the log: pure functions of what is known.

Each text holds, as far as they fit into the 300 characters of a detail: the cause, the age of the key set, when it may
be asked for again, and the kids that are there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from .._core.jwk_set import KeySet, NoKey
from .._text import quote
from ..exceptions import Reason

__all__ = ["Known", "describe_failure", "describe_no_key", "describe_set", "describe_unavailable", "instant"]

_LENGTH = 300
_CAUSE_LENGTH = 130
_MIN_ROOM = 12


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a key set when a refusal is written.

    asked_at: when the set was asked for, less the age it had then; now: both in seconds since the epoch.
    wait: seconds until it may be asked for again.
    failure: what the last fetch met, if it failed.
    """

    keys: KeySet
    asked_at: float
    now: float
    wait: float
    failure: str | None = None


def instant(seconds: float) -> str:
    """Format seconds since the epoch as an instant: ``2026-11-29T18:13:00Z``."""
    try:
        return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):  # after the year 9999
        return f"{seconds:.0f}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _name(kid: str | None) -> str:
    return "an assertion without kid" if kid is None else f"kid {quote(kid)}"


def _list(items: Iterable[str], room: int) -> str:
    """List as many items as fit into ``room`` characters, and count the others; "" when not even one fits."""
    shown, left = "", list(items)
    while left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        candidate = f"{shown}, {left[0]}" if shown else left[0]
        if len(candidate) + len(more) > room:
            break
        shown = candidate
        left.pop(0)
    if not shown:
        return ""
    return f"{shown} and {len(left)} more" if left else shown


def _age(known: Known) -> str:
    return f"the key set of {instant(known.asked_at)} ({max(0.0, known.now - known.asked_at):.0f} s old)"


def _again(known: Known) -> str:
    if known.wait <= 0:
        return "it may be asked for again now"
    return f"it may be asked for again at {instant(known.now + known.wait)}, in {known.wait:.0f} s"


def describe_set(known: Known) -> str:
    """Say how old a set is, and when it is asked for again."""
    return f"{_age(known)} holds it; {_again(known)}"


def describe_failure(detail: str, at: float) -> str:
    """Say what the last fetch met, and when."""
    return f"the fetch of {instant(at)} failed: {_cut(detail, _CAUSE_LENGTH)}"


def describe_no_key(found: NoKey, kid: str | None, known: Known, *, is_spent: bool) -> str:
    """Say why no key was found in a set that may be used.

    is_spent: nobody could ask for a newer set, for the fetch budget is spent.
    """
    undecided = "; published since? nobody may ask before: the fetch budget is spent" if is_spent else ""
    age, again, name = _age(known), _again(known), _name(kid)
    failure = f"; {known.failure}" if known.failure else ""
    tail = f"; {again}{undecided}{failure}"
    if found.reason is Reason.NO_KEYS:
        return f"{name}: {age} is empty: is its URL right, and has its client a signing key?{tail}"
    if found.reason is Reason.UNUSABLE_KEY:
        start = f"{name}: no key of {age} can be used: "
        room = _room(start, tail, 80)
        return f"{start}{_list(found.faults, room) or _cut('; '.join(found.faults), room)}{tail}"
    what = "not in" if found.reason is Reason.UNKNOWN_KID else f"{found.faults[0]}, in"
    start = f"{name}: {what} {age}{tail}"
    kids = _list(found.kids, _LENGTH - len(start) - len("; its kids: "))
    return f"{start}; its kids: {kids}" if kids else start


def _room(start: str, end: str, least: int) -> int:
    return max(least, _LENGTH - len(start) - len(end))


def describe_unavailable(
    jwks_uri: str, cause: str, now: float, wait: float, *, failed_at: float | None, is_spent: bool
) -> str:
    """Say why there is no key set to decide with, when that was met, and when the next fetch may be tried.

    failed_at: when the fetch failed that ``cause`` tells of, if it is one. is_spent: the fetch budget is.
    """
    facts = [] if failed_at is None else [f"at {instant(failed_at)}"]
    if is_spent and failed_at is not None:
        facts.append("the fetch budget is spent")
    facts.append(f"next try at {instant(now + wait)}, in {wait:.0f} s" if wait > 0 else "next try at once")
    return f"{_cut(cause, _CAUSE_LENGTH)} ({'; '.join(facts)}; {quote(jwks_uri)[1:-1]})"
