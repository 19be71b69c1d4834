"""The recipe on one assertion, a check at a time: what `explain` shows.

No rule stands here: ``_run`` calls the stages of ``recipe.py`` in their order, and the check that a refusal names says
how far an assertion came.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from .._core import claims, compact, strict_json
from .._core.algorithms import ALGORITHMS
from .._core.base64url import decode
from .._core.checks import Check
from .._core.describe import is_time
from .._core.header import Header
from .._core.jwk_set import VerificationKey
from .._core.octets import encode
from .._text import format_time, quote
from ..clients import RegisteredClient
from ..exceptions import AuthenticationError, ConfigurationError, InvalidClient, Reason, TemporarilyUnavailable
from ..policy import LONGEST_LEEWAY, LONGEST_LIFETIME, AssertionPolicy
from ..recipe import Verification, registered_key
from . import _facts as facts
from ._facts import Facts
from ._options import KeyOptions


class Row(NamedTuple):
    """A check of the recipe: its name, the number of its step, and what people call it."""

    check: Check
    step: int
    title: str


ROWS = (
    Row("size", 1, "size"),
    Row("characters", 1, "characters"),
    Row("segments", 1, "segments"),
    Row("header", 2, "header is JSON"),
    Row("crit", 2, "no extension"),
    Row("zip_cty", 2, "not zipped"),
    Row("alg", 2, "alg"),
    Row("kid", 2, "kid"),
    Row("typ", 2, "typ"),
    Row("claims", 3, "claims are JSON"),
    Row("iss", 3, "iss"),
    Row("sub", 3, "sub"),
    Row("client_id", 3, "request's client"),
    Row("client", 3, "client is known"),
    Row("signing_algs", 3, "client's alg"),
    Row("require_kid", 3, "kid if required"),
    Row("require_typ", 3, "typ if required"),
    Row("aud", 3, "aud"),
    Row("exp", 3, "exp"),
    Row("iat", 3, "iat"),
    Row("nbf", 3, "nbf"),
    Row("lifetime", 3, "lifetime"),
    Row("jti", 3, "jti"),
    Row("key", 4, "key"),
    Row("signature", 5, "signature"),
    Row("replay", 6, "not a replay"),
)


_PLACES: dict[str | None, int] = {row.check: place for place, row in enumerate(ROWS)}


class State(StrEnum):
    """How a check came out."""

    PASSED = "passed"
    FAILED = "FAILED"
    UNAVAILABLE = "UNAVAILABLE"
    NOT_REACHED = "not reached"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of an assertion.

    audience: None when the policy's is only in the place of one.
    client_id: None to take the assertion's word.
    altered, as_ifs: the assertion without what stops the recipe early, and what that was.
    """

    assertion: str | bytes
    altered: str | bytes | None = None
    as_ifs: tuple[str, ...] = ()
    policy: AssertionPolicy
    audience: tuple[str, ...] | None
    client_id: str | None
    source: KeyOptions
    now: float


class Finding(NamedTuple):
    """One line of the report.

    as_if: what a time that passed was judged by, where that was not what was asked.
    """

    row: Row
    state: State
    found: str
    expected: str
    as_if: str | None = None


class Report(NamedTuple):
    """What ``explain`` shows: a line for each check, and what is to be said beside them.

    error: the first refusal, which is the server's; None when nothing failed.
    sent_at: when the assertion was fresh, if all that is wrong with its times is that it is not so now.
    accepted: the first and the last instant at which a server takes its times; None when they cannot be read.
    jti_hash: as events and logs have it; None when it is not known.
    as_ifs: without what of the assertion the later checks were made.
    """

    findings: tuple[Finding, ...]
    error: AuthenticationError | None
    sent_at: float | None
    accepted: tuple[float, float] | None
    jti_hash: str | None
    as_ifs: tuple[str, ...]

    @property
    def failed(self) -> Finding | None:
        """The line at which a server stops."""
        check = None if self.error is None else self.error.check
        return next((each for each in self.findings if each.row.check == check), None)


_TIMES = ("exp", "iat", "nbf", "lifetime")
_NOT_OF_NOW = (Reason.MISSING_CLAIM, Reason.INVALID_CLAIM)


