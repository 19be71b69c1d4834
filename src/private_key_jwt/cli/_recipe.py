"""The recipe on one assertion, a check at a time: what `explain` shows.

No rule stands here. ``_walk`` calls the stages of the verifier in the verifier's order, and the names of
their checks say how far an assertion came.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from .. import _sources as adapt
from .._core import base64url, compact
from .._core import claims as claims_step
from .._core import header as header_step
from .._core.checks import Check
from .._core.claims import Claims
from .._core.header import Header
from .._core.jwk import kind_of
from .._core.jwk_set import VerificationKey
from ..clients import RegisteredClient
from ..exceptions import AuthenticationError, InvalidClient, TemporarilyUnavailable
from ..policy import AssertionPolicy
from ..verifier import bad_signature
from . import _facts as facts
from ._facts import Facts
from ._options import KeySource


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
    """

    assertion: str | bytes
    policy: AssertionPolicy
    audience: tuple[str, ...] | None
    client_id: str | None
    source: KeySource
    now: float


class Finding(NamedTuple):
    """One line of the answer."""

    row: Row
    state: State
    found: str
    expected: str


class Report(NamedTuple):
    """The answer: a line for each check, and the error that ended the recipe, if one did."""

    findings: tuple[Finding, ...]
    error: AuthenticationError | None

    @property
    def failed(self) -> Finding | None:
        """The line at which the recipe ended, if it did not come to its end."""
        return next((each for each in self.findings if each.state in (State.FAILED, State.UNAVAILABLE)), None)


def examine(question: Question) -> Report:
    """Take an assertion through the recipe, as far as it goes."""
    found: Facts = {}
    passed: set[str] = set()
    stage: tuple[Check, ...] = ()
    try:
        for begun in _walk(question, found):
            passed.update(stage)
            stage = begun
    except AuthenticationError as error:
        failed = str(error.check)
        passed.update(stage[: stage.index(failed)] if failed in stage else stage)
        return Report(_findings(question, found, passed, (failed, error)), error)
    passed.update(stage)
    return Report(_findings(question, found, passed, None), None)


def _findings(
    question: Question, found: Facts, passed: set[str], failure: tuple[str, AuthenticationError] | None
) -> tuple[Finding, ...]:
    unchecked = _unchecked(question)
    expected = facts.expectations(
        question.policy, question.source.client("-" if question.client_id is None else question.client_id)
    )
    findings = []
    for row in ROWS:
        state, what = State.NOT_REACHED, found.get(row.check, "")
        if failure is not None and row.check == failure[0]:
            is_ours = isinstance(failure[1], TemporarilyUnavailable)
            state, what = State.UNAVAILABLE if is_ours else State.FAILED, failure[1].detail
        elif row.check in passed:
            state = State.NOT_CHECKED if row.check in unchecked else State.PASSED
        findings.append(Finding(row, state, what, unchecked.get(row.check) or expected[row.check]))
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


def _walk(question: Question, found: Facts) -> Iterator[tuple[Check, ...]]:
    """``ClientAssertionVerifier.begin``, stage by stage: yields the checks of each before it is entered.

    ``found`` gets what the checks look at. Raises what ``begin`` raises.
    """
    policy = question.policy
    found.update(facts.about_shape(question.assertion))
    yield "size", "characters", "segments"
    segments = compact.split(question.assertion, policy.max_assertion_bytes)
    header_segment, claims_segment, signature, signing_input = segments
    found.update(facts.about_header(header_segment))
    yield "header", "crit", "zip_cty", "alg", "kid", "typ"
    header = header_step.parse(header_segment)
    yield ("claims",)
    claims = compact.loads(claims_segment, "claims")
    found.update(facts.about_claims(claims, question.now))
    yield "iss", "sub", "client_id"
    client_id = claims_step.identify(claims, None)
    yield ("client",)
    client = question.source.client(client_id if question.client_id is None else question.client_id)
    if client.client_id != client_id:
        raise adapt.not_found(client, client_id)
    yield "signing_algs", "require_kid", "require_typ"
    claims_step.check_client_rules(header, policy, client.signing_algs, require_kid=client.require_kid)
    yield ("aud",)
    claims_step.check_audience(claims, policy if question.audience else _own_audience(claims, policy))
    yield from _walk_times(claims, policy, question.now)
    yield ("jti",)
    claims_step.check_jti(claims)
    yield ("key",)
    if question.source.is_given:
        key = _find_key(question.source, client, header)
        found["key"] = kind_of(key.public_key)
        found["signature"] = "made with this key"
        yield ("signature",)
        if not key.verify(base64url.decode_canonical(signature), signing_input):
            raise bad_signature(header)
    yield "signature", "replay"


def _own_audience(claims: Claims, policy: AssertionPolicy) -> AssertionPolicy:
    """The policy with the assertion's own audience: where none is given, the form of ``aud`` still has rules."""
    aud = claims.get("aud")
    values = aud if isinstance(aud, list) else [aud]
    return replace(policy, audience=[value for value in values if isinstance(value, str) and value] or "-")


def _walk_times(claims: Claims, policy: AssertionPolicy, now: float) -> Iterator[tuple[Check, ...]]:
    # Four checks that need each other: when the stage ends early, most of them have come to no end.
    # `exp` alone may have, and whether it has, the stage itself is asked.
    try:
        claims_step.check_times(claims, policy, now)
    except InvalidClient:
        if _exp_passes(claims, policy, now):
            yield ("exp",)
        yield ()
        raise
    yield "exp", "iat", "nbf", "lifetime"


def _exp_passes(claims: Claims, policy: AssertionPolicy, now: float) -> bool:
    alone = {name: value for name, value in claims.items() if name == "exp"}
    try:
        claims_step.check_times(alone, replace(policy, require_iat=False), now)
    except InvalidClient as error:
        return error.check != "exp"
    return True


def _find_key(source: KeySource, client: RegisteredClient, header: Header) -> VerificationKey:
    if client.keys is not None:
        return adapt.registered_key(client.keys, header, client.signing_algs)
    with source.fetcher() as fetcher:
        return fetcher.get_key(client, header.alg, header.kid)
