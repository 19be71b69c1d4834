"""What FastAPI makes of the dependency, and shows of it, beyond the table of all frameworks."""

# No `from __future__ import annotations`: FastAPI could not resolve the strings within a function.

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Form, Request, Response

from examples import fastapi_app
from integrations import uvicorn_server
from integrations.apps import Provider
from integrations.scenarios import ASSERTION_TYPE, INVALID_CLIENT, INVALID_REQUEST, token_request, wire
from private_key_jwt import AsyncClientAssertionVerifier, AuthenticationError, VerifiedAssertion
from private_key_jwt.integrations import fastapi, starlette
from private_key_jwt.testing import Tenant


@pytest.fixture
def verifier(provider: Provider) -> AsyncClientAssertionVerifier:
    return provider.async_verifier()


def post(app: Any, path: str = "/token", **request: Any) -> httpx.Response:
    async def posted() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://op.example.com") as http:
            return await http.post(path, **request)

    return asyncio.run(posted())


@pytest.fixture
def document(verifier: AsyncClientAssertionVerifier) -> Iterator[dict[str, Any]]:
    with uvicorn_server.serve(fastapi_app.create_app(verifier)) as base_url:
        assert "swagger-ui" in httpx.get(f"{base_url}/docs", trust_env=False).text
        yield httpx.get(f"{base_url}/openapi.json", trust_env=False).json()


def test_the_docs_page_shows_the_security_scheme(document: dict[str, Any]) -> None:
    scheme = document["components"]["securitySchemes"]["private_key_jwt"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "PrivateKeyJWT")
    assert "client_assertion" in scheme["description"]
    operation = document["paths"]["/token"]["post"]
    assert operation["security"] == [{"private_key_jwt": []}]
    assert {"200", "400", "401", "503"} <= operation["responses"].keys()
    form = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    assert form["required"] == ["client_assertion_type", "client_assertion"]
    assert form["properties"]["client_assertion_type"]["enum"] == [ASSERTION_TYPE]


def test_the_scheme_of_the_docs_page_is_that_of_the_challenge(document: dict[str, Any]) -> None:
    scheme = document["components"]["securitySchemes"]["private_key_jwt"]["scheme"]
    assert INVALID_CLIENT.headers["www-authenticate"].startswith(f"{scheme} ")


def test_what_is_optional_is_shown_so(verifier: AsyncClientAssertionVerifier) -> None:
    authenticate = fastapi.ClientAuthentication(verifier, optional=True, scheme_name="assertion")
    app = FastAPI()

    @app.post("/token", openapi_extra=authenticate.openapi_extra)
    async def token(
        client: Annotated[VerifiedAssertion | None, Depends(authenticate)], scope: Annotated[str, Form()] = ""
    ) -> str | None:
        return None if client is None else client.client_id

    document = app.openapi()
    assert document["components"]["securitySchemes"].keys() == {"assertion"}
    form = document["paths"]["/token"]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    assert "required" not in form
    assert form["properties"].keys() == {"client_assertion_type", "client_assertion"}
    assert form["$ref"].endswith("Body_token_token_post")  # its own parameters stay


def test_form_parameters_of_the_endpoint_may_stand_beside(
    verifier: AsyncClientAssertionVerifier, tenant: Tenant
) -> None:
    app = FastAPI()
    authenticate = fastapi.ClientAuthentication(verifier)

    @app.post("/token")
    async def token(
        grant_type: Annotated[str, Form()], client: Annotated[VerifiedAssertion, Depends(authenticate)]
    ) -> list[str]:
        return [grant_type, client.client_id]

    form = token_request(tenant.assertion())
    assert post(app, data=form).json() == ["client_credentials", tenant.client_id]
    assert wire(post(app, data=form)) == INVALID_CLIENT
    assert wire(post(app, data=form | {"client_id": ["a", "a"]})) == INVALID_REQUEST
    assert wire(post(app, json=form)) == INVALID_REQUEST
    # Authentication comes before what is wrong with other parameters.
    assert wire(post(app, data={})) == INVALID_CLIENT


def app_with_form_parameter(authenticate: fastapi.ClientAuthentication[Any]) -> FastAPI:
    app = FastAPI()

    @app.exception_handler(AuthenticationError)
    async def refuse(request: Request, error: AuthenticationError) -> Response:
        return fastapi.error_response(error)

    @app.post("/token")
    async def token(grant_type: Annotated[str, Form()], client: Annotated[Any, Depends(authenticate)]) -> str:
        verified = client if isinstance(client, VerifiedAssertion) else await client.consume()
        return f"{grant_type} for {verified.client_id}"

    return app


@pytest.mark.parametrize("consume", [True, False])
def test_a_form_parameter_that_is_missing_spares_a_pending_assertion_only(
    verifier: AsyncClientAssertionVerifier, tenant: Tenant, consume: bool
) -> None:
    authenticate: fastapi.ClientAuthentication[Any] = (
        fastapi.ClientAuthentication(verifier) if consume else fastapi.ClientAuthentication(verifier, consume=False)
    )
    app = app_with_form_parameter(authenticate)
    form = token_request(tenant.assertion())
    without = {name: value for name, value in form.items() if name != "grant_type"}
    assert post(app, data=without).status_code == 422
    retried = post(app, data=form)
    if consume:
        assert wire(retried) == INVALID_CLIENT
    else:
        assert retried.json() == f"client_credentials for {tenant.client_id}"
        assert wire(post(app, data=form)) == INVALID_CLIENT


def test_the_dependency_of_starlette_serves_fastapi_too(verifier: AsyncClientAssertionVerifier, tenant: Tenant) -> None:
    app = FastAPI()

    @app.post("/token")
    async def token(
        client: Annotated[VerifiedAssertion, Depends(starlette.ClientAuthentication(verifier))],
    ) -> str:
        return client.client_id

    assert post(app, data=token_request(tenant.assertion())).json() == tenant.client_id
    assert wire(post(app)) == INVALID_CLIENT
