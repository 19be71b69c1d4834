"""Rows about replay, and about what is answered: R, E."""

from __future__ import annotations

from typing import Any

from hostile.provider import ACCEPTED, CONFIGURATION, REFUSED, Attempt, Cases, Provider, each, outcome, row
from private_key_jwt import (
    AssertionPolicy,
    AuthenticationError,
    InvalidClient,
    MemoryReplayStore,
    Reason,
    TemporarilyUnavailable,
)
from private_key_jwt.testing import DEFECTS, RelyingParty
from support import OP, jwk, private_key


@row("R01")
def an_assertion_twice(op: Provider) -> Cases:
    token = op.token()
    yield ACCEPTED, op.sent(token)
    for spelling in (token, token.encode()):
        yield Reason.REPLAYED, op.sent(spelling)
    op.remake()
    yield Reason.REPLAYED, op.sent(token)


@row("R02")
def the_jti_of_a_used_assertion_in_a_new_one(op: Provider) -> Cases:
    yield ACCEPTED, op.sent(op.token(jti="one"))
    op.clock.advance(30)
    yield Reason.REPLAYED, op.sent(op.token(jti="one"))
    yield Reason.REPLAYED, op.sent(op.token(jti="one", note="another"))


@row("R03")
def two_clients_with_one_jti(op: Provider) -> Cases:
    """Two clients with one jti, also where id and jti run into each other."""
    for client_id in ("client-2", "client-1x"):
        op.register(jwk(), client_id=client_id)
    yield ACCEPTED, op.sent(op.token(jti="one"))
    yield ACCEPTED, op.sent(op.token(jti="one", iss="client-2", sub="client-2"))
    yield ACCEPTED, op.sent(op.token(jti="xone"))
    yield ACCEPTED, op.sent(op.token(jti="one", iss="client-1x", sub="client-1x"))


@row("R06")
def a_used_assertion_in_another_spelling(op: Provider) -> Cases:
    token = op.token()
    yield ACCEPTED, op.sent(token)
    for spelling in (f"{token}==", f"{token}=", token[:-1] + chr(ord(token[-1]) + 1), f"{token}\n", f" {token}"):
        yield Reason.MALFORMED, op.sent(spelling)
    yield Reason.REPLAYED, op.sent(token)


@row("R07")
def one_assertion_at_two_endpoints_that_share_a_store(op: Provider) -> Cases:
    token = op.token()
    par, token_endpoint = op.make(), op.make()
    yield ACCEPTED, lambda: par.verify(token)
    yield Reason.REPLAYED, lambda: token_endpoint.verify(token)


@row("R09")
def several_workers_each_with_marks_of_its_own(op: Provider) -> Cases:
    yield CONFIGURATION, lambda: op.make(workers=2)
    # Which is refused because of this.
    token = op.token()
    for _worker in range(2):
        op.remake(replay_store=MemoryReplayStore())
        yield ACCEPTED, op.sent(token)


