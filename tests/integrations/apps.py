"""Token endpoints in every framework, each around a verifier of the test's making.

An entry of APPS takes a Provider and serves a token endpoint while its context lasts: what it gives is the URL.
A framework is imported when its entry is used: a worker needs one of them only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    ClientAssertionVerifier,
    JWKSFetcher,
    JWKSPolicy,
    Reason,
    RegisteredClient,
    ReplayStore,
)
from private_key_jwt.events import AssertionRefused, Event
from private_key_jwt.testing import Clock

ISSUER = "https://op.example.com"


@dataclass(frozen=True)
class Provider:
    """What the verifiers of an authorization server are made of."""

    clients: dict[str, RegisteredClient]
    clock: Clock
    replay_store: ReplayStore
    reported: list[Event] = field(default_factory=list)

    def refusals(self) -> list[Reason]:
        """The reasons of the refusals that were reported since this was last asked."""
        reasons = [event.reason for event in self.reported if isinstance(event, AssertionRefused)]
        self.reported.clear()
        return reasons

    def _settings(self) -> dict[str, Any]:
        return {
            "policy": AssertionPolicy(audience=ISSUER),
            "clients": self.clients,
            "replay_store": self.replay_store,
            "clock": self.clock,
            "on_event": self.reported.append,
        }

    def verifier(self) -> ClientAssertionVerifier:
        jwks = JWKSFetcher(JWKSPolicy(allow_http_loopback=True), clock=self.clock)
        return ClientAssertionVerifier(**self._settings(), fetcher=jwks)

    def async_verifier(self) -> AsyncClientAssertionVerifier:
        jwks = AsyncJWKSFetcher(JWKSPolicy(allow_http_loopback=True), clock=self.clock)
        return AsyncClientAssertionVerifier(**self._settings(), fetcher=jwks)


App = Callable[[Provider], AbstractContextManager[str]]


def _asgi(example: str, lifespan: str = "on") -> App:
    @contextlib.contextmanager
    def serve(provider: Provider) -> Iterator[str]:
        from integrations import uvicorn_server

        app = import_module(f"examples.{example}").create_app(provider.async_verifier())
        with uvicorn_server.serve(app, lifespan=lifespan) as base_url:
            yield f"{base_url}/token"

    return serve


def _wsgi(example: str, server: str) -> App:
    @contextlib.contextmanager
    def serve(provider: Provider) -> Iterator[str]:
        app = import_module(f"examples.{example}").create_app(provider.verifier())
        with import_module(f"integrations.{server}").serve(app) as base_url:
            yield f"{base_url}/token"

    return serve


@contextlib.contextmanager
def _django(provider: Provider) -> Iterator[str]:
    from integrations import django_project, wsgiref_server

    with django_project.settings_for(provider), wsgiref_server.serve(django_project.wsgi_application()) as base_url:
        yield f"{base_url}/token"


@contextlib.contextmanager
def _django_async(provider: Provider) -> Iterator[str]:
    from integrations import django_project, uvicorn_server

    application = django_project.asgi_application()
    with django_project.settings_for(provider), uvicorn_server.serve(application, lifespan="off") as base_url:
        yield f"{base_url}/async/token"


APPS: dict[str, App] = {
    "starlette": _asgi("starlette_app"),
    "fastapi": _asgi("fastapi_app"),
    "flask": _wsgi("flask_app", "werkzeug_server"),
    "django": _django,
    "django async": _django_async,
    "wsgi": _wsgi("wsgi_app", "wsgiref_server"),
    "asgi": _asgi("asgi_app", lifespan="off"),
}
