"""What an endpoint refuses itself, with an error of the library: the same answer and one event in each integration."""

# No `from __future__ import annotations`: FastAPI could not resolve the strings within a function.

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Any

import httpx
import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from fastapi import Depends, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from integrations import django_project
from integrations.apps import Provider
from integrations.scenarios import FORM, INVALID_CLIENT, Wire, token_request, wire
from integrations.test_pending import asgi_post, wsgi_post
from private_key_jwt import AuthenticationError, InvalidClient, Reason
from private_key_jwt.integrations import django as in_django
from private_key_jwt.integrations import fastapi, starlette
from private_key_jwt.integrations import flask as in_flask
from private_key_jwt.testing import Tenant

Sync = Callable[[Any, Any], None]
Async = Callable[[Any, Any], Awaitable[None]]
Post = Callable[[dict[str, str]], Wire]


def flask_endpoint(op: Provider, refuse: Sync) -> Post:
    app, verifier = Flask("op"), op.verifier()

    @app.post("/token")
    @in_flask.client_authentication(verifier, consume=False)
    def token(client: Any) -> str:
        refuse(verifier, client)
        return ""

    return lambda form: wire(wsgi_post(app)(data=form))


def django_endpoint(op: Provider, refuse: Sync) -> Post:
    assert django_project.wsgi_application()  # with settings
    verifier = op.verifier()

    @in_django.client_authentication(verifier, consume=False)
    def token(_request: Any, client: Any) -> HttpResponse:
        refuse(verifier, client)
        return HttpResponse()

    return lambda form: _wire(token(RequestFactory().post("/token", str(httpx.QueryParams(form)), FORM)))


def async_django_endpoint(op: Provider, refuse: Async) -> Post:
    assert django_project.wsgi_application()  # with settings
    verifier = op.async_verifier()

    @in_django.client_authentication(verifier, consume=False)
    async def token(_request: Any, client: Any) -> HttpResponse:
        await refuse(verifier, client)
        return HttpResponse()

    return lambda form: _wire(asyncio.run(token(RequestFactory().post("/", str(httpx.QueryParams(form)), FORM))))


def _wire(answered: HttpResponse) -> Wire:
    return wire(httpx.Response(answered.status_code, headers=dict(answered.headers), content=answered.content))


def starlette_endpoint(op: Provider, refuse: Async) -> Post:
    verifier = op.async_verifier()
    begin = starlette.ClientAuthentication(verifier, consume=False)

    async def token(request: Request) -> Response:
        await refuse(verifier, await begin(request))
        return Response()

    app = Starlette(routes=[Route("/token", token, methods=["POST"])])
    return lambda form: wire(asgi_post(app)(data=form))


def fastapi_endpoint(op: Provider, refuse: Async) -> Post:
    verifier = op.async_verifier()
    app, begin = FastAPI(), fastapi.ClientAuthentication(verifier, consume=False)

    @app.post("/token")
    async def token(client: Annotated[Any, Depends(begin)]) -> None:
        await refuse(verifier, client)

    return lambda form: wire(asgi_post(app)(data=form))


# How an endpoint comes to raise one: sync, and async.


def raises(_verifier: Any, _client: Any) -> None:
    raise InvalidClient(Reason.BAD_SIGNATURE, "a proof is missing")


async def araises(verifier: Any, client: Any) -> None:
    raises(verifier, client)


def asks(verifier: Any, _client: Any) -> None:
    verifier.authenticate(token_request("a.b.c"))


async def aasks(verifier: Any, _client: Any) -> None:
    await verifier.authenticate(token_request("a.b.c"))


def goes_on(verifier: Any, client: Any) -> None:
    """Refused for something else than what it had been refused for before."""
    with suppress(AuthenticationError):
        asks(verifier, client)
    raises(verifier, client)


async def agoes_on(verifier: Any, client: Any) -> None:
    with suppress(AuthenticationError):
        await aasks(verifier, client)
    raises(verifier, client)


KINDS: dict[str, tuple[Sync, Async, list[Reason]]] = {
    "raises": (raises, araises, [Reason.BAD_SIGNATURE]),
    "asks the verifier": (asks, aasks, [Reason.MALFORMED]),
    "both": (goes_on, agoes_on, [Reason.MALFORMED, Reason.BAD_SIGNATURE]),
}
SYNC = {"flask": flask_endpoint, "django": django_endpoint}
ASYNC = {"starlette": starlette_endpoint, "fastapi": fastapi_endpoint, "django async": async_django_endpoint}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("framework", [*SYNC, *ASYNC])
def test_what_an_endpoint_raises_is_answered_and_is_one_event(
    provider: Provider, tenant: Tenant, framework: str, kind: str
) -> None:
    refuse, arefuse, reasons = KINDS[kind]
    post = SYNC[framework](provider, refuse) if framework in SYNC else ASYNC[framework](provider, arefuse)
    for _ in range(2):
        assert post(token_request(tenant.assertion())) == INVALID_CLIENT
        assert provider.refusals() == reasons


def test_a_refusal_outside_of_the_integration_is_an_event_of_the_applications_verifier(
    provider: Provider, tenant: Tenant
) -> None:
    """The handler is the application's from its first request on: it answers, so it reports."""
    authenticate = starlette.ClientAuthentication(provider.async_verifier())

    async def token(request: Request) -> Response:
        return Response((await authenticate(request)).client_id)

    async def other(_: Request) -> Response:
        raise InvalidClient(Reason.BAD_SIGNATURE, "a proof is missing")

    app = Starlette(routes=[Route("/token", token, methods=["POST"]), Route("/other", other, methods=["POST"])])
    post = asgi_post(app)
    assert post(data=token_request(tenant.assertion())).status_code == 200
    assert wire(post("/other")) == INVALID_CLIENT
    assert provider.refusals() == [Reason.BAD_SIGNATURE]


def test_a_refusal_is_an_event_of_the_verifier_that_the_request_asked(provider: Provider, tenant: Tenant) -> None:
    first, second = provider.async_verifier(), Provider(provider.clients, provider.clock, provider.replay_store)
    authenticate = starlette.ClientAuthentication(second.async_verifier())

    async def token(request: Request) -> Response:
        await authenticate(request)
        raise InvalidClient(Reason.BAD_SIGNATURE, "a proof is missing")

    async def other(request: Request) -> Response:
        return Response((await starlette.authenticate(first, request)).client_id)

    app = Starlette(routes=[Route("/token", token, methods=["POST"]), Route("/other", other, methods=["POST"])])
    post = asgi_post(app)
    assert post("/other", data=token_request(tenant.assertion())).status_code == 200
    assert wire(post(data=token_request(tenant.assertion()))) == INVALID_CLIENT
    assert (provider.refusals(), second.refusals()) == ([], [Reason.BAD_SIGNATURE])
