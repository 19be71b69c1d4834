"""The recipe on one assertion, a check at a time: what `explain` shows.

No rule stands here: ``_run`` calls the stages of ``recipe.py`` in their order, and the check that a refusal names says
how far an assertion came. What lies behind a check that failed is looked at as ``_behind.py`` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, NamedTuple

from .._core import claims
from .._core.algorithms import ALGORITHMS
from .._core.checks import Check
from .._core.header import Header
from .._core.jwk_set import KeySet, VerificationKey
from .._text import MILLISECONDS_FROM, format_time, quote
from ..clients import RegisteredClient
from ..exceptions import AuthenticationError, ConfigurationError, InvalidClient, Reason, TemporarilyUnavailable
from ..policy import AssertionPolicy
from ..recipe import Verification, registered_key
from . import _facts as facts
from . import _try_keys
from ._behind import NOT_OF_NOW, TIMES, Question, Trial, claims_of, first_trial, next_trial
from ._facts import Facts
from ._options import KeyOptions

__all__ = ["ROWS", "Finding", "Question", "Report", "Row", "State", "examine"]


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
    """Name the ways in which a check can come out."""

    PASSED = "passed"
    FAILED = "FAILED"
    UNAVAILABLE = "UNAVAILABLE"
    NOT_REACHED = "not reached"
    NOT_CHECKED = "not checked"


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
    """Hold what ``explain`` shows: a line for each check, and what is to be said beside them.

    error: the first refusal, which is the server's; None when nothing failed.
    sent_at: when the assertion was fresh, if all that is wrong with its times is that it is not so now.
    accepted: the first and the last instant at which a server takes its times; None when they cannot be read.
    jti_hash: as events and logs have it; None when it is not known.
    as_ifs: with what changed of the assertion the later checks were made.
    keys: where no key of the set was the right one, what trying each of them shows.
    """

    findings: tuple[Finding, ...]
    error: AuthenticationError | None
    sent_at: float | None
    accepted: tuple[float, float] | None
    jti_hash: str | None
    as_ifs: tuple[str, ...]
    keys: tuple[str, ...] = ()

    @property
    def failed(self) -> Finding | None:
        """The line at which a server stops."""
        check = None if self.error is None else self.error.check
        return next((each for each in self.findings if each.row.check == check), None)

    @property
    def others(self) -> tuple[Finding, ...]:
        """The lines behind it that failed, too."""
        return tuple(each for each in self.findings if each.state in _BAD and each is not self.failed)

    @property
    def sees_behind(self) -> bool:
        """Report whether a check behind the one that failed was made."""
        place = len(ROWS) if self.failed is None else _PLACES[self.failed.row.check]
        return any(each.state is State.PASSED for each in self.findings[place + 1 :])


_BAD = (State.FAILED, State.UNAVAILABLE)
_MOST_TRIALS = 2 * len(ROWS)


def examine(question: Question) -> Report:
    """Take an assertion through the recipe, and look behind each check that fails."""
    failures: dict[str, AuthenticationError] = {}
    judged: dict[str, str | None] = {}
    trial, last = first_trial(question), None
    following: Trial | None = trial
    trials = 0
    while following is not None and trials < _MOST_TRIALS:
        trial, following, last = following, None, None
        trials += 1
        work = _Work()
        try:
            _run(question, trial, work)
        except AuthenticationError as error:
            failure = _as_asked(question, trial, work, error)
            if failure is not None:
                failures.setdefault(str(failure.check), failure)
            last, following = error.check, next_trial(question, trial, work, error)
        # Checks are made in the order of the rows, and a refusal names its own: those before it have come to an end.
        for row in ROWS[: len(ROWS) if last is None else _PLACES[last] + 1]:
            if row.check not in trial.made_up:
                judged.setdefault(row.check, _as_if(question, trial))
    shown = claims_of(trial.shown)
    accepted = None if shown is None else claims.window(shown, question.policy)
    is_of_then = accepted is not None and trial.now != question.now and trial.policy == question.policy
    return Report(
        _findings(trial, question, work, failures, judged),
        min(failures.values(), key=lambda error: _PLACES[error.check], default=None),
        trial.now if is_of_then else None,
        accepted,
        _jti_hash(work, shown),
        trial.as_ifs,
        tuple(_tried_keys(question, work, failures.get(str(last)))),
    )


def _as_asked(
    question: Question, trial: Trial, work: Verification, error: AuthenticationError
) -> AuthenticationError | None:
    """Return what a check that failed says as of the question; None where it fails only as of a trial."""
    if error.check in trial.made_up:
        return None
    if error.check not in TIMES or error.reason in NOT_OF_NOW:
        return error
    exp, value = work.claims["exp"], work.claims.get(str(error.check))
    longest = question.policy.max_lifetime + question.policy.leeway
    if error.check in ("iat", "nbf"):
        return _time_failure({"exp": question.now + longest, str(error.check): value}, question.policy, question.now)
    if (trial.now == question.now and error.check == "exp") or exp > MILLISECONDS_FROM:
        return error
    return _time_failure({"exp": exp, "iat": work.claims.get("iat", exp)}, question.policy, exp - longest)


def _time_failure(times: dict[str, Any], policy: AssertionPolicy, now: float) -> AuthenticationError | None:
    try:
        claims.check_times(times, replace(policy, require_iat=False), now)  # one that is absent is no fault of a time
    except InvalidClient as error:
        return error
    return None


def _jti_hash(work: Verification, shown: Mapping[str, Any] | None) -> str | None:
    """Return the hash of a ``jti`` that is the assertion's own, and of a client that is."""
    own = shown is not None and all(shown.get(name) == work.claims[name] for name in ("iss", "sub", "jti"))
    return work.jti_hash if own else None


