"""A request is authenticated once, whoever asks, and what it was refused for can be had afterwards."""

# No `from __future__ import annotations`: FastAPI could not resolve the strings within a function.

import asyncio
import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, cast
from urllib.parse import urlencode

import django.http
import httpx
import pytest
from django.test import RequestFactory
from fastapi import APIRouter, Depends, FastAPI, Security
from flask import Flask
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from integrations import django_project
from integrations.apps import Provider
from integrations.scenarios import INVALID_CLIENT, token_request, wire
from private_key_jwt import (
    AsyncPendingAssertion,
    AuthenticationError,
    InvalidClient,
    MemoryReplayStore,
    PendingAssertion,
    Reason,
    ReplayStore,
    VerifiedAssertion,
)
from private_key_jwt.events import AssertionAccepted
from private_key_jwt.integrations import _outcome, fastapi, starlette
from private_key_jwt.integrations import django as in_django
from private_key_jwt.integrations import flask as in_flask
from private_key_jwt.testing import Tenant


def accepted(provider: Provider) -> int:
    """How many assertions were reported as accepted since this was last asked."""
    count = sum(isinstance(event, AssertionAccepted) for event in provider.reported)
    provider.reported.clear()
    return count


def post(app: Any, path: str = "/token", **request: Any) -> httpx.Response:
    async def posted() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://op.example.com") as http:
            return await http.post(path, **request)

    return asyncio.run(posted())


def post_wsgi(app: Any, path: str = "/token", **request: Any) -> httpx.Response:
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1") as http:
        return http.post(path, **request)


# FastAPI


def beside_security(app: FastAPI, authenticate: Any) -> None:
    @app.post("/token")
    async def token(
        client: Annotated[VerifiedAssertion, Depends(authenticate)],
        same: Annotated[VerifiedAssertion, Security(authenticate, scopes=["a"])],
    ) -> str:
        assert client is same
        return client.client_id


def beside_a_routers(app: FastAPI, authenticate: Any) -> None:
    router = APIRouter(dependencies=[Security(authenticate, scopes=["a"])])

    @router.post("/token")
    async def token(client: Annotated[VerifiedAssertion, Depends(authenticate)]) -> str:
        return client.client_id

    app.include_router(router, dependencies=[Depends(authenticate, use_cache=False)])


def beside_a_call(app: FastAPI, authenticate: Any) -> None:
    @app.post("/token")
    async def token(request: Request, client: Annotated[VerifiedAssertion, Depends(authenticate)]) -> str:
        assert client == await authenticate(request)
        return client.client_id


@pytest.mark.parametrize("add", [beside_security, beside_a_routers, beside_a_call])
def test_fastapi_authenticates_once_whoever_depends_on_it(
    provider: Provider, tenant: Tenant, add: Callable[[FastAPI, Any], None]
) -> None:
    app = FastAPI()
    add(app, fastapi.ClientAuthentication(provider.async_verifier()))
    form = token_request(tenant.assertion())
    assert post(app, data=form).json() == tenant.client_id
    assert accepted(provider) == 1
    # Another request is another one.
    assert wire(post(app, data=form)) == INVALID_CLIENT
    assert provider.refusals() == [Reason.REPLAYED]


def test_fastapi_takes_a_request_without_an_assertion_where_some_need_none(provider: Provider) -> None:
    verifier = provider.async_verifier()
    app, optional = FastAPI(), fastapi.ClientAuthentication(verifier, optional=True)

    @app.post("/optional", dependencies=[Security(optional, scopes=["a"])])
    async def free(client: Annotated[VerifiedAssertion | None, Depends(optional)]) -> None:
        assert client is None

    @app.post("/required", dependencies=[Depends(optional)])
    async def bound(client: Annotated[VerifiedAssertion, Depends(fastapi.ClientAuthentication(verifier))]) -> None: ...

    assert post(app, "/optional").json() is None
    assert provider.refusals() == []
    assert wire(post(app, "/required")) == INVALID_CLIENT
    assert provider.refusals() == [Reason.MISSING_ASSERTION]


