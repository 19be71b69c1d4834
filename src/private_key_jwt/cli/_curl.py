"""The back channel of a served look-alike as ``curl`` lines: what a partner's backend sends, in no language at all."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

from .._core.token_request import ASSERTION_TYPE
from ..ledgerbee import _paths
from ..testing import LoopbackServer, Tenant

_SERVER = "http://127.0.0.1:8000"
_EMAIL, _SUB = "jane@example.com", "u-1"
_CUSTOMER = {"customerNumber": "C001", "vatZone": "DOMESTIC", "countryCode": "DK"}


def token_request(mint: str) -> str:
    """Return a token request (RFC 7523 §2.2) to the server that is tried.

    mint: a command that prints an assertion. The shell runs it for each request: one assertion gets one token.
    """
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE}
    fields = [word for name, value in form.items() for word in ("-d", f"{name}={value}")]
    return shlex.join(("curl", "-sS", f"{_SERVER}/token", *fields)) + f' -d client_assertion="$({mint})"'


def back_channel(tenant: Tenant, server: LoopbackServer) -> Iterator[tuple[str, str]]:
    """Yield a title and a line for each call, with a new API key and a customer that exists, and where to redeem."""
    key = tenant.api_key()
    customer_id = tenant.portal.add_customer(str(_CUSTOMER["customerNumber"]))
    membership = {"customerId": customer_id, "role": "USER"}
    handoff = {"email": _EMAIL, "customer": _CUSTOMER, "mintHandoff": True, "sub": _SUB}
    redeem = f"http://{server.portal_api_host(tenant.slug)}{_paths.REDEEM}?ref="

    def post(path: str, body: dict[str, Any]) -> str:
        headers = ("-H", f"x-api-key: {key}", "-H", "content-type: application/json")
        return shlex.join(("curl", "-s", f"{server.base_url}{path}", *headers, "-d", json.dumps(body)))

    yield "API key, for LEDGERBEE_API_KEY", key
    yield "Provision a customer, and mint a handoff", post(_paths.PROVISION, handoff)
    yield "Mint a handoff", post(_paths.MINT, {"email": _EMAIL, "sub": _SUB, "memberships": [membership]})
    yield "Redeem in a browser, with the reference at the end", redeem
    yield "End every session", post(_paths.REVOKE, {"sub": _SUB})
