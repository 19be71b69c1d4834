"""FAPI 2.0, and the conformance suite's modules on client assertions, re-stated: each builds its assertion anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from edges import AsyncEdge, Edge, SyncEdge
from private_key_jwt import (
    AssertionPolicy,
    AuthenticationError,
    ConfigurationError,
    InvalidClient,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
    client_authentication_metadata,
    fapi2,
)
from private_key_jwt._core.token_request import ASSERTION_TYPE
from private_key_jwt.testing import REMOVED, SigningKey
from support import ec_jwk, ec_key, jwk

ISSUER = "https://op.example.com"
TOKEN, PAR, BACKCHANNEL = f"{ISSUER}/token", f"{ISSUER}/par", f"{ISSUER}/backchannel"
CLIENT = "suite-client"
NOW = 1_800_000_000.0
ACCEPTED = None


@dataclass(frozen=True)
class Plan:
    """A plan of the suite: the settings that pass it, and the audience of its ordinary assertions."""

    policy: AssertionPolicy
    signing_algs: tuple[str, ...]
    audience: str


PLANS = {
    "oidcc": Plan(AssertionPolicy(audience=[ISSUER, TOKEN]), ("RS256",), TOKEN),
    "fapi1-advanced-final": Plan(
        AssertionPolicy(audience=[ISSUER, TOKEN, PAR], audience_rule="all"), ("PS256", "ES256"), TOKEN
    ),
    "fapi2-security-profile-final": Plan(fapi2.policy(ISSUER), fapi2.SIGNING_ALGS, ISSUER),
    "fapi-ciba-id1": Plan(AssertionPolicy(audience=[ISSUER, TOKEN, BACKCHANNEL]), ("PS256", "ES256"), TOKEN),
}


@dataclass(frozen=True)
class Module:
    """A module: what it changes in an ordinary assertion, and what the server must say (None: let it in)."""

    plan: str
    name: str
    expected: Reason | None
    claims: dict[str, Any] = field(default_factory=dict)
    alg: str | None = None
    sent: bool = True


def times(offset: int) -> dict[str, Any]:
    return {"iat": NOW + offset, "nbf": NOW + offset, "exp": NOW + 60 + offset}


FAPI1, FAPI2, CIBA = "fapi1-advanced-final", "fapi2-security-profile-final", "fapi-ciba-id1"
FAILS: dict[str, tuple[Reason, dict[str, Any]]] = {
    "ensure-client-assertion-with-exp-is-5-minutes-in-past-fails": (Reason.EXPIRED, {"exp": NOW - 300}),
    "ensure-client-assertion-with-no-sub-fails": (Reason.MISSING_CLAIM, {"sub": REMOVED}),
    "ensure-client-assertion-with-wrong-aud-fails": (
        Reason.AUDIENCE_MISMATCH,
        {"aud": "https://rs.another.example/api/userinfo"},
    ),
}
WRONG_NAMES = {
    "ensure-client-assertion-with-wrong-iss-fails": {"iss": "wrong-issuer-value"},
    "ensure-client-assertion-with-wrong-sub-fails": {"sub": "wrong-sub-value"},
}
RS256_FAILS = "ensure-client-assertion-signature-algorithm-in-{}-is-RS256-fails"

MODULES = [
    Module("oidcc", "oidcc-server", ACCEPTED),
    Module("oidcc", "oidcc-ensure-client-assertion-with-iss-aud-succeeds", ACCEPTED, {"aud": ISSUER}),
    Module(FAPI1, "ensure-client-assertion-with-iss-aud-succeeds", ACCEPTED, {"aud": ISSUER}),
    Module(FAPI1, "test-array-as-audience-for-client-JWT-assertion", ACCEPTED, {"aud": [ISSUER, TOKEN]}),
    Module(FAPI1, "par-test-pushed-authorization-url-as-audience-for-client-JWT-assertion", ACCEPTED, {"aud": PAR}),
    Module(FAPI1, "par-token-endpoint-url-as-audience-for-client-JWT-assertion", ACCEPTED),
    Module(FAPI1, "ensure-client-assertion-in-token-endpoint", Reason.MISSING_ASSERTION, sent=False),
    *(Module(FAPI1, name, reason, claims) for name, (reason, claims) in FAILS.items()),
    *(Module(FAPI1, name, Reason.CLIENT_MISMATCH, claims) for name, claims in WRONG_NAMES.items()),
    *(Module(FAPI1, f"par-{name}", Reason.CLIENT_MISMATCH, claims) for name, claims in WRONG_NAMES.items()),
    Module(
        FAPI1,
        "par-ensure-client-assertion-with-wrong-aud-fails",
        Reason.AUDIENCE_MISMATCH,
        {"aud": "https://rs.another.example/api/userinfo"},
    ),
    Module(FAPI1, "ensure-signed-client-assertion-with-RS256-fails", Reason.UNSUPPORTED_ALG, alg="RS256"),
    Module(FAPI2, "happy-flow", ACCEPTED),
    Module(
        FAPI2,
        "par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted",
        ACCEPTED,
        {"iat": NOW + 8, "nbf": NOW + 8},
    ),
    Module(
        FAPI2,
        "par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails",
        Reason.NOT_YET_VALID,
        times(62),
    ),
    Module(FAPI2, "ensure-client-assertion-in-token-endpoint", Reason.MISSING_ASSERTION, sent=False),
    *(Module(FAPI2, name, reason, claims) for name, (reason, claims) in FAILS.items()),
    Module(FAPI2, "ensure-signed-client-assertion-with-RS256-fails", Reason.UNSUPPORTED_ALG, alg="RS256"),
    *(Module(CIBA, "fapi-ciba-id1", ACCEPTED, {"aud": aud}) for aud in (TOKEN, BACKCHANNEL, ISSUER)),
    Module(CIBA, "ensure-client-assertion-with-iss-aud-to-token-endpoint-succeeds", ACCEPTED, {"aud": ISSUER}),
    Module(
        CIBA,
        "ensure-without-client-assertion-in-backchannel-authorization-request",
        Reason.MISSING_ASSERTION,
        sent=False,
    ),
    Module(CIBA, "ensure-without-client-assertion-in-token-endpoint-request", Reason.MISSING_ASSERTION, sent=False),
    Module(CIBA, RS256_FAILS.format("backchannel-authorization-request"), Reason.UNSUPPORTED_ALG, alg="RS256"),
    Module(CIBA, RS256_FAILS.format("token-endpoint-request"), Reason.UNSUPPORTED_ALG, alg="RS256"),
]


@pytest.fixture(params=[SyncEdge, AsyncEdge], ids=["sync", "async"])
def edge(request: pytest.FixtureRequest) -> Iterator[Edge]:
    edge = request.param()
    yield edge
    edge.close()


def outcome(call: Callable[[], Any]) -> Reason | None:
    try:
        call()
    except AuthenticationError as error:
        return error.reason
    return None


def form(key: SigningKey, audience: str, changes: dict[str, Any], alg: str) -> dict[str, str]:
    """What the suite's client posts: an assertion of one minute, with ``iat`` and ``nbf``."""
    claims = {"iss": CLIENT, "sub": CLIENT, "aud": audience, "jti": f"{id(changes)}-{alg}", **times(0), **changes}
    claims = {name: value for name, value in claims.items() if value is not REMOVED}
    assertion = SigningKey(key.kid, key.private_key, alg).sign({"alg": alg, "kid": key.kid}, claims)
    return {"client_assertion": assertion, "client_assertion_type": ASSERTION_TYPE}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: f"{module.plan}: {module.name}")
