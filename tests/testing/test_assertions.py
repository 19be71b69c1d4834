"""Assertions, valid and changed."""

import base64
import json
from typing import Any

import pytest

from private_key_jwt.testing import REMOVED, Clock, RelyingParty, SigningKey

from .conftest import Verify


def read(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in assertion.split(".")[:2])
    return header, claims


def test_the_default_is_accepted(relying_party: RelyingParty, verify: Verify) -> None:
    verified = verify(relying_party.assertion())
    tenant = relying_party.tenant()
    assert (verified.client_id, verified.kid, verified.audience) == ("portal-acme", tenant.kid, tenant.audience)


def test_an_assertion_by_default_is_fresh_and_of_the_tenant(relying_party: RelyingParty, clock: Clock) -> None:
    tenant = relying_party.tenant()
    header, claims = read(tenant.assertion())
    assert header == {"alg": "RS256", "kid": tenant.kid}
    jti = claims.pop("jti")
    now = int(clock())
    assert claims == {
        "iss": "portal-acme",
        "sub": "portal-acme",
        "aud": "https://op.example.com",
        "iat": now,
        "exp": now + 60,
    }
    assert jti != read(tenant.assertion())[1]["jti"]


def test_changes_replace_add_and_remove(relying_party: RelyingParty) -> None:
    changed = relying_party.assertion(header={"typ": "JWT", "kid": REMOVED}, aud=["a", "b"], iat=REMOVED, note=None)
    header, claims = read(changed)
    assert header == {"alg": "RS256", "typ": "JWT"}
    assert set(claims) == {"iss", "sub", "aud", "exp", "jti", "note"}
    assert (claims["aud"], claims["note"]) == (["a", "b"], None)
    assert repr(REMOVED) == "REMOVED"


def test_another_key_signs_and_is_named(relying_party: RelyingParty) -> None:
    key = SigningKey.generate("another")
    assert read(relying_party.assertion(key=key))[0]["kid"] == "another"


@pytest.mark.parametrize("name", ["alg", "kid", "typ", "crit"])
def test_a_header_parameter_is_no_claim(relying_party: RelyingParty, name: str) -> None:
    with pytest.raises(TypeError, match=f"{name}: a parameter of the header"):
        relying_party.assertion(**{name: None})
