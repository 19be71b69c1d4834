"""The three endpoints that a partner's backend calls, by LedgerBee's published page.

*Assumed*, because the page is silent: success is 200; an error has a JSON body with ``code`` and ``error``; 401 is
for a missing or unknown credential, and 403 for one without the scope, and for a handoff reference where the tenant
has handoff switched off; these come before what is wrong in the body; the body's media type must be JSON; unknown
members of a body are ignored, and null is no value of any member.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import httpx

from .._core import strict_json
from ..ledgerbee import Membership, Role, _paths
from ..ledgerbee._values import check_client_reference
from ._exchange import Request, Response, json_response
from ._portal import Reference, Refused, check_customer, invalid
from ._service import is_error_status
from ._tenant import Tenant

Value = TypeVar("Value")

_UNAUTHORIZED = Refused(401, "UNAUTHORIZED", "x-api-key, or a bearer token, is missing, unknown or expired")
_HANDOFF_DISABLED = Refused(403, "HANDOFF_DISABLED", "handoff is not enabled for this tenant")


class _Failure(NamedTuple):
    """Say what becomes of one request: an error in its place, or (None) no response after it was performed."""

    status: int | None
    retry_after: int | None = None


class BackChannel:
    """Mint, provision and revoke, for the tenant whose key a request carries.

    base_path: the path of the API's root.
    tenants: by slug; it is looked into at each request.
    """

    def __init__(self, base_path: str, tenants: Mapping[str, Tenant]) -> None:
        self._tenants = tenants
        self._failures: deque[_Failure] = deque()
        self._lock = threading.Lock()
        self._endpoints: dict[str, Callable[[Tenant, _Body, frozenset[str]], dict[str, Any]]] = {
            f"{base_path}{_paths.MINT}": _mint,
            f"{base_path}{_paths.PROVISION}": _provision,
            f"{base_path}{_paths.REVOKE}": _revoke,
        }

    def fail_requests(self, number: int, status: int, retry_after: int | None) -> None:
        """Answer the next requests with an error status, and perform none of them. Raises ValueError."""
        if not is_error_status(status):
            raise ValueError(f"status must be from 400 to 599, not {status!r}")
        self._failures.extend([_Failure(status, retry_after)] * number)

    def lose_responses(self, number: int) -> None:
        """Perform the next requests, and lose the responses."""
        self._failures.extend([_Failure(None)] * number)

    def respond(self, request: Request) -> Response | None:
        """Answer a call; None for any other path. Raises httpx.RemoteProtocolError for a response that is lost."""
        endpoint = self._endpoints.get(request.path)
        if endpoint is None:
            return None
        with self._lock:  # one call at a time: each is all or nothing
            failure = self._failures.popleft() if self._failures else None
            if failure is not None and failure.status is not None:
                after = {} if failure.retry_after is None else {"Retry_After": str(failure.retry_after)}
                return json_response(failure.status, {"code": "OUTAGE", "error": "asked for by the test"}, **after)
            response = self._perform(endpoint, request)
        if failure is not None:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        return response

    def _perform(
        self, endpoint: Callable[[Tenant, _Body, frozenset[str]], dict[str, Any]], request: Request
    ) -> Response:
        if request.method != "POST":
            return json_response(405, {"code": "METHOD_NOT_ALLOWED", "error": "method not allowed"}, Allow="POST")
        try:
            tenant, scopes = self._authenticate(request)
            return json_response(200, endpoint(tenant, _Body(request), scopes))
        except Refused as refused:
            return json_response(refused.status, {"code": refused.code, "error": refused.text})

    def _authenticate(self, request: Request) -> tuple[Tenant, frozenset[str]]:
        for tenant in self._tenants.values():
            scopes = tenant.credentials.scopes(request.headers)
            if scopes is not None:
                return tenant, scopes
        raise _UNAUTHORIZED


def _require(scopes: frozenset[str], *needed: str) -> None:
    for scope in needed:
        if scope not in scopes:
            raise Refused(403, "FORBIDDEN", f"the scope {scope} is missing")


class _Body:
    """The members of a request's JSON object. It is read when it is asked for: after who asks is known."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def read(self) -> _Members:
        media_type = self._request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise invalid("the content type must be application/json")
        try:
            return _Members(strict_json.loads_object(self._request.body))
        except ValueError as error:
            raise invalid(f"the body is no JSON object: {error}") from None


