"""A pending assertion is consumed once for each request, whoever does it, and not once more when that is over."""

# No `from __future__ import annotations`: FastAPI could not resolve the strings within a function.

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.http import JsonResponse as DjangoResponse
from django.test import RequestFactory
from fastapi import Depends, FastAPI
from flask import Flask, Request
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from werkzeug.test import EnvironBuilder

from integrations import django_project, uvicorn_server
from integrations.apps import Provider
from integrations.scenarios import FORM, INVALID_CLIENT, token_request, wire
from private_key_jwt import (
    AsyncPendingAssertion,
    AuthenticationError,
    InvalidClient,
    MemoryReplayStore,
    PendingAssertion,
    Reason,
    VerifiedAssertion,
)
from private_key_jwt.events import AssertionAccepted
from private_key_jwt.integrations import _outcome, fastapi, starlette
from private_key_jwt.integrations import django as in_django
from private_key_jwt.integrations import flask as in_flask
from private_key_jwt.testing import Tenant


class CountingStore:
    """A replay store that counts how often it is asked; others have their turn before it answers."""

    in_process = True

    def __init__(self) -> None:
        self._store = MemoryReplayStore()
        self.asked = 0

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        self.asked += 1
        return self._store.add(key, expires_at, now)


class SlowStore(CountingStore):
    async def add(self, key: bytes, expires_at: float, now: float) -> bool:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().add(key, expires_at, now)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def op(provider: Provider, store: CountingStore) -> Provider:
    return replace(provider, replay_store=store)


def accepted(op: Provider) -> int:
    """How many assertions were reported as accepted."""
    return sum(isinstance(event, AssertionAccepted) for event in op.reported)


def wsgi_post(app: Any) -> Callable[..., httpx.Response]:
    def post(path: str = "/token", **request: Any) -> httpx.Response:
        with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1") as http:
            return http.post(path, **request)

    return post


def asgi_post(app: Any) -> Callable[..., httpx.Response]:
    def post(path: str = "/token", **request: Any) -> httpx.Response:
        async def posted() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
                return await http.post(path, **request)

        return asyncio.run(posted())

    return post


# Endpoints of which several parts consume the assertion of one request. Each gives what they got, and the last part
# authenticates.

Results = list[Any]


def flask_consumers(op: Provider, results: Results) -> Callable[..., httpx.Response]:
    app, verifier = Flask("op"), op.verifier()

    @app.before_request
    def before() -> None:
        pending = in_flask.begin_authentication(verifier, flask_request)
        results.append(pending.consume())

    @app.post("/token")
    @in_flask.client_authentication(verifier, consume=False)
    def token(client: PendingAssertion) -> str:
        results.extend((client.consume(), client.consume(), in_flask.authenticate(verifier, flask_request)))
        return client.client_id

    app.register_error_handler(AuthenticationError, lambda error: in_flask.error_response(error))
    return wsgi_post(app)


def django_consumers(op: Provider, results: Results) -> Callable[..., httpx.Response]:
    verifier = op.verifier()

    @in_django.client_authentication(verifier, consume=False)
    def token(request: Any, client: PendingAssertion) -> DjangoResponse:
        results.extend((client.consume(), client.consume()))
        again = in_django.begin_authentication(verifier, request)
        results.extend((again.consume(), in_django.authenticate(verifier, request)))
        return DjangoResponse(client.client_id, safe=False)

    def post(**request: Any) -> httpx.Response:
        answered = token(RequestFactory().post("/token", httpx.Request("POST", "/", **request).content, FORM))
        return httpx.Response(answered.status_code, headers=dict(answered.headers), content=answered.content)

    return post


def async_django_consumers(op: Provider, results: Results) -> Callable[..., httpx.Response]:
    verifier = op.async_verifier()

    @in_django.client_authentication(verifier, consume=False)
    async def token(request: Any, client: AsyncPendingAssertion) -> DjangoResponse:
        results.extend((await client.consume(), await client.consume()))
        again = await in_django.abegin_authentication(verifier, request)
        results.extend((await again.consume(), await in_django.aauthenticate(verifier, request)))
        return DjangoResponse(client.client_id, safe=False)

    def post(**request: Any) -> httpx.Response:
        body = httpx.Request("POST", "/", **request).content
        answered = asyncio.run(token(RequestFactory().post("/token", body, FORM)))
        return httpx.Response(answered.status_code, headers=dict(answered.headers), content=answered.content)

    return post