# Starlette


class SlowStore:
    """A replay store that is asked over a network: others have their turn before it answers."""

    def __init__(self) -> None:
        self._store = MemoryReplayStore()

    async def add(self, key: bytes, expires_at: float, now: float) -> bool:
        await asyncio.sleep(0)
        return self._store.add(key, expires_at, now)


def test_starlette_lets_those_wait_who_ask_in_the_meantime(provider: Provider, tenant: Tenant) -> None:
    verifier = replace(provider, replay_store=cast(ReplayStore, SlowStore())).async_verifier()

    async def token(request: Request) -> Response:
        clients = await asyncio.gather(
            *(starlette.authenticate(verifier, request) for _ in range(5)),
            starlette.begin_authentication(verifier, request),
            return_exceptions=True,
        )
        return JSONResponse([getattr(client, "client_id", None) for client in clients])

    app = Starlette(routes=[Route("/token", token, methods=["POST"])])
    form = token_request(tenant.assertion())
    assert post(app, data=form).json() == [tenant.client_id] * 6
    assert accepted(provider) == 1
    # The assertion was used before: who only begins may not know it yet.
    assert post(app, data=form).json()[:5] == [None] * 5
    assert provider.refusals() == [Reason.REPLAYED]


def test_starlette_tells_a_middleware_why_a_request_was_refused(provider: Provider, tenant: Tenant) -> None:
    seen: list[AuthenticationError | None] = []

    async def log(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        seen.append(starlette.refusal(request))
        return response

    authenticate = starlette.ClientAuthentication(provider.async_verifier())

    async def token(request: Request) -> Response:
        return Response((await authenticate(request)).client_id)

    routes = [Mount("/oauth", routes=[Route("/token", token, methods=["POST"])])]
    app = Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=log)])
    assert wire(post(app, "/oauth/token", data=token_request(tenant.defective("expired")))) == INVALID_CLIENT
    assert post(app, "/oauth/token", data=token_request(tenant.assertion())).status_code == 200
    refused, let_in = seen
    assert isinstance(refused, InvalidClient)
    assert (refused.reason, let_in) == (Reason.EXPIRED, None)


@pytest.mark.parametrize("kind", [starlette.ClientAuthentication, fastapi.ClientAuthentication])
def test_starlette_hands_out_a_pending_assertion(provider: Provider, tenant: Tenant, kind: Any) -> None:
    authenticate = kind(provider.async_verifier(), consume=False)
    seen: list[Any] = []

    async def token(request: Request) -> Response:
        client = await authenticate(request)
        assert isinstance(client, AsyncPendingAssertion)
        if "later" in await request.form():
            return Response(client.client_id)
        verified = await client.consume()
        return JSONResponse([verified.client_id])

    async def log(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        seen.append(starlette.refusal(request))
        return response

    routes = [Route("/token", token, methods=["POST"])]
    app = Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=log)])
    form = token_request(tenant.assertion())
    assert post(app, data={**form, "later": "x"}).text == tenant.client_id
    assert post(app, data=form).json() == [tenant.client_id]
    assert wire(post(app, data=form)) == INVALID_CLIENT
    assert seen[2].reason is Reason.REPLAYED
    assert (accepted(provider), seen[:2]) == (1, [None, None])


# Flask


def test_flask_authenticates_once(provider: Provider, tenant: Tenant) -> None:
    verifier = provider.verifier()
    app = Flask("op")

    @app.before_request
    def before() -> None:
        in_flask.authenticate(verifier, flask_request, optional=True)

    @app.post("/token")
    @in_flask.client_authentication(verifier)
    def token(client: VerifiedAssertion) -> str:
        assert in_flask.authenticate(verifier, flask_request) is client
        return client.client_id

    with app.app_context():  # as a test suite may have one around all its requests
        assert post_wsgi(app, data=token_request(tenant.assertion())).text == tenant.client_id
        assert accepted(provider) == 1
        assert wire(post_wsgi(app)) == INVALID_CLIENT
        assert provider.refusals() == [Reason.MISSING_ASSERTION]


