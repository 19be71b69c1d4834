"""The recipe end to end, sync and async: a LedgerBee tenant against a verifier."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import private_key_jwt.verifier as verifier_module
from edges import Edge
from openid_provider import OpenIDProvider
from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    AuthenticationError,
    ClientAssertionVerifier,
    ConfigurationError,
    InvalidClient,
    InvalidRequest,
    JWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
    PrivateKeyJWTError,
    Reason,
    RegisteredClient,
    TemporarilyUnavailable,
    events,
)
from private_key_jwt._core import header
from private_key_jwt._core.token_request import ASSERTION_TYPE
from private_key_jwt.clients import LookUp, Unregistered, unchecked_client
from private_key_jwt.policy import LONGEST_LEEWAY
from private_key_jwt.stores import SQLiteReplayStore
from private_key_jwt.testing import REMOVED, Clock, RelyingParty, SigningKey
from private_key_jwt.testing._assertions import LIFETIME
from support import OP, claims_of, jwk, private_key, raising, sign_json

LOOPBACK = JWKSPolicy(allow_http_loopback=True)
POLICY = AssertionPolicy(audience=OP)


class Provider(OpenIDProvider):
    """One with the defaults of both policies, and a verifier."""

    def __init__(self, edge: Edge, clock: Clock) -> None:
        super().__init__(edge, clock, POLICY, LOOPBACK)
        self.verifier = self.make()


@pytest.fixture
def op(edge: Edge, clock: Clock) -> Iterator[Provider]:
    with Provider(edge, clock) as op:
        yield op


def reason(call: Callable[[], object], error: type[PrivateKeyJWTError] = InvalidClient) -> Reason:
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    reason: Reason = caught.value.reason  # type: ignore[attr-defined]
    return reason


# Accepted


def test_it_tells_which_client_sent_the_assertion(op: Provider) -> None:
    assertion = op.tenant.assertion(jti="j1", extra=[1, 2])
    verified = op.verifier.verify(assertion)
    assert verified.client_id == "portal-acme"
    assert verified.kid == op.tenant.kid
    assert verified.jti == "j1"
    assert verified.audience == OP
    assert (verified.issued_at, verified.expires_at) == (op.clock(), op.clock() + 60)
    assert verified.claims["extra"] == [1, 2]
    with pytest.raises(TypeError):
        verified.claims["sub"] = "evil"
    with pytest.raises(TypeError):
        iter(verified)


def test_bytes_and_str_are_the_same_assertion(op: Provider) -> None:
    assertion = op.tenant.assertion()
    assert op.verifier.verify(assertion.encode()).client_id == "portal-acme"
    assert reason(lambda: op.verifier.verify(assertion)) is Reason.REPLAYED


def test_the_request_s_client_id_is_bound(op: Provider) -> None:
    assert op.verifier.verify(op.tenant.assertion(), "portal-acme").client_id == "portal-acme"
    assert op.verifier.verify(op.tenant.assertion(), client_id="portal-acme").client_id == "portal-acme"
    assertion = op.tenant.assertion()
    assert reason(lambda: op.verifier.verify(assertion, client_id="portal-other")) is Reason.CLIENT_MISMATCH
    assert op.verifier.verify(assertion)


def test_what_is_printed_names_the_client_and_carries_no_claims(op: Provider) -> None:
    verified = op.verifier.verify(op.tenant.assertion(jti="secret-jti", email="a@example.com"))
    assert "portal-acme" in repr(verified)
    assert "secret-jti" not in repr(verified)
    assert "example.com" not in repr(verified)


def test_an_assertion_without_kid_needs_one_usable_key(op: Provider, edge: Edge) -> None:
    client = RegisteredClient("c", jwks={"keys": [jwk(kid=...)]})
    verifier = op.make(clients=[client], policy=replace(POLICY, require_kid=False, require_iat=False))
    claims = {"iss": "c", "sub": "c", "aud": OP, "exp": op.clock() + 60, "jti": "j"}
    verified = verifier.verify(sign_json({"alg": "RS256"}, claims))
    assert (verified.kid, verified.issued_at) == (None, None)


# Replay


def test_an_assertion_is_accepted_once(op: Provider) -> None:
    """Law 1."""
    assertion = op.tenant.assertion()
    assert op.verifier.verify(assertion)
    for _ in range(LIFETIME + int(POLICY.leeway)):
        assert reason(lambda: op.verifier.verify(assertion)) in (Reason.REPLAYED, Reason.EXPIRED)
        op.clock.advance(1)
    assert reason(lambda: op.verifier.verify(assertion)) is Reason.EXPIRED


def test_replayed_to_the_last_instant_and_expired_from_then_on(op: Provider) -> None:
    assertion = op.tenant.assertion()
    assert op.verifier.verify(assertion)
    op.clock.advance(60 + POLICY.leeway - 0.001)
    assert reason(lambda: op.verifier.verify(assertion)) is Reason.REPLAYED
    op.clock.advance(0.001)
    assert reason(lambda: op.verifier.verify(assertion)) is Reason.EXPIRED


@pytest.mark.parametrize("skew", [part * POLICY.leeway for part in (-1, -0.5, 0, 0.5, 1)])
def test_a_host_whose_clock_differs_by_leeway_accepts_nothing_twice(op: Provider, skew: float) -> None:
    """Law 1: two hosts that share a store, one with another clock."""
    other_clock = Clock(op.clock() + skew)
    other = op.make(clock=other_clock)
    assertion = op.tenant.assertion()
    assert op.verifier.verify(assertion)
    for _ in range(400):
        assert reason(lambda: other.verify(assertion)) in (Reason.REPLAYED, Reason.EXPIRED)
        assert reason(lambda: op.verifier.verify(assertion)) in (Reason.REPLAYED, Reason.EXPIRED)
        op.verifier.verify(op.tenant.assertion())
        op.clock.advance(0.25)
        other_clock.advance(0.25)


@pytest.mark.parametrize(("first", "second"), [(0, 300), (15, 30), (15, 300), (300, 0)])
def test_verifiers_of_other_leeways_accept_nothing_twice_between_them(
    op: Provider, first: float, second: float
) -> None:
    """Law 1: the second one's clock is behind by all of its leeway, and the first one forgets what has expired."""
    lagging = Clock(op.clock() - second)
    policy = replace(POLICY, require_iat=False)
    one = op.make(policy=replace(policy, leeway=first))
    other = op.make(policy=replace(policy, leeway=second), clock=lagging)
    assertion = op.tenant.assertion(iat=REMOVED)
    assert one.verify(assertion)
    for _ in range(70):
        for verifier in (other, one):
            assert reason(partial(verifier.verify, assertion)) in (Reason.REPLAYED, Reason.EXPIRED)
        for _ in range(5):
            one.verify(op.tenant.assertion())
        for clock in (op.clock, lagging):
            clock.advance(10)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_clock_that_is_set_back_revives_nothing_at_a_verifier_of_another_leeway(
    op: Provider, tmp_path: Path, in_memory: bool
) -> None:
    """Law 1: what the store has forgotten meanwhile nobody accepts again."""
    store = MemoryReplayStore() if in_memory else SQLiteReplayStore(tmp_path / "replay.db")
    one, *others = (
        op.make(policy=AssertionPolicy(audience=OP, leeway=leeway), replay_store=store) for leeway in (15, 0, 30, 300)
    )
    assertion = op.tenant.assertion()
    assert one.verify(assertion)
    op.clock.advance(3_600)
    for _ in range(50):  # one add in twenty forgets
        one.verify(op.tenant.assertion())
    op.clock.advance(-3_600)
    for verifier in (one, *others):
        with pytest.raises(AuthenticationError):
            verifier.verify(assertion)
    if isinstance(store, SQLiteReplayStore):
        store.close()