class _Work(Verification):
    """A verification that may read another text than the one whose signature counts."""

    __slots__ = ("found", "signature_is_made_up")

    signature_is_made_up: bool

    def __init__(self) -> None:
        self.found: VerificationKey | None = None

    def sign_over(self, sent: bytes) -> None:
        """Check the signature over what was sent, whatever is read in its place."""
        self._signing_input = sent.rpartition(b".")[0]

    def try_key(self, key: VerificationKey) -> str | None:
        """Say why a key did not make the signature; None where it did."""
        return _try_keys.fault_of(key, self._signature, self._signing_input)


def _as_if(question: Question, trial: Trial) -> str | None:
    """Say by what a trial judges times, where that is not what was asked."""
    policy = trial.policy
    if (policy.leeway, policy.max_lifetime) != (question.policy.leeway, question.policy.max_lifetime):
        return f"as if leeway were {policy.leeway:g} s, max_lifetime {policy.max_lifetime:g} s"
    return None if trial.now == question.now else f"as if it were {format_time(trial.now)}"


def _findings(
    trial: Trial,
    question: Question,
    work: _Work,
    failures: Mapping[str, AuthenticationError],
    judged: Mapping[str, str | None],
) -> tuple[Finding, ...]:
    unchecked = _unchecked(question)
    found = facts.about(question.assertion, trial.shown, work.found, question.now)
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
        is_a_time = state is State.PASSED and row.check in TIMES and what != facts.ABSENT
        as_if = judged[row.check] if is_a_time else None
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
    if _takes_any_alg(question.source):
        needs["signing_algs"] = "needs --alg: what is the client registered for?"
    if question.audience is None:
        needs["aud"] = "needs --audience"
    if not question.source.is_given:
        needs["key"] = needs["signature"] = "needs --slug, --jwks-uri or --jwks"
    return needs


def _takes_any_alg(source: KeyOptions) -> bool:
    """Report whether nobody says what the client is registered for; LedgerBee's clients sign with RS256."""
    return not source.algs and source.slug is None


def _run(question: Question, trial: Trial, work: _Work) -> None:
    """Call the stages of the recipe. Raises what ``ClientAssertionVerifier.begin`` raises."""
    work.read(trial.policy, trial.read, None)
    work.sign_over(trial.sent)
    work.signature_is_made_up = "signature" in trial.made_up
    client = _client(question, trial, work)
    if client.client_id != work.client_id:
        raise InvalidClient(Reason.UNKNOWN_CLIENT, _describe_client(work.client_id, client.client_id), "client")
    if trial.audience is None:
        work.policy = _own_audience(work.claims, work.policy)
    elif not trial.audience:  # its fault is found: look for the next
        work.policy = replace(_own_audience(work.claims, work.policy), audience_rule="member")
    work.check_claims(client, trial.now)
    if question.source.is_given and not {"key", "signature"} <= trial.made_up:
        work.found = _find_key(question.source, client, work.header)
        if not work.signature_is_made_up:
            work.check_signature(work.found)


def _client(question: Question, trial: Trial, work: Verification) -> RegisteredClient:
    source, alg = question.source, work.header.alg
    client_id = work.client_id if trial.client_id is None else trial.client_id
    assumed = (alg,) if _takes_any_alg(source) and alg in ALGORITHMS else None
    return source.client(client_id, trial.algs or assumed, needs_kid=trial.needs_kid)


def _describe_client(sub: str, client_id: str) -> str:
    return (
        f"the assertion is of client {quote(sub)}, and --client-id says {quote(client_id)}: where the request named the"
        " latter, that is a client_mismatch; where the former is not registered, an unknown_client"
    )


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


_OF_THE_KEY = (Reason.UNKNOWN_KID, Reason.AMBIGUOUS_KEY, Reason.BAD_SIGNATURE)


def _tried_keys(question: Question, work: _Work, error: AuthenticationError | None) -> Iterator[str]:
    """Try the signature against each key of the set, where the one that is named is not there or did not make it."""
    if error is None or error.reason not in _OF_THE_KEY or work.signature_is_made_up:
        return
    keys = _key_set(question.source, work.client)
    if keys is not None:
        yield from _try_keys.try_keys(keys, work.header, work.try_key)


def _key_set(source: KeyOptions, client: RegisteredClient) -> KeySet | None:
    if client.keys is not None:
        return client.keys
    try:
        with source.fetcher() as fetcher:
            return fetcher.refresh(str(source.uri))
    except TemporarilyUnavailable:
        return None