def starlette_consumers(op: Provider, results: Results) -> Callable[..., httpx.Response]:
    verifier = op.async_verifier()
    begin = starlette.ClientAuthentication(verifier, consume=False)

    async def token(request: StarletteRequest) -> Response:
        client = await begin(request)
        results.extend((await client.consume(), await client.consume(), await (await begin(request)).consume()))
        results.append(await starlette.authenticate(verifier, request))
        return JSONResponse(client.client_id)

    return asgi_post(Starlette(routes=[Route("/token", token, methods=["POST"])]))


def fastapi_consumers(op: Provider, results: Results) -> Callable[..., httpx.Response]:
    verifier = op.async_verifier()
    begin = fastapi.ClientAuthentication(verifier, consume=False)
    authenticate = fastapi.ClientAuthentication(verifier)
    Pending = Annotated[AsyncPendingAssertion, Depends(begin, use_cache=False)]  # noqa: N806

    async def check_proof(pending: Pending) -> None:
        results.append(await pending.consume())

    async def check_scope(pending: Pending) -> None:
        results.append(await pending.consume())

    app = FastAPI()

    @app.post("/token", dependencies=[Depends(check_proof), Depends(check_scope)])
    async def token(
        pending: Pending, client: Annotated[VerifiedAssertion, Depends(authenticate)], request: StarletteRequest
    ) -> str:
        results.extend((client, await pending.consume()))
        return client.client_id

    return asgi_post(app)


CONSUMERS = {
    "flask": flask_consumers,
    "django": django_consumers,
    "django async": async_django_consumers,
    "starlette": starlette_consumers,
    "fastapi": fastapi_consumers,
}


@pytest.mark.parametrize("framework", CONSUMERS)
def test_whoever_consumes_gets_the_same_answer_and_one_mark_is_made(
    op: Provider, store: CountingStore, tenant: Tenant, framework: str
) -> None:
    results: Results = []
    post = CONSUMERS[framework](op, results)
    form = token_request(tenant.assertion())
    assert post(data=form).status_code == 200
    assert len(results) == 4
    assert {id(each) for each in results} == {id(results[0])}
    assert isinstance(results[0], VerifiedAssertion)
    assert (store.asked, accepted(op), op.refusals()) == (1, 1, [])
    # Another request is another one, whoever asks in it.
    assert wire(post(data=form)) == INVALID_CLIENT
    assert (len(results), store.asked) == (4, 2)
    assert op.refusals() == [Reason.REPLAYED]


@pytest.mark.parametrize("framework", CONSUMERS)
def test_the_pending_assertion_of_a_request_has_the_claims(
    op: Provider, tenant: Tenant, framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    for kind in (_outcome._RequestAssertion, _outcome._AsyncRequestAssertion):
        consume = kind.consume

        def noting(self: Any, consume: Any = consume) -> Any:
            seen.append(self.claims["region"])
            return consume(self)

        monkeypatch.setattr(kind, "consume", noting)
    post = CONSUMERS[framework](op, [])
    assert post(data=token_request(tenant.assertion(region="eu"))).status_code == 200
    assert set(seen) == {"eu"}


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (_outcome._RequestAssertion, PendingAssertion),
        (_outcome._AsyncRequestAssertion, AsyncPendingAssertion),
    ],
)
def test_the_pending_assertion_of_a_request_has_all_that_one_has(kind: type, base: type) -> None:
    public = {name for name in vars(base) if not name.startswith("_")}
    assert public == {name for name in vars(kind) if not name.startswith("_")}
    assert public == {"claims", "client_id", "consume"}


def refused_twice(consume: Callable[[], object], authenticate: Callable[[], object]) -> None:
    errors = []
    for ask in (consume, consume, authenticate):
        with pytest.raises(InvalidClient) as caught:
            ask()
        errors.append(caught.value)
    assert {id(error) for error in errors} == {id(errors[0])}
    assert errors[0].reason is Reason.REPLAYED


def a_flask_request(form: dict[str, str]) -> Request:
    return Request(EnvironBuilder(method="POST", data=form).get_environ())


def test_a_refusal_is_the_same_for_all_who_consume(op: Provider, store: CountingStore, tenant: Tenant) -> None:
    verifier = op.verifier()
    form = token_request(tenant.assertion())
    verifier.authenticate(form)
    request = a_flask_request(form)
    pending = in_flask.begin_authentication(verifier, request)
    refused_twice(pending.consume, lambda: in_flask.authenticate(verifier, request))
    with pytest.raises(InvalidClient, match="replayed"):
        in_flask.begin_authentication(verifier, request)
    assert (store.asked, op.refusals()) == (2, [Reason.REPLAYED])
    error = in_flask.refusal(request)
    assert error is not None
    assert error.reason is Reason.REPLAYED


