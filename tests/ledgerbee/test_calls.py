"""What is sent, what is refused before it is sent, and what an answer must be."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest

from edges import Edge
from private_key_jwt.ledgerbee import Handoff, Membership, Provisioned, Role
from private_key_jwt.ledgerbee._calls import Call, mint_handoff, provision, revoke_sessions

CUSTOMER = {"customerNumber": "C001", "vatZone": "DOMESTIC", "countryCode": "DK"}
MEMBERSHIP = Membership("c-1", Role.OWNER)
OPTIONS: dict[str, Any] = {
    "customer_id": None,
    "customer": None,
    "role": Role.USER,
    "user_name": None,
    "organization_display_name": None,
    "mint_handoff": False,
    "sub": None,
    "mint_checkout_bind_token": False,
    "client_reference_id": None,
}


def provisioning(**changes: Any) -> Call[Provisioned]:
    return provision(**{**OPTIONS, "email": "jane@example.com", "customer_id": "c-1", **changes})


def minting(**changes: Any) -> Call[Handoff]:
    return mint_handoff(
        **{"sub": "u-1", "email": "jane@example.com", "memberships": [MEMBERSHIP], "name": None, **changes}
    )


# What is sent


def test_options_that_are_not_given_are_left_out() -> None:
    assert json.loads(minting().body) == {
        "email": "jane@example.com",
        "sub": "u-1",
        "memberships": [{"customerId": "c-1", "role": "OWNER"}],
    }
    assert json.loads(provisioning().body) == {"email": "jane@example.com", "customerId": "c-1", "role": "USER"}
    assert json.loads(revoke_sessions(sub="u-1").body) == {"sub": "u-1"}


@pytest.mark.parametrize("reference", ["", "A-Z_a-z0-9", "a" * 200])
def test_an_order_that_the_page_allows_is_sent(reference: str) -> None:
    assert json.loads(provisioning(client_reference_id=reference).body)["clientReferenceId"] == reference


def test_options_that_are_given_are_sent() -> None:
    customer = MappingProxyType({**CUSTOMER, "city": "Århus", "nothing": None})
    call = provisioning(
        customer_id=None,
        customer=customer,
        role=Role.BILLING_ADMIN,
        user_name="Jane",
        organization_display_name="Acme",
        mint_handoff=True,
        sub="u-1",
        mint_checkout_bind_token=True,
        client_reference_id="order-1",
    )
    assert json.loads(call.body) == {
        "email": "jane@example.com",
        "customer": dict(customer),
        "role": "BILLING_ADMIN",
        "userName": "Jane",
        "organizationDisplayName": "Acme",
        "mintHandoff": True,
        "sub": "u-1",
        "mintCheckoutBindToken": True,
        "clientReferenceId": "order-1",
    }
    assert json.loads(minting(name="Jane").body)["name"] == "Jane"


def test_each_call_has_its_path() -> None:
    assert [call.path for call in (minting(), provisioning(), revoke_sessions(sub="u-1"))] == [
        "/v1/portal-sso/handoff/mint",
        "/v1/portal-sso/provision",
        "/v1/portal-sso/sessions/revoke",
    ]


# What is refused before it is sent

NO_MEMBERSHIPS: list[Any] = [[], (), iter([]), ["c-1"], [("c-1", "OWNER")], [{"customerId": "c-1"}]]
REFUSED_MINT: list[tuple[str, Any]] = [
    *(("memberships", value) for value in NO_MEMBERSHIPS),
    *(("sub", value) for value in ("", None, 1, b"u-1")),
    *(("email", value) for value in ("", None, 1)),
    *(("name", value) for value in ("", 1)),
]
REFUSED_PROVISION: list[tuple[str, dict[str, Any]]] = [
    ("customer_id and customer", {"customer": CUSTOMER}),
    ("customer_id and customer", {"customer_id": None}),
    ("customer_id", {"customer_id": ""}),
    ("customer", {"customer_id": None, "customer": [("customerNumber", "C001")]}),
    ("vatZone and countryCode", {"customer_id": None, "customer": {"customerNumber": "C001"}}),
    ("customerNumber", {"customer_id": None, "customer": {**CUSTOMER, "customerNumber": ""}}),
    ("countryCode", {"customer_id": None, "customer": {**CUSTOMER, "countryCode": None}}),
    ("customer", {"customer_id": None, "customer": {**CUSTOMER, "since": datetime.now(UTC)}}),
    ("customer", {"customer_id": None, "customer": {**CUSTOMER, "limit": float("nan")}}),
    ("sub must be given with mint_handoff", {"mint_handoff": True}),
    ("sub", {"mint_handoff": True, "sub": ""}),
    ("email", {"email": ""}),
    ("role", {"role": "KING"}),
    ("role", {"role": "owner"}),
    ("role", {"role": None}),
    ("user_name", {"user_name": ""}),
    ("organization_display_name", {"organization_display_name": 1}),
    ("mint_handoff", {"mint_handoff": 1, "sub": "u-1"}),
    ("mint_checkout_bind_token", {"mint_checkout_bind_token": "yes"}),
    *(
        ("client_reference_id", {"client_reference_id": value})
        for value in ("a" * 201, "order 1", "order.1", "ørder", "order\n", 1)
    ),
]


@pytest.mark.parametrize(("name", "value"), REFUSED_MINT)
def test_a_mint_that_the_page_forbids_names_the_argument(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must"):
        minting(**{name: value})


@pytest.mark.parametrize(("named", "changes"), REFUSED_PROVISION)
def test_a_provision_that_the_page_forbids_names_the_argument(named: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=named):
        provisioning(**changes)


@pytest.mark.parametrize("sub", ["", None, 1])
def test_a_revoke_without_a_sub_is_refused(sub: Any) -> None:
    with pytest.raises(ValueError, match="^sub must"):
        revoke_sessions(sub=sub)


@pytest.mark.parametrize(
    ("name", "arguments"), [("customer_id", ("", Role.USER)), ("role", ("c-1", "KING")), ("role", ("c-1", None))]
)
def test_a_membership_that_the_page_forbids_names_the_argument(name: str, arguments: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must"):
        Membership(*arguments)


def test_the_name_of_a_role_is_a_role() -> None:
    assert Membership("c-1", "ADMIN").role is Role.ADMIN  # type: ignore[arg-type]


def test_nothing_is_sent_for_what_is_refused(edge: Edge) -> None:
    portal = edge.portal(api_key="lb_key", base_url="http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(ValueError, match="memberships must"):
        portal.mint_handoff(sub="u-1", email="jane@example.com", memberships=[])
    with pytest.raises(ValueError, match="customer_id and customer must"):
        portal.provision(email="jane@example.com")
    with pytest.raises(ValueError, match="sub must"):
        portal.revoke_sessions(sub="")


def test_a_customer_without_an_end_is_refused() -> None:
    customer: dict[str, Any] = dict(CUSTOMER)
    customer["self"] = customer
    with pytest.raises(ValueError, match="customer must hold what JSON can"):
        provisioning(customer_id=None, customer=customer)


# What is answered

PROVISIONED: dict[str, Any] = {
    "customerId": "c-1",
    "customerCreated": True,
    "portalUserId": "p-1",
    "membershipId": "m-1",
    "role": "OWNER",
    "handoffRef": None,
    "handoffExpiresAt": None,
    "checkoutBindToken": None,
    "checkoutBindExpiresAt": None,
}
TIME = "2026-11-29T20:00:00.000Z"


def test_an_answer_is_read() -> None:
    assert minting().read({"ref": "r", "expiresAt": TIME}) == Handoff("r", datetime(2026, 11, 29, 20, tzinfo=UTC))
    assert revoke_sessions(sub="u-1").read({"revoked": 2, "more": 1}) == 2
    done = provisioning().read(PROVISIONED)
    assert done == Provisioned("c-1", True, "p-1", "m-1", Role.OWNER, None, None)
    assert done.role is Role.OWNER


def test_references_are_read_where_they_are() -> None:
    call = provisioning(mint_handoff=True, sub="u-1", mint_checkout_bind_token=True)
    answer = {**PROVISIONED, "handoffRef": "h", "handoffExpiresAt": TIME}
    answer |= {"checkoutBindToken": "c", "checkoutBindExpiresAt": TIME}
    expires_at = datetime(2026, 11, 29, 20, tzinfo=UTC)
    assert (call.read(answer).handoff, call.read(answer).checkout_bind) == (
        Handoff("h", expires_at),
        Handoff("c", expires_at),
    )
    absent = {name: value for name, value in PROVISIONED.items() if value is not None}
    assert provisioning().read(absent).handoff is None


@pytest.mark.parametrize(
    ("text", "offset"),
    [(TIME, 0), ("2026-11-29T20:00:00", 0), ("2026-11-29T21:00:00+01:00", 1), ("20261129T200000Z", 0)],
)
def test_a_time_is_an_aware_datetime(text: str, offset: int) -> None:
    expires_at = minting().read({"ref": "r", "expiresAt": text}).expires_at
    assert expires_at == datetime(2026, 11, 29, 20, tzinfo=UTC)
    assert expires_at.utcoffset() == timedelta(hours=offset)


MALFORMED: list[tuple[Call[Any], dict[str, Any], str]] = [
    *((minting(), {"ref": value, "expiresAt": TIME}, "ref") for value in ("", None, 1, ["r"])),
    (minting(), {"expiresAt": TIME}, "ref is missing"),
    (minting(), {"ref": "r"}, "expiresAt"),
    *((minting(), {"ref": "r", "expiresAt": value}, "expiresAt") for value in ("soon", 1_700_000_000, None, "")),
    *(
        (provisioning(), {**PROVISIONED, name: value}, name)
        for name in ("customerId", "portalUserId", "membershipId", "role")
        for value in (None, "", 1)
    ),
    (provisioning(), {**PROVISIONED, "customerCreated": "true"}, "customerCreated"),
    (provisioning(), {**PROVISIONED, "customerCreated": 1}, "customerCreated"),
    (provisioning(), {**PROVISIONED, "role": "KING"}, "role"),
    *(
        (provisioning(), {key: value for key, value in PROVISIONED.items() if key != name}, f"{name} is missing")
        for name in ("customerId", "customerCreated", "portalUserId", "membershipId", "role")
    ),
    (provisioning(), {**PROVISIONED, "handoffRef": "h"}, "handoffExpiresAt"),
    (provisioning(mint_handoff=True, sub="u-1"), PROVISIONED, "handoffRef"),
    (provisioning(mint_checkout_bind_token=True), PROVISIONED, "checkoutBindToken"),
    *((revoke_sessions(sub="u-1"), {"revoked": value}, "revoked") for value in (None, "1", True, -1, 1.5, [1])),
    (revoke_sessions(sub="u-1"), {}, "revoked is missing"),
]


@pytest.mark.parametrize(("call", "answer", "named"), MALFORMED)
def test_an_answer_of_another_form_names_the_member(call: Call[Any], answer: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        call.read(answer)


# Redeem


@pytest.mark.parametrize(
    ("host", "start"),
    [
        ("acme.portal-api.ledgerbee.com", "https://acme.portal-api.ledgerbee.com/"),
        ("Acme.Portal-API.LedgerBee.com", "https://acme.portal-api.ledgerbee.com/"),
        ("acme-2.portal-api.localhost:8085", "http://acme-2.portal-api.localhost:8085/"),
        ("acme.portal-api.localhost", "http://acme.portal-api.localhost/"),
    ],
)
def test_the_url_to_redeem_at(host: str, start: str) -> None:
    handoff = Handoff("a+b/c=&d#e f", datetime.now(UTC))
    assert handoff.redeem_url(host) == f"{start}api/auth/sso/handoff/redeem?ref=a%2Bb%2Fc%3D%26d%23e%20f"


@pytest.mark.parametrize(
    "host",
    [
        "acme.portal.ledgerbee.com",
        "portal-api.ledgerbee.com",
        ".portal-api.ledgerbee.com",
        "api.ledgerbee.com",
        "https://acme.portal-api.ledgerbee.com",
        "acme.portal-api.ledgerbee.com/",
        "acme.portal-api.ledgerbee.com:8443",
        "acme.portal-api.ledgerbee.com.evil.example",
        "acme.portal-api.ledgerbee.com.",
        "evil.example/acme.portal-api.ledgerbee.com",
        "evil.example\\.portal-api.ledgerbee.com",
        "user@acme.portal-api.ledgerbee.com",
        "a.b.portal-api.ledgerbee.com",
        "-.portal-api.ledgerbee.com",
        "acme.portal-api.ledgerbee.com\n",
        "acme.portal-apixledgerbee.com",
        "acme.portal-api.localhost:x",
        "",
        None,
    ],
)
def test_a_host_that_would_ignore_a_reference_is_refused(host: Any) -> None:
    with pytest.raises(ValueError, match="portal-API host"):
        Handoff("r", datetime.now(UTC)).redeem_url(host)


def test_no_repr_holds_a_reference_or_a_body() -> None:
    handoff = Handoff("s3cret", datetime.now(UTC))
    done = Provisioned("c-1", True, "p-1", "m-1", Role.USER, handoff, handoff)
    for value in (handoff, done, minting(sub="s3cret"), [handoff]):
        assert "s3cret" not in f"{value!r} {value}"
