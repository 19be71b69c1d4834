"""The three calls of the back channel: what is sent, and what a response must be. Sans I/O.

What LedgerBee's page forbids is a ValueError here, before anything is sent. A response of another form is a
ValueError that says which member is wrong, and never what it holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeVar

from .._text import quote
from . import _paths
from ._values import Handoff, Membership, Provisioned, Role, check_client_reference, check_role, check_text

Result = TypeVar("Result")

CUSTOMER_MEMBERS = ("customerNumber", "vatZone", "countryCode")


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """One call: POST ``body`` to ``path`` below the API's root, and ``read`` the members of a 2xx response.

    retries: how often it may be sent again; None for as often as it fits into the timeout.
    """

    path: str
    body: bytes = field(repr=False)
    read: Callable[[Mapping[str, Any]], Result] = field(repr=False)
    retries: int | None = None


def mint_handoff(*, sub: str, email: str, memberships: Iterable[Membership], name: str | None) -> Call[Handoff]:
    """Mint a handoff reference.

    It is sent again once only: a browser waits for the response. A reference that nobody saw expires by itself.
    """
    asserted = list(memberships)
    if not asserted:
        raise ValueError("memberships must hold at least one Membership")
    for each in asserted:
        if not isinstance(each, Membership):
            raise ValueError(f"memberships must hold Membership objects, not {type(each).__name__}")
    body = {
        "email": check_text("email", email),
        "sub": check_text("sub", sub),
        "memberships": [{"customerId": each.customer_id, "role": each.role} for each in asserted],
        "name": _optional_text("name", name),
    }
    return Call(_paths.MINT, _encode(body), lambda members: _handoff(members, "ref", "expiresAt"), 1)


def provision(
    *,
    email: str,
    customer_id: str | None,
    customer: Mapping[str, Any] | None,
    role: Role,
    user_name: str | None,
    organization_display_name: str | None,
    mint_handoff: bool,
    sub: str | None,
    mint_checkout_bind_token: bool,
    client_reference_id: str | None,
) -> Call[Provisioned]:
    """Make sure that customer, organization and membership exist. It is an upsert, and may be sent again."""
    if (customer_id is None) == (customer is None):
        raise ValueError("exactly one of customer_id and customer must be given")
    if mint_handoff and sub is None:
        raise ValueError("sub must be given with mint_handoff: it is whom the reference lets in")
    if client_reference_id is not None:
        check_client_reference("client_reference_id", client_reference_id)
    body = {
        "email": check_text("email", email),
        "customerId": _optional_text("customer_id", customer_id),
        "customer": None if customer is None else _customer(customer),
        "role": check_role("role", role),
        "userName": _optional_text("user_name", user_name),
        "organizationDisplayName": _optional_text("organization_display_name", organization_display_name),
        "mintHandoff": _flag("mint_handoff", mint_handoff),
        "sub": _optional_text("sub", sub),
        "mintCheckoutBindToken": _flag("mint_checkout_bind_token", mint_checkout_bind_token),
        "clientReferenceId": client_reference_id,
    }

    def read(members: Mapping[str, Any]) -> Provisioned:
        return _provisioned(members, mint_handoff=mint_handoff, mint_checkout=mint_checkout_bind_token)

    return Call(_paths.PROVISION, _encode(body), read)


def revoke_sessions(*, sub: str) -> Call[int]:
    """End every portal session of a user. It may be sent again."""
    return Call(_paths.REVOKE, _encode({"sub": check_text("sub", sub)}), _revoked)


# What is sent


def _optional_text(name: str, value: object) -> str | None:
    return None if value is None else check_text(name, value)


def _flag(name: str, value: object) -> Literal[True] | None:
    """Return True, or None for a member that is left out."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, not {quote(value)}")
    return True if value else None


def _customer(customer: object) -> dict[str, Any]:
    if not isinstance(customer, Mapping):
        raise ValueError(f"customer must be a mapping, not {type(customer).__name__}")
    members = dict(customer)
    missing = [name for name in CUSTOMER_MEMBERS if members.get(name) in (None, "")]
    if missing:
        raise ValueError(f"customer must have {' and '.join(missing)}")
    try:
        json.dumps(members, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"customer must hold what JSON can: {type(error).__name__}") from None
    return members


def _encode(body: Mapping[str, Any]) -> bytes:
    """Encode the members that are given as JSON, and leave out an option that is None."""
    return json.dumps({name: value for name, value in body.items() if value is not None}).encode("ascii")


# What comes back


def _member(members: Mapping[str, Any], name: str, kind: type[Result]) -> Result:
    if name not in members:
        raise ValueError(f"{name} is missing")
    value = members[name]
    if not isinstance(value, kind) or value == "":
        raise ValueError(f"{name} must be a {kind.__name__}, not {type(value).__name__}")
    return value


def _handoff(members: Mapping[str, Any], ref_name: str, time_name: str) -> Handoff:
    ref = _member(members, ref_name, str)
    try:
        expires_at = datetime.fromisoformat(_member(members, time_name, str))
    except ValueError:
        raise ValueError(f"{time_name} must be a string that is a time in ISO 8601") from None
    # The page names no zone: a time without one is read as UTC.
    return Handoff(ref, expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC))


def _optional_handoff(members: Mapping[str, Any], ref_name: str, time_name: str, *, asked: bool) -> Handoff | None:
    if not asked and members.get(ref_name) is None:
        return None
    return _handoff(members, ref_name, time_name)


def _provisioned(members: Mapping[str, Any], *, mint_handoff: bool, mint_checkout: bool) -> Provisioned:
    role = _member(members, "role", str)
    if role not in tuple(Role):
        raise ValueError(f"role must be of {', '.join(Role)}")
    return Provisioned(
        customer_id=_member(members, "customerId", str),
        customer_created=_member(members, "customerCreated", bool),
        portal_user_id=_member(members, "portalUserId", str),
        membership_id=_member(members, "membershipId", str),
        role=Role(role),
        handoff=_optional_handoff(members, "handoffRef", "handoffExpiresAt", asked=mint_handoff),
        checkout_bind=_optional_handoff(members, "checkoutBindToken", "checkoutBindExpiresAt", asked=mint_checkout),
    )


def _revoked(members: Mapping[str, Any]) -> int:
    number = _member(members, "revoked", object)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError("revoked must be a whole number from 0")
    return number
