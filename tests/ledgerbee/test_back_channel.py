"""What LedgerBee's page says of the back channel, sentence by sentence, over HTTP on loopback."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from edges import Edge, SyncEdge
from private_key_jwt.ledgerbee import Membership, PortalSSOError, Role
from private_key_jwt.testing import Clock, LoopbackServer, RelyingParty, Tenant

from .conftest import CUSTOMER, JANE, Browser

Post = Callable[..., httpx.Response]

MINT = {"email": JANE, "sub": "u-1"}
PROVISION = {"email": JANE, "customer": CUSTOMER}


def mint(portal: Any, customer_id: str, role: Role = Role.USER, **changes: Any) -> Any:
    arguments = {"sub": "u-1", "email": JANE, "memberships": [Membership(customer_id, role)], **changes}
    return portal.mint_handoff(**arguments)


def refused(call: Callable[[], Any]) -> PortalSSOError:
    with pytest.raises(PortalSSOError) as caught:
        call()
    return caught.value


# Who calls


def test_a_call_authenticates_with_an_api_key_or_a_bearer_token(
    edge: Edge, tenant: Tenant, server: LoopbackServer
) -> None:
    async def fetch_token() -> str:
        return tenant.access_token()

    credentials: list[dict[str, Any]] = [
        {"api_key": tenant.api_key()},
        {"access_token": tenant.access_token()},
        {"access_token": tenant.access_token},
    ]
    if edge.name == "async":
        credentials.append({"access_token": fetch_token})
    for credential in credentials:
        assert edge.portal(**credential, base_url=server.base_url).revoke_sessions(sub="u-1") == 0


def test_a_function_gives_a_token_at_each_call(
    edge: Edge, tenant: Tenant, clock: Clock, server: LoopbackServer
) -> None:
    portal = edge.portal(access_token=tenant.access_token, base_url=server.base_url)
    fixed = edge.portal(access_token=tenant.access_token(lifetime=60), base_url=server.base_url)
    portal.revoke_sessions(sub="u-1")
    fixed.revoke_sessions(sub="u-1")
    clock.advance(3_600)
    portal.revoke_sessions(sub="u-1")
    assert refused(lambda: fixed.revoke_sessions(sub="u-1")).status == 401


@pytest.mark.parametrize("credential", [{"api_key": "lb_unknown"}, {"access_token": "unknown"}])
def test_an_unknown_credential_is_refused(edge: Edge, tenant: Tenant, server: LoopbackServer, credential: Any) -> None:
    error = refused(lambda: edge.portal(**credential, base_url=server.base_url).revoke_sessions(sub="u-1"))
    assert (error.status, error.code, error.may_have_happened) == (401, "UNAUTHORIZED", False)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic x"}, {"Authorization": "Bearer"}])
def test_a_call_without_a_credential_is_refused(post: Post, headers: dict[str, str]) -> None:
    assert post("sessions/revoke", {"sub": "u-1"}, headers=headers).status_code == 401


def test_the_tenant_follows_from_the_key(
    edge: Edge, relying_party: RelyingParty, server: LoopbackServer, portal: Any, browser: Browser
) -> None:
    other = relying_party.tenant("other")
    others = edge.portal(api_key=other.api_key(), base_url=server.base_url)
    ours = portal.provision(email=JANE, customer=CUSTOMER)
    theirs = others.provision(email=JANE, customer=CUSTOMER)
    assert ours.customer_id != theirs.customer_id
    assert refused(lambda: mint(others, ours.customer_id)).status == 400
    assert refused(lambda: others.provision(email=JANE, customer_id=ours.customer_id)).code == "CUSTOMER_NOT_FOUND"
    handoff = mint(portal, ours.customer_id)
    assert browser.get(handoff.redeem_url(server.portal_api_host("other"))).status_code == 400
    cookie = browser.redeem(handoff.redeem_url(server.portal_api_host()))
    assert others.revoke_sessions(sub="u-1") == 0
    assert browser.session(server, cookie).status_code == 200
    assert browser.session(server, cookie, "other").status_code == 401


@pytest.mark.parametrize(
    ("scopes", "call"),
    [
        (["portal-provision"], lambda portal: mint(portal, "any")),
        (["portal-sso-mint"], lambda portal: portal.provision(**PROVISION)),
        (["portal-provision"], lambda portal: portal.provision(**PROVISION, mint_handoff=True, sub="u-1")),
        (["portal-provision"], lambda portal: portal.provision(**PROVISION, mint_checkout_bind_token=True)),
        (["portal-provision"], lambda portal: portal.revoke_sessions(sub="u-1")),
        ([], lambda portal: portal.revoke_sessions(sub="u-1")),
    ],
)
@pytest.mark.parametrize("kind", ["api_key", "access_token"])
def test_each_call_and_each_mint_flag_needs_its_scope(
    edge: Edge, tenant: Tenant, server: LoopbackServer, scopes: Any, call: Any, kind: str
) -> None:
    portal = edge.portal(**{kind: getattr(tenant, kind)(scopes=scopes)}, base_url=server.base_url)
    error = refused(lambda: call(portal))
    assert (error.status, error.code, error.may_have_happened) == (403, "FORBIDDEN", False)
    assert "scope portal-" in error.detail
    assert (tenant.portal.users, dict(tenant.portal.customers)) == ((), {})


def test_the_scope_of_a_call_is_enough_for_it(edge: Edge, tenant: Tenant, server: LoopbackServer) -> None:
    minter = edge.portal(api_key=tenant.api_key(scopes=["portal-sso-mint"]), base_url=server.base_url)
    provisioner = edge.portal(api_key=tenant.api_key(scopes=["portal-provision"]), base_url=server.base_url)
    mint(minter, provisioner.provision(email=JANE, customer=CUSTOMER).customer_id)
    minter.revoke_sessions(sub="u-1")


# Mint


def test_a_reference_lives_60_seconds(portal: Any, tenant: Tenant, clock: Clock, server: LoopbackServer) -> None:
    customer_id = tenant.portal.add_customer("C001")
    handoff = mint(portal, customer_id)
    assert handoff.expires_at == datetime.fromtimestamp(clock(), UTC) + timedelta(seconds=60)
    assert handoff.expires_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(("seconds", "status"), [(59.9, 302), (60, 400), (3_600, 400)])
def test_a_reference_is_gone_after_60_seconds(
    portal: Any, tenant: Tenant, clock: Clock, server: LoopbackServer, browser: Browser, seconds: float, status: int
) -> None:
    handoff = mint(portal, tenant.portal.add_customer("C001"))
    clock.advance(seconds)
    assert browser.get(handoff.redeem_url(server.portal_api_host())).status_code == status


def test_a_reference_is_used_once(portal: Any, tenant: Tenant, server: LoopbackServer, browser: Browser) -> None:
    url = mint(portal, tenant.portal.add_customer("C001")).redeem_url(server.portal_api_host())
    browser.redeem(url)
    again = browser.get(url)
    assert (again.status_code, again.json()["code"]) == (400, "INVALID_REFERENCE")
    assert "set-cookie" not in again.headers


def test_a_reference_is_opaque_and_each_is_new(portal: Any, tenant: Tenant) -> None:
    customer_id = tenant.portal.add_customer("C001")
    handoffs = [mint(portal, customer_id) for _ in range(3)]
    assert len({handoff.ref for handoff in handoffs}) == 3
    for handoff in handoffs:
        assert not any(text in handoff.ref for text in (JANE, "jane", "u-1", customer_id))


@pytest.mark.parametrize("ref", ["", "?ref=", "?ref=unknown", "?other=x"])
def test_no_reference_is_no_session(tenant: Tenant, server: LoopbackServer, browser: Browser, ref: str) -> None:
    answer = browser.get(f"http://{server.portal_api_host()}/api/auth/sso/handoff/redeem{ref}")
    assert answer.status_code == 400


def test_user_organization_and_membership_are_made_at_redeem(
    portal: Any, tenant: Tenant, server: LoopbackServer, browser: Browser
) -> None:
    first, second = tenant.portal.add_customer("C001"), tenant.portal.add_customer("C002")
    memberships = [Membership(first, Role.USER), Membership(second, Role.ADMIN)]
    handoff = portal.mint_handoff(sub="u-1", email=JANE, memberships=memberships, name="Jane")
    assert (tenant.portal.users, dict(tenant.portal.organizations)) == ((), {})
    cookie = browser.redeem(handoff.redeem_url(server.portal_api_host()))
    [user] = tenant.portal.users
    assert (user.email, user.sub, user.name) == (JANE, "u-1", "Jane")
    assert [each.customer_id for each in user.memberships] == [first, second]
    assert set(tenant.portal.organizations) == {first, second}
    assert browser.session(server, cookie).json()["email"] == JANE


def test_the_email_links_a_first_login_to_an_invited_user(
    portal: Any, tenant: Tenant, server: LoopbackServer, browser: Browser
) -> None:
    done = portal.provision(email=JANE, customer=CUSTOMER)
    assert [user.sub for user in tenant.portal.users] == [None]
    browser.redeem(mint(portal, done.customer_id).redeem_url(server.portal_api_host()))
    [user] = tenant.portal.users
    assert (user.id, user.sub) == (done.portal_user_id, "u-1")


def test_the_sub_finds_the_user_again(portal: Any, tenant: Tenant, server: LoopbackServer, browser: Browser) -> None:
    customer_id = tenant.portal.add_customer("C001")
    browser.redeem(mint(portal, customer_id, name="Jane").redeem_url(server.portal_api_host()))
    again = mint(portal, customer_id, email="jane@married.example", name="Jane Roe")
    browser.redeem(again.redeem_url(server.portal_api_host()))
    other = mint(portal, customer_id, sub="u-2")
    browser.redeem(other.redeem_url(server.portal_api_host()))
    jane, another = tenant.portal.users
    assert (jane.sub, jane.email, jane.name) == ("u-1", JANE, "Jane")
    assert (another.sub, another.email) == ("u-2", JANE)


MEMBERSHIPS: list[Any] = [
    [],
    [{"customerId": "foreign", "role": "USER"}],
    [{"customerId": "known", "role": "KING"}],
    [{"customerId": "known", "role": "owner"}],
    [{"customerId": "known"}],
    [{"role": "USER"}],
    ["known"],
    {"customerId": "known", "role": "USER"},
    None,
]


@pytest.mark.parametrize("memberships", MEMBERSHIPS)
def test_a_foreign_customer_an_unknown_role_and_no_membership_are_a_400(
    post: Post, tenant: Tenant, memberships: Any
) -> None:
    known = tenant.portal.add_customer("C001")
    if isinstance(memberships, list):
        memberships = [
            {**each, "customerId": known} if isinstance(each, dict) and each.get("customerId") == "known" else each
            for each in memberships
        ]
    answer = post("handoff/mint", {**MINT, "memberships": memberships})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "changes", [{"email": ...}, {"email": ""}, {"email": 1}, {"sub": ...}, {"sub": None}, {"name": 1}]
)
def test_mint_needs_an_email_and_a_sub(post: Post, tenant: Tenant, changes: dict[str, Any]) -> None:
    memberships = [{"customerId": tenant.portal.add_customer("C001"), "role": "USER"}]
    body = {**MINT, "memberships": memberships, **changes}
    answer = post("handoff/mint", {name: value for name, value in body.items() if value is not ...})
    assert answer.status_code == 400
    assert next(iter(changes)) in answer.json()["error"]
    assert post("handoff/mint", {**MINT, "memberships": memberships}).status_code == 200


def test_handoff_can_be_switched_off_for_a_tenant(portal: Any, tenant: Tenant) -> None:
    customer_id = tenant.portal.add_customer("C001")
    tenant.disable_handoff()
    calls = [
        lambda: mint(portal, customer_id),
        lambda: portal.provision(**PROVISION, mint_handoff=True, sub="u-1"),
    ]
    for call in calls:
        error = refused(call)
        assert (error.status, error.code, error.may_have_happened) == (403, "HANDOFF_DISABLED", False)
    assert tenant.portal.users == ()
    portal.provision(**PROVISION, mint_checkout_bind_token=True)
    tenant.enable_handoff()
    mint(portal, customer_id)


# Redeem


def test_redeem_opens_a_session_and_goes_to_the_portal(
    portal: Any, tenant: Tenant, server: LoopbackServer, browser: Browser
) -> None:
    answer = browser.get(mint(portal, tenant.portal.add_customer("C001")).redeem_url(server.portal_api_host()))
    assert answer.status_code == 302
    assert answer.headers["location"] == f"http://acme.portal.localhost:{server.server_port}/"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert browser.get(answer.headers["location"]).status_code == 200
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert browser.session(server, cookie).json()["memberships"][0]["role"] == "OWNER"


def test_the_portals_own_host_ignores_a_reference_without_a_word(
    portal: Any, tenant: Tenant, server: LoopbackServer, browser: Browser
) -> None:
    url = mint(portal, tenant.portal.add_customer("C001")).redeem_url(server.portal_api_host())
    ignored = browser.get(url.replace(".portal-api.", ".portal."))
    assert (ignored.status_code, "set-cookie" in ignored.headers) == (200, False)
    assert tenant.portal.users == ()
    browser.redeem(url)  # it is as good as before


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "acme.portal-api", "nobody.portal-api.localhost", "portal-api.localhost"]
)
def test_redeem_answers_at_no_other_host(
    portal: Any, tenant: Tenant, server: LoopbackServer, browser: Browser, host: str
) -> None:
    url = mint(portal, tenant.portal.add_customer("C001")).redeem_url(server.portal_api_host())
    elsewhere = url.replace(server.portal_api_host(), f"{host}:{server.server_port}")
    assert browser.get(elsewhere).status_code == 404
    browser.redeem(url)


def test_a_session_cookie_is_for_https_only_where_the_portal_is(relying_party: RelyingParty) -> None:
    portal = relying_party.tenant("Acme").portal
    customer_id = portal.add_customer("C001")
    reference = portal.mint_handoff(email=JANE, sub="u-1", memberships=[Membership(customer_id, Role.USER)], name=None)
    with httpx.Client(transport=relying_party.transport) as http:
        url = f"https://acme.portal-api.ledgerbee.com/api/auth/sso/handoff/redeem?ref={reference.ref}"
        answer = http.get(url)
        assert "; Secure" in answer.headers["set-cookie"]
        assert answer.headers["location"] == "https://acme.portal.ledgerbee.com/"
        assert http.get("https://acme.portal-api.ledgerbee.com/api/auth/session").json()["sub"] == "u-1"
        assert http.post(url).status_code == 405
        assert http.get("https://acme.portal-api.ledgerbee.com/").status_code == 404


@pytest.mark.parametrize("cookie", ["portal_session=unknown", "other=x", "", "=;=", "portal\x7f session"])
def test_no_session_is_a_401(tenant: Tenant, server: LoopbackServer, browser: Browser, cookie: str) -> None:
    assert browser.session(server, cookie).status_code == 401


# Provision


def test_provision_makes_customer_organization_user_and_membership(portal: Any, tenant: Tenant) -> None:
    done = portal.provision(
        email=JANE, customer=CUSTOMER, user_name="Jane", organization_display_name="Acme", role=Role.ADMIN
    )
    [user] = tenant.portal.users
    assert (done.portal_user_id, user.name, user.sub) == (user.id, "Jane", None)
    assert [each.id for each in user.memberships] == [done.membership_id]
    assert dict(tenant.portal.organizations) == {done.customer_id: "Acme"}
    assert done.customer_created is True
    assert (done.handoff, done.checkout_bind) == (None, None)


def test_the_same_customer_number_is_the_same_customer(portal: Any, tenant: Tenant) -> None:
    first = portal.provision(email=JANE, customer=CUSTOMER)
    again = portal.provision(email=JANE, customer={**CUSTOMER, "countryCode": "SE"})
    other = portal.provision(email=JANE, customer={**CUSTOMER, "customerNumber": "C002"})
    assert (again.customer_id, again.customer_created) == (first.customer_id, False)
    assert (again.portal_user_id, again.membership_id) == (first.portal_user_id, first.membership_id)
    assert (other.customer_id != first.customer_id, other.customer_created) == (True, True)
    assert tenant.portal.customers[first.customer_id]["countryCode"] == "SE"


def test_the_customers_email_defaults_to_the_users(portal: Any, tenant: Tenant) -> None:
    first = portal.provision(email=JANE, customer=CUSTOMER)
    portal.provision(email="joe@example.com", customer=CUSTOMER)
    other = portal.provision(email=JANE, customer={**CUSTOMER, "customerNumber": "C002", "email": "pay@example.com"})
    assert tenant.portal.customers[first.customer_id]["email"] == JANE
    assert tenant.portal.customers[other.customer_id]["email"] == "pay@example.com"


def test_a_customer_by_id_must_exist(portal: Any, tenant: Tenant) -> None:
    customer_id = tenant.portal.add_customer("C001")
    done = portal.provision(email=JANE, customer_id=customer_id)
    assert (done.customer_id, done.customer_created) == (customer_id, False)
    error = refused(lambda: portal.provision(email="joe@example.com", customer_id="unknown"))
    assert (error.status, error.code, error.may_have_happened) == (404, "CUSTOMER_NOT_FOUND", False)
    assert "CUSTOMER_NOT_FOUND" in str(error)
    assert [user.email for user in tenant.portal.users] == [JANE]


def test_the_first_member_becomes_owner_regardless(portal: Any) -> None:
    first = portal.provision(email=JANE, customer=CUSTOMER, role=Role.BILLING_ADMIN)
    roles = {role: portal.provision(email=f"{role}@example.com", customer=CUSTOMER, role=role).role for role in Role}
    assert first.role is Role.OWNER
    assert roles == {role: role for role in Role}
    assert portal.provision(email="joe@example.com", customer=CUSTOMER).role is Role.USER


def test_names_count_at_first_creation_only(portal: Any, tenant: Tenant) -> None:
    first = portal.provision(email=JANE, customer=CUSTOMER, user_name="Jane", organization_display_name="Acme")
    portal.provision(email=JANE, customer=CUSTOMER, user_name="Joe", organization_display_name="Other")
    assert [user.name for user in tenant.portal.users] == ["Jane"]
    assert tenant.portal.organizations[first.customer_id] == "Acme"


def test_provision_can_mint_a_handoff(portal: Any, tenant: Tenant, server: LoopbackServer, browser: Browser) -> None:
    done = portal.provision(email=JANE, customer=CUSTOMER, mint_handoff=True, sub="u-1")
    assert done.checkout_bind is None
    browser.redeem(done.handoff.redeem_url(server.portal_api_host()))
    [user] = tenant.portal.users
    assert (user.id, user.sub) == (done.portal_user_id, "u-1")
    assert [each.id for each in user.memberships] == [done.membership_id]


def test_a_checkout_reference_binds_a_checkout_and_never_opens_a_session(
    portal: Any, tenant: Tenant, clock: Clock, server: LoopbackServer, browser: Browser
) -> None:
    def provision() -> Any:
        return portal.provision(
            email=JANE, customer=CUSTOMER, mint_checkout_bind_token=True, client_reference_id="order_1-A"
        )

    done = provision()
    assert done.handoff is None
    assert done.checkout_bind.expires_at.timestamp() == clock() + 60
    assert browser.get(done.checkout_bind.redeem_url(server.portal_api_host())).status_code == 400
    binding = tenant.portal.bind_checkout(done.checkout_bind.ref)
    assert (binding.customer_id, binding.partner_reference_id) == (done.customer_id, "order_1-A")
    late, handoff = provision(), mint(portal, done.customer_id)
    clock.advance(60)
    for ref in (done.checkout_bind.ref, late.checkout_bind.ref, handoff.ref, "unknown"):
        with pytest.raises(LookupError):
            tenant.portal.bind_checkout(ref)


@pytest.mark.parametrize("reference", ["", "A-Z_a-z0-9", "a" * 200])
def test_an_order_of_the_partners_is_taken(portal: Any, reference: str) -> None:
    portal.provision(email=JANE, customer=CUSTOMER, client_reference_id=reference)


@pytest.mark.parametrize(
    "changes",
    [
        {"email": ...},
        {"email": ""},
        {"customer": ...},
        {"customerId": "both"},
        {"customer": "C001"},
        {"customer": {**CUSTOMER, "customerNumber": ""}},
        {"customer": {**CUSTOMER, "customerNumber": 1}},
        {"customer": {"customerNumber": "C001", "countryCode": "DK"}},
        {"customer": {"customerNumber": "C001", "vatZone": "DOMESTIC"}},
        {"customer": {"vatZone": "DOMESTIC", "countryCode": "DK"}},
        {"role": "KING"},
        {"role": None},
        {"userName": 1},
        {"organizationDisplayName": []},
        {"mintHandoff": True},
        {"mintHandoff": "true", "sub": "u-1"},
        {"mintHandoff": True, "sub": ""},
        {"mintCheckoutBindToken": 1},
        {"clientReferenceId": "a" * 201},
        {"clientReferenceId": "order 1"},
        {"clientReferenceId": "ørder"},
        {"clientReferenceId": "order\n"},
    ],
)
def test_provision_refuses_what_the_page_forbids_and_makes_nothing(
    post: Post, tenant: Tenant, changes: dict[str, Any]
) -> None:
    body = {name: value for name, value in {**PROVISION, **changes}.items() if value is not ...}
    answer = post("provision", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert (tenant.portal.users, dict(tenant.portal.customers)) == ((), {})


def test_provision_answers_every_member(post: Post) -> None:
    answer = post("provision", PROVISION).json()
    assert list(answer) == [
        *("customerId", "customerCreated", "portalUserId", "membershipId", "role"),
        *("handoffRef", "handoffExpiresAt", "checkoutBindToken", "checkoutBindExpiresAt"),
    ]
    assert [answer[name] for name in list(answer)[5:]] == [None] * 4
    answer = post("provision", {**PROVISION, "mintHandoff": True, "sub": "u-1", "mintCheckoutBindToken": True}).json()
    assert all(isinstance(answer[name], str) for name in list(answer)[5:])


# Revoke


def test_revoke_ends_every_session_of_a_user_at_once(
    portal: Any, tenant: Tenant, server: LoopbackServer, browser: Browser
) -> None:
    first, second = tenant.portal.add_customer("C001"), tenant.portal.add_customer("C002")
    both = [Membership(first, Role.USER), Membership(second, Role.USER)]
    cookies = [
        browser.redeem(
            portal.mint_handoff(sub="u-1", email=JANE, memberships=both).redeem_url(server.portal_api_host())
        )
        for _ in range(2)
    ]
    other = browser.redeem(mint(portal, first, sub="u-2", email="joe@example.com").redeem_url(server.portal_api_host()))
    assert portal.revoke_sessions(sub="u-1") == 2  # memberships, not sessions
    assert [browser.session(server, cookie).status_code for cookie in cookies] == [401, 401]
    assert browser.session(server, other).status_code == 200
    assert portal.revoke_sessions(sub="u-1") == 0


def test_revoke_counts_nothing_for_who_has_no_session(portal: Any) -> None:
    portal.provision(email=JANE, customer=CUSTOMER)
    assert portal.revoke_sessions(sub="u-1") == 0
    assert portal.revoke_sessions(sub="nobody") == 0


def test_revoke_leaves_the_way_in_open(portal: Any, tenant: Tenant, server: LoopbackServer, browser: Browser) -> None:
    """Deprovisioning at the OpenID Provider is what prevents a new login: it must come first."""
    customer_id = tenant.portal.add_customer("C001")
    browser.redeem(mint(portal, customer_id).redeem_url(server.portal_api_host()))
    portal.revoke_sessions(sub="u-1")
    cookie = tenant.portal.log_in(sub="u-1", email=JANE)
    assert browser.session(server, f"portal_session={cookie}").status_code == 200
    with pytest.raises(LookupError):
        tenant.portal.log_in(sub="u-9", email="stranger@example.com")


@pytest.mark.parametrize("body", [{}, {"sub": ""}, {"sub": 1}, {"sub": None}])
def test_revoke_needs_a_sub(post: Post, body: dict[str, Any]) -> None:
    assert post("sessions/revoke", body).status_code == 400


# HTTP


@pytest.mark.parametrize(
    "settings",
    [
        {"content": b"not JSON", "content_type": "application/json"},
        {"content": b"[]", "content_type": "application/json"},
        {"content": b"", "content_type": "application/json"},
        {"content": b'{"sub": "u-1"}', "content_type": "text/plain"},
        {"content": b"sub=u-1", "content_type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_body_that_is_no_json_is_a_400(post: Post, tenant: Tenant, settings: dict[str, Any]) -> None:
    headers = {"x-api-key": tenant.api_key(), "Content-Type": settings.pop("content_type")}
    assert post("sessions/revoke", headers=headers, **settings).status_code == 400


def test_a_charset_and_unknown_members_are_taken(post: Post, tenant: Tenant) -> None:
    headers = {"x-api-key": tenant.api_key(), "Content-Type": "Application/JSON; charset=utf-8"}
    answer = post("sessions/revoke", headers=headers, content=b'{"sub": "u-1", "more": true}')
    assert (answer.status_code, answer.json()) == (200, {"revoked": 0})


def test_another_method_and_another_path_are_refused(server: LoopbackServer, tenant: Tenant) -> None:
    with httpx.Client(trust_env=False) as http:
        assert http.get(f"{server.base_url}/v1/portal-sso/provision").status_code == 405
        assert http.post(f"{server.base_url}/v1/portal-sso/other").status_code == 404


def test_only_scopes_of_the_page_are_given(tenant: Tenant) -> None:
    for scopes in (["portal-admin"], "portal-provision"):
        with pytest.raises(ValueError, match="scopes must be of"):
            tenant.api_key(scopes=scopes)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="scopes must be of"):
            tenant.access_token(scopes=scopes)  # type: ignore[arg-type]


# Many at once


def test_many_provisions_at_once_make_one_customer(edge: Edge, portal: Any, tenant: Tenant) -> None:
    def provision(number: int) -> Any:
        return portal.provision(email=f"user-{number}@example.com", customer=CUSTOMER)

    done = edge.together([partial(provision, number) for number in range(16)])
    assert len({each.customer_id for each in done}) == 1
    assert [each.customer_created for each in done].count(True) == 1
    assert [each.role for each in done].count(Role.OWNER) == 1
    assert len(tenant.portal.users) == 16


def test_a_reference_that_many_present_at_once_lets_one_in(portal: Any, tenant: Tenant, server: LoopbackServer) -> None:
    url = mint(portal, tenant.portal.add_customer("C001")).redeem_url(server.portal_api_host())

    def redeem() -> int:
        browser = Browser()
        try:
            return browser.get(url).status_code
        finally:
            browser.close()

    statuses = SyncEdge().together([redeem] * 16)
    assert sorted(statuses) == [302] + [400] * 15
