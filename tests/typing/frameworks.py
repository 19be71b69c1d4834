"""Endpoints in each web framework as users write them, with every public name of the integrations: never run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, assert_type

import django.http
import flask
import starlette.requests
import starlette.responses
from fastapi import Depends, FastAPI
from opentelemetry.sdk.metrics import MeterProvider

from private_key_jwt import (
    AsyncClientAssertionVerifier,
    AsyncPendingAssertion,
    AuthenticationError,
    ClientAssertionVerifier,
    InvalidClient,
    JWKSCache,
    PendingAssertion,
    Reason,
    ReplayStore,
    VerifiedAssertion,
)
from private_key_jwt.events import OnEvent
from private_key_jwt.integrations import (
    MAX_BODY,
    EncodedResponse,
    TokenRequest,
    authlib,
    encode_error,
    fastapi,
    oauth_toolkit,
    otel,
)
from private_key_jwt.integrations import django as in_django
from private_key_jwt.integrations import flask as in_flask
from private_key_jwt.integrations import starlette as in_starlette
from private_key_jwt.stores import DjangoCacheReplayStore, DjangoJWKSCache, DjangoReplayStore


def wsgi(verifier: ClientAssertionVerifier, environ: Mapping[str, Any]) -> EncodedResponse | str:
    try:
        request = TokenRequest.from_wsgi(environ, MAX_BODY)
        verified = verifier.authenticate(request.form(request.read(environ["wsgi.input"])), request.authorization)
    except AuthenticationError as error:
        verifier.report_refusal(error)
        return encode_error(error)
    return verified.client_id


async def in_an_asgi_framework(
    verifier: AsyncClientAssertionVerifier, request: starlette.requests.Request
) -> starlette.responses.Response:
    try:
        verified = await in_starlette.authenticate(verifier, request)
        assert_type(verified, VerifiedAssertion)
        assert_type(await in_starlette.authenticate(verifier, request, optional=True), VerifiedAssertion | None)
        assert_type(await in_starlette.begin_authentication(verifier, request), AsyncPendingAssertion)
        authenticate = in_starlette.ClientAuthentication(verifier, optional=True, consume=False)
        assert_type(await authenticate(request), AsyncPendingAssertion | None)
    except AuthenticationError as error:
        return in_starlette.error_response(error)
    assert_type(in_starlette.refusal(request), AuthenticationError | None)
    return starlette.responses.PlainTextResponse(verified.client_id)


def in_fastapi(verifier: AsyncClientAssertionVerifier) -> FastAPI:
    authenticate = fastapi.ClientAuthentication(verifier)
    app = FastAPI(lifespan=authenticate.lifespan)

    async def token(client: Annotated[VerifiedAssertion, Depends(authenticate)]) -> str:
        return client.client_id

    app.post("/token")(token)
    return app


fastapi_functions = (fastapi.authenticate, fastapi.begin_authentication, fastapi.error_response, fastapi.refusal)


def in_flask_views(verifier: ClientAssertionVerifier, request: flask.Request) -> flask.Response | str:
    @in_flask.client_authentication(verifier, optional=True)
    def token(client: VerifiedAssertion | None) -> str:
        return "" if client is None else client.client_id

    try:
        assert_type(in_flask.begin_authentication(verifier, request), PendingAssertion)
        assert_type(in_flask.authenticate(verifier, request), VerifiedAssertion)
    except AuthenticationError as error:
        return in_flask.error_response(error)
    assert_type(in_flask.refusal(request), AuthenticationError | None)
    assert callable(token)
    return ""


def in_django_views(request: django.http.HttpRequest) -> Any:
    verifier = in_django.get_verifier()
    assert_type(verifier, ClientAssertionVerifier)
    try:
        assert_type(in_django.begin_authentication(verifier, request), PendingAssertion)
        verified = in_django.authenticate(verifier, request)
        assert_type(verified, VerifiedAssertion)
    except AuthenticationError as error:
        return in_django.error_response(error)
    assert_type(in_django.refusal(request), AuthenticationError | None)
    return verified.client_id


@in_django.client_authentication(max_body=MAX_BODY)
async def async_token(request: django.http.HttpRequest, client: VerifiedAssertion) -> Any:
    verifier = in_django.get_async_verifier()
    assert_type(await in_django.aauthenticate(verifier, request, optional=True), VerifiedAssertion | None)
    assert_type(await in_django.abegin_authentication(verifier, request), AsyncPendingAssertion)
    return client.client_id


def check_proof(pending: PendingAssertion, request: Any) -> None:
    raise authlib.ClientNotAuthenticated(InvalidClient(Reason.BAD_SIGNATURE, f"{pending.client_id}: {request}"))


def in_authlib(server: Any, verifier: ClientAssertionVerifier) -> AuthenticationError | None:
    before_consume: authlib.BeforeConsume = check_proof
    authlib.register_private_key_jwt(server, verifier, before_consume=before_consume)
    assert callable(authlib.registered_clients(server, signing_algs=["ES256"]))
    return authlib.refusal(server)


class Validator(oauth_toolkit.ClientAssertionMixin):
    def before_consume(self, pending: PendingAssertion, request: Any) -> None:
        error = oauth_toolkit.refusal(request)
        if error is not None:
            raise oauth_toolkit.ClientNotAuthenticated(error)


django_settings = (
    oauth_toolkit.ClientAssertionMiddleware,
    oauth_toolkit.registered_applications(signing_algs=["RS256"]),
)

django_stores: list[ReplayStore] = [DjangoReplayStore(), DjangoCacheReplayStore("default")]
django_cache: JWKSCache = DjangoJWKSCache("default")

metrics: OnEvent = otel.OpenTelemetryEvents(meter_provider=MeterProvider(), by_client=True)
