"""What one request costs is bounded by its bytes, also where a framework parses it before the library does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import pytest
from fastapi import Depends, FastAPI, Form
from fastapi import Request as FastAPIRequest

from examples import fastapi_app, flask_app, starlette_app
from integrations import cost_cases, django_project
from integrations.apps import Provider
from integrations.authorization_server import AuthorizationServer
from integrations.scenarios import FORM, INVALID_REQUEST, token_request, wire
from integrations.test_pending import asgi_post
from private_key_jwt import Reason, VerifiedAssertion
from private_key_jwt.integrations.fastapi import ClientAuthentication
from private_key_jwt.testing import Tenant

SERVERS = {
    "authlib_flask": "authlib_flask",
    "authlib_django": "django",
    "oauth_toolkit": "django",
}


@pytest.mark.slow
@pytest.mark.parametrize("example", SERVERS)
def test_an_authorization_server_spends_no_more_than_100_rsa_verifications(example: str, tmp_path: Path) -> None:
    with AuthorizationServer(example, tmp_path, 0) as server:
        server.call(f"integrations.cost_cases:{SERVERS[example]}")


def with_a_declared_form(verifier: Any) -> FastAPI:
    authenticate = ClientAuthentication(verifier)
    app = FastAPI()
    app.router.route_class = authenticate.route_class

    @app.post("/token")
    async def token(
        client: Annotated[VerifiedAssertion, Depends(authenticate)], grant_type: Annotated[str, Form()] = ""
    ) -> list[str]:
        return [client.client_id, grant_type]

    return app


@pytest.mark.parametrize("make", [starlette_app.create_app, fastapi_app.create_app, with_a_declared_form])
def test_an_asgi_application_spends_no_more_than_100_rsa_verifications(provider: Provider, make: Any) -> None:
    with asyncio.Runner() as runner:
        cost_cases.check(cost_cases.asgi(make(provider.async_verifier()), "/token", runner))


def test_flask_spends_no_more_than_100_rsa_verifications(provider: Provider) -> None:
    cost_cases.check(cost_cases.wsgi(flask_app.create_app(provider.verifier()), "/token"))


def test_django_spends_no_more_than_100_rsa_verifications(provider: Provider) -> None:
    with django_project.settings_for(provider):
        cost_cases.check(cost_cases.wsgi(django_project.wsgi_application(), "/token"))


# The routes of FastAPI that are bounded


@pytest.mark.parametrize(
    "request_", [{"params": b"a=&" * 300}, {"content": b"a=&" * 300, "headers": {"Content-Type": FORM}}]
)
def test_a_bounded_route_refuses_with_one_event(provider: Provider, request_: dict[str, Any]) -> None:
    post = asgi_post(with_a_declared_form(provider.async_verifier()))
    for _ in range(2):
        assert wire(post(**request_)) == INVALID_REQUEST
        assert provider.refusals() == [Reason.INVALID_REQUEST]


def test_a_bounded_route_hands_on_the_form_that_is_authenticated(provider: Provider, tenant: Tenant) -> None:
    post = asgi_post(with_a_declared_form(provider.async_verifier()))
    form = token_request(tenant.assertion())
    assert post(data=form).json() == [tenant.client_id, "client_credentials"]
    assert post(params={"a": "b"}, data=token_request(tenant.assertion())).status_code == 200


def test_a_dependency_with_a_lower_limit_of_its_own_keeps_it(provider: Provider, tenant: Tenant) -> None:
    """Also for a body in chunks, which another has read."""
    verifier, other = provider.async_verifier(), provider.async_verifier()
    wide, narrow = ClientAuthentication(verifier), ClientAuthentication(other, max_body=1_024)
    app = FastAPI()
    app.router.route_class = wide.route_class

    @app.post("/token", dependencies=[Depends(wide), Depends(narrow)])
    async def token() -> None: ...

    async def chunks() -> AsyncIterator[bytes]:
        yield urlencode(token_request(tenant.assertion(), scope="x" * 1_024)).encode()

    assert wire(asgi_post(app)(content=chunks(), headers={"Content-Type": FORM})) == INVALID_REQUEST


def test_other_routes_of_a_bounded_router_are_left_alone(provider: Provider) -> None:
    app = with_a_declared_form(provider.async_verifier())

    @app.post("/authorize")
    async def authorize(request: FastAPIRequest) -> str:
        # Credentials may stand in the URL, and a body may be large, and something else than a form.
        return f"{request.query_params['client_id']} {len(request.query_params)} {len(await request.body())}"

    post = asgi_post(app)
    query = {"client_id": "a", **{str(number): "x" for number in range(300)}}
    assert post("/authorize", params=query, json="b" * 70_000).json() == "a 301 70002"
    assert post("/authorize", params=query, data={"b": "c" * 70_000}).json() == "a 301 70002"
    assert provider.refusals() == []