def test_a_module_of_the_suite_has_its_outcome(module: Module, edge: Edge) -> None:
    plan = PLANS[module.plan]
    for alg in plan.signing_algs if module.alg is None else ("PS256",):
        key = SigningKey.generate("suite", alg)
        client = RegisteredClient(CLIENT, jwks={"keys": [key.public_jwk()]}, signing_algs=plan.signing_algs)
        verifier = edge.verifier(
            policy=plan.policy, clients=[client], replay_store=MemoryReplayStore(), clock=lambda: NOW
        )
        parameters = {"grant_type": "authorization_code"} | (
            form(key, plan.audience, module.claims, module.alg or alg) if module.sent else {"client_id": CLIENT}
        )
        assert outcome(lambda: verifier.authenticate(parameters)) is module.expected  # noqa: B023


def test_the_guide_has_a_row_for_each_module_and_no_other() -> None:
    sections = str(fapi2.__doc__).split("\n**")[1:]
    outcomes = {ACCEPTED: "accepted", Reason.MISSING_ASSERTION: "refused"}
    for section, plan in zip(sections, PLANS, strict=True):
        expected = set()
        for module in MODULES:
            if module.plan == plan:
                name = module.name.removeprefix(
                    "ensure-" if plan == CIBA else "par-" if "-wrong-" in module.name else ""
                )
                expected.add((name, outcomes.get(module.expected, f"``{module.expected}``")))
        assert set(re.findall(r"^\| ``([\w-]+)``.*?\| (.*?) +\|$", section, re.MULTILINE)) == expected


