"""Decide when a call is sent, sent again, and given up. Sans I/O: a generator that PortalSSO and AsyncPortalSSO drive.

It asks for a preparation, once, and then for an attempt or a pause; it is sent the outcome of each attempt, and
returns the result or raises PortalSSOError. The rules:

- The timeout counts from the beginning: what the preparation took is not there for the attempts.

- A call is sent again after what may succeed the next time: no connection, a response that is lost, cut or late,
  429, and 5xx. It is not sent again after another 4xx, a redirect, a certificate that cannot be verified, or a
  malformed response.
- Between two attempts it waits: longer each time, by a random share of it, and after the seconds of
  ``Retry-After``. A wait that does not fit into the timeout is not begun: the call fails at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from .._core import strict_json
from .._text import quote
from ._calls import Call
from ._errors import PortalSSOError

Result = TypeVar("Result")

_FIRST_PAUSE = 0.2  # seconds
_LONGEST_PAUSE = 2.0
_SHORTEST_ATTEMPT = 0.1  # seconds; with less left an attempt would only hide what the one before it met
_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = range(500, 600)
CLIENT_ERRORS = range(400, 500)
_CODE_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-")
_CODE_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Preparation:
    """Get what each attempt needs, such as the credential. It should take no more than this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """Send the request now; it may take this many seconds in all."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response: its status, header fields by lower-case name, and body.

    redact: takes the credential out of a text of the response; what is quoted goes through it first.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    redact: Callable[[str], str] = field(default=str, repr=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """No whole response. ``was_sent``: whether the request may have reached LedgerBee."""

    detail: str
    was_sent: bool
    can_retry: bool = True


Outcome = Response | Failed


def perform(
    call: Call[Result], timeout: float, clock: Callable[[], float], random: Callable[[], float]
) -> Generator[Preparation | Attempt | Pause, Outcome, Result]:
    """Perform a call within ``timeout`` seconds of ``clock``, the preparation included.

    random: a number from 0 to 1 for each pause.

    Returns what the call reads out of the response. Raises PortalSSOError.
    """
    deadline = clock() + timeout
    yield Preparation(timeout)
    if clock() >= deadline:
        detail = f"the timeout of {timeout:g} s was over before an attempt began: how long does access_token take?"
        raise PortalSSOError(detail, may_have_happened=False)
    may_have_happened = False
    number = 0
    while True:
        outcome = yield Attempt(max(deadline - clock(), 0.0))
        verdict = _read(call, outcome)
        if not isinstance(verdict, _Fault):
            return verdict
        may_have_happened |= verdict.may_have_happened
        pause = _pause(number, verdict.retry_after, random())
        may_retry = verdict.can_retry and (call.retries is None or number < call.retries)
        if not may_retry or pause + _SHORTEST_ATTEMPT > deadline - clock():
            raise PortalSSOError(
                _describe(verdict.detail, number),
                status=verdict.status,
                code=verdict.code,
                retry_after=verdict.retry_after,
                may_have_happened=may_have_happened,
            )
        yield Pause(pause)
        number += 1


@dataclass(frozen=True, slots=True)
class _Fault:
    """Hold what one attempt came to that brought no result."""

    detail: str
    may_have_happened: bool
    can_retry: bool
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None


def _pause(number: int, retry_after: float | None, random: float) -> float:
    longest = min(_FIRST_PAUSE * 2.0**number, _LONGEST_PAUSE)
    # From half of it on: partners that failed together come again apart.
    return (retry_after or 0.0) + longest * (1 + random) / 2


def _describe(detail: str, retries: int) -> str:
    return f"{detail} (attempt {retries + 1})" if retries else detail


def _read(call: Call[Result], outcome: Outcome) -> Result | _Fault:
    if not isinstance(outcome, Response):
        return _Fault(outcome.detail, outcome.was_sent, outcome.can_retry)
    if not 200 <= outcome.status < 300:
        return _refusal(outcome)
    try:
        return call.read(strict_json.loads_object(outcome.body))
    except ValueError as error:
        detail = f"LedgerBee answered {outcome.status} with a malformed body: {outcome.redact(str(error))}"
        return _Fault(detail, may_have_happened=True, can_retry=False, status=outcome.status)


def _refusal(response: Response) -> _Fault:
    status = response.status
    code, text = _error_of(response)
    said = [f"LedgerBee answered {status}", code, quote(text) if text else None]
    if "location" in response.headers:
        said.append(f"redirects are not followed: {quote(response.redact(response.headers['location']))}")
    return _Fault(
        ", ".join(part for part in said if part),
        may_have_happened=status not in CLIENT_ERRORS,
        can_retry=status == _TOO_MANY_REQUESTS or status in _SERVER_ERRORS,
        status=status,
        code=code,
        retry_after=_retry_after(response.headers),
    )


def _error_of(response: Response) -> tuple[str | None, str | None]:
    """Find the code and the text in an error body. The page fixes no form: ``code`` or ``error`` is what is usual."""
    try:
        members: Mapping[str, Any] = strict_json.loads_object(response.body)
    except ValueError:
        return None, None
    inner = members.get("error")
    if isinstance(inner, Mapping):
        members = {**members, **inner}
    members = {name: response.redact(value) if isinstance(value, str) else value for name, value in members.items()}
    code = next((members[name] for name in ("code", "error") if _is_code(members.get(name))), None)
    names = ("message", "error_description", "error")
    return code, next((members[name] for name in names if _is_text(members.get(name), code)), None)


def _is_code(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _CODE_LENGTH and _CODE_CHARACTERS.issuperset(value)


def _is_text(value: object, code: str | None) -> bool:
    return isinstance(value, str) and value not in ("", code)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read ``Retry-After`` in seconds (RFC 9110 §10.2.3): a number, or a date after the response's own ``Date``."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal() and len(text) <= 10:
        return float(text)
    until, sent = _date(text), _date(headers.get("date", ""))
    return None if until is None or sent is None else max((until - sent).total_seconds(), 0.0)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except Exception:  # it raises more than the ValueError that it documents: OverflowError, for one
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
