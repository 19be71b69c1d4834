"""DPoP (RFC 9449 §8): a client repeats the same assertion when the server asks for a nonce, and gets its token.

The client is ``requests_oauth2client``, which obeys ``use_dpop_nonce`` by itself. Each integration hands out the
pending assertion, so that the first try does not use it up.
"""

# No `from __future__ import annotations`: FastAPI could not resolve the strings within a function.

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.http import JsonResponse
from django.test import override_settings
from django.urls import path
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from flask import Flask, jsonify
from flask import request as flask_request
from jwskate import Jwk
from requests_oauth2client import InvalidClient, OAuth2Client, PrivateKeyJwt
from starlette.applications import Starlette
from starlette.routing import Route

from integrations import django_project, uvicorn_server, werkzeug_server, wsgiref_server
from integrations.apps import ISSUER, Provider
from integrations.authorization_server import AuthorizationServer
from integrations.dpop_cases import NONCE, has_nonce
from private_key_jwt import AsyncPendingAssertion, PendingAssertion, Reason
from private_key_jwt.integrations import django as in_django
from private_key_jwt.integrations import fastapi, starlette
from private_key_jwt.integrations import flask as in_flask
from private_key_jwt.testing import RelyingParty, Tenant

ASK_AGAIN = ({"error": "use_dpop_nonce"}, 400, {"DPoP-Nonce": NONCE})


def token_for(client_id: str) -> dict[str, str]:
    return {"access_token": f"for-{client_id}", "token_type": "DPoP"}


@contextlib.contextmanager
def fastapi_app(provider: Provider) -> Iterator[str]:
    app = FastAPI()
    begin = fastapi.ClientAuthentication(provider.async_verifier(), consume=False)

    @app.post("/token")
    async def token(request: Request, client: Annotated[AsyncPendingAssertion, Depends(begin)]) -> JSONResponse:
        if not has_nonce(request.headers.get("DPoP"), str(request.url)):
            return JSONResponse(*ASK_AGAIN)
        return JSONResponse(token_for((await client.consume()).client_id))

    with uvicorn_server.serve(app) as url:
        yield f"{url}/token"


@contextlib.contextmanager
def starlette_app(provider: Provider) -> Iterator[str]:
    verifier = provider.async_verifier()

    async def token(request: Request) -> JSONResponse:
        client = await starlette.begin_authentication(verifier, request)
        if not has_nonce(request.headers.get("DPoP"), str(request.url)):
            return JSONResponse(*ASK_AGAIN)
        return JSONResponse(token_for((await client.consume()).client_id))

    with uvicorn_server.serve(Starlette(routes=[Route("/token", token, methods=["POST"])])) as url:
        yield f"{url}/token"


@contextlib.contextmanager
def flask_app(provider: Provider) -> Iterator[str]:
    app = Flask("op")

    @app.post("/token")
    @in_flask.client_authentication(provider.verifier(), consume=False)
    def token(client: PendingAssertion) -> Any:
        if not has_nonce(flask_request.headers.get("DPoP"), flask_request.url):
            return ASK_AGAIN
        return jsonify(token_for(client.consume().client_id))

    with werkzeug_server.serve(app) as url:
        yield f"{url}/token"


def _ask_again() -> JsonResponse:
    body, status, headers = ASK_AGAIN
    return JsonResponse(body, status=status, headers=headers)


@contextlib.contextmanager
def _django(provider: Provider, view: Any, serve: Callable[[], Any]) -> Iterator[str]:
    urls = type("urls", (), {"urlpatterns": [path("token", view)]})
    with django_project.settings_for(provider), override_settings(ROOT_URLCONF=urls), serve() as url:
        yield f"{url}/token"


def django_app(provider: Provider) -> Any:
    def token(request: Any, client: PendingAssertion) -> JsonResponse:
        if not has_nonce(request.headers.get("DPoP"), request.build_absolute_uri()):
            return _ask_again()
        return JsonResponse(token_for(client.consume().client_id))

    view = in_django.client_authentication(provider.verifier(), consume=False)(token)
    return _django(provider, view, lambda: wsgiref_server.serve(django_project.wsgi_application()))


def django_async_app(provider: Provider) -> Any:
    async def token(request: Any, client: AsyncPendingAssertion) -> JsonResponse:
        if not has_nonce(request.headers.get("DPoP"), request.build_absolute_uri()):
            return _ask_again()
        return JsonResponse(token_for((await client.consume()).client_id))

    application = django_project.asgi_application()
    view = in_django.client_authentication(provider.async_verifier(), consume=False)(token)
    return _django(provider, view, lambda: uvicorn_server.serve(application, lifespan="off"))


def client_of(url: str, tenant: Tenant) -> OAuth2Client:
    """A client whose every try has the same ``jti``."""
    pem = tenant.current_key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key, jti = Jwk.from_pem(pem, kid=tenant.kid), f"once-{id(tenant)}"
    auth = PrivateKeyJwt(tenant.client_id, key, alg="RS256", aud=ISSUER, jti_gen=lambda: jti)
    return OAuth2Client(token_endpoint=url, auth=auth, dpop_bound_access_tokens=True, testing=True)


FRAMEWORKS: dict[str, Callable[[Provider], Any]] = {
    "fastapi": fastapi_app,
    "starlette": starlette_app,
    "flask": flask_app,
    "django": django_app,
    "django async": django_async_app,
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_client_that_is_asked_for_a_nonce_repeats_its_assertion(
    provider: Provider, tenant: Tenant, framework: str
) -> None:
    with FRAMEWORKS[framework](provider) as url:
        client = client_of(url, tenant)
        provider.clock.advance(time.time() - provider.clock())  # the client goes by the real one
        token = client.client_credentials()
        assert token.access_token == f"for-{tenant.client_id}"
        assert provider.refusals() == []
        # It is used up now.
        with pytest.raises(InvalidClient):
            client.client_credentials()
        assert provider.refusals() == [Reason.REPLAYED]


@pytest.mark.parametrize("example", ["authlib_flask", "oauth_toolkit"])
def test_an_authorization_server_leaves_it_to_a_function_of_its_own(example: str, tmp_path: Path) -> None:
    party, started = RelyingParty(), time.time()
    tenant = party.tenant("acme")
    with party.serve() as keys, AuthorizationServer(example, tmp_path, started) as server:
        server.add(tenant.client_id, jwks_uri=str(tenant.client(keys.base_url).jwks_uri))
        server.call(f"integrations.dpop_cases:{example}")
        client = client_of(server.token_endpoint, tenant)
        server.advance(time.time() - started)  # the client goes by the real clock
        assert client.client_credentials().access_token
        assert server.refusals() == []
        with pytest.raises(InvalidClient):
            client.client_credentials()
        assert server.refusals() == ["replayed"]
