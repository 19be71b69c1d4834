"""Requests that are refused: the same answer, the same reason and one event from every integration."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from integrations.apps import APPS, Provider
from integrations.authorization_server import AuthorizationServer
from integrations.scenarios import (
    FORM,
    INVALID_CLIENT,
    INVALID_CLIENT_TRIED_BASIC,
    INVALID_REQUEST,
    TEMPORARILY_UNAVAILABLE,
    Wire,
    token_request,
    wire,
)
from private_key_jwt import MemoryReplayStore, Reason
from private_key_jwt.testing import Clock, RelyingParty, Tenant

SECRET = "s3cret"


class Endpoint(NamedTuple):
    """A token endpoint of one integration, and what a test needs around it."""

    url: str
    party: RelyingParty
    http: httpx.Client
    register: Callable[[Tenant], None]
    refusals: Callable[[], list[Any]]
    numbers: Iterator[int]

    def tenant(self) -> Tenant:
        """A new tenant, registered for the method, and with a secret where the integration keeps one."""
        tenant = self.party.tenant(f"refused-{next(self.numbers)}")
        self.register(tenant)
        return tenant

    def post(self, **request: Any) -> Wire:
        return wire(self.http.post(self.url, **request))


@contextlib.contextmanager
def _framework(name: str, clock: Clock, keys: str) -> Iterator[tuple[str, Any, Any]]:
    provider = Provider({}, clock, MemoryReplayStore())

    def register(tenant: Tenant) -> None:
        provider.clients[tenant.client_id] = tenant.client(keys)

    with APPS[name](provider) as url:
        yield url, register, provider.refusals


@contextlib.contextmanager
def _server(name: str, clock: Clock, keys: str, folder: Path) -> Iterator[tuple[str, Any, Any]]:
    with AuthorizationServer(name, folder, clock()) as server:

        def register(tenant: Tenant) -> None:
            server.add(tenant.client_id, jwks_uri=str(tenant.client(keys).jwks_uri), client_secret=SECRET)

        yield server.token_endpoint, register, server.refusals


SERVERS = {"authlib": "authlib_flask", "django-oauth-toolkit": "oauth_toolkit"}
FRAMEWORKS = ["fastapi", "starlette", "flask", "django", "django async"]


@pytest.fixture(scope="module", params=[*FRAMEWORKS, *SERVERS])
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    clock = Clock()
    party = RelyingParty(clock=clock)
    with party.serve() as publisher, httpx.Client(trust_env=False) as http:
        if request.param in SERVERS:
            folder = tmp_path_factory.mktemp("server")
            opened = _server(SERVERS[request.param], clock, publisher.base_url, folder)
        else:
            opened = _framework(request.param, clock, publisher.base_url)
        with opened as (url, register, refusals):
            yield Endpoint(url, party, http, register, refusals, itertools.count())


Send = Callable[[Endpoint, Tenant], Wire]


def _sent(**changes: Any) -> Send:
    """A form with a good assertion, and with changes."""
    return lambda endpoint, tenant: endpoint.post(data={**token_request(tenant.assertion()), **changes})


def _beside(**settings: Any) -> Send:
    return lambda endpoint, tenant: endpoint.post(data=token_request(tenant.assertion()), **settings)


def _defective(name: str) -> Send:
    return lambda endpoint, tenant: endpoint.post(data=token_request(tenant.defective(name)))


def _with_a_secret(endpoint: Endpoint, tenant: Tenant) -> Wire:
    return endpoint.post(data={"grant_type": "client_credentials"}, auth=(tenant.client_id, SECRET))


def _multipart(endpoint: Endpoint, tenant: Tenant) -> Wire:
    return endpoint.post(data=token_request(tenant.assertion()), files={"file": b"x"})


def _nothing(endpoint: Endpoint, tenant: Tenant) -> Wire:
    return endpoint.post(data={"grant_type": "client_credentials", "client_id": tenant.client_id})


def _in_utf_16(endpoint: Endpoint, tenant: Tenant) -> Wire:
    body = httpx.Request("POST", "http://x", data=token_request(tenant.assertion())).content
    return endpoint.post(content=body, headers={"Content-Type": f"{FORM}; charset=utf-16"})


def _again(endpoint: Endpoint, tenant: Tenant) -> Wire:
    form = token_request(tenant.assertion())
    assert endpoint.http.post(endpoint.url, data=form).status_code == 200
    return endpoint.post(data=form)


def _during_an_outage(endpoint: Endpoint, tenant: Tenant) -> Wire:
    endpoint.party.outage = 500
    try:
        return endpoint.post(data=token_request(tenant.assertion()))
    finally:
        endpoint.party.outage = None


def _of_nobody(endpoint: Endpoint, _tenant: Tenant) -> Wire:
    return endpoint.post(data=token_request(endpoint.party.tenant(f"nobody-{next(endpoint.numbers)}").assertion()))


TABLE: dict[str, tuple[Send, Wire, Reason]] = {
    "no assertion, and a secret": (_with_a_secret, INVALID_CLIENT_TRIED_BASIC, Reason.MISSING_ASSERTION),
    "half an assertion": (_sent(client_assertion_type=""), INVALID_REQUEST, Reason.INVALID_REQUEST),
    "two assertions": (_sent(client_assertion=["a.b.c", "a.b.c"]), INVALID_REQUEST, Reason.INVALID_REQUEST),
    "a secret beside it": (_sent(client_secret=SECRET), INVALID_REQUEST, Reason.INVALID_REQUEST),
    "Authorization beside it": (_beside(auth=("a", "b")), INVALID_REQUEST, Reason.INVALID_REQUEST),
    "credentials in the URL": (_beside(params={"client_secret": "s"}), INVALID_REQUEST, Reason.INVALID_REQUEST),
    "a query of 10,000 parameters": (_beside(params=b"a=&" * 10_000), INVALID_REQUEST, Reason.INVALID_REQUEST),
    "nothing": (_nothing, INVALID_CLIENT, Reason.MISSING_ASSERTION),
    "multipart": (_multipart, INVALID_REQUEST, Reason.INVALID_REQUEST),
    "another charset": (_in_utf_16, INVALID_REQUEST, Reason.INVALID_REQUEST),
    "a large body": (_sent(state="x" * 70_000), INVALID_REQUEST, Reason.INVALID_REQUEST),
    "nonsense": (_sent(client_assertion="a.b.c"), INVALID_CLIENT, Reason.MALFORMED),
    "a large assertion": (_sent(client_assertion="a" * 20_000), INVALID_CLIENT, Reason.TOO_LARGE),
    "a client that nobody registered": (_of_nobody, INVALID_CLIENT, Reason.UNKNOWN_CLIENT),
    "another client_id": (_sent(client_id="other"), INVALID_CLIENT, Reason.CLIENT_MISMATCH),
    "expired": (_defective("expired"), INVALID_CLIENT, Reason.EXPIRED),
    "for another server": (_defective("aud_slash"), INVALID_CLIENT, Reason.AUDIENCE_MISMATCH),
    "another's signature": (_defective("foreign_key"), INVALID_CLIENT, Reason.BAD_SIGNATURE),
    "sent again": (_again, INVALID_CLIENT, Reason.REPLAYED),
    "keys that cannot be fetched": (_during_an_outage, TEMPORARILY_UNAVAILABLE, Reason.JWKS_UNAVAILABLE),
}


@pytest.mark.parametrize("kind", TABLE)
def test_every_integration_gives_the_same_answer_and_one_event(endpoint: Endpoint, kind: str) -> None:
    send, answer, reason = TABLE[kind]
    tenant = endpoint.tenant()
    endpoint.refusals()
    assert send(endpoint, tenant) == answer
    assert endpoint.refusals() == [reason]
