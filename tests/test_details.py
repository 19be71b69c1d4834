"""For each reason, what an operator must know, and that the detail says it: over both verifiers.

``FACTS`` is the table. A reason that is missing from it, or a fact that is missing from a detail, is a failure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from edges import LOOPBACK, Edge
from openid_provider import OpenIDProvider
from private_key_jwt import (
    AssertionPolicy,
    AuthenticationError,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
    VerificationKey,
)
from private_key_jwt._core.base64url import decode
from private_key_jwt._core.jwk import read_member
from private_key_jwt._core.token_request import ASSERTION_TYPE
from private_key_jwt.testing import Clock
from support import b64, jwk, private_key

OP = "https://op.example.com"
FROM = "s old, from http://127.0.0.1:"
VALUE = "its keys are registered by value (jwks)"
FAULTY_KID = "a key there is not usable, its kid is the number"
UNNAMED = "; no client can be named: find the request in the access log by its time"
SENDER = "; client 'portal-acme' (unverified)"
# What the numbers in the details are about, whatever the defaults are.
POLICY = AssertionPolicy(audience=OP, leeway=15, max_lifetime=300, max_assertion_bytes=16_384)
INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


class Provider(OpenIDProvider):
    """What a row needs."""

    def __init__(self, edge: Edge, clock: Clock) -> None:
        super().__init__(edge, clock, POLICY)

    def by_value(self, *keys: dict[str, Any]) -> Any:
        return self.make(clients=[RegisteredClient(self.tenant.client_id, jwks={"keys": list(keys)})])


@pytest.fixture
def provider(edge: Edge, clock: Clock) -> Iterator[Provider]:
    with Provider(edge, clock) as made:
        yield made


def assertion(**changes: Any) -> Callable[[Provider], None]:
    return lambda provider: provider.make().verify(provider.tenant.assertion(**changes))


def defect(name: str) -> Callable[[Provider], None]:
    return lambda provider: provider.make().verify(provider.tenant.defective(name))


def policy(assertion_changes: dict[str, Any], **settings: Any) -> Callable[[Provider], None]:
    def refuse(provider: Provider) -> None:
        verifier = provider.make(policy=AssertionPolicy(audience=OP, **settings))
        verifier.verify(provider.tenant.assertion(**assertion_changes))

    return refuse


def replayed(provider: Provider) -> None:
    verifier, text = provider.make(), provider.tenant.assertion()
    verifier.verify(text)
    verifier.verify(text)


def unknown_kid(provider: Provider) -> None:
    verifier = provider.make()
    verifier.verify(provider.tenant.assertion())
    provider.clock.advance(60)
    verifier.verify(provider.tenant.assertion(header={"kid": "made-up"}))


def foreign_key_and_an_older_set(provider: Provider) -> None:
    verifier = provider.make()
    verifier.verify(provider.tenant.assertion())
    provider.clock.advance(60)
    verifier.verify(provider.tenant.defective("foreign_key"))


def removed_kid(provider: Provider) -> None:
    verifier, text = provider.make(), provider.tenant.assertion(exp=int(provider.clock()) + 300)
    verifier.begin(text)
    provider.tenant.rotate()
    provider.tenant.end_grace()
    provider.clock.advance(60)
    verifier.verify(provider.tenant.assertion())
    provider.clock.advance(60)
    verifier.verify(text)


def changed_claims(provider: Provider) -> None:
    header, _, signature = provider.tenant.assertion().split(".")
    _, claims, _ = provider.tenant.assertion().split(".")
    provider.make().verify(f"{header}.{claims}.{signature}")


def thumbprint_as_kid(provider: Provider) -> None:
    kid = read_member(provider.tenant.current_key.public_jwk()).keys[0].thumbprint
    provider.make().verify(provider.tenant.assertion(header={"kid": kid}))


def kid_of_other_case(provider: Provider) -> None:
    provider.by_value(jwk()).verify(provider.tenant.assertion(header={"kid": "K1"}))


def unknown_kid_when_the_budget_is_spent(provider: Provider) -> None:
    verifier = provider.make()
    for number in range(LOOPBACK.fetch_limit):
        with pytest.raises(AuthenticationError):
            verifier.verify(provider.tenant.assertion(header={"kid": f"made-up-{number}"}))
    provider.clock.advance(6)
    verifier.verify(provider.tenant.assertion(header={"kid": "published-since"}))


def no_keys(provider: Provider) -> None:
    provider.tenant.remove_keys()
    provider.make().verify(provider.tenant.assertion())


def unusable_key(provider: Provider) -> None:
    text = provider.tenant.assertion(header={"kid": "k1"})
    provider.by_value(jwk(use="enc"), jwk(private_key(1), kid="k2")).verify(text)


def unusable_published_key(provider: Provider) -> None:
    provider.tenant.break_key("key_for_encryption")
    provider.make().verify(provider.tenant.assertion())


def unknown_kid_by_value(provider: Provider) -> None:
    provider.by_value(jwk()).verify(provider.tenant.assertion(header={"kid": "x"}))


def foreign_key_by_value(provider: Provider) -> None:
    provider.by_value(jwk()).verify(provider.tenant.assertion(header={"kid": "k1"}))


def der_signature(provider: Provider) -> None:
    tenant = provider.relying_party.tenant("es", alg="ES256")
    signing_input, _, signature = tenant.assertion().rpartition(".")
    octets = decode(signature.encode())
    der = encode_dss_signature(int.from_bytes(octets[:32]), int.from_bytes(octets[32:]))
    verifier = provider.make(clients=[tenant.client(provider.server.base_url)])
    verifier.verify(f"{signing_input}.{b64(der)}")


def key_replaced_while_pending(provider: Provider) -> None:
    client_id, key = provider.tenant.client_id, provider.tenant.current_key.public_jwk()
    clients = {client_id: RegisteredClient(client_id, jwks={"keys": [key]})}
    pending = provider.make(clients=clients).begin(provider.tenant.assertion())
    clients[client_id] = RegisteredClient(client_id, jwks={"keys": [jwk(kid=provider.tenant.kid)]})
    provider.clock.advance(5)
    pending.consume()


class OtherKeys:
    """A key source of somebody's own."""

    def get_key(self, _client: RegisteredClient, alg: str, _kid: str | None) -> VerificationKey:
        found = RegisteredClient("other", jwks={"keys": [jwk()]}).keys
        assert found is not None
        key = found.find(alg, None, (alg,))
        assert isinstance(key, VerificationKey)
        return key


