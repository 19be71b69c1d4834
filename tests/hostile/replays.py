"""Rows about replay, and about what is answered: R, E."""

from __future__ import annotations

from typing import Any

from hostile.world import ACCEPTED, CONFIGURATION, REFUSED, Attempt, Cases, World, each, outcome, row
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
def _(w: World) -> Cases:
    token = w.token()
    yield ACCEPTED, w.sent(token)
    for spelling in (token, token.encode()):
        yield Reason.REPLAYED, w.sent(spelling)
    w.remake()
    yield Reason.REPLAYED, w.sent(token)


@row("R02", "the jti of a used assertion in a new one")
def _(w: World) -> Cases:
    yield ACCEPTED, w.sent(w.token(jti="one"))
    w.clock.advance(30)
    yield Reason.REPLAYED, w.sent(w.token(jti="one"))
    yield Reason.REPLAYED, w.sent(w.token(jti="one", note="another"))


@row("R03", "two clients with one jti, also where id and jti run into each other")
def _(w: World) -> Cases:
    for client_id in ("client-2", "client-1x"):
        w.register(jwk(), client_id=client_id)
    yield ACCEPTED, w.sent(w.token(jti="one"))
    yield ACCEPTED, w.sent(w.token(jti="one", iss="client-2", sub="client-2"))
    yield ACCEPTED, w.sent(w.token(jti="xone"))
    yield ACCEPTED, w.sent(w.token(jti="one", iss="client-1x", sub="client-1x"))


@row("R06", "a used assertion in another spelling")
def _(w: World) -> Cases:
    token = w.token()
    yield ACCEPTED, w.sent(token)
    for spelling in (f"{token}==", f"{token}=", token[:-1] + chr(ord(token[-1]) + 1), f"{token}\n", f" {token}"):
        yield Reason.MALFORMED, w.sent(spelling)
    yield Reason.REPLAYED, w.sent(token)


@row("R07", "one assertion at two endpoints that share a store")
def _(w: World) -> Cases:
    token = w.token()
    par, token_endpoint = w.make(), w.make()
    yield ACCEPTED, lambda: par.verify(token)
    yield Reason.REPLAYED, lambda: token_endpoint.verify(token)


@row("R09", "several workers, each with marks of its own")
def _(w: World) -> Cases:
    yield CONFIGURATION, lambda: w.make(workers=2)
    # Which is refused because of this.
    token = w.token()
    for _worker in range(2):
        w.remake(replay_store=MemoryReplayStore())
        yield ACCEPTED, w.sent(token)


