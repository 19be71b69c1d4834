"""A tenant's keys over time."""

import pytest

from private_key_jwt import AssertionPolicy, ConfigurationError, InvalidClient, Reason, ledgerbee
from private_key_jwt.testing import Clock, RelyingParty, Tenant

from .conftest import Verify


def kids(tenant: Tenant) -> list[str]:
    return [jwk["kid"] for jwk in tenant.document()["keys"]]


@pytest.fixture
def tenant(relying_party: RelyingParty) -> Tenant:
    return relying_party.tenant()


def test_has_one_key_at_first(tenant: Tenant) -> None:
    assert kids(tenant) == [tenant.kid] == [tenant.current_key.kid]
    assert repr(tenant) == "Tenant('acme', 'portal-acme')"
    with pytest.raises(LookupError, match="acme"):
        _ = tenant.previous_key


def test_is_registered_as_ledgerbee_is(tenant: Tenant) -> None:
    client = tenant.client()
    assert client == ledgerbee.client("portal-acme", slug="acme")
    assert client.jwks_uri == tenant.jwks_uri == ledgerbee.jwks_uri("acme")


def test_is_registered_elsewhere_and_changed(tenant: Tenant) -> None:
    policy = AssertionPolicy(audience="https://other.example")
    client = tenant.client("http://127.0.0.1:1/api", policy=policy)
    assert client.jwks_uri == "http://127.0.0.1:1/api/.well-known/portal-sso/acme/jwks.json"
    assert client.policy is policy
    assert client.require_kid


def test_rotates_with_a_grace_window(tenant: Tenant) -> None:
    old = tenant.current_key
    kid = tenant.rotate()
    assert tenant.kid == kid != old.kid
    assert tenant.previous_key is old
    assert kids(tenant) == [kid, old.kid]
    tenant.end_grace()
    assert kids(tenant) == [kid]
    assert tenant.previous_key is old


def test_publishes_two_keys_at_most(tenant: Tenant) -> None:
    had = [tenant.kid, tenant.rotate(), tenant.rotate()]
    assert kids(tenant) == [had[2], had[1]]
    assert len({*had}) == 3


def test_loses_its_keys_and_gets_another(tenant: Tenant) -> None:
    old = tenant.current_key
    tenant.rotate()
    tenant.remove_keys()
    assert kids(tenant) == []
    tenant.end_grace()
    assert kids(tenant) == []
    kid = tenant.rotate()
    assert kids(tenant) == [kid]
    assert kid != old.kid


def test_each_key_it_ever_had_is_another(tenant: Tenant) -> None:
    moduli = {tenant.current_key.public_jwk()["n"]}
    for _ in range(3):
        tenant.rotate()
        tenant.end_grace()
        moduli.add(tenant.current_key.public_jwk()["n"])
    assert len(moduli) == 4


def test_a_rotation_as_a_verifier_sees_it(tenant: Tenant, clock: Clock, verify: Verify) -> None:
    verify(tenant.assertion())
    tenant.rotate()
    verify(tenant.assertion())
    verify(tenant.assertion(key=tenant.previous_key))
    tenant.end_grace()
    clock.advance(300)
    verify(tenant.assertion())
    with pytest.raises(InvalidClient) as refused:
        verify(tenant.assertion(key=tenant.previous_key))
    assert refused.value.reason is Reason.UNKNOWN_KID


def test_a_tenant_without_keys_as_a_verifier_sees_it(tenant: Tenant, clock: Clock, verify: Verify) -> None:
    tenant.remove_keys()
    with pytest.raises(InvalidClient) as refused:
        verify(tenant.assertion())
    assert refused.value.reason is Reason.NO_KEYS
    tenant.rotate()
    clock.advance(30)
    verify(tenant.assertion())


def test_a_slug_is_one_path_segment(relying_party: RelyingParty) -> None:
    with pytest.raises(ConfigurationError, match="slug"):
        relying_party.tenant("../acme")
