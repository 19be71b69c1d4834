"""The look-alike as a whole."""

import time

import pytest

from private_key_jwt import ledgerbee
from private_key_jwt.testing import RelyingParty


def test_a_relying_party_is_ledgerbee_by_default() -> None:
    relying_party = RelyingParty()
    assert relying_party.audience == "https://op.example.com"
    assert relying_party.clock is time.time
    assert relying_party.base_url == ledgerbee.BASE_URL
    assert relying_party.outage is None


def test_a_tenant_is_made_once(relying_party: RelyingParty) -> None:
    tenant = relying_party.tenant()
    assert (tenant.slug, tenant.client_id) == ("acme", "portal-acme")
    assert relying_party.tenant("acme") is tenant
    assert relying_party.tenant("acme", "portal-acme") is tenant
    assert relying_party.tenant("other", "client-2").client_id == "client-2"
    with pytest.raises(ValueError, match="portal-acme"):
        relying_party.tenant("acme", "client-2")


def test_tenants_share_no_key(relying_party: RelyingParty) -> None:
    tenants = [relying_party.tenant("acme"), relying_party.tenant("other"), RelyingParty().tenant()]
    assert len({tenant.current_key.public_jwk()["n"] for tenant in tenants}) == 3
    assert len({tenant.kid for tenant in tenants}) == 3


def test_the_document_of_a_slug(relying_party: RelyingParty) -> None:
    assert relying_party.document("acme") == {"keys": []}
    tenant = relying_party.tenant()
    assert relying_party.document("acme") == {"keys": [tenant.current_key.public_jwk()]}
    tenant.remove_keys()
    assert relying_party.document("acme") == {"keys": []}


def test_tenants_sign_with_the_algorithm_they_are_given() -> None:
    relying_party = RelyingParty(alg="ES256")
    assert relying_party.tenant().alg == "ES256"
    assert relying_party.tenant("other", alg="Ed25519").client().signing_algs == ("Ed25519",)
    assert relying_party.tenant("other").alg == "Ed25519"
    assert [key["alg"] for key in relying_party.document("acme")["keys"]] == ["ES256"]
    with pytest.raises(ValueError, match="tenant 'other' has the alg 'Ed25519' already"):
        relying_party.tenant("other", alg="RS256")
    assert RelyingParty().tenant().alg == "RS256"
