"""What Starlette and FastAPI make of the dependency, beyond the table of all frameworks."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router

from examples import starlette_app
from integrations import uvicorn_server
from integrations.apps import Provider
from integrations.scenarios import INVALID_CLIENT, INVALID_REQUEST, token_request, wire
from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AuthenticationError,
    ConfigurationError,
    InvalidClient,
    InvalidRequest,
    MemoryReplayStore,
    Reason,
)
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


def endpoint(authenticate: Any) -> Any:
    async def token(request: Request) -> Response:
        client = await authenticate(request)
        form = await request.form()
        return JSONResponse({"client": client and client.client_id, "form": sorted(form)})

    return token


@pytest.mark.parametrize("kind", [starlette.ClientAuthentication, fastapi.ClientAuthentication])
def test_where_an_assertion_is_optional_the_others_have_their_turn(
    verifier: AsyncClientAssertionVerifier, tenant: Tenant, kind: Any
) -> None:
    app = Starlette(routes=[Route("/token", endpoint(kind(verifier, optional=True)), methods=["POST"])])
    secret = {"client_id": "c", "client_secret": "s"}
    assert post(app, data=secret).json() == {"client": None, "form": ["client_id", "client_secret"]}
    assert post(app, headers={"Authorization": "Basic x"}).json()["client"] is None
    assert post(app, data=token_request(tenant.assertion())).json()["client"] == tenant.client_id
    # What is there must be right.
    assert wire(post(app, data=token_request("a.b.c"))) == INVALID_CLIENT
    assert wire(post(app, data=token_request(tenant.assertion(), client_secret="s"))) == INVALID_REQUEST


def test_a_form_that_was_read_before_is_read(
    verifier: AsyncClientAssertionVerifier, provider: Provider, tenant: Tenant
) -> None:
    async def authenticate(request: Request) -> Any:
        await request.form()
        return await starlette.authenticate(verifier, request)

    app = Starlette(routes=[Route("/token", endpoint(authenticate), methods=["POST"])])
    assert post(app, data=token_request(tenant.assertion())).json()["client"] == tenant.client_id
    files = {name: (None, value) for name, value in token_request(tenant.assertion()).items()}
    assert wire(post(app, files=files)) == INVALID_REQUEST
    assert provider.refusals() == [Reason.INVALID_REQUEST]


def a_request(*messages: dict[str, Any]) -> Request:
    left = list(messages)

    async def receive() -> Any:
        return left.pop(0)

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    return Request({"type": "http", "method": "POST", "query_string": b"", "headers": headers}, receive)


def test_a_body_that_is_gone_is_refused(verifier: AsyncClientAssertionVerifier, provider: Provider) -> None:
    async def authenticated() -> None:
        request = a_request({"type": "http.request", "body": b"a=b"})
        assert [chunk async for chunk in request.stream()] == [b"a=b", b""]
        await starlette.authenticate(verifier, request)

    with pytest.raises(InvalidRequest, match="RuntimeError"):
        asyncio.run(authenticated())
    assert provider.refusals() == [Reason.INVALID_REQUEST]


def test_a_client_that_goes_away_is_refused(verifier: AsyncClientAssertionVerifier) -> None:
    part = {"type": "http.request", "body": b"a", "more_body": True}
    with pytest.raises(InvalidRequest, match="ClientDisconnect"):
        asyncio.run(starlette.authenticate(verifier, a_request(part, {"type": "http.disconnect"})))


def test_a_body_is_read_no_further_than_its_cap(verifier: AsyncClientAssertionVerifier) -> None:
    part = {"type": "http.request", "body": b"a" * 1_500, "more_body": True}
    with pytest.raises(InvalidRequest, match="at most 2000 bytes"):
        asyncio.run(starlette.authenticate(verifier, a_request(part, part), max_body=2_000))


def test_an_exception_handler_of_ones_own_goes_first(verifier: AsyncClientAssertionVerifier) -> None:
    async def mine(_: Request, error: Exception) -> Response:
        return Response(type(error).__name__, 418)

    route = Route("/token", endpoint(starlette.ClientAuthentication(verifier)), methods=["POST"])
    app = Starlette(routes=[route], exception_handlers={AuthenticationError: mine})
    assert post(app).text == "InvalidClient"


def test_a_mounted_application_answers_too(verifier: AsyncClientAssertionVerifier) -> None:
    app = Starlette(routes=[Mount("/oauth", starlette_app.create_app(verifier))])
    assert wire(post(app, "/oauth/token")) == INVALID_CLIENT


def test_without_an_application_the_error_is_the_servers(verifier: AsyncClientAssertionVerifier) -> None:
    router = Router([Route("/token", endpoint(starlette.ClientAuthentication(verifier)), methods=["POST"])])
    with pytest.raises(InvalidClient):
        post(router)


@pytest.mark.parametrize("kind", [starlette.ClientAuthentication, fastapi.ClientAuthentication])
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"verifier": None}, "verifier must be an instance of AsyncClientAssertionVerifier, not NoneType"),
        ({"optional": 1}, "optional"),
        ({"max_body": 1_023}, "max_body"),
        ({"max_body": "1"}, "max_body"),
        ({"max_body": 2**25}, "max_body"),
    ],
)
def test_a_wrong_setting_is_named(
    verifier: AsyncClientAssertionVerifier, kind: Any, settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        kind(**{"verifier": verifier} | settings)


def test_the_lifespan_closes_the_fetcher_that_is_the_verifiers_own(tenant: Tenant) -> None:
    verifier = AsyncClientAssertionVerifier(
        policy=AssertionPolicy(audience="https://op.example.com"),
        clients=[tenant.client()],
        replay_store=MemoryReplayStore(),
    )
    with uvicorn_server.serve(starlette_app.create_app(verifier)):
        assert not verifier._fetcher._closed  # type: ignore[union-attr]
    assert verifier._fetcher._closed  # type: ignore[union-attr]


@pytest.mark.parametrize("rest", ["scope=x;client_id=victim;client_secret=zz", "client_id=&scope=%3B", "scope"])
def test_an_endpoint_reads_the_form_that_was_authenticated(
    verifier: AsyncClientAssertionVerifier, tenant: Tenant, rest: str
) -> None:
    """Some releases of Starlette's parser also split at a semicolon: it must not read the body a second time."""

    async def token(request: Request) -> Response:
        client = await starlette.authenticate(verifier, request)
        return JSONResponse({"client": client.client_id, "form": list((await request.form()).multi_items())})

    body = f"{urlencode(token_request(tenant.assertion()))}&{rest}"
    app = Starlette(routes=[Route("/token", token, methods=["POST"])])
    answer = post(app, content=body, headers={"Content-Type": "application/x-www-form-urlencoded"}).json()
    assert answer["client"] == tenant.client_id
    assert [tuple(pair) for pair in answer["form"]] == parse_qsl(body, keep_blank_values=True)
