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


@row("R01", "an assertion twice")
def row_r01(op: Provider) -> Cases:
    token = op.token()
    yield ACCEPTED, op.sent(token)
    for spelling in (token, token.encode()):
        yield Reason.REPLAYED, op.sent(spelling)
    op.remake()
    yield Reason.REPLAYED, op.sent(token)


@row("R02", "the jti of a used assertion in a new one")
def row_r02(op: Provider) -> Cases:
    yield ACCEPTED, op.sent(op.token(jti="one"))
    op.clock.advance(30)
    yield Reason.REPLAYED, op.sent(op.token(jti="one"))
    yield Reason.REPLAYED, op.sent(op.token(jti="one", note="another"))


@row("R03", "two clients with one jti, also where id and jti run into each other")
def row_r03(op: Provider) -> Cases:
    for client_id in ("client-2", "client-1x"):
        op.register(jwk(), client_id=client_id)
    yield ACCEPTED, op.sent(op.token(jti="one"))
    yield ACCEPTED, op.sent(op.token(jti="one", iss="client-2", sub="client-2"))
    yield ACCEPTED, op.sent(op.token(jti="xone"))
    yield ACCEPTED, op.sent(op.token(jti="one", iss="client-1x", sub="client-1x"))


@row("R06", "a used assertion in another spelling")
def row_r06(op: Provider) -> Cases:
    token = op.token()
    yield ACCEPTED, op.sent(token)
    for spelling in (f"{token}==", f"{token}=", token[:-1] + chr(ord(token[-1]) + 1), f"{token}\n", f" {token}"):
        yield Reason.MALFORMED, op.sent(spelling)
    yield Reason.REPLAYED, op.sent(token)


@row("R07", "one assertion at two endpoints that share a store")
def row_r07(op: Provider) -> Cases:
    token = op.token()
    par, token_endpoint = op.make(), op.make()
    yield ACCEPTED, lambda: par.verify(token)
    yield Reason.REPLAYED, lambda: token_endpoint.verify(token)


@row("R09", "several workers, each with marks of its own")
def row_r09(op: Provider) -> Cases:
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


@row("R10", "a store that raises, times out, or answers something else")
def row_r10(op: Provider) -> Cases:
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


@row("R15", "an assertion sent again after its request failed for another reason")
def row_r15(op: Provider) -> Cases:
    token = op.token()
    yield ACCEPTED, op.sent(token)  # and then invalid_grant, which is the server's business
    yield Reason.REPLAYED, op.sent(token)
    # A server with more to check first: nothing is used up before it is consumed.
    token = op.token()
    yield ACCEPTED, lambda: op.verifier.begin(token)
    yield ACCEPTED, op.sent(token)


@row("R16", "replayed in the last second of the leeway")
def row_r16(op: Provider) -> Cases:
    token = op.token()
    yield ACCEPTED, op.sent(token)
    for step in (60, 14, 0.999):
        op.clock.advance(step)
        yield Reason.REPLAYED, op.sent(token)


@row("R17", "replayed after the leeway")
def row_r17(op: Provider) -> Cases:
    token = op.token()
    yield ACCEPTED, op.sent(token)
    for step in (75, 0.001, 1, 30, 3_600):
        op.clock.advance(step)
        yield Reason.EXPIRED, op.sent(token)


@row("R20", "no jti, or none that is a string")
def row_r20(op: Provider) -> Cases:
    yield Reason.MISSING_CLAIM, op.sent(op.token(jti=...))
    for jti in each(None, "", 1, [], {}, True):
        yield Reason.INVALID_CLAIM, op.sent(op.token(jti=jti))


@row("R22", "a jti of 257 bytes, and of 1 MB")
def row_r22(op: Provider) -> Cases:
    yield ACCEPTED, op.sent(op.token(jti="j" * 256))
    for jti in each("j" * 257, "\u00e9" * 129):
        yield Reason.INVALID_CLAIM, op.sent(op.token(jti=jti))
    yield Reason.TOO_LARGE, op.sent(op.token(jti="j" * 1_000_000))


@row("R23", "a jti that cannot be encoded")
def row_r23(op: Provider) -> Cases:
    yield Reason.MALFORMED, op.sent(op.token(jti="\ud800"))
    yield ACCEPTED, op.sent(op.token(jti="\0"))


@row("R24", "a used jti, signed by the key after a rotation")
def row_r24(op: Provider) -> Cases:
    op.register(jwk(), jwk(private_key(1), kid="k2"))
    yield ACCEPTED, op.sent(op.token(jti="one"))
    yield Reason.REPLAYED, op.sent(op.token({"kid": "k2"}, key=private_key(1), jti="one"))


@row("R26", "a used assertion at another issuer of the same process")
def row_r26(op: Provider) -> Cases:
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


@row("E01", "every named defect: its reason inside, one answer outside")
def row_e01(op: Provider) -> Cases:
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


@row("E02", "the status and the challenge of a refusal")
def row_e02(op: Provider) -> Cases:
    attempt = op.form(client_assertion=op.token(key=private_key(1)))
    yield Reason.BAD_SIGNATURE, attempt
    _, got = answer(attempt)
    assert got.status == 401
    assert got.headers["WWW-Authenticate"] == 'PrivateKeyJWT error="invalid_client"'
    assert got.headers["Cache-Control"] == "no-store"


@row("E03", "an Authorization header beside an assertion (pinned: the request is malformed, 400)")
def row_e03(op: Provider) -> Cases:
    for assertion in ("x", op.token()):
        attempt = op.form("Basic eA==", client_assertion=assertion)
        yield Reason.INVALID_REQUEST, attempt
        assert answer(attempt)[1].status == 400


@row("E04", "a publisher that is down (pinned: 503, for the client is not to blame)")
def row_e04(op: Provider) -> Cases:
    op.publish(jwk())
    op.publisher.answer = b""
    attempt = op.sent(op.token())
    yield Reason.JWKS_UNAVAILABLE, attempt
    error, got = answer(attempt)
    assert isinstance(error, TemporarilyUnavailable)
    assert (got.status, got.body["error"]) == (503, "temporarily_unavailable")
    assert int(got.headers["Retry-After"]) >= 1


@row("E05", "a replay store that is down: nothing is issued, and the client is not to blame")
def row_e05(op: Provider) -> Cases:
    op.remake(replay_store=Store(OSError("down")))
    attempt = op.sent(op.token())
    yield Reason.REPLAY_STORE_UNAVAILABLE, attempt
    error, got = answer(attempt)
    assert isinstance(error, TemporarilyUnavailable)
    assert got.status == 503
    assert outcome(op.sent("x")) == Reason.MALFORMED
    yield REFUSED, attempt
