"""Outages and lost answers, counted on the server, over HTTP on loopback."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from edges import Edge
from private_key_jwt.ledgerbee import Membership, PortalSSOError, Role
from private_key_jwt.testing import LoopbackServer, RelyingParty, Tenant

from .conftest import CUSTOMER, JANE


@pytest.fixture
def quick(edge: Edge, tenant: Tenant, server: LoopbackServer) -> Any:
    """A timeout that leaves room for a few attempts only."""
    return edge.portal(api_key=tenant.api_key(), base_url=server.base_url, timeout=2)


def mint(portal: Any, tenant: Tenant) -> Any:
    customer_id = tenant.portal.add_customer("C001")
    return portal.mint_handoff(sub="u-1", email=JANE, memberships=[Membership(customer_id, Role.USER)])


CALLS: dict[str, Any] = {
    "mint": mint,
    "provision": lambda portal, _tenant: portal.provision(email=JANE, customer=CUSTOMER),
    "revoke": lambda portal, _tenant: portal.revoke_sessions(sub="u-1"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_short_outage_is_survived(
    portal: Any, relying_party: RelyingParty, tenant: Tenant, server: LoopbackServer, name: str, status: int
) -> None:
    relying_party.fail_requests(1, status)
    CALLS[name](portal, tenant)
    assert server.count == 2


@pytest.mark.parametrize("name", CALLS)
def test_a_lost_answer_is_survived(
    portal: Any, relying_party: RelyingParty, tenant: Tenant, server: LoopbackServer, name: str
) -> None:
    relying_party.lose_responses(1)
    CALLS[name](portal, tenant)
    assert server.count == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["provision", "revoke"])
@pytest.mark.parametrize("outage", [503, httpx.ReadError])
def test_an_outage_that_lasts_is_tried_as_often_as_fits(
    quick: Any, relying_party: RelyingParty, tenant: Tenant, server: LoopbackServer, name: str, outage: Any
) -> None:
    relying_party.outage = outage
    started = time.monotonic()
    with pytest.raises(PortalSSOError) as caught:
        CALLS[name](quick, tenant)
    assert time.monotonic() - started < 4
    assert server.count > 2  # as a rule at 0, 0.15, 0.45 and 1.05 s
    assert caught.value.may_have_happened


@pytest.mark.parametrize("failure", [lambda party: party.fail_requests(9), lambda party: party.lose_responses(9)])
def test_mint_is_sent_again_once(
    portal: Any, relying_party: RelyingParty, tenant: Tenant, server: LoopbackServer, failure: Any
) -> None:
    failure(relying_party)
    with pytest.raises(PortalSSOError, match="attempt 2"):
        mint(portal, tenant)
    assert server.count == 2


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 422])
def test_what_was_refused_is_not_sent_again(
    portal: Any, relying_party: RelyingParty, tenant: Tenant, server: LoopbackServer, name: str, status: int
) -> None:
    relying_party.fail_requests(1, status)
    with pytest.raises(PortalSSOError) as caught:
        CALLS[name](portal, tenant)
    assert (caught.value.status, caught.value.may_have_happened, server.count) == (status, False, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_429_waits_for_retry_after_where_that_fits(
    portal: Any, relying_party: RelyingParty, tenant: Tenant, server: LoopbackServer, name: str
) -> None:
    relying_party.fail_requests(1, 429, retry_after=1)
    started = time.monotonic()
    CALLS[name](portal, tenant)
    assert 1 <= time.monotonic() - started < 3
    assert server.count == 2


@pytest.mark.parametrize("name", CALLS)
def test_429_fails_at_once_where_retry_after_does_not_fit(
    portal: Any, relying_party: RelyingParty, tenant: Tenant, server: LoopbackServer, name: str
) -> None:
    relying_party.fail_requests(1, 429, retry_after=10)
    started = time.monotonic()
    with pytest.raises(PortalSSOError) as caught:
        CALLS[name](portal, tenant)
    assert time.monotonic() - started < 1
    error = caught.value
    assert (error.status, error.retry_after, error.may_have_happened, server.count) == (429, 10, False, 1)


def test_after_a_lost_answer_customer_created_proves_nothing(
    portal: Any, relying_party: RelyingParty, tenant: Tenant
) -> None:
    relying_party.lose_responses(1)
    done = portal.provision(email=JANE, customer=CUSTOMER)
    assert done.customer_created is False
    assert list(tenant.portal.customers) == [done.customer_id]
    assert [user.id for user in tenant.portal.users] == [done.portal_user_id]


def test_after_a_lost_answer_the_number_of_revoked_proves_nothing(
    portal: Any, relying_party: RelyingParty, tenant: Tenant
) -> None:
    portal.provision(email=JANE, customer=CUSTOMER)
    cookie = tenant.portal.log_in(sub="u-1", email=JANE)
    relying_party.lose_responses(1)
    assert portal.revoke_sessions(sub="u-1") == 0
    assert tenant.portal.session(cookie) is None


def test_a_lost_mint_leaves_a_reference_that_nobody_has(
    portal: Any, relying_party: RelyingParty, tenant: Tenant, server: LoopbackServer
) -> None:
    relying_party.lose_responses(2)
    with pytest.raises(PortalSSOError) as caught:
        mint(portal, tenant)
    error = caught.value
    assert (error.status, error.code, error.may_have_happened, server.count) == (None, None, True, 2)


def test_faults_come_one_after_the_other_and_end(
    portal: Any, relying_party: RelyingParty, server: LoopbackServer
) -> None:
    relying_party.fail_requests(1, 429)
    relying_party.lose_responses(1)
    assert portal.revoke_sessions(sub="u-1") == 0
    assert server.count == 3
    portal.revoke_sessions(sub="u-1")
    assert server.count == 4
    for status in (200, 302, "503"):
        with pytest.raises(ValueError, match="status must be from 400 to 599"):
            relying_party.fail_requests(1, status)  # type: ignore[arg-type]


def test_faults_spare_the_key_sets(relying_party: RelyingParty, tenant: Tenant) -> None:
    relying_party.lose_responses(1)
    with httpx.Client(transport=relying_party.transport) as http:
        assert http.get(tenant.jwks_uri).status_code == 200
