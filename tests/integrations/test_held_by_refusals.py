"""What hangs on the refusal of a whole request, in every framework: never what was sent."""

from __future__ import annotations

import base64
import sys
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from integrations.apps import APPS, Provider
from integrations.scenarios import FORM, MALFORMED, REFUSED, MakeRequest, token_request
from private_key_jwt import MemoryReplayStore
from private_key_jwt.events import Event
from private_key_jwt.testing import Clock, RelyingParty, Tenant
from support import held_by


class Handled(list[Event]):
    """Events, each with what the error holds that was being handled when it was reported."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[str] = []

    def append(self, event: Event) -> None:
        super().append(event)
        error = sys.exc_info()[1]
        if error is not None:
            self.held.append(held_by(error))


def _with(tenant: Tenant, more: bytes) -> dict[str, Any]:
    content = urlencode(token_request(tenant.assertion())).encode() + more
    return {"content": content, "headers": {"Content-Type": FORM}}


SENT: dict[str, MakeRequest] = {
    **MALFORMED,
    **REFUSED,
    "a foreign byte behind it": lambda tenant: _with(tenant, b"\xff"),
    "a foreign byte behind it, encoded": lambda tenant: _with(tenant, b"%ff"),
    "many literal percents": lambda tenant: _with(tenant, b"&a=" + b"%" * 300),
    "a secret that is no UTF-8": lambda _: {
        "data": {"grant_type": "client_credentials"},
        "headers": {"Authorization": "Basic " + base64.b64encode(b"client:s3cret\xff").decode()},
    },
    "a query that is no UTF-8": lambda tenant: {
        "data": {"a": "b"},
        "params": urlencode(token_request(tenant.assertion())).encode() + b"&a=%ff",
    },
}


@pytest.mark.parametrize("app", APPS)
def test_no_refusal_of_a_request_holds_what_was_sent(app: str, clock: Clock) -> None:
    handled = Handled()
    party = RelyingParty(clock=clock)
    tenant = party.tenant("acme")
    with party.serve() as publisher, httpx.Client(trust_env=False) as http:
        client = tenant.client(publisher.base_url)
        provider = Provider({client.client_id: client}, clock, MemoryReplayStore(), handled)
        with APPS[app](provider) as url:
            for name, make in SENT.items():
                request = make(tenant)
                sent = http.build_request("POST", url, **request)
                sent.read()
                handled.held.clear()
                assert http.send(sent).status_code >= 400, name
                after = sent.content.decode("latin-1").partition("client_assertion=")[2].partition("&")[0]
                for secret in (after[-60:-10] or "no assertion", "s3cret"):  # before what is no part of the assertion
                    assert all(secret not in held for held in handled.held), (name, secret)
    assert handled