def test_flask_tells_why_a_request_was_refused(provider: Provider, tenant: Tenant) -> None:
    app, seen = Flask("op"), []

    @app.after_request
    def log(response: Any) -> Any:
        seen.append(in_flask.refusal(flask_request))
        return response

    @app.post("/token")
    @in_flask.client_authentication(provider.verifier())
    def token(client: VerifiedAssertion) -> str:
        return client.client_id

    assert wire(post_wsgi(app, data=token_request(tenant.defective("expired")))) == INVALID_CLIENT
    assert post_wsgi(app, data=token_request(tenant.assertion())).status_code == 200
    assert [error and error.reason for error in seen] == [Reason.EXPIRED, None]


def test_flask_hands_out_a_pending_assertion(provider: Provider, tenant: Tenant) -> None:
    app, seen = Flask("op"), []

    @app.after_request
    def log(response: Any) -> Any:
        seen.append(in_flask.refusal(flask_request))
        return response

    @app.post("/token")
    @in_flask.client_authentication(provider.verifier(), consume=False)
    def token(client: PendingAssertion) -> str:
        return client.client_id if "later" in flask_request.form else client.consume().jti

    form = token_request(tenant.assertion())
    assert post_wsgi(app, data={**form, "later": "x"}).text == tenant.client_id
    assert post_wsgi(app, data=form).status_code == 200
    assert wire(post_wsgi(app, data=form)) == INVALID_CLIENT
    assert [error and error.reason for error in seen] == [None, None, Reason.REPLAYED]
    assert len(provider.refusals()) == 1


# Django


def _django_request(form: dict[str, str]) -> django.http.HttpRequest:
    body = httpx.QueryParams(form)
    return RequestFactory().post("/token", str(body), "application/x-www-form-urlencoded")


@pytest.fixture
def project(provider: Provider) -> Any:
    with django_project.settings_for(provider):
        yield


def run(view: Any, request: django.http.HttpRequest) -> Any:
    answered = view(request)
    return asyncio.run(answered) if asyncio.iscoroutine(answered) else answered


@pytest.mark.parametrize("is_async", [False, True])
def test_django_authenticates_once_and_tells_why_not(
    project: None, provider: Provider, tenant: Tenant, is_async: bool
) -> None:
    def view(request: Any, client: VerifiedAssertion) -> Any:
        assert in_django.authenticate(in_django.get_verifier(), request) is client
        return django.http.HttpResponse(client.client_id)

    async def async_view(request: Any, client: VerifiedAssertion) -> Any:
        assert await in_django.aauthenticate(in_django.get_async_verifier(), request) is client
        return django.http.HttpResponse(client.client_id)

    decorated = in_django.client_authentication()(async_view if is_async else view)
    form = token_request(tenant.assertion())
    let_in = _django_request(form)
    assert run(decorated, let_in).content.decode() == tenant.client_id
    assert (accepted(provider), in_django.refusal(let_in)) == (1, None)
    refused = _django_request(form)
    assert run(decorated, refused).status_code == 401
    error = in_django.refusal(refused)
    assert error is not None
    assert error.reason is Reason.REPLAYED
    assert provider.refusals() == [Reason.REPLAYED]


def test_an_async_verifier_refuses_what_the_sync_one_has_let_in_to_the_same_request(
    project: None, provider: Provider, tenant: Tenant
) -> None:
    async def view(request: Any, client: VerifiedAssertion) -> Any:
        raise AssertionError("it was let in twice")

    request = _django_request(token_request(tenant.assertion()))
    assert in_django.authenticate(in_django.get_verifier(), request).client_id == tenant.client_id
    assert run(in_django.client_authentication()(view), request).status_code == 401
    assert provider.refusals() == [Reason.REPLAYED]