def test_a_refusal_is_the_same_for_all_who_await_it(op: Provider, store: CountingStore, tenant: Tenant) -> None:
    verifier = op.async_verifier()
    form = token_request(tenant.assertion())

    async def token(request: StarletteRequest) -> Response:
        pending = await starlette.begin_authentication(verifier, request)
        refusals = await asyncio.gather(
            *(pending.consume() for _ in range(3)),
            starlette.authenticate(verifier, request),
            return_exceptions=True,
        )
        errors = {id(error) for error in refusals}
        return JSONResponse([len(errors), [type(error).__name__ for error in refusals]])

    post = asgi_post(Starlette(routes=[Route("/token", token, methods=["POST"])]))
    assert post(data=form).json() == [1, ["VerifiedAssertion"] * 4]
    assert post(data=form).json() == [1, ["InvalidClient"] * 4]
    assert (store.asked, op.refusals()) == (2, [Reason.REPLAYED])


def test_tasks_of_one_request_make_one_mark(provider: Provider, tenant: Tenant) -> None:
    store = SlowStore()
    verifier = replace(provider, replay_store=store).async_verifier()  # type: ignore[arg-type]

    async def token(request: StarletteRequest) -> Response:
        pending = await starlette.begin_authentication(verifier, request)
        several = [pending.consume() for _ in range(5)]
        clients = await asyncio.gather(*several, starlette.authenticate(verifier, request))
        return JSONResponse(len({id(client) for client in clients}))

    post = asgi_post(Starlette(routes=[Route("/token", token, methods=["POST"])]))
    assert post(data=token_request(tenant.assertion())).json() == 1
    assert store.asked == 1


@pytest.mark.parametrize("is_pending", [False, True])
def test_threads_of_one_request_make_one_mark(
    op: Provider, store: CountingStore, tenant: Tenant, is_pending: bool
) -> None:
    verifier, barrier = op.verifier(), Barrier(8)

    def ask(request: Request) -> VerifiedAssertion:
        barrier.wait()
        if is_pending:
            return in_flask.begin_authentication(verifier, request).consume()
        return in_flask.authenticate(verifier, request)

    with ThreadPoolExecutor(8) as threads:
        for number in range(1, 21):
            request = a_flask_request(token_request(tenant.assertion()))
            clients = list(threads.map(ask, [request] * 8))
            assert len({id(client) for client in clients}) == 1
            assert (store.asked, accepted(op), op.refusals()) == (number, 1, [])


def test_a_consumer_that_is_cancelled_takes_nobody_down(provider: Provider, tenant: Tenant) -> None:
    store = SlowStore()
    verifier = replace(provider, replay_store=store).async_verifier()  # type: ignore[arg-type]

    async def token(request: StarletteRequest) -> Response:
        pending = await starlette.begin_authentication(verifier, request)
        hasty, patient = (asyncio.ensure_future(pending.consume()) for _ in range(2))
        await asyncio.sleep(0)
        hasty.cancel()
        return JSONResponse([(await patient).client_id])

    post = asgi_post(Starlette(routes=[Route("/token", token, methods=["POST"])]))
    assert post(data=token_request(tenant.assertion())).json() == [tenant.client_id]
    assert store.asked == 1


# What a stranger, or a careless endpoint, could make of it


def kept_by_django(op: Provider, form: dict[str, str]) -> PendingAssertion:
    body = str(httpx.QueryParams(form))
    return in_django.begin_authentication(op.verifier(), RequestFactory().post("/token", body, FORM))


def kept_by_flask(op: Provider, form: dict[str, str]) -> PendingAssertion:
    app, kept = Flask("op"), list[PendingAssertion]()

    @app.post("/token")
    @in_flask.client_authentication(op.verifier(), consume=False)
    def token(client: PendingAssertion) -> str:
        kept.append(client)
        return ""

    assert wsgi_post(app)(data=form).status_code == 200
    return kept[0]


@pytest.mark.parametrize("keep", [kept_by_django, kept_by_flask])
def test_a_pending_assertion_that_is_kept_beyond_its_request_is_consumed_once(
    op: Provider, store: CountingStore, tenant: Tenant, keep: Callable[[Provider, dict[str, str]], PendingAssertion]
) -> None:
    assert django_project.wsgi_application()  # with settings
    kept = keep(op, token_request(tenant.assertion()))
    assert kept.consume().client_id == tenant.client_id
    with pytest.raises(InvalidClient, match="replayed"):
        kept.consume()
    assert store.asked == 2


