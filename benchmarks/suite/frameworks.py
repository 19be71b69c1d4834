"""A whole token request in process, without sockets: the framework alone, and with the client authenticated."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, FastAPI
from flask import Flask
from flask import request as flask_request
from starlette.requests import Request
from werkzeug.test import create_environ

from private_key_jwt import AsyncClientAssertionVerifier, ClientAssertionVerifier, VerifiedAssertion
from private_key_jwt.integrations.fastapi import ClientAuthentication
from private_key_jwt.integrations.flask import client_authentication

from . import corpus, ours
from .measuring import CodePath, Run, Step, awaited, calls, interleave
from .report import Section, at_most

FORM_TYPE = "application/x-www-form-urlencoded"
USUAL = {"FastAPI, verified": 8.8, "Flask, verified": 9.2}


def fastapi_app(verifier: AsyncClientAssertionVerifier) -> FastAPI:
    app, authenticate = FastAPI(), ClientAuthentication(verifier)
    app.router.route_class = authenticate.route_class

    @app.post("/alone")
    async def alone(request: Request) -> dict[str, str]:
        return {"access_token": f"for {(await request.form())['client_id']}"}

    async def read_client_id(request: Request) -> str:
        return str((await request.form())["client_id"])

    @app.post("/dependency")
    async def dependency(client_id: Annotated[str, Depends(read_client_id)]) -> dict[str, str]:
        return {"access_token": f"for {client_id}"}

    @app.post("/verified")
    async def verified(client: Annotated[VerifiedAssertion, Depends(authenticate)]) -> dict[str, str]:
        return {"access_token": f"for {client.client_id}"}

    return app


def flask_app(verifier: ClientAssertionVerifier) -> Flask:
    app = Flask(__name__)

    @app.post("/alone")
    def alone() -> dict[str, str]:
        return {"access_token": f"for {flask_request.form['client_id']}"}

    @app.post("/verified")
    @client_authentication(verifier)
    def verified(client: VerifiedAssertion) -> dict[str, str]:
        return {"access_token": f"for {client.client_id}"}

    return app


def _asgi(app: Callable[..., Awaitable[None]], path: str) -> Callable[[bytes], Awaitable[None]]:
    async def call(body: bytes) -> None:
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            statuses.append(message.get("status", 0))

        headers = [(b"content-type", FORM_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        await app(scope, receive, send)
        _check(statuses[0])

    return call


def _wsgi(app: Callable[..., Iterable[bytes]], path: str) -> Callable[[bytes], None]:
    environ = create_environ(path, method="POST", content_type=FORM_TYPE, base_url="https://op.example.com")

    def call(body: bytes) -> None:
        statuses: list[str] = []
        request = {**environ, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
        b"".join(app(request, lambda status, *_rest: statuses.append(status)))
        _check(int(statuses[0][:3]))

    return call


def _check(status: int) -> None:
    if status != 200:
        raise AssertionError(f"a token request was answered with {status}")


def _in_loop(loop: asyncio.Runner, call: Callable[[Any], Awaitable[object]]) -> Run:
    return lambda items: loop.run(awaited(call, items))


def run(step: Step, *, short: bool) -> Section:
    party = ours.relying_party()
    tenant = party.tenant()
    rounds, size = 4 if short else 60, 25
    tokens = corpus.tokens(tenant, (rounds + 1) * size)
    bodies = [urlencode(ours.form(token, tenant.client_id)).encode() for token in tokens]
    section = Section("frameworks", "A whole token request in process (ratio to the RSA operation)")
    api = fastapi_app(ours.Subject([tenant.client()], ours.async_fetcher(party)).verifier)
    flask = flask_app(ours.Subject([tenant.client()], ours.fetcher(party)).verifier)
    with asyncio.Runner() as loop:
        runs: dict[str, Run] = {
            "FastAPI, alone": _in_loop(loop, _asgi(api, "/alone")),
            "FastAPI, alone, with a dependency": _in_loop(loop, _asgi(api, "/dependency")),
            "FastAPI, verified": _in_loop(loop, _asgi(api, "/verified")),
            "Flask, alone": partial(calls, _wsgi(flask, "/alone")),
            "Flask, verified": partial(calls, _wsgi(flask, "/verified")),
        }
        paths = [CodePath(name, each, bodies) for name, each in runs.items()]
        measured = interleave(paths, corpus.floor(tenant.current_key, tokens), rounds, size, step)
    for each in paths:
        usual = USUAL.get(each.name)
        section.add(each.name, measured[each.name], usual and at_most(usual))
    return section