def examine(question: Question) -> Report:
    """Take an assertion through the recipe.

    A server stops at the first refusal. Here a time or an audience that fails is noted, and the recipe is run again as
    if it had passed: an assertion that was captured a while ago has expired, and the cause may lie behind that.
    """
    failures: dict[str, AuthenticationError] = {}
    judged: dict[str, str | None] = {}
    attempt, last = question, None
    eased: Question | None = question
    while eased is not None:
        attempt, eased, last = eased, None, None
        work = _Work()
        try:
            _run(attempt, work)
        except AuthenticationError as error:
            is_as_asked = (attempt.now, attempt.policy) == (question.now, question.policy)
            if error.check not in _TIMES or error.reason in _NOT_OF_NOW or is_as_asked:
                failures.setdefault(str(error.check), error)  # any other time fails as of a now that was made up
            last, eased = error.check, _eased(attempt, work, error)
        # Checks are made in the order of the rows, and a refusal names its own: those before it have come to an end.
        for row in ROWS[: len(ROWS) if last is None else _PLACES[last] + 1]:
            judged.setdefault(row.check, _as_if(question, attempt))
    times = [check for check in failures if check in _TIMES]
    return Report(
        _findings(attempt, question, work, failures, judged),
        next(iter(failures.values()), None),
        attempt.now if times and attempt.now != question.now and attempt.policy == question.policy else None,
        claims.window(dict(work.claims), question.policy) if hasattr(work, "client_id") else None,
        work.jti_hash,
        attempt.as_ifs,
    )


def _eased(question: Question, work: Verification, error: AuthenticationError) -> Question | None:
    """Return the question with which the check that failed passes; None when it decides everything behind it."""
    if error.check in ("size", "header", "claims") and error.reason is Reason.TOO_LARGE:
        return _without_largest(question, error.check)
    if error.check == "typ" and error.reason is Reason.UNSUPPORTED_TYP:
        return _without(question, "header", "typ", "the header had no typ")
    if error.check == "require_typ":
        return replace(question, policy=replace(question.policy, require_typ=False))
    if error.check == "client":
        return replace(question, client_id=None)
    if error.reason is Reason.AUDIENCE_MISMATCH and question.audience:
        return replace(question, audience=())
    if error.check not in _TIMES or error.reason in _NOT_OF_NOW:
        return None
    exp, iat = work.claims["exp"], work.claims.get("iat")
    sent_at = iat if is_time(iat) and iat <= exp else max(0.0, exp - 1)
    eased = replace(question, now=float(sent_at))
    if eased == question or error.check == "lifetime":
        eased = replace(question, policy=replace(question.policy, leeway=LONGEST_LEEWAY, max_lifetime=LONGEST_LIFETIME))
    return None if eased == question else eased


_PLACES_OF = {"header": 0, "claims": 1}
_OF_THE_RECIPE = frozenset({"alg", "kid", "typ", "crit", "iss", "sub", "aud", "exp", "iat", "nbf", "jti"})


def _segments(question: Question) -> list[bytes]:
    assertion = question.assertion if question.altered is None else question.altered
    return (assertion.encode("ascii", "replace") if isinstance(assertion, str) else assertion).split(b".")


def _without_largest(question: Question, check: str) -> Question | None:
    """Leave out the largest member of the segment that is too large; None where the recipe needs it, or none is."""
    segments = _segments(question)
    if len(segments) != 3:
        return None
    name = check if check in _PLACES_OF else max(_PLACES_OF, key=lambda each: len(segments[_PLACES_OF[each]]))
    try:
        member, size = compact.largest_member(strict_json.loads_object(decode(segments[_PLACES_OF[name]])))
    except ValueError:
        return None
    if member in _OF_THE_RECIPE:
        return None
    return _without(question, name, member, f"the {name} had no {quote(member)}, {size:,} characters of JSON")


def _without(question: Question, name: str, member: str, as_if: str) -> Question:
    segments, place = _segments(question), _PLACES_OF[name]
    members = strict_json.loads_object(decode(segments[place]))
    del members[member]
    segments[place] = encode(json.dumps(members).encode()).encode()
    return replace(question, altered=b".".join(segments), as_ifs=(*question.as_ifs, as_if))


class _Work(Verification):
    """A verification that may read another text than the one whose signature counts."""

    __slots__ = ()

    def sign_over(self, assertion: str | bytes) -> None:
        """Check the signature over what was sent, whatever was left out of it to be read."""
        sent = assertion.encode() if isinstance(assertion, str) else assertion
        self._signing_input = sent.rpartition(b".")[0]


