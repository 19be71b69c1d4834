"""Keys as publishers publish them: what is tolerated, what is refused, and what the operator is told of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from edges import LOOPBACK, Edge
from loopback import Publisher, http
from private_key_jwt import (
    AssertionPolicy,
    InvalidClient,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
    VerificationKey,
)
from private_key_jwt.clients import unchecked_client
from private_key_jwt.events import AssertionRefused, Event
from private_key_jwt.testing import Clock
from support import OP, b64, claims_of, ec_jwk, ec_key, jwk, name_case, okp_jwk, okp_key, private_key, sign_json

N = jwk()["n"]
ABSENT: list[Any] = [None, "", []]


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    publisher = Publisher([])
    yield publisher
    publisher.close()


class Scenario:
    """One client and one key set, fetched or registered by value, and a verifier."""

    def __init__(self, edge: Edge, publisher: Publisher, clock: Clock, *, by_value: bool) -> None:
        self.edge = edge
        self.publisher = publisher
        self.clock = clock
        self.by_value = by_value
        self.events: list[Event] = []

    def verify(self, keys: list[Any], header: dict[str, Any], algs: tuple[str, ...] = ("RS256",)) -> Any:
        """Verify an RS256 assertion that has this header, in a new verifier."""
        if self.by_value:
            client = unchecked_client("client-1", jwks={"keys": keys}, signing_algs=algs)
        else:
            self.publisher.answer = http(json.dumps({"keys": keys}).encode())
            client = RegisteredClient("client-1", jwks_uri=self.publisher.uri(), signing_algs=algs)
        verifier = self.edge.verifier(
            policy=AssertionPolicy(audience=OP, require_kid=False),
            clients=[client],
            replay_store=MemoryReplayStore(),
            fetcher=self.edge.fetcher(LOOPBACK, clock=self.clock),
            clock=self.clock,
            on_event=self.events.append,
        )
        claims = claims_of("client-1", OP, self.clock())
        return verifier.verify(sign_json({"alg": "RS256", **header}, claims))

    def refused(
        self, reason: Reason, keys: list[Any], header: dict[str, Any], algs: tuple[str, ...] = ("RS256",)
    ) -> str:
        """Refuse it for this reason, and return the detail, which the one event holds, too."""
        with pytest.raises(InvalidClient) as caught:
            self.verify(keys, header, algs)
        assert caught.value.reason is reason, caught.value.detail
        assert len(caught.value.detail) <= 300
        [event] = [event for event in self.events if isinstance(event, AssertionRefused)]
        assert (event.reason, event.detail, event.check) == (reason, caught.value.detail, "key")
        return caught.value.detail


@pytest.fixture(params=[False, True], ids=["fetched", "by value"])
def scenario(request: pytest.FixtureRequest, edge: Edge, publisher: Publisher, clock: Clock) -> Scenario:
    return Scenario(edge, publisher, clock, by_value=request.param)


HEADER = {"kid": "k1"}


@pytest.mark.parametrize(
    "changes",
    [
        *({name: value} for name in ("use", "alg", "key_ops", "d", "p", "oth", "k", "x5c") for value in ABSENT),
        {"use": None, "alg": None, "key_ops": None, "x5t": None, "d": None, "exp": None},
        {"use": ..., "alg": ...},
        {"n": b64(private_key().public_key().public_numbers().n.to_bytes(257, "big"))},
    ],
    ids=name_case,
)
def test_what_libraries_write_for_absent_costs_nothing(changes: dict[str, Any], scenario: Scenario) -> None:
    assert scenario.verify([jwk(**changes)], HEADER).kid == "k1"


@pytest.mark.parametrize(
    "bad",
    [
        jwk(kid="\ud800"),
        jwk(kid="bad", n="\ud800"),
        jwk(kid="bad", note="\ud800"),
        jwk(kid=1),
        jwk(kid="bad", kty=None),
        jwk(kid="bad", d="AQAB"),
        jwk(kid="bad", e="Aw"),
        {"kty": "OKP", "crv": "unheard-of", "x": "AA", "kid": "bad"},
        {"kty": "PQC"},
        None,
        "key",
    ],
    ids=name_case,
)
def test_what_is_wrong_in_one_key_costs_that_key_only(bad: Any, edge: Edge, publisher: Publisher, clock: Clock) -> None:
    scenario = Scenario(edge, publisher, clock, by_value=False)
    assert scenario.verify([bad, jwk()], HEADER).kid == "k1"
    assert scenario.verify([jwk(), bad], HEADER).kid == "k1"


FAULTS: list[tuple[str, Reason, list[Any], dict[str, Any], tuple[str, ...]]] = [
    ("a kid that is a number", Reason.UNKNOWN_KID, [jwk(kid=17)], {"kid": "17"}, ("kid is the number 17",)),
    ("a key without a kid", Reason.UNKNOWN_KID, [jwk(kid=...)], HEADER, ("a key without kid",)),
    ("another kid", Reason.UNKNOWN_KID, [jwk(kid="a"), jwk(kid="b")], HEADER, ("'a'", "'b'")),
    ("an exponent of 3", Reason.UNUSABLE_KEY, [jwk(e="Aw")], HEADER, ("e is 3", "65537")),
    ("RS384 only", Reason.UNUSABLE_KEY, [jwk(alg="RS384")], HEADER, ("its alg is RS384, not RS256",)),
    ("a padded modulus", Reason.UNUSABLE_KEY, [jwk(n=N + "==")], HEADER, ("n is padded with '='",)),
    (
        "standard base64",
        Reason.UNUSABLE_KEY,
        [jwk(n="+/" + N[2:])],
        HEADER,
        ("n is not base64url: '+' at character 1 of 342", "standard base64"),
    ),
    ("a certificate only", Reason.UNUSABLE_KEY, [jwk(n=..., e=..., x5c=["MII"])], HEADER, ("n is absent", "x5c")),
    ("an EC key", Reason.UNUSABLE_KEY, [ec_jwk(ec_key())], HEADER, ("EC, P-256", "RS256")),
    ("an Ed25519 key", Reason.UNUSABLE_KEY, [okp_jwk(okp_key())], HEADER, ("OKP, Ed25519", "RS256")),
    ("for encryption", Reason.UNUSABLE_KEY, [jwk(use="enc")], HEADER, ("its use is 'enc', not sig",)),
    ("1024 bits", Reason.UNUSABLE_KEY, [jwk(private_key(bits=1_024))], HEADER, ("1024 bits",)),
    ("no kid, none usable", Reason.UNUSABLE_KEY, [jwk(use="enc"), 5], {}, ("'k1': its use is 'enc'", "no JSON object")),
    ("twins", Reason.AMBIGUOUS_KEY, [jwk(), jwk(private_key(1))], HEADER, ("2 different keys", "'k1'")),
    (
        "no kid, two usable",
        Reason.AMBIGUOUS_KEY,
        [jwk(kid="a"), jwk(private_key(1), kid="b")],
        {},
        ("2 keys fit RS256", "'a'", "'b'"),
    ),
    ("an empty set", Reason.NO_KEYS, [], HEADER, ("empty",)),
]


@pytest.mark.parametrize(
    ("reason", "keys", "header", "words"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_a_refusal_says_the_fault_of_that_very_key(
    reason: Reason, keys: list[Any], header: dict[str, Any], words: tuple[str, ...], scenario: Scenario
) -> None:
    detail = scenario.refused(reason, keys, header)
    for word in words:
        assert word in detail


def test_a_published_private_key_is_named_as_such(edge: Edge, publisher: Publisher, clock: Clock) -> None:
    scenario = Scenario(edge, publisher, clock, by_value=False)
    assert "holds private members: d" in scenario.refused(Reason.UNUSABLE_KEY, [jwk(d="AQAB")], HEADER)


def test_a_key_without_alg_is_refused_where_the_client_may_use_several_and_nothing_is_fetched(
    scenario: Scenario,
) -> None:
    detail = scenario.refused(Reason.UNUSABLE_KEY, [jwk(alg=...)], HEADER, ("RS256", "PS256"))
    assert 'add "alg": "RS256"' in detail
    assert scenario.publisher.count == (0 if scenario.by_value else 1)  # the first fetch only


def test_a_key_without_alg_serves_the_only_algorithm_it_fits(scenario: Scenario) -> None:
    assert scenario.verify([jwk(alg=...)], HEADER, ("RS256", "ES256", "EdDSA")).alg == "RS256"


def test_two_clients_with_one_key_set_are_each_held_to_their_own_algorithms(
    edge: Edge, publisher: Publisher, clock: Clock
) -> None:
    """They share keys, fetch and budget, and one of them may use an algorithm more."""
    publisher.keys = [jwk(alg=...)]
    fetcher = edge.fetcher(LOOPBACK, clock=clock)
    one = RegisteredClient("one", jwks_uri=publisher.uri())
    both = RegisteredClient("both", jwks_uri=publisher.uri(), signing_algs=["RS256", "PS256"])
    key = fetcher.get_key(one, "RS256", "k1")
    assert isinstance(key, VerificationKey)
    with pytest.raises(InvalidClient) as refused:
        fetcher.get_key(both, "RS256", "k1")
    assert refused.value.reason is Reason.UNUSABLE_KEY
    assert fetcher.get_key(one, "RS256", "k1") is key
    assert publisher.count == 1