def foreign_key_of_another_source(provider: Provider) -> None:
    provider.make(fetcher=OtherKeys()).verify(provider.tenant.assertion())


def ambiguous_key(provider: Provider) -> None:
    provider.by_value(jwk(), jwk(private_key(1))).verify(provider.tenant.assertion(header={"kid": "k1"}))


def outage(provider: Provider) -> None:
    provider.relying_party.outage = 429
    verifier = provider.make()
    for _ in range(LOOPBACK.fetch_limit):
        with pytest.raises(AuthenticationError):
            verifier.verify(provider.tenant.assertion())
    provider.clock.advance(1)
    verifier.verify(provider.tenant.assertion())


class Failing:
    """A store that answers what it was given, or raises it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def add(self, _key: bytes, _expires_at: float, _now: float) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def store(answer: Any) -> Callable[[Provider], None]:
    return lambda provider: provider.make(replay_store=Failing(answer)).verify(provider.tenant.assertion())


def full(provider: Provider) -> None:
    verifier = provider.make(replay_store=MemoryReplayStore(max_entries=1))
    verifier.verify(provider.tenant.assertion())
    verifier.verify(provider.tenant.assertion())


def clients_that_raise(provider: Provider) -> None:
    def find(_client_id: str) -> RegisteredClient:
        raise ConnectionError("the database is away")

    provider.make(clients=find).verify(provider.tenant.assertion())


def request(form: dict[str, str], authorization: str | None = None) -> Callable[[Provider], None]:
    return lambda provider: provider.make().authenticate(form, authorization)


def mistyped(provider: Provider) -> None:
    form = {"client_assertion_type": "jwt-bearer", "client_assertion": provider.tenant.assertion()}
    provider.make().authenticate(form)


def mistyped_by_one_character(provider: Provider) -> None:
    form = {
        "client_assertion_type": ASSERTION_TYPE.replace("jwt-bearer", "jwt_bearer"),
        "client_assertion": provider.tenant.assertion(),
    }
    provider.make().authenticate(form)


def kid_that_is_a_number(provider: Provider) -> None:
    provider.by_value(jwk(kid=20261129), jwk(private_key(1))).verify(
        provider.tenant.assertion(header={"kid": "20261129"})
    )


# What came, what was expected, where they differ, and what to do: as far as it can be known.
FACTS: list[tuple[Reason, Callable[[Provider], None], list[str]]] = [
    (Reason.MALFORMED, defect("line_break"), ["'\\n' at character", "a line break at its end", SENDER]),
    (Reason.MALFORMED, defect("two_segments"), ["three non-empty segments, got 2", SENDER]),
    (Reason.MALFORMED, defect("claims_twice"), ["the claims: a member stands twice: 'sub'", UNNAMED]),
    (
        Reason.TOO_LARGE,
        defect("too_large"),
        ["at most 16384 bytes", "max_assertion_bytes", "got"],
    ),
    (Reason.TOO_LARGE, assertion(x="x" * 4_000), ["a claims segment of at most 5120 characters", "got"]),
    (Reason.UNSUPPORTED_ALG, defect("alg_hs256"), ["RS256", "signing_algs", "'HS256'"]),
    (Reason.UNSUPPORTED_CRIT, defect("crit"), ["no crit", "got [", SENDER]),
    (
        Reason.UNSUPPORTED_TYP,
        defect("typ_dpop"),
        ["client-authentication+jwt", "'dpop+jwt'", "by its label it is another kind of token", SENDER],
    ),
    (Reason.MISSING_KID, defect("kid_absent"), ["a kid in the header", "require_kid"]),
    (Reason.MISSING_CLAIM, defect("jti_absent"), ["the claim jti", "absent"]),
    (Reason.INVALID_CLAIM, defect("exp_string"), ["exp to be a number of seconds since the epoch", "got '"]),
    (Reason.UNKNOWN_CLIENT, defect("unknown_client"), ["no client is registered as 'portal-acme-nobody'"]),
    (
        Reason.CLIENT_MISMATCH,
        assertion(sub="other"),
        ["iss and sub to be equal, both the client_id", "'portal-acme' and 'other'"],
    ),
    (Reason.AUDIENCE_MISMATCH, defect("aud_slash"), [f"got aud '{OP}/'", f"expected '{OP}'", "only the slash"]),
    (Reason.AUDIENCE_MISMATCH, assertion(aud="urn:x"), ["got aud 'urn:x'", "it names another server: the client must"]),
    (
        Reason.NOT_YET_VALID,
        lambda provider: provider.make().verify(provider.tenant.assertion(iat=int(provider.clock()) * 1_000)),
        ["iat is 1", f"it looks like milliseconds ({INSTANT}), and must be seconds"],
    ),
    (Reason.EXPIRED, defect("expired"), ["expired 60 s ago", "leeway 15 s", INSTANT, "now", "clock slow?"]),
    (Reason.NOT_YET_VALID, defect("iat_ahead"), ["iat is", "s ahead, leeway 15 s", INSTANT, "clock fast"]),
    (Reason.LIFETIME_TOO_LONG, defect("exp_far"), ["at most 300 s ahead", "got", INSTANT, "raise max_lifetime"]),
    (
        Reason.UNKNOWN_KID,
        unknown_kid,
        ["kid 'made-up'", f"the key set of {INSTANT}", "s old", FROM, f"in none seen here since {INSTANT}", "kids: '"],
    ),
    (
        Reason.UNKNOWN_KID,
        unknown_kid_when_the_budget_is_spent,
        [
            "kid 'published-since'",
            "s old",
            FROM,
            INSTANT,
            "the fetch budget is spent, last on kid 'made-up-1'",
            "published since",
        ],
    ),
    (Reason.NO_KEYS, no_keys, ["is empty", "is its URL right", FROM, INSTANT]),
    (Reason.UNUSABLE_KEY, unusable_key, ["kid 'k1'", "use is 'enc', not sig", VALUE]),
    (Reason.AMBIGUOUS_KEY, ambiguous_key, ["kid 'k1'", "2 different keys for RS256", "each needs its own", VALUE]),
    (
        Reason.BAD_SIGNATURE,
        defect("foreign_key"),
        [
            "RS256 key, kid '",
            "thumbprint",
            "made with another private key (a new key wants a new kid)",
            "compare thumbprints",
            "the published key is current",
            FROM,
        ],
    ),
    (
        Reason.BAD_SIGNATURE,
        foreign_key_and_an_older_set,
        ["RS256 key, kid '", "made with another private key", "; the key set is 60 s old", FROM, "next try at"],
    ),
    (
        Reason.BAD_SIGNATURE,
        changed_claims,
        ["RS256 key, kid '", "made with this key over other content", "claims were changed after signing", FROM],
    ),
    (Reason.UNKNOWN_KID, removed_kid, ["kid '", f"REMOVED, there before {INSTANT}", "its kids: '", FROM]),
    (Reason.UNKNOWN_KID, thumbprint_as_kid, ["that is the thumbprint of '", "', which is there; it is not in", FROM]),
    (Reason.UNKNOWN_KID, kid_of_other_case, ["'k1' is there, and differs in case or white space only", VALUE]),
    (Reason.BAD_SIGNATURE, der_signature, ["ES256 key, kid '", "octets, and one of this key has 64: it is DER", FROM]),
    (Reason.BAD_SIGNATURE, foreign_key_by_value, ["RS256 key, kid 'k1'", "a new key wants a new kid", VALUE]),
    (Reason.BAD_SIGNATURE, foreign_key_of_another_source, ["RS256 key, kid 'k1'", "its keys are at http://127.0.0.1:"]),
    (Reason.UNKNOWN_KID, key_replaced_while_pending, ["kid '", "replaced while", VALUE]),
    (Reason.UNUSABLE_KEY, unusable_published_key, ["kid '", "use is 'enc', not sig", FROM, "next try at"]),
    (
        Reason.UNKNOWN_KID,
        unknown_kid_by_value,
        ["kid 'x'", "not in the client's key set", VALUE, "the kids there: 'k1'"],
    ),
    (
        Reason.UNKNOWN_KID,
        kid_that_is_a_number,
        [f"kid '20261129': {FAULTY_KID} 20261129, not a string", "it is not in the client's key set", VALUE],
    ),
    (
        Reason.REPLAYED,
        replayed,
        ["used this jti before (when is not kept)", "a retry needs a new assertion", "captured"],
    ),
    (
        Reason.MISSING_ASSERTION,
        request({"grant_type": "x", '{"client_secret": "s3cret"}': ""}),
        ["client_assertion", "absent or empty", "its parameters: grant_type, 1 more"],
    ),
    (
        Reason.MISSING_ASSERTION,
        request({}),
        ["absent or empty", "no parameter at all: was the body empty, or read", UNNAMED],
    ),
    (
        Reason.MISSING_ASSERTION,
        request({"client_id": "portal-acme", "client_secret": "s3cret"}),
        ["absent or empty", "a client_secret in its place", SENDER],
    ),
    (
        Reason.MISSING_ASSERTION,
        request({}, "Basic cG9ydGFsLWFjbWU6czNjcmV0"),
        ["client_assertion", "absent or empty", "an Authorization header (Basic) in its place", SENDER],
    ),
    (
        Reason.JWKS_UNAVAILABLE,
        outage,
        ["got 429", f"at {INSTANT}", "budget is spent", "next try at", "/acme/jwks.json"],
    ),
    (Reason.REPLAY_STORE_UNAVAILABLE, store(OSError("no route")), ["the store raised OSError: 'no route'"]),
    (Reason.REPLAY_STORE_UNAVAILABLE, store("yes"), ["expected True or False of the store, got str"]),
    (Reason.REPLAY_STORE_FULL, full, ["MemoryReplayStore is full", "max_entries=1 of live marks", "raise max_entries"]),
    (
        Reason.CLIENT_LOOKUP_FAILED,
        clients_that_raise,
        ["'portal-acme'", "raised ConnectionError: 'the database is away'"],
    ),
    (Reason.INVALID_REQUEST, request({"client_assertion": "a.b.c"}), ["client_assertion_type", "got none"]),
    (Reason.INVALID_REQUEST, mistyped, ["client_assertion_type", "got 'jwt-bearer'", SENDER]),
    (
        Reason.INVALID_REQUEST,
        mistyped_by_one_character,
        ["they differ at character 48: 'ion-type:jwt_bearer' is not 'ion-type:jwt-bearer'", SENDER],
    ),
]


def test_every_reason_has_its_facts() -> None:
    assert {reason for reason, _, _ in FACTS} == set(Reason)


@pytest.mark.parametrize(
    ("reason", "refuse", "facts"), FACTS, ids=[f"{reason}-{number}" for number, (reason, _, _) in enumerate(FACTS)]
)
def test_a_detail_holds_what_an_operator_must_know(
    provider: Provider, reason: Reason, refuse: Callable[[Provider], None], facts: list[str]
) -> None:
    with pytest.raises(AuthenticationError) as caught:
        refuse(provider)
    assert caught.value.reason is reason
    detail = caught.value.detail
    assert [
        fact for fact in facts if not (fact in detail or re.search(re.sub(r"[()]", r"\\\g<0>", fact), detail))
    ] == [], detail
    assert len(detail) <= 300
    assert detail.isascii()
    assert detail.isprintable()
