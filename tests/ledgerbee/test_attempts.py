"""When a call is sent again: the generator that both edges drive, with time that passes by itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from private_key_jwt.ledgerbee import Membership, PortalSSOError, Role
from private_key_jwt.ledgerbee._attempts import Attempt, Failed, Outcome, Pause, Preparation, Response, perform
from private_key_jwt.ledgerbee._calls import Call, mint_handoff, provision, revoke_sessions
from private_key_jwt.testing import Clock

REVOKE = revoke_sessions(sub="u-1")
MINT = mint_handoff(sub="u-1", email="jane@example.com", memberships=[Membership("c-1", Role.USER)], name=None)
PROVISION = provision(
    email="jane@example.com",
    customer_id="c-1",
    customer=None,
    role=Role.USER,
    user_name=None,
    organization_display_name=None,
    mint_handoff=False,
    sub=None,
    mint_checkout_bind_token=False,
    client_reference_id=None,
)
OK: dict[str, dict[str, Any]] = {
    MINT.path: {"ref": "r", "expiresAt": "2026-11-29T20:00:00Z"},
    PROVISION.path: {
        "customerId": "c-1",
        "customerCreated": False,
        "portalUserId": "p-1",
        "membershipId": "m-1",
        "role": "USER",
    },
    REVOKE.path: {"revoked": 1},
}
EACH: list[Call[Any]] = [MINT, PROVISION, REVOKE]
TIMEOUT = 10.0

LOST = Failed("lost", was_sent=True)
NO_CONNECTION = Failed("no connection", was_sent=False)
UNTRUSTED = Failed("untrusted", was_sent=False, can_retry=False)


def answered(status: int, body: Any = None, **headers: str) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): text for name, text in headers.items()}, content)


class Run:
    """One call, driven: each attempt takes ``seconds`` and has the next outcome; the last one is repeated.

    preparation: seconds that it takes.
    """

    def __init__(
        self,
        call: Call[Any],
        outcomes: Sequence[Outcome],
        *,
        seconds: float = 0.01,
        random: float = 0.5,
        preparation: float = 0,
    ) -> None:
        self.clock = Clock(1_000)
        self.attempts: list[float] = []
        self.pauses: list[float] = []
        self.result: Any = None
        self.error: PortalSSOError | None = None
        flow = perform(call, TIMEOUT, self.clock, lambda: random)
        try:
            assert next(flow) == Preparation(TIMEOUT)
            self.clock.advance(preparation)
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    self.clock.advance(step.seconds)
                    step = next(flow)
                else:
                    assert isinstance(step, Attempt)
                    self.attempts.append(step.seconds)
                    self.clock.advance(min(seconds, step.seconds))
                    step = flow.send(outcomes[min(len(self.attempts), len(outcomes)) - 1])
        except StopIteration as end:
            self.result = end.value
        except PortalSSOError as error:
            self.error = error

    @property
    def took(self) -> float:
        return self.clock() - 1_000


def success(call: Call[Any]) -> Response:
    return answered(200, OK[call.path])


@pytest.mark.parametrize("call", EACH, ids=lambda call: call.path)
@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_any_2xx_is_a_success(call: Call[Any], status: int) -> None:
    run = Run(call, [answered(status, OK[call.path])])
    assert (run.result is not None, len(run.attempts), run.pauses) == (True, 1, [])


TRANSIENT: list[Outcome] = [LOST, NO_CONNECTION, *(answered(status) for status in (429, 500, 502, 503, 504))]


@pytest.mark.parametrize("call", EACH, ids=lambda call: call.path)
@pytest.mark.parametrize("outcome", TRANSIENT, ids=repr)
def test_what_may_be_better_the_next_time_is_sent_again(call: Call[Any], outcome: Outcome) -> None:
    run = Run(call, [outcome, success(call)])
    assert (run.error, len(run.attempts), len(run.pauses)) == (None, 2, 1)


@pytest.mark.parametrize("outcome", TRANSIENT, ids=repr)
def test_revoke_and_provision_are_sent_as_often_as_fits(outcome: Outcome) -> None:
    for call in (REVOKE, PROVISION):
        run = Run(call, [outcome])
        assert run.error is not None
        assert len(run.attempts) > 5
        assert TIMEOUT - 2.2 < run.took <= TIMEOUT  # no pause that would fit is left out


@pytest.mark.parametrize("outcome", TRANSIENT, ids=repr)
def test_mint_is_sent_again_once(outcome: Outcome) -> None:
    run = Run(MINT, [outcome])
    assert run.error is not None
    assert len(run.attempts) == 2
    assert run.took < 1


FINAL: list[Outcome] = [
    UNTRUSTED,
    *(answered(status) for status in (301, 302, 307, 308, 400, 401, 403, 404, 405, 408, 409, 413, 422, 425, 431)),
    answered(200, b"<html>"),
    answered(200, []),
    answered(200, {}),
    answered(204, b""),
]


@pytest.mark.parametrize("call", EACH, ids=lambda call: call.path)
@pytest.mark.parametrize("outcome", FINAL, ids=repr)
def test_what_will_be_no_better_is_not_sent_again(call: Call[Any], outcome: Outcome) -> None:
    run = Run(call, [outcome, success(call)])
    assert run.error is not None
    assert (len(run.attempts), run.pauses) == (1, [])


# Time


def test_each_attempt_may_take_what_is_left() -> None:
    run = Run(REVOKE, [LOST, LOST, success(REVOKE)], seconds=2)
    first, second, third = run.attempts
    assert first == TIMEOUT
    assert second == pytest.approx(first - 2 - run.pauses[0])
    assert third == pytest.approx(second - 2 - run.pauses[1])


def test_what_the_preparation_took_is_not_there_for_the_attempts() -> None:
    run = Run(REVOKE, [LOST, success(REVOKE)], preparation=4)
    assert run.attempts == pytest.approx([TIMEOUT - 4, TIMEOUT - 4 - 0.01 - run.pauses[0]])


@pytest.mark.parametrize("seconds", [TIMEOUT, TIMEOUT + 1])
def test_a_preparation_that_takes_the_whole_timeout_ends_the_call(seconds: float) -> None:
    run = Run(REVOKE, [success(REVOKE)], preparation=seconds)
    assert run.error is not None
    assert "timeout of 10 s was over before an attempt began" in run.error.detail
    assert (run.error.may_have_happened, run.attempts) == (False, [])


def test_pauses_grow_and_are_bounded() -> None:
    pauses = Run(REVOKE, [LOST]).pauses
    assert pauses[:4] == pytest.approx([0.15, 0.3, 0.6, 1.2])
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(1.5)


def test_pauses_differ_by_chance() -> None:
    low, high = (Run(MINT, [LOST], random=random).pauses for random in (0.0, 1.0))
    assert low == pytest.approx([0.1])
    assert high == pytest.approx([0.2])


def test_an_attempt_that_used_up_the_time_is_the_last() -> None:
    run = Run(REVOKE, [LOST], seconds=TIMEOUT)
    assert (len(run.attempts), run.pauses, run.took) == (1, [], TIMEOUT)


def test_no_attempt_begins_that_could_only_be_late() -> None:
    run = Run(REVOKE, [answered(503)], seconds=TIMEOUT - 0.24)  # a pause of 0.15 would fit, and leave 0.09
    assert len(run.attempts) == 1
    assert run.error is not None
    assert run.error.status == 503


# Retry-After


@pytest.mark.parametrize("call", EACH, ids=lambda call: call.path)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(call: Call[Any], status: int) -> None:
    run = Run(call, [answered(status, retry_after="3"), success(call)])
    assert run.error is None
    assert 3 < run.pauses[0] < 3.5


@pytest.mark.parametrize("call", EACH, ids=lambda call: call.path)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("after", ["10", "11", "86400", "9999999999"])
def test_a_retry_after_that_does_not_fit_fails_at_once(call: Call[Any], status: int, after: str) -> None:
    run = Run(call, [answered(status, retry_after=after), success(call)])
    assert run.error is not None
    assert (len(run.attempts), run.pauses) == (1, [])
    assert (run.error.status, run.error.retry_after) == (status, float(after))


def test_a_retry_after_may_be_a_date() -> None:
    date, until = (formatdate(1_700_000_000 + seconds, usegmt=True) for seconds in (0, 4))
    run = Run(REVOKE, [answered(503, retry_after=until, date=date), success(REVOKE)])
    assert 4 < run.pauses[0] < 4.5
    past = Run(REVOKE, [answered(503, retry_after=date, date=until), success(REVOKE)])
    assert past.pauses == pytest.approx([0.15])


FAR_ZONE = "Tue, 14 Nov 2023 22:13:25 +99999999999999999"  # the standard library raises OverflowError


@pytest.mark.parametrize(
    "after", ["", "soon", "-1", "1.5", "١", "1" * 11, formatdate(1_700_000_000, usegmt=True), FAR_ZONE]
)
def test_a_retry_after_that_cannot_be_read_is_ignored(after: str) -> None:
    run = Run(REVOKE, [answered(503, retry_after=after), success(REVOKE)])
    assert run.pauses == pytest.approx([0.15])
    assert (run.error, run.result) == (None, 1)


def test_a_date_without_a_zone_is_utc() -> None:
    headers = {"retry_after": "Tue, 14 Nov 2023 22:13:25 -0000", "date": "Tue, 14 Nov 2023 22:13:20 GMT"}
    assert 5 < Run(REVOKE, [answered(503, **headers), success(REVOKE)]).pauses[0] < 5.5


# What is raised


@pytest.mark.parametrize(
    ("outcome", "happened"),
    [
        *((answered(status), False) for status in (400, 401, 403, 404, 409, 422, 429)),
        (NO_CONNECTION, False),
        (UNTRUSTED, False),
        (LOST, True),
        *((answered(status), True) for status in (302, 500, 502, 503, 504)),
        (answered(200, b"<html>"), True),
        (answered(200, {"revoked": "1"}), True),
    ],
    ids=repr,
)
def test_whether_it_may_have_happened(outcome: Outcome, happened: bool) -> None:
    error = Run(REVOKE, [outcome]).error
    assert error is not None
    assert error.may_have_happened is happened


@pytest.mark.parametrize("last", [NO_CONNECTION, answered(429), answered(400)], ids=repr)
def test_what_may_have_happened_in_an_earlier_attempt_may_have_happened(last: Outcome) -> None:
    error = Run(MINT, [LOST, last]).error
    assert error is not None
    assert error.may_have_happened


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ({"code": "CUSTOMER_NOT_FOUND", "error": "no such customer"}, "CUSTOMER_NOT_FOUND", "no such customer"),
        ({"error": "invalid_token"}, "invalid_token", "invalid_token"),
        ({"error": "invalid_token", "error_description": "it expired"}, "invalid_token", "it expired"),
        ({"error": {"code": "X1", "message": "why"}}, "X1", "why"),
        ({"code": "X1", "message": "why"}, "X1", "why"),
        ({"error": "Bad Request, no customer"}, None, "Bad Request, no customer"),
        ({"code": 17, "error": ["x"]}, None, ""),
        ({"code": "x" * 65}, None, ""),
        ({"code": ""}, None, ""),
        ([], None, ""),
        (b"<html>", None, ""),
        (b"", None, ""),
    ],
)
def test_the_code_and_the_text_of_an_error_are_told(body: Any, code: str | None, text: str) -> None:
    error = Run(REVOKE, [answered(400, body)]).error
    assert error is not None
    assert (error.status, error.code) == (400, code)
    assert error.detail.startswith("LedgerBee answered 400")
    assert text in error.detail
    assert str(error) == error.detail


def test_what_is_told_of_a_response_is_told_of_the_last_attempt_alone() -> None:
    error = Run(MINT, [answered(503, {"code": "X1"}, retry_after="0"), NO_CONNECTION]).error
    assert error is not None
    assert (error.status, error.code, error.retry_after, error.may_have_happened) == (None, None, None, True)


def test_a_redirect_is_told() -> None:
    error = Run(REVOKE, [answered(308, location="https://other.example/api")]).error
    assert error is not None
    assert "https://other.example/api" in error.detail


def test_a_malformed_answer_is_told_by_its_member() -> None:
    error = Run(REVOKE, [answered(200, {"revoked": "1"})]).error
    assert error is not None
    assert (error.status, "revoked must be" in error.detail) == (200, True)


def test_the_attempts_are_counted_in_the_detail() -> None:
    error = Run(MINT, [LOST, NO_CONNECTION]).error
    assert error is not None
    assert error.detail == "no connection (attempt 2)"


def test_what_is_told_is_one_short_line() -> None:
    for text in ("a\nb\x1b[2J\u202e", "é" * 1_000, "x" * 100_000):
        error = Run(REVOKE, [answered(400, {"code": "X", "error": text})]).error
        assert error is not None
        assert error.detail.isascii()
        assert error.detail.isprintable()
        assert len(error.detail) <= 300
    error = PortalSSOError("x" * 400, may_have_happened=False)
    assert len(error.detail) == 300


# Whatever is answered

NAMES = st.sampled_from([*OK[PROVISION.path], *OK[MINT.path], "revoked", "code", "error", "message"])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
BODIES = JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50)
DATES = st.sampled_from([formatdate(1_700_000_000, usegmt=True), FAR_ZONE]) | st.text(max_size=40)


@settings(max_examples=300)
@given(
    call=st.sampled_from(EACH),
    status=st.integers(100, 599),
    body=BODIES,
    headers=st.fixed_dictionaries({}, optional={"retry-after": DATES, "date": DATES, "location": st.text(max_size=80)}),
)
def test_any_answer_is_a_result_or_an_error_of_ours(
    call: Call[Any], status: int, body: bytes, headers: dict[str, str]
) -> None:
    run = Run(call, [Response(status, headers, body)])
    if run.error is None:
        assert 200 <= status < 300
        return
    assert run.error.may_have_happened is not (400 <= status < 500)
    assert len(run.error.detail) <= 300
    assert run.error.detail.isascii()
    assert run.error.detail.isprintable()
    assert run.took <= TIMEOUT