class Store:
    """A store that answers, or raises, what it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@row("R10", "a store that raises, times out, or answers something else")
def _(w: World) -> Cases:
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
        w.remake(replay_store=Store(answer))
        yield Reason.REPLAY_STORE_UNAVAILABLE, w.sent(w.token())
    w.remake(replay_store=MemoryReplayStore(max_entries=1))
    yield ACCEPTED, w.sent(w.token())
    yield Reason.REPLAY_STORE_FULL, w.sent(w.token())


@row("R15", "an assertion sent again after its request failed for another reason")
def _(w: World) -> Cases:
    token = w.token()
    yield ACCEPTED, w.sent(token)  # and then invalid_grant, which is the server's business
    yield Reason.REPLAYED, w.sent(token)
    # A server with more to check first: nothing is used up before it is consumed.
    token = w.token()
    yield ACCEPTED, lambda: w.verifier.begin(token)
    yield ACCEPTED, w.sent(token)


@row("R16", "replayed in the last second of the leeway")
def _(w: World) -> Cases:
    token = w.token()
    yield ACCEPTED, w.sent(token)
    for step in (60, 14, 0.999):
        w.clock.advance(step)
        yield Reason.REPLAYED, w.sent(token)


@row("R17", "replayed after the leeway")
def _(w: World) -> Cases:
    token = w.token()
    yield ACCEPTED, w.sent(token)
    for step in (75, 0.001, 1, 30, 3_600):
        w.clock.advance(step)
        yield Reason.EXPIRED, w.sent(token)


@row("R20", "no jti, or none that is a string")
def _(w: World) -> Cases:
    yield Reason.MISSING_CLAIM, w.sent(w.token(jti=...))
    for jti in each(None, "", 1, [], {}, True):
        yield Reason.INVALID_CLAIM, w.sent(w.token(jti=jti))


@row("R22", "a jti of 257 bytes, and of 1 MB")
def _(w: World) -> Cases:
    yield ACCEPTED, w.sent(w.token(jti="j" * 256))
    for jti in each("j" * 257, "\u00e9" * 129):
        yield Reason.INVALID_CLAIM, w.sent(w.token(jti=jti))
    yield Reason.TOO_LARGE, w.sent(w.token(jti="j" * 1_000_000))


@row("R23", "a jti that cannot be encoded")
def _(w: World) -> Cases:
    yield Reason.MALFORMED, w.sent(w.token(jti="\ud800"))
    yield ACCEPTED, w.sent(w.token(jti="\0"))


@row("R24", "a used jti, signed by the key after a rotation")
def _(w: World) -> Cases:
    w.register(jwk(), jwk(private_key(1), kid="k2"))
    yield ACCEPTED, w.sent(w.token(jti="one"))
    yield Reason.REPLAYED, w.sent(w.token({"kid": "k2"}, key=private_key(1), jti="one"))


@row("R26", "a used assertion at another issuer of the same process")
def _(w: World) -> Cases:
    token = w.token()
    yield ACCEPTED, w.sent(token)
    other = w.make(policy=AssertionPolicy(audience="https://other.example"))
    yield Reason.AUDIENCE_MISMATCH, lambda: other.verify(token)


# Rows E, what is answered


def answer(attempt: Attempt) -> tuple[AuthenticationError, Any]:
    try:
        attempt()
    except AuthenticationError as error:
        return error, error.to_response()
    raise AssertionError("accepted")


@row("E01", "every named defect: its reason inside, one answer outside")
def _(w: World) -> Cases:
    tenant = RelyingParty(audience=OP, clock=w.clock).tenant()
    w.clients[tenant.client_id] = tenant.client(jwks_uri=None, jwks=tenant.document())
    answers = []
    for name, defect in DEFECTS.items():
        assertion = tenant.defective(name)
        yield defect.reason, w.sent(assertion)
        error, told = answer(w.sent(assertion))
        assert isinstance(error, InvalidClient)
        answers.append(told)
    assert {told.body["error"] for told in answers} == {"invalid_client"}
    assert all(told == answers[0] for told in answers)
    yield ACCEPTED, w.sent(tenant.assertion())


@row("E02", "the status and the challenge of a refusal")
def _(w: World) -> Cases:
    attempt = w.form(client_assertion=w.token(key=private_key(1)))
    yield Reason.BAD_SIGNATURE, attempt
    _, told = answer(attempt)
    assert told.status == 401
    assert told.headers["WWW-Authenticate"] == 'PrivateKeyJWT error="invalid_client"'
    assert told.headers["Cache-Control"] == "no-store"


@row("E03", "an Authorization header beside an assertion (pinned: the request is malformed, 400)")
def _(w: World) -> Cases:
    for assertion in ("x", w.token()):
        attempt = w.form("Basic eA==", client_assertion=assertion)
        yield Reason.INVALID_REQUEST, attempt
        assert answer(attempt)[1].status == 400


@row("E04", "a publisher that is down (pinned: 503, for the client is not to blame)")
def _(w: World) -> Cases:
    w.publish(jwk())
    w.publisher.answer = b""
    attempt = w.sent(w.token())
    yield Reason.JWKS_UNAVAILABLE, attempt
    error, told = answer(attempt)
    assert isinstance(error, TemporarilyUnavailable)
    assert (told.status, told.body["error"]) == (503, "temporarily_unavailable")
    assert int(told.headers["Retry-After"]) >= 1


@row("E05", "a replay store that is down: nothing is issued, and the client is not to blame")
def _(w: World) -> Cases:
    w.remake(replay_store=Store(OSError("down")))
    attempt = w.sent(w.token())
    yield Reason.REPLAY_STORE_UNAVAILABLE, attempt
    error, told = answer(attempt)
    assert isinstance(error, TemporarilyUnavailable)
    assert told.status == 503
    assert outcome(w.sent("x")) == Reason.MALFORMED
    yield REFUSED, attempt