class _Members:
    """JSON members, taken by name and type. Raises Refused (400)."""

    def __init__(self, members: Mapping[str, Any], where: str = "") -> None:
        self._members = members
        self._where = where

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def optional(self, name: str, kind: type[Value], default: Any = None) -> Any:
        if name not in self._members:
            return default
        value = self._members[name]
        if not isinstance(value, kind):
            raise invalid(f"{self._where}{name} must be a JSON {_JSON_NAMES[kind]}")
        return value

    def text(self, name: str) -> str:
        value = self.optional(name, str)
        if not value:
            raise invalid(f"{self._where}{name} is required")
        return str(value)

    def client_reference(self, name: str) -> str | None:
        value = self.optional(name, str)
        try:
            return None if value is None else check_client_reference(name, value)
        except ValueError as error:
            raise invalid(str(error)) from None

    def role(self, default: Role | None = None) -> Role:
        value = self.optional("role", str, default)
        try:
            return Role(value)
        except ValueError:
            raise invalid(f"{self._where}role must be of {', '.join(Role)}") from None


_JSON_NAMES: dict[type, str] = {str: "string", bool: "boolean", dict: "object", list: "array"}


def _mint(tenant: Tenant, body: _Body, scopes: frozenset[str]) -> dict[str, Any]:
    _require(scopes, "portal-sso-mint")
    if not tenant.handoff_enabled:
        raise _HANDOFF_DISABLED
    members = body.read()
    reference = tenant.portal.mint_handoff(
        email=members.text("email"),
        sub=members.text("sub"),
        memberships=[_membership(each) for each in members.optional("memberships", list, [])],
        name=members.optional("name", str),
    )
    return {"ref": reference.ref, "expiresAt": reference.expires_at_text}


def _membership(value: object) -> Membership:
    if not isinstance(value, dict):
        raise invalid("memberships must hold JSON objects")
    members = _Members(value, "memberships: ")
    return Membership(members.text("customerId"), members.role())


def _provision(tenant: Tenant, body: _Body, scopes: frozenset[str]) -> dict[str, Any]:
    _require(scopes, "portal-provision")
    members = body.read()
    mints_handoff = members.optional("mintHandoff", bool, default=False)
    mints_checkout = members.optional("mintCheckoutBindToken", bool, default=False)
    if mints_handoff or mints_checkout:
        _require(scopes, "portal-sso-mint")
    if mints_handoff and not tenant.handoff_enabled:
        raise _HANDOFF_DISABLED
    email = members.text("email")
    # Checked as a whole before anything is made.
    sub = members.text("sub") if mints_handoff else members.optional("sub", str)
    client_reference_id = members.client_reference("clientReferenceId")
    user_name = members.optional("userName", str)
    done = tenant.portal.provision(
        email=email,
        customer=_customer(members),
        role=members.role(Role.USER),
        user_name=user_name,
        organization_display_name=members.optional("organizationDisplayName", str),
    )
    handoff = checkout = None
    if mints_handoff:
        asserted = Membership(done.customer_id, done.membership.role)
        handoff = tenant.portal.mint_handoff(email=email, sub=sub, memberships=[asserted], name=user_name)
    if mints_checkout:
        checkout = tenant.portal.mint_checkout(done.customer_id, client_reference_id)
    return {
        "customerId": done.customer_id,
        "customerCreated": done.customer_created,
        "portalUserId": done.user_id,
        "membershipId": done.membership.id,
        "role": done.membership.role,
        **_reference(handoff, "handoffRef", "handoffExpiresAt"),
        **_reference(checkout, "checkoutBindToken", "checkoutBindExpiresAt"),
    }


def _customer(members: _Members) -> str | Mapping[str, Any]:
    if ("customerId" in members) == ("customer" in members):
        raise invalid("exactly one of customerId and customer is required")
    if "customerId" in members:
        return members.text("customerId")
    customer: dict[str, Any] = members.optional("customer", dict)
    check_customer(customer)
    return customer


def _reference(reference: Reference | None, name: str, time_name: str) -> dict[str, str | None]:
    if reference is None:
        return {name: None, time_name: None}
    return {name: reference.ref, time_name: reference.expires_at_text}


def _revoke(tenant: Tenant, body: _Body, scopes: frozenset[str]) -> dict[str, Any]:
    _require(scopes, "portal-sso-mint")
    return {"revoked": tenant.portal.revoke_sessions(body.read().text("sub"))}
