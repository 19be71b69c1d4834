"""Say why no key was found, for the log: pure functions of what is known.

A detail has 300 characters. The cause comes first, then the age of the key set, when it may be asked for again, what
the last fetch met if it failed, and as many of the kids that are there as fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .._core.jwk_set import NoKey
from .._text import cut, format_time, one_line, quote, shorten
from ..exceptions import DETAIL_LENGTH, Reason

__all__ = ["Known", "describe_no_key", "describe_set", "describe_unavailable"]

_FAILURE_LENGTH = 80
_LEAST = 30
# Of a kid, a URL, the kid that a budget was spent on, and a fault: the longest at which everything fits. At the last
# the facts around them fit whatever a client or a stranger makes long.
_LENGTHS = ((64, 96, 30, 100), (48, 64, 30, 100), (28, 28, 28, 100), *((16, 28, 12, fault) for fault in (100, 72, 48)))
_URL_LENGTH = 64
_SHORTER_URL = 40  # beside the longest of what is wrong with a signature
_CURRENT = 5.0  # seconds: no younger set would say anything else
_KIDS_LENGTH = 48  # of a few kids


@dataclass(frozen=True, slots=True)
class Known:
    """Hold what is known of a key set when a refusal is written. Instants are seconds since the epoch.

    asked_at: when the set was asked for, less the age that it had then.
    wait: seconds until it may be asked for again.
    jwks_uri: where it is from.
    failure, failed_at: what the last fetch met, and when; None where it brought a key set.
    since: when the first set was asked for here; None where that is this one.
    removed_at: when a set that was asked for here was the first without this kid; None where none here had it.
    spent_on: the unknown kid that the last fetch within a spent budget was for; None where it was for none.
    is_shared: others share the cache, and with it the budget; it may have room sooner than is known here.
    """

    asked_at: float
    now: float
    wait: float
    jwks_uri: str
    failure: str | None = None
    failed_at: float = 0.0
    since: float | None = None
    removed_at: float | None = None
    spent_on: str | None = None
    is_shared: bool = False


def _list(items: Sequence[str], room: int, separator: str = ", ") -> str:
    """List as many items as fit into ``room`` characters, and count the others; "" where none fits."""
    shown: list[str] = []
    for place, item in enumerate(items):
        left = len(items) - place - 1
        more = f" and {left} more" if left else ""
        text = separator.join([*shown, item])
        if len(text) + len(more) > room:
            break
        shown.append(item)
    left = len(items) - len(shown)
    if not shown:
        return ""
    return separator.join(shown) + (f" and {left} more" if left else "")


def _age(known: Known) -> str:
    return f"{max(0.0, known.now - known.asked_at):.0f} s old"


def _is_current(known: Known) -> bool:
    return known.now - known.asked_at < _CURRENT


def _url(jwks_uri: str, length: int) -> str:
    return shorten(one_line(jwks_uri), length)


def _again(known: Known) -> str:
    if known.wait <= 0:
        return "it may be tried again now"
    return f"next try at {format_time(known.now + known.wait)}{' at the latest' * known.is_shared}"


def _failure(known: Known, room: int) -> str:
    if known.failure is None:
        return ""
    start = f"; the fetch at {format_time(known.failed_at)} failed: "
    return start + cut(known.failure, room - len(start)) if room >= len(start) + _LEAST else ""


def describe_set(known: Known) -> str:
    """Say how old a set is, and when it is asked for again: for a key that is in it, and that did not sign."""
    key_set = f"{_age(known)}, from {_url(known.jwks_uri, _SHORTER_URL)}"
    if _is_current(known):
        return f"the published key is current: its set is {key_set}"
    return f"the key set is {key_set}; {_again(known)}"


def describe_no_key(found: NoKey, kid: str | None, known: Known, *, is_spent: bool) -> str:
    """Say why no key was found in a set that may be used.

    is_spent: a newer set could not be asked for, since the fetch budget is spent.
    """
    # Where one of its keys is meant, that leads to the cause, and a newer set hardly would.
    is_meant = found.reason is Reason.UNKNOWN_KID and bool(found.faults)
    said = _say(kid, known, is_spent=is_spent, is_meant=is_meant)
    kept = ""
    for lengths in _LENGTHS:
        text = _describe(found, known, said, lengths)
        if len(text) > DETAIL_LENGTH:
            continue
        kept = kept or text
        if known.failure is None or _failure(known, DETAIL_LENGTH - len(text)):
            kept = text  # what the last fetch met is worth more than the middle of a long name
            break
    text = kept + _failure(known, DETAIL_LENGTH - len(kept))
    if found.reason is Reason.UNKNOWN_KID:
        seen = _seen(known)
        if len(text) + len(seen) + _KIDS_LENGTH < DETAIL_LENGTH:
            text += seen
    kids = _list(found.kids, DETAIL_LENGTH - len(text) - len("; its kids: "))
    return f"{text}; its kids: {kids}" if kids else text


def _seen(known: Known) -> str:
    """Say of a kid that is not in the last set for how long it was in none."""
    if known.removed_at is not None:
        return ""
    if known.since is None:
        return "; the first set seen here"
    return f"; in none seen here since {format_time(known.since)}"


class _Said(NamedTuple):
    """The words of a detail, made once whatever lengths are tried.

    kid: quoted; None for an assertion without.
    key_set: what names it, up to its URL.
    undecided, spent_on: why no newer set was asked for; the kid that the last fetch was for, quoted.
    """

    kid: str | None
    key_set: str
    undecided: str
    spent_on: str | None
    again: str


def _say(kid: str | None, known: Known, *, is_spent: bool, is_meant: bool) -> _Said:
    undecided = ""
    if is_spent:
        is_known = _is_current(known) or known.removed_at is not None or is_meant
        undecided = f"{'; ' if is_known else ', maybe published since: '}the fetch budget is spent"
    return _Said(
        kid=None if kid is None else quote(kid),
        key_set=f"the key set of {format_time(known.asked_at)}, {_age(known)}, from ",
        undecided=undecided,
        spent_on=None if known.spent_on is None or known.spent_on == kid else quote(known.spent_on),
        again=_again(known),
    )


def _describe(found: NoKey, known: Known, said: _Said, lengths: tuple[int, int, int, int]) -> str:
    kid_length, url_length, spent_length, fault_length = lengths
    name = "an assertion without kid" if said.kid is None else f"kid {shorten(said.kid, kid_length)}"
    key_set = said.key_set + _url(known.jwks_uri, url_length)
    last = "" if said.spent_on is None else f", last on kid {shorten(said.spent_on, spent_length)}"
    tail = f"{said.undecided}{last}; {said.again}"
    if found.reason is Reason.NO_KEYS:
        return f"{name}: {key_set}, is empty: is its URL right, has its client a signing key?{tail}"
    if found.reason is Reason.UNKNOWN_KID:
        fault = f"{cut(found.faults[0], fault_length)}; it is " if found.faults else ""
        if known.removed_at is not None:
            fault = f"REMOVED, there before {format_time(known.removed_at)}: "
        return f"{name}: {fault}not in {key_set}{tail}"
    start, tail = f"{name}: ", f" ({key_set}{tail})"
    room = DETAIL_LENGTH - len(start) - len(tail) - (0 if known.failure is None else _FAILURE_LENGTH)
    room = max(room, _LEAST)
    return start + (_list(found.faults, room, "; ") or cut(found.faults[0], room)) + tail


def describe_unavailable(cause: str, known: Known, *, is_spent: bool) -> str:
    """Say why there is no key set to decide with, when that was met, and when the next fetch may be tried.

    known: ``failed_at`` counts where ``failure`` is the cause; its other members but ``asked_at`` do always.
    is_spent: no fetch was tried, since the fetch budget is spent.
    """
    facts = []
    if known.failure is not None:
        facts.append(f"at {format_time(known.failed_at)}")
        if is_spent:
            facts.append("the fetch budget is spent")
    facts.append(_again(known))
    known_of_it = f" ({'; '.join(facts)}; "
    for length in (_URL_LENGTH, _LEAST):  # what to do, at the end of the cause, is worth more than the middle of a URL
        end = f"{known_of_it}{_url(known.jwks_uri, length)})"
        room = DETAIL_LENGTH - len(end)
        if len(cause) <= room:
            break
    return shorten(cause, room) + end