def test_an_async_one_that_is_kept_beyond_its_request_is_consumed_once(op: Provider, tenant: Tenant) -> None:
    kept: list[AsyncPendingAssertion] = []
    begin = starlette.ClientAuthentication(op.async_verifier(), consume=False)

    async def token(request: StarletteRequest) -> Response:
        kept.append(await begin(request))
        return Response()

    async def consume() -> VerifiedAssertion:
        return await kept[0].consume()

    post = asgi_post(Starlette(routes=[Route("/token", token, methods=["POST"])]))
    assert post(data=token_request(tenant.assertion())).status_code == 200
    assert asyncio.run(consume()).client_id == tenant.client_id
    with pytest.raises(InvalidClient, match="replayed"):
        asyncio.run(consume())


def test_requests_of_one_connection_are_several(op: Provider, tenant: Tenant) -> None:
    """Sent at once: the second is read while the first is answered."""
    begin, seen = starlette.ClientAuthentication(op.async_verifier(), consume=False), list[str]()

    async def token(request: StarletteRequest) -> Response:
        client = await begin(request)
        seen.append((await client.consume()).client_id)
        return Response((await client.consume()).client_id)

    app = Starlette(routes=[Route("/token", token, methods=["POST"])])
    body = str(httpx.QueryParams(token_request(tenant.assertion())))
    request = f"POST /token HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    last = request.replace("Host", "Connection: close\r\nHost")
    with uvicorn_server.serve(app) as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall((request + request + last).encode())
            with connection.makefile("rb") as answers:
                received = answers.read()
    assert (received.count(b"HTTP/1.1 200 "), received.count(b"HTTP/1.1 401 ")) == (1, 2)
    assert seen == [tenant.client_id]
    assert op.refusals() == [Reason.REPLAYED] * 2


def test_what_runs_after_the_answer_is_of_the_same_request(op: Provider, store: CountingStore, tenant: Tenant) -> None:
    begin, seen = starlette.ClientAuthentication(op.async_verifier(), consume=False), list[Any]()

    async def note(client: AsyncPendingAssertion) -> None:
        seen.append(await client.consume())

    async def token(request: StarletteRequest) -> Response:
        client = await begin(request)
        seen.append(await client.consume())
        return Response("", background=BackgroundTask(note, client))

    post = asgi_post(Starlette(routes=[Route("/token", token, methods=["POST"])]))
    form = token_request(tenant.assertion())
    assert post(data=form).status_code == 200
    assert seen[0] is seen[1]
    assert wire(post(data=form)) == INVALID_CLIENT
    assert (len(seen), store.asked) == (2, 2)


def test_a_client_that_was_consumed_before_must_still_pass_the_check(op: Provider, tenant: Tenant) -> None:
    """As behind a decorator that consumes, in an authorization server with a `before_consume` of its own."""

    def check(pending: PendingAssertion) -> None:
        raise InvalidClient(Reason.BAD_SIGNATURE, "a proof is missing")

    verifier, request = op.verifier(), a_flask_request(token_request(tenant.assertion()))
    pending = in_flask.begin_authentication(verifier, request)
    pending.consume()
    outcomes = _outcome.outcomes_of(request)
    with pytest.raises(InvalidClient, match="a proof is missing"):
        _outcome.authenticate(verifier, outcomes, lambda: ((), None), optional=False, check=check)
    # Whoever asks from now on is told so.
    for ask in (pending.consume, lambda: in_flask.authenticate(verifier, request)):
        with pytest.raises(InvalidClient, match="a proof is missing"):
            ask()
    assert op.refusals() == [Reason.BAD_SIGNATURE]


def test_a_check_may_consume_itself(op: Provider, store: CountingStore, tenant: Tenant) -> None:
    consumed: list[VerifiedAssertion] = []
    verifier, request = op.verifier(), a_flask_request(token_request(tenant.assertion()))
    verified = _outcome.authenticate(
        verifier,
        _outcome.outcomes_of(request),
        lambda: (request.form, None),
        optional=False,
        check=lambda pending: consumed.append(pending.consume()),
    )
    assert consumed == [verified]
    assert consumed[0] is verified
    assert store.asked == 1


def test_each_verifier_has_its_own_say(op: Provider, tenant: Tenant) -> None:
    """What one accepted is no answer for another, whose clients and policy are others."""
    request = a_flask_request(token_request(tenant.assertion()))
    in_flask.begin_authentication(op.verifier(), request).consume()
    strangers = replace(op, clients={}).verifier()
    with pytest.raises(InvalidClient) as caught:
        in_flask.authenticate(strangers, request)
    assert caught.value.reason is Reason.UNKNOWN_CLIENT