def test_django_parses_nothing_again_for_whoever_asks_for_files(
    project: None, provider: Provider, tenant: Tenant
) -> None:
    def view(request: Any, client: VerifiedAssertion) -> Any:
        form = request.POST
        assert not request.FILES
        assert request.POST is form
        return django.http.HttpResponse(client.client_id)

    request = _django_request(token_request(tenant.assertion()))
    assert run(in_django.client_authentication()(view), request).status_code == 200


@pytest.mark.parametrize("is_async", [False, True])
def test_django_hands_out_a_pending_assertion(
    project: None, provider: Provider, tenant: Tenant, is_async: bool
) -> None:
    def view(request: Any, client: PendingAssertion) -> Any:
        assert in_django.begin_authentication(in_django.get_verifier(), request) is client
        text = client.client_id if "later" in request.POST else client.consume().client_id
        return django.http.HttpResponse(text)

    async def async_view(request: Any, client: AsyncPendingAssertion) -> Any:
        assert await in_django.abegin_authentication(in_django.get_async_verifier(), request) is client
        text = client.client_id if "later" in request.POST else (await client.consume()).client_id
        return django.http.HttpResponse(text)

    decorated = in_django.client_authentication(consume=False)(async_view if is_async else view)
    form = token_request(tenant.assertion())
    assert run(decorated, _django_request({**form, "later": "x"})).content.decode() == tenant.client_id
    assert run(decorated, _django_request(form)).content.decode() == tenant.client_id
    refused = _django_request(form)
    assert run(decorated, refused).status_code == 401
    error = in_django.refusal(refused)
    assert error is not None
    assert error.reason is Reason.REPLAYED
    assert len(provider.refusals()) == 1


# What is common to them


@pytest.mark.parametrize("refusal", [None, InvalidClient(Reason.BAD_SIGNATURE, "a proof is missing")])
def test_a_check_is_made_once_though_the_request_was_authenticated_before(
    provider: Provider, tenant: Tenant, refusal: AuthenticationError | None
) -> None:
    checked: list[PendingAssertion] = []

    def check(pending: PendingAssertion) -> None:
        checked.append(pending)
        if refusal is not None:
            raise refusal

    def read() -> tuple[dict[str, str], None]:
        return token_request(tenant.assertion()), None

    verifier, outcomes = provider.verifier(), _outcome.Outcomes(provider.clock)
    before = _outcome.authenticate(verifier, outcomes, read, optional=False)
    for _ in range(2):
        if refusal is None:
            assert _outcome.authenticate(verifier, outcomes, read, optional=False, check=check) is before
        else:
            with pytest.raises(InvalidClient, match="a proof is missing"):
                _outcome.authenticate(verifier, outcomes, read, optional=False, check=check)
    assert len(checked) == 1


def test_a_request_without_an_assertion_is_refused_once_whoever_asks(provider: Provider) -> None:
    def read() -> tuple[dict[str, str], None]:
        return {"grant_type": "client_credentials"}, None

    async def read_async() -> tuple[dict[str, str], None]:
        return read()

    async def ask_twice() -> None:
        verifier, outcomes = provider.async_verifier(), _outcome.Outcomes(provider.clock)
        for _ in range(2):
            assert await _outcome.begin_async(verifier, outcomes, read_async, optional=True) is None
            with pytest.raises(InvalidClient):
                await _outcome.begin_async(verifier, outcomes, read_async, optional=False)

    verifier, outcomes = provider.verifier(), _outcome.Outcomes(provider.clock)
    for _ in range(2):
        assert _outcome.begin(verifier, outcomes, read, optional=True) is None
        with pytest.raises(InvalidClient):
            _outcome.begin(verifier, outcomes, read, optional=False)
    asyncio.run(ask_twice())
    assert provider.refusals() == [Reason.MISSING_ASSERTION] * 2


def _body(tenant: Tenant) -> bytes:
    return urlencode(token_request(tenant.assertion())).encode()


def _receive(*bodies: bytes) -> Callable[[], Any]:
    left = list(bodies)

    async def receive() -> dict[str, Any]:
        if not left:
            raise AssertionError("a server would wait here until the client hangs up")
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    return receive


SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/batch",
    "query_string": b"",
    "headers": [(b"content-type", b"application/x-www-form-urlencoded")],
}


def test_a_request_that_is_made_of_another_is_not_authenticated_as_that_one(provider: Provider, tenant: Tenant) -> None:
    authenticate = starlette.ClientAuthentication(provider.async_verifier())

    async def ask() -> None:
        scope = dict(SCOPE)
        assert await authenticate(Request(scope, _receive(_body(tenant)))) is not None
        for body, expected in ((b"client_id=x", Reason.MISSING_ASSERTION), (b"", Reason.MISSING_ASSERTION)):
            with pytest.raises(AuthenticationError) as caught:
                await authenticate(Request({**scope, "path": "/token"}, _receive(body)))
            assert caught.value.reason is expected

    asyncio.run(ask())


def test_a_scope_that_a_middleware_has_copied_is_still_the_same_request(provider: Provider, tenant: Tenant) -> None:
    authenticate = starlette.ClientAuthentication(provider.async_verifier())

    async def ask() -> None:
        scope, receive = dict(SCOPE), _receive(_body(tenant))
        first = await authenticate(Request(scope, receive))
        assert await authenticate(Request(dict(scope), receive)) is first

    asyncio.run(ask())


def test_a_receive_that_cannot_be_referred_to_weakly_is_one_too(provider: Provider, tenant: Tenant) -> None:
    class Receive:
        __slots__ = ("receive",)

        def __init__(self, receive: Any) -> None:
            self.receive = receive

        async def __call__(self) -> Any:
            return await self.receive()

    authenticate = starlette.ClientAuthentication(provider.async_verifier())

    async def ask() -> None:
        scope, receive = dict(SCOPE), Receive(_receive(_body(tenant)))
        first = await authenticate(Request(scope, receive))
        assert await authenticate(Request(dict(scope), receive)) is first

    asyncio.run(ask())


def test_two_verifiers_with_limits_of_their_own_read_one_body_once(provider: Provider, tenant: Tenant) -> None:
    body = _body(tenant)

    async def ask() -> None:
        scope, receive = dict(SCOPE), _receive(body[:100], body[100:])
        assert await starlette.ClientAuthentication(provider.async_verifier())(Request(scope, receive)) is not None
        request = Request(scope, receive)
        other = starlette.ClientAuthentication(provider.async_verifier(), max_body=8_192)
        with pytest.raises(AuthenticationError) as caught:
            await other(request)
        assert caught.value.reason is Reason.REPLAYED
        assert (await request.form())["client_assertion_type"]

    asyncio.run(ask())


def test_what_is_left_of_a_body_that_was_too_large_is_no_form(provider: Provider, tenant: Tenant) -> None:
    body = b"x=" + b"a" * 8_192 + b"&" + _body(tenant)

    async def ask() -> None:
        scope, receive = dict(SCOPE), _receive(body[:8_195], body[8_195:])
        for limit in (4_096, 65_536):
            authenticate = starlette.ClientAuthentication(provider.async_verifier(), max_body=limit)
            with pytest.raises(AuthenticationError) as caught:
                await authenticate(Request(scope, receive))
            assert caught.value.reason is Reason.INVALID_REQUEST

    asyncio.run(ask())


def test_a_copy_of_a_django_request_is_not_authenticated_as_that_one(provider: Provider, tenant: Tenant) -> None:
    verifier = provider.verifier()
    request = RequestFactory().post("/token", _body(tenant), content_type="application/x-www-form-urlencoded")
    assert in_django.authenticate(verifier, request) is not None
    copied = copy.copy(request)
    copied._body, copied.POST = b"client_id=x", django.http.QueryDict("client_id=x")
    with pytest.raises(AuthenticationError) as caught:
        in_django.authenticate(verifier, copied)
    assert caught.value.reason is Reason.MISSING_ASSERTION
