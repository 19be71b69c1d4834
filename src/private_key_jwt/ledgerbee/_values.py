"""Hold what goes into a call and what comes out, as frozen values, and check it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from urllib.parse import quote as percent_encode

from .._text import quote
from . import _paths

__all__ = ["Handoff", "Membership", "Provisioned", "Role"]

_CLIENT_REFERENCE = re.compile(r"[A-Za-z0-9_-]{0,200}")
# Plain http is for the look-alike: a browser takes every name below localhost for this machine (RFC 6761 §6.3).
_PORTAL_API_HOST = re.compile(
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.portal-api\.(?:ledgerbee\.com|(?P<loopback>localhost(?::[0-9]{1,5})?))"
)


class Role(StrEnum):
    """List the roles of a member in a customer's portal organization.

        jane = Membership(customer_id, Role.BILLING_ADMIN)
        done = portal.provision(email="jane@example.com", customer=customer, role=Role.ADMIN)

    The first member of an organization is OWNER, whatever was asked for.
    """

    OWNER = "OWNER"
    ADMIN = "ADMIN"
    BILLING_ADMIN = "BILLING_ADMIN"
    USER = "USER"


def check_text(name: str, value: object) -> str:
    """Return a string that is not empty. Raises ValueError, which names the argument."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a non-empty string, not {quote(value)}")
    return value


def check_client_reference(name: str, value: object) -> str:
    """Return a partner's own order. Raises ValueError, which names the argument."""
    if not isinstance(value, str) or not _CLIENT_REFERENCE.fullmatch(value):
        raise ValueError(f"{name} must be at most 200 of A-Z a-z 0-9 _ and -, not {quote(value)}")
    return value


def check_role(name: str, value: object) -> Role:
    """Return the role that a value is, or names. Raises ValueError, which names the argument."""
    if not isinstance(value, str) or value not in tuple(Role):
        raise ValueError(f"{name} must be of {', '.join(Role)}, not {quote(value)}")
    return Role(value)


def check_host(host: object) -> str:
    """Return the origin of a portal-API host. Raises ValueError for a host that would ignore a reference."""
    found = _PORTAL_API_HOST.fullmatch(host.lower()) if isinstance(host, str) else None
    if found is None:
        raise ValueError(
            "host must be your tenant's portal-API host, such as acme.portal-api.ledgerbee.com (the portal's own "
            f"host ignores a reference), not {quote(host)}"
        )
    return f"{'http' if found['loopback'] else 'https'}://{found[0]}"


@dataclass(frozen=True, slots=True)
class Membership:
    """Name a customer of LedgerBee's that a user may act for, and the user's role there.

        jane = Membership(done.customer_id, Role.USER)
        handoff = portal.mint_handoff(sub="u-1", email="jane@example.com", memberships=[jane])

    customer_id: LedgerBee's id of the customer (``Provisioned.customer_id``), one of your tenant's.
    role: the first member of an organization becomes OWNER regardless.

    Raises ValueError, which names the argument.
    """

    customer_id: str
    role: Role

    def __post_init__(self) -> None:
        check_text("customer_id", self.customer_id)
        object.__setattr__(self, "role", check_role("role", self.role))


@dataclass(frozen=True, slots=True)
class Handoff:
    """Hold a single-use reference, usable until ``expires_at``: 60 seconds after it was minted.

        handoff = portal.mint_handoff(sub="u-1", email="jane@example.com", memberships=[jane])
        redirect(handoff.redeem_url("acme.portal-api.ledgerbee.com"))

    ref: it opens a portal session for whoever presents it first: keep it out of logs. It is not in the repr.
    expires_at: an aware datetime.
    """

    ref: str = field(repr=False)
    expires_at: datetime

    def redeem_url(self, host: str) -> str:
        """Return the URL to send the user's browser to. It opens the portal session, once.

        host: the portal-API host of your tenant, ``{label}.portal-api.ledgerbee.com``; for the look-alike
            ``{label}.portal-api.localhost:{port}``.

        Raises ValueError for any other host. The portal's own (``.portal.ledgerbee.com``) would ignore the
        reference without an error, and the user would meet a login page.
        """
        return f"{check_host(host)}{_paths.REDEEM}?ref={percent_encode(self.ref, safe='')}"


@dataclass(frozen=True, slots=True)
class Provisioned:
    """Hold the result of a provision call: what LedgerBee made or found.

        done = portal.provision(email="jane@example.com", customer=customer)
        jane = Membership(done.customer_id, done.role)

    customer_id: the customer's id, for ``Membership``.
    customer_created: whether this request made the customer. It proves nothing after a retry: the first
        attempt may have made it, and the second then found it.
    portal_user_id, membership_id: LedgerBee's ids of the user and of the user's membership.
    role: the membership's. The first member of an organization is OWNER, whatever was asked for.
    handoff: the reference that ``mint_handoff=True`` asks for; None otherwise.
    checkout_bind: the reference that ``mint_checkout_bind_token=True`` asks for; None otherwise. It binds an
        embedded checkout to the customer and can never open a session: give ``checkout_bind.ref`` to the checkout.
    """

    customer_id: str
    customer_created: bool
    portal_user_id: str
    membership_id: str
    role: Role
    handoff: Handoff | None
    checkout_bind: Handoff | None