# The profile


def test_the_profile_takes_its_algorithms_and_no_others() -> None:
    assert fapi2.SIGNING_ALGS == ("PS256", "ES256", "Ed25519")
    client = fapi2.client("c", jwks_uri="https://c.example/jwks.json")
    assert (client.signing_algs, client.require_kid) == (fapi2.SIGNING_ALGS, False)
    for alg in ("PS256", "ES256", "Ed25519", "EdDSA"):
        assert fapi2.client("c", jwks_uri="https://c.example/", signing_algs=[alg]).signing_algs == (alg,)
    for alg in ("RS256", "PS384", "ES384", "ES512", "none"):
        with pytest.raises(ConfigurationError, match="FAPI 2.0 allows|signing_algs"):
            fapi2.client("c", jwks_uri="https://c.example/", signing_algs=["PS256", alg])


def test_keys_by_value_are_held_to_the_profile() -> None:
    assert fapi2.client("c", jwks={"keys": [ec_jwk(ec_key())]}, require_kid=True).require_kid
    assert fapi2.client("c", jwks={"keys": [jwk(alg=...)]}).keys  # of the three, it fits PS256 only
    with pytest.raises(ConfigurationError, match="its alg is RS256"):
        fapi2.client("c", jwks={"keys": [jwk()]})
    with pytest.raises(ConfigurationError, match="exactly one of"):
        fapi2.client("c")


def test_the_policy_is_the_issuer_as_a_string_and_a_leeway_within_the_bounds() -> None:
    policy = fapi2.policy(ISSUER)
    assert (policy.audiences, policy.audience_rule) == (frozenset({ISSUER}), "string")
    assert 10 <= policy.leeway < 60
    for issuer in ("", None, [ISSUER], 1):
        with pytest.raises(ConfigurationError):
            fapi2.policy(issuer)  # type: ignore[arg-type]


@pytest.mark.parametrize("aud", [[ISSUER], [ISSUER, TOKEN], TOKEN, f"{ISSUER}/"])
def test_another_audience_than_the_issuer_as_a_string_is_refused(aud: Any, edge: Edge) -> None:
    key = SigningKey.generate(alg="ES256")
    client = fapi2.client(CLIENT, jwks={"keys": [key.public_jwk()]})
    verifier = edge.verifier(
        policy=fapi2.policy(ISSUER), clients=[client], replay_store=MemoryReplayStore(), clock=lambda: NOW
    )
    with pytest.raises(InvalidClient) as refused:
        verifier.authenticate(form(key, aud, {}, "ES256"))
    assert refused.value.reason is Reason.AUDIENCE_MISMATCH


def test_what_the_profile_enables_can_be_published() -> None:
    metadata = client_authentication_metadata(signing_algs=fapi2.SIGNING_ALGS)
    assert metadata["token_endpoint_auth_signing_alg_values_supported"] == ["PS256", "ES256", "Ed25519"]