class Store:
    """A store that answers, or raises, what it is got to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@row("R10")
def a_store_that_raises_times_out_or_answers_something_else(op: Provider) -> Cases:
    answers: tuple[Any, ...] = (
        OSError("x"),
        TimeoutError(),
        KeyError(),
        ValueError("\n"),
        RecursionError(),
        None,
        1,
        0,
        "True",
        [],
        b"1",
    )
    for answer in answers:
        op.remake(replay_store=Store(answer))
        yield Reason.REPLAY_STORE_UNAVAILABLE, op.sent(op.token())
    op.remake(replay_store=MemoryReplayStore(max_entries=1))
    yield ACCEPTED, op.sent(op.token())
    yield Reason.REPLAY_STORE_FULL, op.sent(op.token())


@row("R15")
def an_assertion_sent_again_after_its_request_failed_for_another_reason(op: Provider) -> Cases:
    token = op.token()
    yield ACCEPTED, op.sent(token)  # and then invalid_grant, which is the server's business
    yield Reason.REPLAYED, op.sent(token)
    # A server with more to check first: nothing is used up before it is consumed.
    token = op.token()
    yield ACCEPTED, lambda: op.verifier.begin(token)
    yield ACCEPTED, op.sent(token)


@row("R16")
def replayed_in_the_last_second_of_the_leeway(op: Provider) -> Cases:
    token = op.token()
    yield ACCEPTED, op.sent(token)
    for step in (60, 14, 0.999):
        op.clock.advance(step)
        yield Reason.REPLAYED, op.sent(token)


@row("R17")
def replayed_after_the_leeway(op: Provider) -> Cases:
    token = op.token()
    yield ACCEPTED, op.sent(token)
    for step in (75, 0.001, 1, 30, 3_600):
        op.clock.advance(step)
        yield Reason.EXPIRED, op.sent(token)


@row("R20")
def no_jti_or_none_that_is_a_string(op: Provider) -> Cases:
    yield Reason.MISSING_CLAIM, op.sent(op.token(jti=...))
    for jti in each(None, "", 1, [], {}, True):
        yield Reason.INVALID_CLAIM, op.sent(op.token(jti=jti))


@row("R22")
def a_jti_of_257_bytes_and_of_1_mb(op: Provider) -> Cases:
    yield ACCEPTED, op.sent(op.token(jti="j" * 256))
    for jti in each("j" * 257, "\u00e9" * 129):
        yield Reason.INVALID_CLAIM, op.sent(op.token(jti=jti))
    yield Reason.TOO_LARGE, op.sent(op.token(jti="j" * 1_000_000))


@row("R23")
def a_jti_that_cannot_be_encoded(op: Provider) -> Cases:
    yield Reason.MALFORMED, op.sent(op.token(jti="\ud800"))
    yield ACCEPTED, op.sent(op.token(jti="\0"))


@row("R24")
def a_used_jti_signed_by_the_key_after_a_rotation(op: Provider) -> Cases:
    op.register(jwk(), jwk(private_key(1), kid="k2"))
    yield ACCEPTED, op.sent(op.token(jti="one"))
    yield Reason.REPLAYED, op.sent(op.token({"kid": "k2"}, key=private_key(1), jti="one"))


@row("R26")
def a_used_assertion_at_another_issuer_of_the_same_process(op: Provider) -> Cases:
    token = op.token()
    yield ACCEPTED, op.sent(token)
    other = op.make(policy=AssertionPolicy(audience="https://other.example"))
    yield Reason.AUDIENCE_MISMATCH, lambda: other.verify(token)


# Rows E, what is answered


def answer(attempt: Attempt) -> tuple[AuthenticationError, Any]:
    try:
        attempt()
    except AuthenticationError as error:
        return error, error.to_response()
    raise AssertionError("accepted")


@row("E01")
def every_named_defect_its_reason_inside_one_answer_outside(op: Provider) -> Cases:
    tenant = RelyingParty(audience=OP, clock=op.clock).tenant()
    op.clients[tenant.client_id] = tenant.client(jwks_uri=None, jwks=tenant.document())
    answers = []
    for name, defect in DEFECTS.items():
        assertion = tenant.defective(name)
        yield defect.reason, op.sent(assertion)
        error, got = answer(op.sent(assertion))
        assert isinstance(error, InvalidClient)
        answers.append(got)
    assert {got.body["error"] for got in answers} == {"invalid_client"}
    assert all(got == answers[0] for got in answers)
    yield ACCEPTED, op.sent(tenant.assertion())


@row("E02")
def the_status_and_the_challenge_of_a_refusal(op: Provider) -> Cases:
    attempt = op.form(client_assertion=op.token(key=private_key(1)))
    yield Reason.BAD_SIGNATURE, attempt
    _, got = answer(attempt)
    assert got.status == 401
    assert got.headers["WWW-Authenticate"] == 'PrivateKeyJWT error="invalid_client"'
    assert got.headers["Cache-Control"] == "no-store"


@row("E03")
def an_authorization_header_beside_an_assertion(op: Provider) -> Cases:
    """An Authorization header beside an assertion (pinned: the request is malformed, 400)."""
    for assertion in ("x", op.token()):
        attempt = op.form("Basic eA==", client_assertion=assertion)
        yield Reason.INVALID_REQUEST, attempt
        assert answer(attempt)[1].status == 400


@row("E04")
def a_publisher_that_is_down(op: Provider) -> Cases:
    """A publisher that is down (pinned: 503, for the client is not to blame)."""
    op.publish(jwk())
    op.publisher.answer = b""
    attempt = op.sent(op.token())
    yield Reason.JWKS_UNAVAILABLE, attempt
    error, got = answer(attempt)
    assert isinstance(error, TemporarilyUnavailable)
    assert (got.status, got.body["error"]) == (503, "temporarily_unavailable")
    assert int(got.headers["Retry-After"]) >= 1


@row("E05")
def a_replay_store_that_is_down_nothing_is_issued(op: Provider) -> Cases:
    """A replay store that is down: nothing is issued, and the client is not to blame."""
    op.remake(replay_store=Store(OSError("down")))
    attempt = op.sent(op.token())
    yield Reason.REPLAY_STORE_UNAVAILABLE, attempt
    error, got = answer(attempt)
    assert isinstance(error, TemporarilyUnavailable)
    assert got.status == 503
    assert outcome(op.sent("x")) == Reason.MALFORMED
    yield REFUSED, attempt