def test_one_of_many_concurrent_requests_is_accepted(op: Provider) -> None:
    """Law 1, and the cold start of law 6."""
    assertion = op.tenant.assertion()

    def attempt() -> object:
        try:
            return op.verifier.verify(assertion).client_id
        except InvalidClient as error:
            return error.reason

    answers = op.edge.together([attempt] * 64)
    assert sorted(answers) == sorted(["portal-acme"] + [Reason.REPLAYED] * 63)
    assert op.server.count == 1


def test_the_same_jti_in_a_new_assertion_is_a_replay(op: Provider) -> None:
    assert op.verifier.verify(op.tenant.assertion(jti="j"))
    op.clock.advance(10)
    assert reason(lambda: op.verifier.verify(op.tenant.assertion(jti="j"))) is Reason.REPLAYED
    op.tenant.rotate()
    assert reason(lambda: op.verifier.verify(op.tenant.assertion(jti="j"))) is Reason.REPLAYED


def test_two_clients_may_use_one_jti(op: Provider) -> None:
    other = op.relying_party.tenant("globex")
    verifier = op.make(clients=[tenant.client(op.server.base_url) for tenant in (op.tenant, other)])
    assert verifier.verify(op.tenant.assertion(jti="j")).client_id == "portal-acme"
    assert verifier.verify(other.assertion(jti="j")).client_id == "portal-globex"


def test_nothing_unauthenticated_writes_to_the_store(op: Provider) -> None:
    """Law 2."""
    assert op.verifier.verify(op.tenant.assertion())
    from private_key_jwt.testing import DEFECTS

    for name in DEFECTS:
        with pytest.raises(InvalidClient):
            op.verifier.verify(op.tenant.defective(name))
    assert len(op.store) == 1


def test_only_an_accepted_assertion_keeps_its_header(op: Provider) -> None:
    key, claims = op.tenant.current_key, op.tenant.claims()
    good = key.sign(op.tenant.header(), claims)
    again = key.sign(op.tenant.header() | {"typ": "application/jwt"}, claims)
    kept = header._verified
    header._verified.clear()
    forged = f"{good[:-8]}AAAAAAAA" if not good.endswith("AAAAAAAA") else f"{good[:-8]}BBBBBBBB"
    assert reason(lambda: op.verifier.verify(forged)) is Reason.BAD_SIGNATURE
    assert not kept
    pending = op.verifier.begin(good)
    assert not kept
    op.verifier.verify(good)
    assert [each.kid for each in kept.values()] == [op.tenant.current_key.kid]
    for refuse in (pending.consume, lambda: op.verifier.verify(again)):
        assert reason(refuse) is Reason.REPLAYED
    assert len(kept) == 1


def test_a_refused_assertion_is_not_used_up(op: Provider) -> None:
    other = op.make(policy=AssertionPolicy(audience="https://other.example"))
    assertion = op.tenant.assertion()
    assert reason(lambda: other.verify(assertion)) is Reason.AUDIENCE_MISMATCH
    assert op.verifier.verify(assertion)


class NoTruth:
    """An object that cannot even be asked whether it is true."""

    def __bool__(self) -> bool:
        raise ZeroDivisionError

    __len__ = __eq__ = __hash__ = __repr__ = __str__ = __bool__  # type: ignore[assignment]


class NoClass:
    """An object that does not say of which class it is."""

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError


ODD: list[Any] = [
    None,
    True,
    5,
    1.5,
    b"x",
    "x",
    "\ud800",
    bytearray(b"a.b.c"),
    memoryview(b"a.b.c"),
    [],
    ["Basic eDp5"],
    {},
    {1: 2},
]
ODD.extend((object(), int, NoTruth(), NoClass(), iter(()), lambda: None))
ODD.extend(
    (raising(str)("x"), raising(str)(ASSERTION_TYPE), raising(bytes)(b"a.b.c"), raising(dict)(), raising(list)())
)


@pytest.mark.parametrize("method", ["verify", "authenticate", "begin", "begin_authentication"])
def test_whatever_is_passed_no_foreign_exception_is_raised(op: Provider, method: str) -> None:
    call = getattr(op.make(on_event=lambda event: None), method)
    good = op.tenant.assertion()
    form = {"client_assertion": good, "client_assertion_type": ASSERTION_TYPE}
    usual: list[Any] = [form, {}, [("a", "b")]] if "authenti" in method else [good, good.encode(), "x"]
    for odd in ODD:
        calls: list[Any] = [((first, odd), {}) for first in (*usual, *ODD)] + [((odd,), {})]
        if "authenti" in method:
            calls += [((first, *second), {"optional": odd}) for first in usual for second in ((), ("Basic eDp5",))]
        for arguments, named in calls:
            try:
                call(*arguments, **named)
            except AuthenticationError as error:
                assert error.detail.isprintable()
                assert str(error)


def test_whatever_is_asked_for_is_registered_or_not(op: Provider) -> None:
    assert op.verifier.is_registered("portal-acme")
    for odd in ODD:
        try:
            assert not op.verifier.is_registered(odd)
        except TemporarilyUnavailable as error:  # a mapping cannot be asked about it
            assert error.reason is Reason.CLIENT_LOOKUP_FAILED


