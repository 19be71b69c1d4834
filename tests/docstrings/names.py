"""What the examples in docstrings take as given: real objects, made when an example names them."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from docstrings.found import exported, modules
from docstrings.happenings import event_of
from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    AuthenticationError,
    ClientAssertionVerifier,
    InvalidClient,
    JWKSFetcher,
    KeySource,
    MemoryJWKSCache,
    MemoryReplayStore,
    RegisteredClient,
    events,
    ledgerbee,
)
from private_key_jwt._core.token_request import ASSERTION_TYPE
from private_key_jwt.recipe import registered_key
from private_key_jwt.stores import SQLiteJWKSCache, SQLiteReplayStore
from private_key_jwt.testing import RelyingParty, SigningKey, Tenant

ISSUER = "https://op.example.com"

# Names of other libraries, and where an example would import them from.
IMPORTED = {
    "APIView": "rest_framework.views",
    "Annotated": "typing",
    "Depends": "fastapi",
    "FastAPI": "fastapi",
    "Form": "fastapi",
    "HTTPStatus": "http",
    "JSONResponse": "starlette.responses",
    "JsonResponse": "django.http",
    "OAuth2Validator": "oauth2_provider.oauth2_validators",
    "Client": "django.test",
    "include": "django.urls",
    "method_decorator": "django.utils.decorators",
    "override_settings": "django.test",
    "settings": "django.conf",
    "urlencode": "urllib.parse",
    "path": "django.urls",
    "Route": "starlette.routing",
    "Starlette": "starlette.applications",
    "require_POST": "django.views.decorators.http",
}
MODULES = {"httpx", "json", "os", "pytest", "time"}
# Functions of the reader's own: what an example hands to them is kept.
CALLED = {
    *("alert", "audit", "bind", "check_dpop_proof", "grant_for", "issue_tokens", "log", "page", "redirect", "send"),
    "start_response",
}
# Examples that are for what is refused, and for a client with another algorithm than RS256.
REFUSED = {"AuthenticationError", "InvalidClient", "InvalidRequest", "TemporarilyUnavailable"}
ALGS = {"VerificationKey": "ES256"}


class Calls:
    """A function of the reader's own, or a logger: it keeps what it was called with."""

    def __init__(self, result: Callable[[], Any] = lambda: None) -> None:
        self.made: list[tuple[Any, ...]] = []
        self._result = result

    def __getattr__(self, name: str) -> Calls:
        if not hasattr(logging.Logger, name):
            raise AttributeError(name)
        return self

    def __call__(self, *arguments: Any) -> Any:
        self.made.append(arguments)
        return self._result()


class Engine:
    """An engine for a store of the reader's own, in memory."""

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}

    async def set_if_absent(self, key: bytes, until: float) -> bool:
        return self._until.setdefault(key, until) is until


