"""A tenant's portal: customers, users and memberships, the references that let a browser in, and the sessions.

LedgerBee's published page fixes most of it. Where the page is silent a docstring says *assumed*.
"""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TypeVar

from ..ledgerbee import Membership, Role
from ..ledgerbee._calls import CUSTOMER_MEMBERS

REFERENCE_LIFETIME = 60  # seconds


Meaning = TypeVar("Meaning", "_Handoff", "CheckoutBinding")


class Refused(Exception):
    """A request that the portal refuses: the HTTP status, a code for programs, and a text for people."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(status, code, text)
        self.status = status
        self.code = code
        self.text = text


def invalid(text: str) -> Refused:
    """Return the refusal of a request that breaks a rule of the page (400)."""
    return Refused(400, "INVALID_REQUEST", text)


@dataclass(frozen=True, slots=True)
class PortalMembership:
    """A user's place in the portal organization of one customer.

        [user] = tenant.portal.users
        [member] = user.memberships
        tenant.portal.customers[member.customer_id]

    id: of the membership.
    role: what the user may do there.
    """

    id: str
    customer_id: str
    role: Role


@dataclass(frozen=True, slots=True)
class PortalUser:
    """A portal user as it stands now.

        [user] = tenant.portal.users
        cookie = tenant.portal.log_in(sub="u-1", email=user.email)

    A value: ask ``users`` again for what became of it. ``sub`` is None until a first login has linked it.
    """

    id: str
    email: str
    name: str | None
    sub: str | None
    memberships: tuple[PortalMembership, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A single-use reference as it is returned; the time in seconds since the epoch."""

    ref: str = field(repr=False)
    expires_at: float

    @property
    def expires_at_text(self) -> str:
        """The time in ISO 8601, UTC, with milliseconds."""
        return datetime.fromtimestamp(self.expires_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class CheckoutBinding:
    """Hold the customer and the order that a checkout reference names.

        done = portal.provision(email="jane@example.com", customer=customer, mint_checkout_bind_token=True)
        binding = tenant.portal.bind_checkout(done.checkout_bind.ref)
        binding.customer_id == done.customer_id  # True

    partner_reference_id: the ``client_reference_id`` of the call; None without one.
    """

    customer_id: str
    partner_reference_id: str | None


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Hold what a provision call made or found."""

    customer_id: str
    customer_created: bool
    user_id: str
    membership: PortalMembership


@dataclass(slots=True)
class _User:
    id: str
    email: str
    name: str | None
    sub: str | None = None
    memberships: dict[str, PortalMembership] = field(default_factory=dict)  # by customer

    def freeze(self) -> PortalUser:
        return PortalUser(self.id, self.email, self.name, self.sub, tuple(self.memberships.values()))


@dataclass(frozen=True, slots=True)
class _Handoff:
    email: str
    sub: str
    name: str | None
    memberships: tuple[Membership, ...]


@dataclass(slots=True)
class _Customer:
    fields: Mapping[str, Any]
    organization: str | None = None  # its display name, once there is one
    has_member: bool = False


class Portal:
    """The portal of one tenant.

        customer_id = tenant.portal.add_customer("C001")
        cookie = tenant.portal.redeem(handoff.ref)    # as a browser does
        user = tenant.portal.session(cookie)          # of whom the session is, until it is revoked

    It is ``tenant.portal``. Its methods may be called from several threads.

    clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._customers: dict[str, _Customer] = {}
        self._users: list[_User] = []
        self._references: dict[str, tuple[float, _Handoff | CheckoutBinding]] = {}
        self._sessions: dict[str, _User] = {}

    # What a test may look at

    @property
    def customers(self) -> Mapping[str, Mapping[str, Any]]:
        """The fields of each customer, by its id."""
        return MappingProxyType({each: customer.fields for each, customer in self._customers.items()})

    @property
    def organizations(self) -> Mapping[str, str]:
        """The display name of each portal organization, by the id of its customer."""
        return MappingProxyType({each: it.organization for each, it in self._customers.items() if it.organization})

    @property
    def users(self) -> tuple[PortalUser, ...]:
        """The users, the oldest first."""
        return tuple(user.freeze() for user in self._users)

    def session(self, cookie: str) -> PortalUser | None:
        """Return the user of a session cookie's value; None when the session has ended, and for any other value."""
        with self._lock:
            user = self._sessions.get(cookie)
            return None if user is None else user.freeze()

    # What happens beside the back channel

    def add_customer(self, customer_number: str, **fields: Any) -> str:
        """Make sure that the customer of this number exists, as POST /customers does, and return its id.

        fields: what else is known of it, such as ``vatZone`` and ``countryCode``.
        """
        with self._lock:
            return self._upsert(
                {"vatZone": "DOMESTIC", "countryCode": "DK", **fields, "customerNumber": customer_number}, ""
            )

    def log_in(self, *, sub: str, email: str) -> str:
        """Open a session after a login over the OpenID Provider, and return the value of its cookie.

        *Assumed*: as at redeem the ``sub`` finds the user, or at a first login the ``email``; whoever has
        no membership does not get in. Raises LookupError.
        """
        with self._lock:
            user = self._find(sub, email)
            if user is None or not user.memberships:
                raise LookupError(f"the portal has no user {email!r} with a membership")
            return self._open_session(user, sub)

    def bind_checkout(self, ref: str) -> CheckoutBinding:
        """Redeem a checkout reference as an embedded checkout does.

        Raises LookupError for one that is used, late, or no checkout reference.
        """
        with self._lock:
            found = self._take(ref, CheckoutBinding)
            if found is None:
                raise LookupError("the reference is used, late, or no checkout reference")
            return found

    def redeem(self, ref: str) -> str:
        """Open a session for a handoff reference, and return the value of its cookie. Raises Refused (400).

        User, organization and membership are made here where there are none. *Assumed*: a membership that
        is there keeps its role, and an ``email`` finds only a user whom no ``sub`` has been linked to.
        """
        with self._lock:
            handoff = self._take(ref, _Handoff)
            if handoff is None:
                raise Refused(400, "INVALID_REFERENCE", "the reference is used, late, or no handoff reference")
            user = self._find(handoff.sub, handoff.email) or self._add_user(handoff.email, handoff.name)
            for membership in handoff.memberships:
                self._join(user, membership.customer_id, membership.role, None)
            return self._open_session(user, handoff.sub)

    # The back channel

    def mint_handoff(self, *, email: str, sub: str, memberships: Iterable[Membership], name: str | None) -> Reference:
        """Mint a handoff reference. It makes nothing else. Raises Refused."""
        with self._lock:
            memberships = tuple(memberships)
            if not memberships:
                raise invalid("memberships must hold at least one")
            if any(each.customer_id not in self._customers for each in memberships):
                raise invalid("memberships: a customerId is not one of this tenant's customers")
            return self._mint(_Handoff(email, sub, name, memberships))

    def mint_checkout(self, customer_id: str, client_reference_id: str | None) -> Reference:
        """Mint a reference that binds a checkout to a customer. It never opens a session."""
        with self._lock:
            return self._mint(CheckoutBinding(customer_id, client_reference_id))

    def provision(
        self,
        *,
        email: str,
        customer: str | Mapping[str, Any],
        role: Role,
        user_name: str | None,
        organization_display_name: str | None,
    ) -> Provisioning:
        """Make sure that a customer exists, with an organization, and in it a membership. Raises Refused.

        customer: an id, or the fields to upsert by ``customerNumber``; ``email`` defaults to the user's.
        role: the first member of an organization becomes OWNER regardless. *Assumed*: a membership that is
            there keeps its role.
        """
        with self._lock:
            known = set(self._customers)
            customer_id = customer if isinstance(customer, str) else self._upsert(customer, email)
            if customer_id not in self._customers:
                raise Refused(404, "CUSTOMER_NOT_FOUND", "there is no customer of this id")
            user = next((user for user in self._users if user.email == email), None)
            user = user or self._add_user(email, user_name)
            membership = self._join(user, customer_id, role, organization_display_name)
            return Provisioning(customer_id, customer_id not in known, user.id, membership)

    def revoke_sessions(self, sub: str) -> int:
        """End every session of a user, and return how many memberships had one; 0 without a session.

        *Assumed*: a session is one for all memberships of its user; a ``sub`` that nobody has is no error.
        """
        with self._lock:
            ended = {cookie: user for cookie, user in self._sessions.items() if user.sub == sub}
            for cookie in ended:
                del self._sessions[cookie]
            return sum(len(user.memberships) for user in {user.id: user for user in ended.values()}.values())

    # The rules underneath

    def _find(self, sub: str, email: str) -> _User | None:
        by_sub = (user for user in self._users if user.sub == sub)
        by_email = (user for user in self._users if user.sub is None and user.email == email)
        return next(by_sub, None) or next(by_email, None)

    def _add_user(self, email: str, name: str | None) -> _User:
        user = _User(str(uuid.uuid4()), email, name)
        self._users.append(user)
        return user

    def _upsert(self, fields: Mapping[str, Any], email: str) -> str:
        number = fields["customerNumber"]
        same = (each for each, customer in self._customers.items() if customer.fields["customerNumber"] == number)
        customer_id = next(same, None) or str(uuid.uuid4())
        customer = self._customers.setdefault(customer_id, _Customer({}))
        customer.fields = MappingProxyType({"email": email, **customer.fields, **fields})
        return customer_id

    def _join(self, user: _User, customer_id: str, role: Role, display_name: str | None) -> PortalMembership:
        if customer_id not in user.memberships:
            customer = self._customers[customer_id]
            customer.organization = customer.organization or display_name or str(customer.fields["customerNumber"])
            given = role if customer.has_member else Role.OWNER
            customer.has_member = True
            user.memberships[customer_id] = PortalMembership(str(uuid.uuid4()), customer_id, given)
        return user.memberships[customer_id]

    def _open_session(self, user: _User, sub: str) -> str:
        user.sub = sub
        cookie = secrets.token_urlsafe(24)
        self._sessions[cookie] = user
        return cookie

    def _mint(self, meaning: _Handoff | CheckoutBinding) -> Reference:
        ref = secrets.token_urlsafe(24)
        expires_at = self._clock() + REFERENCE_LIFETIME
        self._references[ref] = (expires_at, meaning)
        return Reference(ref, expires_at)

    def _take(self, ref: str, kind: type[Meaning]) -> Meaning | None:
        expires_at, meaning = self._references.get(ref, (0, None))
        if not isinstance(meaning, kind):
            return None
        del self._references[ref]
        return meaning if self._clock() < expires_at else None


def check_customer(customer: Mapping[str, Any]) -> None:
    """Refuse a customer without what POST /customers requires. Raises Refused.

    *Assumed*: ``customerNumber`` and ``countryCode`` are strings, and ``vatZone`` may be of any type but null.
    """
    for name in CUSTOMER_MEMBERS:
        if customer.get(name) in (None, ""):
            raise invalid(f"customer: {name} is required")
    for name in ("customerNumber", "countryCode"):
        if not isinstance(customer[name], str):
            raise invalid(f"customer: {name} must be a string")