def test_an_authorization_header_field_of_bytes_is_that_of_text(op: Provider) -> None:
    """As ASGI has it."""
    for field in ("Basic eDp5", "Bearer \u00e9", ""):
        for form in ({}, {"client_assertion": op.tenant.assertion(), "client_assertion_type": ASSERTION_TYPE}):
            for method in (op.verifier.authenticate, op.verifier.begin_authentication):
                details = []
                for authorization in (field, field.encode("latin-1")):
                    with pytest.raises(AuthenticationError) as caught:
                        method(form, authorization)
                    details.append((caught.value.reason, caught.value.detail))
                assert details[0] == details[1]


def test_an_authorization_header_field_that_is_no_text_is_refused(op: Provider) -> None:
    for odd in (5, ["Basic eDp5"], NoTruth()):
        with pytest.raises(InvalidRequest, match=f"Authorization header field as text, got {type(odd).__name__}"):
            op.verifier.authenticate({}, odd, optional=True)


# begin and consume


def test_begin_marks_nothing_and_consume_marks_once(op: Provider) -> None:
    assertion = op.tenant.assertion()
    first, second = op.verifier.begin(assertion), op.verifier.begin(assertion, "portal-acme")
    assert first.client_id == "portal-acme"
    assert len(op.store) == 0
    assert second.consume().client_id == "portal-acme"
    assert reason(first.consume) is Reason.REPLAYED
    assert reason(second.consume) is Reason.REPLAYED


@pytest.mark.parametrize("left", [0.5, 75])
def test_consume_looks_at_the_clock_again(op: Provider, left: float) -> None:
    """Also where the checks of ``begin`` are so recent that they are not made anew."""
    exp = op.clock() - POLICY.leeway + left
    pending = op.verifier.begin(op.tenant.assertion(iat=exp - 60, exp=exp))
    op.clock.advance(left)
    assert reason(pending.consume) is Reason.EXPIRED
    assert len(op.store) == 0


def test_a_store_that_answers_after_the_expiry_accepts_nothing(op: Provider) -> None:
    class Slow:
        def add(self, key: bytes, expires_at: float, now: float) -> bool:
            op.clock.advance(100)
            return True

    assert reason(lambda: op.make(replay_store=Slow()).verify(op.tenant.assertion())) is Reason.EXPIRED


# Rotation and revocation


def test_rotation_with_a_grace_window(op: Provider) -> None:
    """Laws 3 and 4."""
    assert op.verifier.verify(op.tenant.assertion())
    op.tenant.rotate()
    old = op.tenant.previous_key
    assert op.verifier.verify(op.tenant.assertion()).kid == op.tenant.kid
    assert op.verifier.verify(op.tenant.assertion(key=old)).kid == old.kid
    op.tenant.end_grace()
    op.clock.advance(300)
    assert reason(lambda: op.verifier.verify(op.tenant.assertion(key=old))) is Reason.UNKNOWN_KID
    assert op.verifier.verify(op.tenant.assertion())


def test_a_tenant_without_keys(op: Provider) -> None:
    assert op.verifier.verify(op.tenant.assertion())
    op.tenant.remove_keys()
    op.clock.advance(300)
    assert reason(lambda: op.verifier.verify(op.tenant.assertion())) is Reason.NO_KEYS


def test_an_outage_is_ours(op: Provider) -> None:
    """Law 7."""
    op.relying_party.outage = 500
    assert reason(lambda: op.verifier.verify(op.tenant.assertion()), TemporarilyUnavailable) is Reason.JWKS_UNAVAILABLE
    op.relying_party.outage = None
    assert op.verifier.verify(op.tenant.assertion())


def test_a_forged_flood_fetches_nothing(op: Provider) -> None:
    """Law 2: a bad signature under a known kid."""
    assert op.verifier.verify(op.tenant.assertion())
    forger = SigningKey.generate(op.tenant.kid)
    for _ in range(50):
        assert reason(lambda: op.verifier.verify(op.tenant.assertion(key=forger))) is Reason.BAD_SIGNATURE
    assert op.server.count == 1


def test_an_unknown_client_fetches_nothing(op: Provider) -> None:
    """Law 2."""
    assertion = op.tenant.assertion(iss="nobody", sub="nobody")
    assert reason(lambda: op.verifier.verify(assertion)) is Reason.UNKNOWN_CLIENT
    assert op.server.count == 0