class Names:
    """What the names of an example stand for: an attribute of this, else what its module exports, else any module.

    owner: the dotted name of what the docstring is of.
    """

    def __init__(self, owner: str, code: str, tmp_path: Path) -> None:
        self.owner, self.code, self.tmp_path = owner, code, tmp_path
        self._what = owner.rpartition(".")[2]
        self._is_async = "await " in code or "async def" in code
        self.calls = {name: Calls(self._issue if name == "issue_tokens" else lambda: None) for name in CALLED}
        self.reported: list[events.Event] = []
        self.context = ExitStack()
        self.engines: list[Any] = []

    def find(self, name: str) -> Any:
        """Return what an example means by a name. Raises NameError."""
        if name in self.calls:
            return self.calls[name]
        if name in MODULES:
            return import_module(name)
        if name in IMPORTED:
            return getattr(import_module(IMPORTED[name]), name)
        if hasattr(type(self), name):
            return getattr(self, name)
        for module in sorted(_exporters(name), key=lambda each: not self.owner.startswith(each)):
            return getattr(import_module(module), name)
        raise NameError(f"{self.owner}: no example may take {name} as given before it is made here")

    # What a call leaves out with "...".

    def rest_of(self, function: str, given: list[str]) -> dict[str, Any]:
        assert function in ("ClientAssertionVerifier", "AsyncClientAssertionVerifier"), function
        needed = {"policy": self.policy, "clients": self.clients, "replay_store": self.store}
        return {name: value for name, value in needed.items() if name not in given}

    # The relying party

    @cached_property
    def relying_party(self) -> RelyingParty:
        return RelyingParty(audience=ISSUER, alg=ALGS.get(self._what, "RS256"))

    @cached_property
    def tenant(self) -> Tenant:
        tenant = self.relying_party.tenant("acme")
        if "portal.users" in self.code:
            customer_id = tenant.portal.add_customer("C001")
            jane = ledgerbee.Membership(customer_id, ledgerbee.Role.USER)
            handoff = tenant.portal.mint_handoff(email="jane@example.com", sub="u-1", memberships=[jane], name=None)
            tenant.portal.redeem(handoff.ref)
        return tenant

    @cached_property
    def http(self) -> httpx.Client:
        return httpx.Client(transport=self.relying_party.transport)

    @cached_property
    def client_assertion(self) -> str:
        refuses = self._what in REFUSED or self._what == "ClientNotAuthenticated"
        return self.tenant.defective("expired") if refuses else self.tenant.assertion()

    @property
    def client_id(self) -> str:
        return self.tenant.client_id

    @property
    def kid(self) -> str:
        return self.tenant.kid

    @property
    def jwks_uri(self) -> str:
        return self.tenant.jwks_uri

    @property
    def claims(self) -> dict[str, Any]:
        return self.tenant.claims()

    @property
    def signature(self) -> bytes:
        return self.tenant.current_key.sign_text(self.signing_input.decode())

    @property
    def signing_input(self) -> bytes:
        return self.client_assertion.rpartition(".")[0].encode()

    @property
    def text(self) -> str:
        return json.dumps({"keys": [SigningKey.generate(alg="Ed25519").public_jwk()]})

    # The server

    issuer = ISSUER
    token_endpoint = f"{ISSUER}/token"
    authorization = None
    session = "a session"
    clock = staticmethod(time.time)

    @cached_property
    def now(self) -> float:
        return time.time()

    @cached_property
    def policy(self) -> AssertionPolicy:
        return AssertionPolicy(audience=ISSUER)

    @cached_property
    def client(self) -> RegisteredClient:
        return self.tenant.client()

    @cached_property
    def clients(self) -> Any:
        """Keys by value, as far as the example is not about fetching them."""
        if self._what == "TemporarilyUnavailable":
            return lambda client_id: {}[client_id]
        by_value = self.tenant.client(jwks_uri=None, jwks=self.tenant.document())
        return [self.client if "etcher" in self.code or "source" in self.code else by_value]

    def find_client(self, client_id: str) -> RegisteredClient | None:
        [client] = self.clients
        return client if client.client_id == client_id else None

    def find_key(self, client: RegisteredClient, header: Any) -> Any:
        if client.keys is not None:
            return registered_key(client.keys, header, client.signing_algs)
        return self.fetcher.get_key(client, header.alg, header.kid)

    @cached_property
    def store(self) -> MemoryReplayStore:
        return MemoryReplayStore()

    @cached_property
    def cache(self) -> MemoryJWKSCache:
        cache = MemoryJWKSCache()
        JWKSFetcher(cache=cache, http_client=self.http, clock=lambda: self.now).refresh(self.jwks_uri)
        return cache

    def JWKSFetcher(self, *arguments: Any, **settings: Any) -> JWKSFetcher:  # noqa: N802 - in place of the class
        """One that finds LedgerBee in this process."""
        return JWKSFetcher(*arguments, **{"http_client": self.http, **settings})

    def AsyncJWKSFetcher(self, *arguments: Any, **settings: Any) -> AsyncJWKSFetcher:  # noqa: N802
        """One that finds LedgerBee in this process."""
        http = httpx.AsyncClient(transport=self.relying_party.transport)
        return AsyncJWKSFetcher(*arguments, **{"http_client": http, **settings})

    @cached_property
    def fetcher(self) -> KeySource:
        return self.JWKSFetcher()

    @cached_property
    def verifier(self) -> Any:
        is_async = self._is_async or any(each in self.owner for each in ("starlette", "fastapi"))
        made = AsyncClientAssertionVerifier if is_async else ClientAssertionVerifier
        settings = {"policy": self.policy, "clients": self.clients, "replay_store": self.store}
        return made(**settings, fetcher=self.fetcher, on_event=self.reported.append)

    @cached_property
    def form(self) -> Any:
        pairs = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", self.client_assertion)]
        twice = [pairs[1]] if self._what == "InvalidRequest" else []
        return [*pairs, *twice] if twice else {"grant_type": "client_credentials", **dict(pairs)}

    @cached_property
    def error(self) -> AuthenticationError:
        """An assertion was used twice."""
        client_assertion = self.tenant.assertion()
        self.verifier.verify(client_assertion)
        try:
            self.verifier.verify(client_assertion)
        except InvalidClient as error:
            return error
        raise AssertionError

    @cached_property
    def environ(self) -> dict[str, Any]:
        """A token request in WSGI."""
        body = urlencode(self.form).encode()
        fields = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": str(len(body))}
        return {"REQUEST_METHOD": "POST", "wsgi.input": BytesIO(body), **fields}

    # Events

    @cached_property
    def accepted(self) -> Counter[Any]:
        return Counter()

    @cached_property
    def refused(self) -> Counter[Any]:
        return Counter()

    @cached_property
    def event(self) -> events.Event:
        return event_of(self._what)

    # A store of the reader's own

    key = secrets.token_bytes(32)

    @cached_property
    def engine(self) -> Engine:
        return Engine()

    def create_engine(self, url: str) -> Any:
        engine = import_module("sqlalchemy").create_engine(url)
        self.context.callback(engine.dispose)
        return engine

    def create_async_engine(self, url: str) -> Any:
        """One that is disposed of in its own event loop."""
        self.engines.append(import_module("sqlalchemy.ext.asyncio").create_async_engine(url))
        return self.engines[-1]

    def MyStore(self, name: str) -> SQLiteReplayStore:  # noqa: N802
        return SQLiteReplayStore(self.tmp_path / name)

    def MyCache(self, name: str) -> SQLiteJWKSCache:  # noqa: N802
        return SQLiteJWKSCache(self.tmp_path / name)

    # LedgerBee's back channel

    def PortalSSO(self, **settings: Any) -> ledgerbee.PortalSSO:  # noqa: N802
        """One that finds LedgerBee in this process, unless it is told of a server."""
        if "base_url" not in settings:
            settings.update(http_client=self.http, api_key=self.tenant.api_key())
        return ledgerbee.PortalSSO(**settings)

    def AsyncPortalSSO(self, *, api_key: object) -> ledgerbee.AsyncPortalSSO:  # noqa: N802
        http = httpx.AsyncClient(transport=self.relying_party.transport)
        return ledgerbee.AsyncPortalSSO(api_key=self.tenant.api_key(), http_client=http)

    @cached_property
    def portal(self) -> ledgerbee.PortalSSO:
        portal = self.PortalSSO()
        if self._what.endswith("Error"):
            self.relying_party.fail_requests(1, 403)
        return portal

    customer = {"customerNumber": "C001", "vatZone": "DOMESTIC", "countryCode": "DK"}  # noqa: RUF012

    @cached_property
    def done(self) -> ledgerbee.Provisioned:
        return self.PortalSSO().provision(email="jane@example.com", customer=self.customer)

    @property
    def customer_id(self) -> str:
        return self.done.customer_id

    @property
    def jane(self) -> ledgerbee.Membership:
        return ledgerbee.Membership(self.customer_id, ledgerbee.Role.USER)

    @property
    def handoff(self) -> ledgerbee.Handoff:
        return self.PortalSSO().mint_handoff(sub="u-1", email="jane@example.com", memberships=[self.jane])

    # Frameworks

    def _issue(self) -> Any:
        """What a view of the framework gives back."""
        tokens = {"access_token": "a token"}
        if "starlette" in self.owner:
            return import_module("starlette.responses").JSONResponse(tokens)
        if "django" in self.owner:
            return import_module("django.http").JsonResponse(tokens)
        return tokens if "flask" in self.owner or "fastapi" in self.owner else [json.dumps(tokens).encode()]

    proof_is_good = True

    def has_good_proof(self, _request: object, client_id: str) -> bool:
        assert client_id == self.client_id
        return self.proof_is_good

    @staticmethod
    def new_nonce() -> str:
        return "a-nonce"

    @cached_property
    def app(self) -> Any:
        if "fastapi" in self.owner:
            return import_module("fastapi").FastAPI()
        return import_module("flask").Flask("project")

    @property
    def INSTALLED_APPS(self) -> list[str]:  # noqa: N802
        """All but what the example says must be added."""
        ours = "private_key_jwt.stores.django"
        others = ["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"]
        return others if f'"{ours}"' in self.code else [*others, ours]

    @property
    def MIDDLEWARE(self) -> list[str]:  # noqa: N802
        ours = "private_key_jwt.integrations.oauth_toolkit.ClientAssertionMiddleware"
        return [ours] if "oauth_toolkit" in self.owner and ours not in self.code else []

    @cached_property
    def PRIVATE_KEY_JWT(self) -> dict[str, Any]:  # noqa: N802
        return {
            "AUDIENCE": ISSUER,
            "CLIENTS": "project.oauth.find_client",
            "REPLAY_STORE": "private_key_jwt.stores.MemoryReplayStore",
        }

    @cached_property
    def validator(self) -> Any:
        """One of the toolkit's, as it is told to be made."""
        toolkit = import_module("private_key_jwt.integrations.oauth_toolkit")
        validators = import_module("oauth2_provider.oauth2_validators")
        bases = (toolkit.ClientAssertionMixin, validators.OAuth2Validator)
        return type("Validator", bases, {"client_assertion_verifier": self.verifier})()

    @cached_property
    def UseDPoPNonceError(self) -> Any:  # noqa: N802
        if "authlib" in self.owner:
            error = import_module("authlib.oauth2").OAuth2Error
        else:
            error = import_module("oauthlib.oauth2").OAuth2Error
        return type("UseDPoPNonceError", (error,), {"error": "use_dpop_nonce"})

    @cached_property
    def server(self) -> Any:
        """Authlib's, at which the client is registered."""
        flask_oauth2 = import_module("authlib.integrations.flask_oauth2")
        client = _authlib_client(self.client_id, self.tenant.document())
        server = flask_oauth2.AuthorizationServer(self.app, {self.client_id: client}.get, self._save_token)
        grants = import_module("authlib.oauth2.rfc6749.grants")
        methods = {"TOKEN_ENDPOINT_AUTH_METHODS": ["private_key_jwt"]}
        server.register_grant(type("Grant", (grants.ClientCredentialsGrant,), methods))
        self.app.post("/token")(server.create_token_response)
        if self._what == "ClientNotAuthenticated":
            import_module("private_key_jwt.integrations.authlib").register_private_key_jwt(server, self.verifier)
        return server

    def _save_token(self, _token: object, request: Any) -> None:
        self.calls["issue_tokens"](request.client.client_id)

    @cached_property
    def request(self) -> Any:
        """The request of a framework, or of whatever else takes one."""
        if "flask" in self.owner:
            return import_module("flask").request
        if "starlette" in self.owner:
            return self._starlette_request()
        if "authlib" in self.owner:
            return self._authlib_request()
        if "oauth_toolkit" in self.owner:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return import_module("oauthlib.common").Request(self.token_endpoint, "POST", urlencode(self.form), headers)
        return "a request"

    def _starlette_request(self) -> Any:
        body = urlencode(self.form).encode()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        headers = [(b"content-type", b"application/x-www-form-urlencoded")]
        scope = {"type": "http", "method": "POST", "query_string": b"", "headers": headers}
        return import_module("starlette.requests").Request(scope, receive)

    def _authlib_request(self) -> Any:
        self.context.enter_context(self.app.test_request_context("/token", method="POST", data=self.form))
        return self.server.create_oauth2_request(None)


def _authlib_client(client_id: str, jwks: dict[str, Any]) -> Any:
    def check(_self: object, method: str, _endpoint: str) -> bool:
        return method == "private_key_jwt"

    members = {
        "client_id": client_id,
        "jwks": jwks,
        "get_allowed_scope": lambda _self, _scope: "",
        "check_grant_type": lambda _self, _grant: True,
        "check_endpoint_auth_method": check,
    }
    return type("Client", (import_module("authlib.oauth2.rfc6749").ClientMixin,), members)()


def _exporters(name: str) -> list[str]:
    return [module.name for module in modules() if name in exported(module)]
