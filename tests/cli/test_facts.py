"""What stands beside each check."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from private_key_jwt import AssertionPolicy, RegisteredClient
from private_key_jwt._core.checks import Check
from private_key_jwt.cli import _facts as facts
from private_key_jwt.testing._keys import compact, to_json


def header(**members: Any) -> facts.Facts:
    return facts.about_header(compact(to_json(members)).encode())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (42.4, "42 s"),
        (7_199, "7199 s"),
        (7_200, "2 h"),
        (-7_200, "-2 h"),
        (19_800, "5.5 h"),  # of a time zone
        (7_379, "2 h"),
        (3 * 86_400, "3 days"),
        (1.7e12, "53870 years"),
    ],
)
def test_durations_show_a_wrong_unit(seconds: float, text: str) -> None:
    assert facts.duration(seconds) == text


def test_a_header_is_told_by_its_members() -> None:
    assert header(alg="RS256", kid="[bold]\x1b[31m", crit=["exp"], b64=False, zip="DEF") == {
        "header": "alg, kid, crit, b64, zip",
        "crit": "crit ['exp'], b64 false",
        "zip_cty": "zip 'DEF'",
        "alg": "'RS256'",
        "kid": r"'[bold]\x1b[31m'",
        "typ": "absent",
        "signing_algs": "'RS256'",
        "require_kid": r"'[bold]\x1b[31m'",
        "require_typ": "absent",
    }
    assert header()["header"] == "no member"


@pytest.mark.parametrize("segment", [b"A", compact(b"[]").encode()])
def test_of_a_header_that_cannot_be_read_nothing_is_told(segment: bytes) -> None:
    assert facts.about_header(segment) == {}


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        ({"exp": 100, "iat": 40}, {"exp": "in 42 s", "iat": "18 s ago", "lifetime": "60 s", "nbf": "absent"}),
        ({"exp": 100}, {"lifetime": "counted from now"}),
        ({"exp": True, "iat": "40"}, {"exp": "true", "iat": "'40'", "lifetime": "counted from now"}),
        ({"jti": "Grüße"}, {"jti": "7 bytes"}),
        ({"jti": 7}, {"jti": "no string"}),
        ({}, {"jti": "absent", "claims": "no member", "iss": "absent"}),
        ({"iss": "a", "sub": ["b"], "aud": None}, {"iss": "'a'", "sub": "['b']", "client": "['b']", "aud": "null"}),
    ],
)
def test_claims_are_told_from_now(claims: dict[str, Any], found: dict[str, str]) -> None:
    assert facts.about_claims(claims, 58).items() >= found.items()


def test_unknown_claims_are_named_and_not_shown() -> None:
    shown = str(facts.about_claims({"email": "someone@example.com"}, 0))
    assert "email" in shown
    assert "someone" not in shown


def test_every_check_has_an_expectation() -> None:
    expected = facts.expectations(AssertionPolicy(audience="a"), RegisteredClient("c", jwks_uri="https://c.example/"))
    assert {"request", *expected} == set(get_args(Check))


def test_expectations_follow_the_policy_and_the_client() -> None:
    policy = AssertionPolicy(audience=["b", "a"], audience_rule="member", require_iat=True, require_typ=True, leeway=3)
    client = RegisteredClient("c", jwks_uri="https://c.example/", require_kid=True)
    assert (
        facts.expectations(policy, client).items()
        >= {
            "aud": "among others 'a' or 'b'",
            "iat": "at most 3 s ahead, required",
            "require_typ": "client-authentication+jwt",
            "require_kid": "a kid",
            "client": "'c'",
        }.items()
    )
    policy = AssertionPolicy(audience="a", require_iat=False, require_kid=False, require_typ=False)
    relaxed = facts.expectations(policy, RegisteredClient("c", jwks_uri="https://c.example/"))
    assert (
        relaxed.items()
        >= {
            "aud": "only 'a'",
            "iat": f"at most {policy.leeway:g} s ahead",
            "require_typ": "not required",
            "require_kid": "not required",
        }.items()
    )