def test_no_fetch_and_no_rsa_before_the_claims_hold(op: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 2."""
    assert op.verifier.verify(op.tenant.assertion())
    from private_key_jwt._core.jwk_set import VerificationKey

    def tell(*_args: object) -> bool:
        pytest.fail("an RSA operation")

    monkeypatch.setattr(VerificationKey, "verify", tell)
    for changes in ({"exp": 1}, {"aud": "https://evil.example"}, {"jti": REMOVED}, {"sub": "x"}, {"iat": "x"}):
        with pytest.raises(InvalidClient):
            op.verifier.verify(op.tenant.assertion(header={"kid": "made-up"}, **changes))
    assert op.server.count == 1


def test_a_key_of_another_client_is_unknown(op: Provider) -> None:
    other = op.relying_party.tenant("globex")
    verifier = op.make(clients=[tenant.client(op.server.base_url) for tenant in (op.tenant, other)])
    assertion = op.tenant.assertion(key=other.current_key)
    assert reason(lambda: verifier.verify(assertion)) is Reason.UNKNOWN_KID


# Clients


def test_clients_as_a_mapping_are_asked_anew(op: Provider) -> None:
    clients = {"portal-acme": op.tenant.client(op.server.base_url)}
    verifier = op.make(clients=clients)
    assert verifier.verify(op.tenant.assertion())
    del clients["portal-acme"]
    assert reason(lambda: verifier.verify(op.tenant.assertion())) is Reason.UNKNOWN_CLIENT


def test_a_client_that_moves_is_served_by_its_new_keys_at_once(op: Provider) -> None:
    clients = {"portal-acme": op.tenant.client(op.server.base_url)}
    verifier = op.make(clients=clients)
    assert verifier.verify(op.tenant.assertion())
    clients["portal-acme"] = RegisteredClient("portal-acme", jwks={"keys": [jwk()]})
    assert reason(lambda: verifier.verify(op.tenant.assertion())) is Reason.UNKNOWN_KID
    assert verifier.verify(sign_json({"alg": "RS256", "kid": "k1"}, claims_of("portal-acme", OP, op.clock())))
    clients["portal-acme"] = op.tenant.client(op.server.base_url.replace("/api", "/another/api"))
    unavailable = reason(lambda: verifier.verify(op.tenant.assertion()), TemporarilyUnavailable)
    assert unavailable is Reason.JWKS_UNAVAILABLE


def test_clients_as_a_function(op: Provider) -> None:
    client = op.tenant.client(op.server.base_url)
    verifier = op.make(clients=lambda client_id: client if client_id == "portal-acme" else None)
    assert verifier.verify(op.tenant.assertion())
    assert reason(lambda: verifier.verify(op.tenant.assertion(iss="x", sub="x"))) is Reason.UNKNOWN_CLIENT


def test_a_function_that_answers_with_another_client_is_not_believed(op: Provider) -> None:
    client = op.tenant.client(op.server.base_url)
    verifier = op.make(clients=lambda _client_id: client)
    assertion = op.tenant.assertion(iss="PORTAL-ACME", sub="PORTAL-ACME")
    assert reason(lambda: verifier.verify(assertion)) is Reason.UNKNOWN_CLIENT


@pytest.mark.parametrize("answer", [StopIteration(), "portal-acme", 0, {}, KeyError("portal-acme"), OSError("down")])
def test_a_look_up_that_fails_is_ours(op: Provider, answer: Any) -> None:
    def find(_client_id: str) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    verifier = op.make(clients=find)
    unavailable = reason(lambda: verifier.verify(op.tenant.assertion()), TemporarilyUnavailable)
    assert unavailable is Reason.CLIENT_LOOKUP_FAILED


def test_a_name_that_no_database_takes_is_an_unknown_client(op: Provider) -> None:
    """Drivers raise for a NUL character, and a stranger must not make errors of ours."""

    def find(client_id: str) -> Any:
        raise ValueError(client_id)

    verifier = op.make(clients=find)
    assertion = op.tenant.assertion(iss="a\0b", sub="a\0b")
    with pytest.raises(InvalidClient, match=r"no client is registered as 'a\\x00b', which holds a NUL character"):
        verifier.verify(assertion)


@pytest.mark.parametrize("parameter", ["client_assertion_type", "client_id"])
def test_nothing_of_an_assertion_in_another_parameter_is_quoted(op: Provider, parameter: str) -> None:
    assertion = op.tenant.assertion()
    form = {"client_assertion": assertion, "client_assertion_type": ASSERTION_TYPE, parameter: assertion}
    with pytest.raises(AuthenticationError) as caught:
        op.verifier.authenticate(form)
    assert f"<a JWT of {len(assertion)} characters, or a part of one>" in caught.value.detail
    assert not any(segment[:8] in caught.value.detail for segment in assertion.split("."))


def test_a_server_with_other_methods_asks_whether_a_client_is_registered(op: Provider) -> None:
    assert op.verifier.is_registered(op.tenant.client_id) is True
    assert op.verifier.is_registered("other") is False
    assert op.verifier.policy is POLICY

    def fail(client_id: str) -> RegisteredClient:
        raise OSError("no route")

    failing = op.make(clients=fail)
    assert reason(lambda: failing.is_registered("c"), TemporarilyUnavailable) is Reason.CLIENT_LOOKUP_FAILED


def test_a_client_that_must_not_be_registered_as_it_is_described_is_an_event(op: Provider) -> None:
    reported: list[Any] = []

    def describe(client_id: str) -> RegisteredClient:
        return RegisteredClient(client_id, jwks_uri="http://client.example/\n" + "x" * 400)

    verifier = op.make(clients=describe, on_event=reported.append)
    assert reason(lambda: verifier.verify(op.tenant.assertion()), TemporarilyUnavailable) is Reason.CLIENT_LOOKUP_FAILED
    registration, refusal = reported
    assert type(registration) is events.RegistrationRefused
    assert registration.client_id == op.tenant.client_id
    assert registration.detail.startswith("jwks_uri must be a URL in printable ASCII")
    assert len(registration.detail) <= 300
    assert type(refusal) is events.AssertionRefused


def test_a_client_s_own_policy_replaces_the_verifier_s(op: Provider) -> None:
    own = AssertionPolicy(audience="https://op.example/token", leeway=0, max_lifetime=3_600, max_assertion_bytes=256)
    verifier = op.make(clients=[op.tenant.client(op.server.base_url, policy=own)])
    assert reason(lambda: verifier.verify(op.tenant.assertion())) is Reason.AUDIENCE_MISMATCH
    aud = "https://op.example/token"
    assert verifier.verify(op.tenant.assertion(aud=aud, exp=op.clock() + 3_600)).audience == aud
    assert reason(lambda: verifier.verify(op.tenant.assertion(aud=aud, exp=op.clock()))) is Reason.EXPIRED


def test_a_kid_is_required_of_ledgerbee(op: Provider) -> None:
    assertion = op.tenant.assertion(header={"kid": REMOVED})
    assert reason(lambda: op.verifier.verify(assertion)) is Reason.MISSING_KID


@pytest.mark.parametrize(
    ("keys", "kid", "expected"),
    [
        ([], "k1", Reason.NO_KEYS),
        ([jwk(use="enc")], "k1", Reason.UNUSABLE_KEY),
        ([jwk()], "k2", Reason.UNKNOWN_KID),
        ([jwk(), jwk(private_key(1))], "k1", Reason.AMBIGUOUS_KEY),
    ],
)
def test_keys_by_value(op: Provider, keys: Any, kid: str, expected: Reason) -> None:
    verifier = op.make(clients=[unchecked_client("c", jwks={"keys": keys})])
    assertion = sign_json({"alg": "RS256", "kid": kid}, claims_of("c", OP, op.clock()))
    assert reason(lambda: verifier.verify(assertion)) is expected


# Stores


@pytest.mark.parametrize(
    "answer", [StopIteration(), None, 1, 0, "True", [], OSError("down"), TimeoutError(), ZeroDivisionError()]
)
def test_a_store_that_cannot_tell_accepts_nothing(op: Provider, answer: Any) -> None:
    """Law 7."""

    class Broken:
        def add(self, key: bytes, expires_at: float, now: float) -> bool:
            if isinstance(answer, Exception):
                raise answer
            return answer  # type: ignore[no-any-return]

    verifier = op.make(replay_store=Broken())
    unavailable = reason(lambda: verifier.verify(op.tenant.assertion()), TemporarilyUnavailable)
    assert unavailable is Reason.REPLAY_STORE_UNAVAILABLE


@pytest.mark.parametrize("cause", [Reason.JWKS_UNAVAILABLE, Reason.CLIENT_LOOKUP_FAILED, Reason.EXPIRED])
def test_a_store_speaks_for_itself_only(op: Provider, cause: Reason) -> None:
    class Confused:
        def add(self, key: bytes, expires_at: float, now: float) -> bool:
            raise TemporarilyUnavailable(cause, "x")

    verifier = op.make(replay_store=Confused())
    unavailable = reason(lambda: verifier.verify(op.tenant.assertion()), TemporarilyUnavailable)
    assert unavailable is Reason.REPLAY_STORE_UNAVAILABLE


def test_an_error_of_a_store_s_own_class_is_told_with_its_time_to_wait(op: Provider) -> None:
    class Away(TemporarilyUnavailable):
        def __init__(self, host: str) -> None:
            super().__init__(Reason.REPLAY_STORE_FULL, f"{host} is full", 30)

    class Store:
        def add(self, key: bytes, expires_at: float, now: float) -> bool:
            raise Away("redis-1")

    with pytest.raises(TemporarilyUnavailable) as caught:
        op.make(replay_store=Store()).verify(op.tenant.assertion())
    assert type(caught.value) is TemporarilyUnavailable
    assert caught.value.reason is Reason.REPLAY_STORE_FULL
    assert (caught.value.detail, caught.value.retry_after) == ("redis-1 is full", 30)


def test_a_full_store_says_so(op: Provider) -> None:
    verifier = op.make(replay_store=MemoryReplayStore(1))
    assert verifier.verify(op.tenant.assertion())
    unavailable = reason(lambda: verifier.verify(op.tenant.assertion()), TemporarilyUnavailable)
    assert unavailable is Reason.REPLAY_STORE_FULL


def test_a_mark_is_kept_until_no_host_accepts_any_more(op: Provider) -> None:
    seen: list[tuple[int, float, float]] = []

    class Noting:
        def add(self, key: bytes, expires_at: float, now: float) -> bool:
            seen.append((len(key), expires_at, now))
            return True

    op.make(replay_store=Noting()).verify(op.tenant.assertion())
    assert seen == [(32, op.clock() + 60 + 2 * LONGEST_LEEWAY + 1, op.clock())]


# Whole token requests


def form(assertion: str, **changes: Any) -> dict[str, Any]:
    parameters = {
        "grant_type": "authorization_code",
        "code": "c",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
    }
    return {name: value for name, value in (parameters | changes).items() if value is not REMOVED}


def test_a_token_request_is_authenticated(op: Provider) -> None:
    assert op.verifier.authenticate(form(op.tenant.assertion())).client_id == "portal-acme"
    assert op.verifier.authenticate(form(op.tenant.assertion(), client_id="portal-acme"), authorization=None)
    assert op.verifier.authenticate(list(form(op.tenant.assertion()).items()))


def test_a_request_without_an_assertion_authenticates_nobody(op: Provider) -> None:
    requests: list[tuple[Any, str | None]] = [
        ({"grant_type": "x", "client_id": "portal-acme"}, None),
        ({"client_assertion": "", "client_assertion_type": ""}, None),
        ([], "Basic eDp5"),
    ]
    for form_, authorization in requests:
        assert op.verifier.authenticate(form_, authorization, optional=True) is None
        assert op.verifier.begin_authentication(form_, authorization, optional=True) is None
        for authenticate in (op.verifier.authenticate, op.verifier.begin_authentication):
            with pytest.raises(InvalidClient) as caught:
                authenticate(form_, authorization)
            assert (caught.value.reason, caught.value.check) == (Reason.MISSING_ASSERTION, "request")


def test_a_malformed_request_uses_nothing_up(op: Provider) -> None:
    assertion = op.tenant.assertion()
    for bad in (
        form(assertion, client_secret="s"),
        form(assertion, client_assertion_type="x"),
        form(assertion, client_assertion_type=REMOVED),
        [*form(assertion).items(), ("client_assertion", assertion)],
    ):
        assert reason(lambda bad=bad: op.verifier.authenticate(bad), InvalidRequest) is Reason.INVALID_REQUEST  # type: ignore[misc]
    assert reason(lambda: op.verifier.authenticate(form(assertion), "Basic x"), InvalidRequest)
    assert op.verifier.authenticate(form(assertion))


def test_the_client_id_of_a_token_request_is_bound(op: Provider) -> None:
    bad = form(op.tenant.assertion(), client_id="portal-other")
    assert reason(lambda: op.verifier.authenticate(bad)) is Reason.CLIENT_MISMATCH


# Settings and life-cycle


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"policy": None}, "policy"),
        ({"policy": OP}, "policy"),
        ({"clock": 5}, "clock"),
        ({"clock": lambda: "now"}, "^clock must give seconds"),
        ({"clock": lambda: 1_700_000_000_000}, "^clock must give seconds"),
        ({"replay_store": MemoryReplayStore}, "the class MemoryReplayStore"),
        ({"replay_store": None}, "replay_store"),
        ({"replay_store": set()}, None),
        ({"fetcher": "https://x.example"}, "fetcher"),
        ({"clients": 5}, "clients"),
        ({"clients": ["portal-acme"]}, "clients"),
        ({"clients": [RegisteredClient("c", jwks_uri="https://c.example/")] * 2}, "twice"),
    ],
)
def test_settings_are_checked_at_the_start(op: Provider, settings: dict[str, Any], names: str | None) -> None:
    if names is None:
        assert op.make(**settings)  # it has a method add; what it answers is not believed
    else:
        with pytest.raises(ConfigurationError, match=names):
            op.make(**settings)


def test_several_workers_need_a_store_that_they_share(op: Provider) -> None:
    class Shared:
        def add(self, key: bytes, expires_at: float, now: float) -> bool:
            return True

    assert op.make(workers=1)
    assert op.make(workers=4, replay_store=Shared()).verify(op.tenant.assertion())
    with pytest.raises(ConfigurationError, match="SQLiteReplayStore.*RedisReplayStore.*SQLAlchemyReplayStore"):
        op.make(workers=2)


@pytest.mark.parametrize("workers", [0, -1, 1.5, "2", None, True])
def test_workers_is_a_positive_integer(op: Provider, workers: Any) -> None:
    with pytest.raises(ConfigurationError, match="^workers must"):
        op.make(workers=workers)


def test_a_sync_verifier_takes_no_coroutines() -> None:
    class Store:
        async def add(self, key: bytes, expires_at: float, now: float) -> bool:
            return True

    async def clients(client_id: str) -> None:
        return None

    class Found:
        async def __call__(self, client_id: str) -> None:
            return None

    odd = [{"clients": each} for each in (clients, Found(), partial(clients), partial(Found()))]
    base: Any = {"policy": POLICY, "clients": [], "replay_store": MemoryReplayStore()}
    for changes in ({"replay_store": Store()}, {"fetcher": AsyncJWKSFetcher()}, {"on_event": partial(Found())}, *odd):
        with pytest.raises(ConfigurationError):
            ClientAssertionVerifier(**base | changes)


def test_closing_closes_only_what_the_verifier_opened(op: Provider) -> None:
    op.edge.close_verifier(op.verifier)
    assert op.verifier.verify(op.tenant.assertion())
    own = op.make(fetcher=None, clients=[])
    op.edge.close_verifier(own)
    fetcher = getattr(own, "subject", own)._fetcher
    assert fetcher._closed


def test_a_verifier_is_a_context() -> None:
    base: Any = {"policy": POLICY, "clients": [], "replay_store": MemoryReplayStore()}
    with ClientAssertionVerifier(**base) as verifier:
        own: Any = verifier._fetcher
        assert not own._closed
    assert own._closed

    async def run() -> None:
        async with AsyncClientAssertionVerifier(**base) as verifier:
            own: Any = verifier._fetcher
            assert not own._closed
        assert own._closed

    asyncio.run(run())


# What an asynchronous verifier takes


class AwaitedStore:
    def __init__(self) -> None:
        self._store = MemoryReplayStore()

    async def add(self, key: bytes, expires_at: float, now: float) -> bool:
        await asyncio.sleep(0)
        return self._store.add(key, expires_at, now)


class BlockingStore:
    def __init__(self) -> None:
        self._store = MemoryReplayStore()
        self.thread: int | None = None

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        self.thread = threading.get_ident()
        return self._store.add(key, expires_at, now)


@pytest.mark.parametrize("store", [AwaitedStore, BlockingStore, MemoryReplayStore])
@pytest.mark.parametrize("clients", ["list", "mapping", "function", "coroutine", "awaitable"])
@pytest.mark.parametrize("fetcher", [JWKSFetcher, AsyncJWKSFetcher])
def test_an_async_verifier_takes_sync_and_async_parts(store: Any, clients: str, fetcher: Any, clock: Clock) -> None:
    threads: list[int] = []

    async def run() -> None:
        relying_party = RelyingParty(audience=OP, clock=clock)
        tenant = relying_party.tenant()
        with relying_party.serve() as server:
            client = tenant.client(server.base_url)

            async def coroutine(_client_id: str) -> RegisteredClient:
                return client

            def function(_client_id: str) -> RegisteredClient:
                threads.append(threading.get_ident())
                return client

            kinds: dict[str, Any] = {
                "list": [client],
                "mapping": MappingProxyType({client.client_id: client}),
                "function": function,
                "coroutine": coroutine,
                "awaitable": lambda client_id: coroutine(client_id),
            }
            replay_store = store()
            async with AsyncClientAssertionVerifier(
                policy=POLICY,
                clients=kinds[clients],
                replay_store=replay_store,
                fetcher=fetcher(LOOPBACK),
                clock=clock,
            ) as verifier:
                for _ in range(2):
                    assertion = tenant.assertion()
                    assert (await verifier.verify(assertion)).client_id == "portal-acme"
                    with pytest.raises(InvalidClient, match="replayed"):
                        await verifier.verify(assertion)
            if isinstance(replay_store, BlockingStore):
                assert replay_store.thread != threading.get_ident()
            assert threading.get_ident() not in threads

    asyncio.run(run())


# What is refused at the start


@pytest.mark.parametrize(
    ("clients", "text"),
    [
        ({"a": RegisteredClient("b", jwks={"keys": [jwk()]})}, "the key 'a' is not the client_id of its client, 'b'"),
        ({"a": "b"}, "clients must hold RegisteredClients, not str"),
        (RegisteredClient("c", jwks={"keys": [jwk()]}), "clients must be a list of .*, not RegisteredClient$"),
        ([RegisteredClient("c", jwks_uri="https://client.example:8443/jwks")], "client 'c'.*allow_ports"),
        ({"c": RegisteredClient("c", jwks_uri="https://client.example:8443/jwks")}, "client 'c'.*allow_ports"),
    ],
)
def test_clients_that_can_never_work_are_refused_at_the_start(edge: Edge, clients: Any, text: str) -> None:
    for settings in ({}, {"fetcher": edge.fetcher(JWKSPolicy())}):
        with pytest.raises(ConfigurationError, match=text):
            edge.verifier(policy=POLICY, clients=clients, replay_store=MemoryReplayStore(), **settings)


def test_clients_that_cannot_be_read_are_a_configuration_error(edge: Edge) -> None:
    class Broken(dict[str, RegisteredClient]):
        def items(self) -> Any:
            raise OSError("no route")

    def broken() -> Iterator[RegisteredClient]:
        yield RegisteredClient("c", jwks={"keys": [jwk()]})
        raise OSError("no route")

    for clients in (Broken(), broken()):
        with pytest.raises(ConfigurationError, match="clients cannot be read: OSError: 'no route'"):
            edge.verifier(policy=POLICY, clients=clients, replay_store=MemoryReplayStore())


# Key sources


class Keys:
    """A key source of a user's: no fetcher of ours."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def get_key(self, client: RegisteredClient, alg: str, kid: str | None) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class AsyncKeys(Keys):
    async def get_key(self, client: RegisteredClient, alg: str, kid: str | None) -> Any:
        return super().get_key(client, alg, kid)


def a_key(op: Provider) -> Any:
    keys = RegisteredClient("c", jwks=op.tenant.document()).keys
    assert keys is not None
    return keys.find("RS256", op.tenant.kid, ("RS256",))


def key_sources(op: Provider, answer: Any) -> list[Keys]:
    return [Keys(answer), *([AsyncKeys(answer)] if op.edge.name == "async" else [])]


def test_a_key_source_of_a_users_own_gives_the_key(op: Provider) -> None:
    for source in key_sources(op, a_key(op)):
        verified = op.make(fetcher=source).verify(op.tenant.assertion())
        assert verified.thumbprint == source.answer.thumbprint


def test_a_key_source_that_raises_or_answers_nonsense_lets_nobody_in(op: Provider) -> None:
    answers: list[tuple[Any, Reason, str]] = [
        (OSError("no route"), Reason.JWKS_UNAVAILABLE, "the key source raised OSError: 'no route'"),
        (None, Reason.JWKS_UNAVAILABLE, "expected a VerificationKey of the key source, got NoneType"),
        (InvalidClient(Reason.UNKNOWN_KID, "not there"), Reason.UNKNOWN_KID, "not there"),
    ]
    for answer, expected, detail in answers:
        for source in key_sources(op, answer):
            with pytest.raises(AuthenticationError) as caught:
                op.make(fetcher=source).verify(op.tenant.assertion())
            assert (caught.value.reason, caught.value.detail) == (expected, detail)


class OwnInvalidClient(InvalidClient):
    def __init__(self) -> None:
        super().__init__(Reason.NO_KEYS, "none in the vault")


class OwnUnavailable(TemporarilyUnavailable):
    def __init__(self, host: str, *, reason: Reason) -> None:
        super().__init__(reason, f"{host} is away", 30)


class Unfinished(InvalidClient):
    def __init__(self) -> None:
        pass


class UnfinishedToo(TemporarilyUnavailable):
    def __init__(self, reason: Any) -> None:
        self.reason = reason


OWN_ERRORS: list[tuple[Exception, Reason, str]] = [
    (
        TemporarilyUnavailable(Reason.NO_KEYS, "x"),
        Reason.JWKS_UNAVAILABLE,
        "raised TemporarilyUnavailable: 'no_keys: x'",
    ),
    (TemporarilyUnavailable(Reason.REPLAYED, "x"), Reason.JWKS_UNAVAILABLE, "raised TemporarilyUnavailable"),
    (InvalidClient(Reason.JWKS_UNAVAILABLE, "x"), Reason.JWKS_UNAVAILABLE, "raised InvalidClient"),
    (InvalidRequest(Reason.INVALID_REQUEST, "x"), Reason.JWKS_UNAVAILABLE, "raised InvalidRequest"),
    (AuthenticationError(Reason.NO_KEYS, "x"), Reason.JWKS_UNAVAILABLE, "raised AuthenticationError"),
    (InvalidClient("mine", "x"), Reason.JWKS_UNAVAILABLE, "raised InvalidClient"),  # type: ignore[arg-type]
    (OwnInvalidClient(), Reason.NO_KEYS, "none in the vault"),
    (OwnUnavailable("vault", reason=Reason.JWKS_UNAVAILABLE), Reason.JWKS_UNAVAILABLE, "vault is away"),
    (Unfinished(), Reason.JWKS_UNAVAILABLE, "the key source raised Unfinished"),
    (UnfinishedToo(Reason.JWKS_UNAVAILABLE), Reason.JWKS_UNAVAILABLE, "its description raised"),
    (InvalidClient(Reason.NO_KEYS, lambda: 1 / 0), Reason.NO_KEYS, "its description raised ZeroDivisionError"),  # type: ignore[arg-type, return-value]
]


@pytest.mark.parametrize("reports", [False, True])
@pytest.mark.parametrize(("error", "expected", "detail"), OWN_ERRORS)
def test_whatever_error_of_ours_a_key_source_raises_one_with_an_answer_comes_out(
    op: Provider, error: Exception, expected: Reason, detail: str, reports: bool
) -> None:
    settings: dict[str, Any] = {"on_event": lambda _: None} if reports else {}
    for source in key_sources(op, error):
        with pytest.raises((InvalidClient, TemporarilyUnavailable)) as caught:
            op.make(fetcher=source, **settings).verify(op.tenant.assertion())
        assert caught.value is not error
        assert (caught.value.reason, caught.value.check) == (expected, "key")
        assert detail in caught.value.detail
        assert caught.value.to_response().status == (503 if expected is Reason.JWKS_UNAVAILABLE else 401)


@pytest.mark.parametrize("fetcher", [1, "https://x.example", Keys, object()])
def test_a_key_source_has_get_key(edge: Edge, fetcher: Any) -> None:
    with pytest.raises(ConfigurationError, match="^fetcher must be a JWKSFetcher, or an object with a method get_key"):
        edge.verifier(policy=POLICY, clients=[], replay_store=MemoryReplayStore(), fetcher=fetcher)


def test_an_async_key_source_needs_the_async_verifier() -> None:
    with pytest.raises(ConfigurationError, match="take JWKSFetcher, or AsyncClientAssertionVerifier"):
        ClientAssertionVerifier(
            policy=POLICY,
            clients=[],
            replay_store=MemoryReplayStore(),
            fetcher=AsyncKeys(None),  # type: ignore[arg-type]
        )


# Pending assertions and keys that go


def test_a_pending_assertion_is_refused_when_its_key_has_gone_meanwhile(op: Provider) -> None:
    op.verifier.verify(op.tenant.assertion())
    fresh = LOOPBACK.refresh_ahead * LOOPBACK.ttl
    op.clock.advance(fresh - 5)
    pending = op.verifier.begin(op.tenant.assertion(exp=int(op.clock() + POLICY.max_lifetime)))
    quick = op.verifier.begin(op.tenant.assertion())
    op.tenant.rotate()
    op.tenant.end_grace()
    assert quick.consume()
    op.clock.advance(LOOPBACK.ttl - fresh + 5)
    with pytest.raises(InvalidClient) as caught:
        pending.consume()
    assert caught.value.reason is Reason.UNKNOWN_KID


def test_a_pending_assertion_is_refused_when_its_key_was_replaced_under_its_kid(op: Provider) -> None:
    clients: dict[str, RegisteredClient] = {}
    client_id = "by-value"
    clients[client_id] = RegisteredClient(client_id, jwks={"keys": [jwk()]})
    claims = claims_of(client_id, OP, int(op.clock()))
    verifier = op.make(clients=clients)
    pending = verifier.begin(sign_json({"alg": "RS256", "kid": "k1"}, claims))
    clients[client_id] = RegisteredClient(client_id, jwks={"keys": [jwk(private_key(1))]})
    op.clock.advance(2)
    with pytest.raises(InvalidClient, match="the key that signed, kid 'k1', was replaced") as caught:
        pending.consume()
    assert caught.value.check == "key"
    del clients[client_id]
    with pytest.raises(InvalidClient, match="no client is registered"):
        pending.consume()


class Telling(LookUp):
    """A look-up that knows one client, which is not registered for the method."""

    def find(self, client_id: str) -> Unregistered | None:
        return Unregistered("there is one without keys") if client_id == "known" else None


@pytest.mark.parametrize(("client_id", "said"), [("known", "there is one without keys"), ("other", "no client is")])
def test_a_look_up_may_say_why_a_client_that_it_knows_is_not_registered(
    op: Provider, client_id: str, said: str
) -> None:
    verifier = op.make(clients=Telling())
    with pytest.raises(InvalidClient, match=said) as caught:
        verifier.verify(sign_json({"alg": "RS256", "kid": "k1"}, claims_of(client_id, OP, int(op.clock()))))
    assert caught.value.reason is Reason.UNKNOWN_CLIENT
    assert Telling()(client_id) is None
    assert verifier.is_registered(client_id) is False


def test_a_pending_assertion_of_a_key_in_use_is_consumed_later(op: Provider) -> None:
    pending = op.verifier.begin(op.tenant.assertion())
    op.clock.advance(30)
    assert pending.consume().client_id == pending.client_id


def pending_by_value(op: Provider, **settings: Any) -> tuple[Any, dict[str, RegisteredClient], list[Any]]:
    """A pending assertion of a client by value, the clients, which can be changed, and the events."""
    clients = {"c": by_value(**settings)}
    seen, claims = list[Any](), claims_of("c", OP, int(op.clock()))
    verifier = op.make(clients=clients, on_event=seen.append)
    return verifier.begin(sign_json({"alg": "RS256", "kid": "k1"}, claims)), clients, seen


def by_value(**settings: Any) -> RegisteredClient:
    return RegisteredClient("c", jwks={"keys": [jwk(alg=...)]}, **settings)


@pytest.mark.parametrize("step", [-0.5, -5])
def test_a_pending_assertion_is_checked_anew_when_the_clock_was_set_back(op: Provider, step: float) -> None:
    pending, clients, _ = pending_by_value(op)
    del clients["c"]
    op.clock.advance(step)
    with pytest.raises(InvalidClient, match="no client is registered"):
        pending.consume()


def test_a_pending_assertion_is_checked_anew_after_a_wait_that_the_wall_clock_hides(
    op: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending, clients, _ = pending_by_value(op)
    del clients["c"]
    later = time.perf_counter() + 2.5
    monkeypatch.setattr(verifier_module, "perf_counter", lambda: later)
    op.clock.advance(0.5)
    with pytest.raises(InvalidClient, match="no client is registered"):
        pending.consume()


OTHER = AssertionPolicy(audience="https://other.example")


@pytest.mark.parametrize(
    ("before", "after", "check"),
    [
        ({}, {"signing_algs": ("PS256",)}, "signing_algs"),
        ({}, {"policy": OTHER}, "aud"),
        ({"policy": AssertionPolicy(audience=OP)}, {"policy": OTHER}, "aud"),
    ],
)
def test_a_pending_assertion_is_refused_when_its_client_may_not_send_it_any_more(
    op: Provider, before: dict[str, Any], after: dict[str, Any], check: str
) -> None:
    pending, clients, seen = pending_by_value(op, **before)
    clients["c"] = by_value(**after)
    op.clock.advance(2)
    for _ in range(2):  # a refusal does not make the checks recent
        with pytest.raises(InvalidClient) as caught:
            pending.consume()
        assert caught.value.check == check
    assert [(type(event), event.check) for event in seen] == [(events.AssertionRefused, check)] * 2
    clients["c"] = by_value(**before)
    assert pending.consume().client_id == "c"
    assert [type(event) for event in seen[2:]] == [events.AssertionAccepted]


def test_a_pending_assertion_is_held_to_the_verifier_s_policy_when_its_client_lost_its_own(op: Provider) -> None:
    clients = {"c": by_value(policy=OTHER)}
    claims = claims_of("c", "https://other.example", int(op.clock()))
    pending = op.make(clients=clients).begin(sign_json({"alg": "RS256", "kid": "k1"}, claims))
    clients["c"] = by_value()
    op.clock.advance(2)
    with pytest.raises(InvalidClient) as caught:
        pending.consume()
    assert caught.value.check == "aud"


def test_a_pending_assertion_whose_key_was_replaced_stays_refused(op: Provider) -> None:
    pending, clients, _ = pending_by_value(op)
    clients["c"] = RegisteredClient("c", jwks={"keys": [jwk(private_key(1))]})
    op.clock.advance(2)
    for _ in range(2):
        with pytest.raises(InvalidClient, match="was replaced"):
            pending.consume()


class SlowStore:
    """A store that takes its time to mark: it hangs, or the machine sleeps meanwhile."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds
        self.meanwhile: Callable[[], object] = tuple

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        self.meanwhile()
        self.clock.advance(self.seconds)
        return True


def test_a_key_that_was_removed_while_the_store_hung_accepts_nothing(op: Provider) -> None:
    """Law 3: the set is as old as it can be when the mark is asked for."""
    store = SlowStore(op.clock, 0)
    verifier = op.make(replay_store=store)
    verifier.verify(op.tenant.assertion())
    assertion = op.tenant.assertion(exp=op.clock() + POLICY.max_lifetime)
    fresh = LOOPBACK.refresh_ahead * LOOPBACK.ttl - 1

    def replace_the_key() -> None:
        op.tenant.rotate()
        op.tenant.end_grace()

    op.clock.advance(fresh)
    store.meanwhile, store.seconds = replace_the_key, LOOPBACK.ttl - fresh
    assert reason(lambda: verifier.verify(assertion)) is Reason.UNKNOWN_KID


def test_a_client_that_was_removed_while_the_store_hung_is_refused(op: Provider) -> None:
    clients = {"c": by_value()}
    store = SlowStore(op.clock, 2)
    store.meanwhile = clients.clear
    verifier = op.make(clients=clients, replay_store=store)
    assertion = sign_json({"alg": "RS256", "kid": "k1"}, claims_of("c", OP, int(op.clock())))
    assert reason(lambda: verifier.verify(assertion)) is Reason.UNKNOWN_CLIENT


def test_what_is_still_in_order_after_the_store_hung_is_accepted(op: Provider) -> None:
    verifier = op.make(replay_store=SlowStore(op.clock, 30))
    assert verifier.verify(op.tenant.assertion()).client_id == "portal-acme"


def test_a_bad_signature_under_a_known_kid_says_how_old_the_keys_are(op: Provider) -> None:
    with pytest.raises(InvalidClient) as caught:
        op.verifier.verify(op.tenant.defective("foreign_key"))
    assert "a new key wants a new kid" in caught.value.detail
    assert " s old, from http://127.0.0.1:" in caught.value.detail
    assert "/acme/jwks.json" in caught.value.detail


# What is verified


def test_a_verified_assertion_says_what_signed_it(op: Provider) -> None:
    verified = op.verifier.verify(op.tenant.assertion())
    assert (verified.alg, verified.kid) == ("RS256", op.tenant.kid)
    assert verified.thumbprint == a_key(op).thumbprint
    with pytest.raises(TypeError):
        verified.claims["iss"] = "other"