def _as_if(question: Question, attempt: Question) -> str | None:
    """Say by what an attempt judges times, where that is not what was asked."""
    if attempt.policy != question.policy:
        return f"as if leeway were {attempt.policy.leeway:g} s, max_lifetime {attempt.policy.max_lifetime:g} s"
    return None if attempt.now == question.now else f"as if it were {format_time(attempt.now)}"


def _findings(
    attempt: Question,
    question: Question,
    work: Verification,
    failures: Mapping[str, AuthenticationError],
    judged: Mapping[str, str | None],
) -> tuple[Finding, ...]:
    unchecked = _unchecked(question)
    if _assumed_alg(question, work) is not None:
        unchecked["signing_algs"] = "needs --alg"
    altered = question.assertion if attempt.altered is None else attempt.altered
    found = facts.about(question.assertion, altered, work, question.now)
    expected = facts.expectations(
        question.policy, question.source.client("-" if question.client_id is None else question.client_id)
    )
    findings = []
    for row in ROWS:
        state, what = State.PASSED, found.get(row.check, "")
        error = failures.get(row.check)
        if error is not None:
            state = State.UNAVAILABLE if isinstance(error, TemporarilyUnavailable) else State.FAILED
            what = error.detail
        elif row.check not in judged:
            state = State.NOT_REACHED
        elif row.check in unchecked:
            state = State.NOT_CHECKED
        is_time = state is State.PASSED and row.check in _TIMES and what != facts.ABSENT
        as_if = judged[row.check] if is_time else None
        findings.append(Finding(row, state, what, unchecked.get(row.check) or expected[row.check], as_if))
    return tuple(findings)


def _unchecked(question: Question) -> Facts:
    """The checks that cannot be made, and what they would need."""
    needs: Facts = {
        "client_id": "needs a token request",
        "replay": "needs your server's replay store",
    }
    if question.client_id is None:
        needs["client"] = "needs --client-id"
    if question.audience is None:
        needs["aud"] = "needs --audience"
    if not question.source.is_given:
        needs["key"] = needs["signature"] = "needs --slug, --jwks-uri or --jwks"
    return needs


def _run(question: Question, work: _Work) -> None:
    """Call the stages of the recipe. Raises what ``ClientAssertionVerifier.begin`` raises."""
    if question.altered is None:
        work.read(question.policy, question.assertion, None)
    else:
        work.read(question.policy, question.altered, None)
        work.sign_over(question.assertion)
    client_id = work.client_id if question.client_id is None else question.client_id
    client = question.source.client(client_id, _assumed_alg(question, work) or "RS256")
    if client.client_id != work.client_id:
        raise InvalidClient(Reason.UNKNOWN_CLIENT, _describe_client(work.client_id, client.client_id), "client")
    if question.audience is None:
        work.policy = _own_audience(work.claims, work.policy)
    elif not question.audience:  # by ``_eased``: its fault is found, look for the next
        work.policy = replace(_own_audience(work.claims, work.policy), audience_rule="member")
    work.check_claims(client, question.now)
    if question.source.is_given:
        work.check_signature(_find_key(question.source, client, work.header))


def _describe_client(sub: str, client_id: str) -> str:
    return (
        f"the assertion is of client {quote(sub)}, and --client-id says {quote(client_id)}: where the request named the"
        " latter, that is a client_mismatch; where the former is not registered, an unknown_client"
    )


def _assumed_alg(question: Question, work: Verification) -> str | None:
    """Return the assertion's algorithm where it is not RS256 and nobody says what its client is registered for."""
    header: Header | None = getattr(work, "header", None)
    if header is None or question.source.algs or question.source.slug is not None:
        return None
    return header.alg if header.alg != "RS256" and header.alg in ALGORITHMS else None


def _own_audience(claims: Mapping[str, Any], policy: AssertionPolicy) -> AssertionPolicy:
    """Return the policy with the assertion's own audience: where none is given, the form of ``aud`` still has rules."""
    aud = claims.get("aud")
    values = aud if isinstance(aud, list) else [aud]
    try:
        return replace(policy, audience=[value for value in values if isinstance(value, str) and value] or "-")
    except ConfigurationError:  # it holds white space: no server can accept it
        return replace(policy, audience="-")


def _find_key(source: KeyOptions, client: RegisteredClient, header: Header) -> VerificationKey:
    if client.keys is not None:
        return registered_key(client.keys, header, client.signing_algs)
    with source.fetcher() as fetcher:
        return fetcher.get_key(client, header.alg, header.kid)
