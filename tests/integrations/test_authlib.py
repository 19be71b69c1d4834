"""What Authlib's servers can be set up to do, beyond what its example does."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc7009 import RevocationEndpoint
from flask import Flask, Request
from flask import request as flask_request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.test import EnvironBuilder

from integrations import werkzeug_server
from integrations.scenarios import (
    FORM,
    INVALID_CLIENT,
    INVALID_CLIENT_TRIED_BASIC,
    INVALID_REQUEST,
    TEMPORARILY_UNAVAILABLE,
    Wire,
    token_request,
    wire,
)
from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    ClientAssertionVerifier,
    ConfigurationError,
    InvalidClient,
    InvalidRequest,
    MemoryReplayStore,
    PendingAssertion,
    Reason,
    RegisteredClient,
    TemporarilyUnavailable,
)
from private_key_jwt.events import AssertionRefused, Event, RegistrationRefused
from private_key_jwt.integrations import authlib as authlib_integration
from private_key_jwt.integrations import flask as in_flask
from private_key_jwt.integrations._authlib_request import bound
from private_key_jwt.integrations.authlib import refusal, register_private_key_jwt, registered_clients
from private_key_jwt.testing import RelyingParty, Tenant
from support import held_by


class Client(ClientMixin):  # type: ignore[misc]
    """A client in memory, with methods for each endpoint."""

    def __init__(self, client_id: str, methods: dict[str, str], **members: Any) -> None:
        self.client_id = client_id
        self.methods = methods
        self.__dict__.update(members)

    def get_allowed_scope(self, scope: str) -> str:
        return ""

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == "s3cret"

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return self.methods.get(endpoint, method) == method

    def check_grant_type(self, grant_type: str) -> bool:
        return True


class Grant(ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS: list[str]


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS: list[str]

    def query_token(self, token: str, token_type_hint: str) -> None:
        return None


class OpenIDProvider:
    """A Flask application around an Authlib server whose clients are in a dictionary."""

    def __init__(self) -> None:
        self.clients: dict[str, Client] = {}
        self.asked = 0
        self.fails_at = 0
        self.consumes = False
        self.used: list[str] = []
        app = Flask(__name__)
        app.config["OAUTH2_ERROR_URIS"] = [("invalid_client", "https://op.example.com/errors")]
        self.server = AuthorizationServer(app, self.query_client, self.save_token)
        self.list_methods("client_secret_basic")
        self.server.register_grant(Grant)
        self.server.register_endpoint(Revocation)
        app.post("/token", endpoint="token")(lambda: self.server.create_token_response())
        app.post("/revocation", endpoint="revocation")(lambda: self.server.create_endpoint_response("revocation"))
        self.app = app
        self.reported: list[Event] = []
        self._own = self.server.authenticate_client
        self.register(registered_clients(self.server))
        self.tenant: Tenant = RelyingParty().tenant()

    def register(self, clients: Any) -> None:
        """Let the clients that a verifier knows authenticate, in place of those of before."""
        self.server.authenticate_client = self._own
        self.verifier = ClientAssertionVerifier(
            policy=AssertionPolicy(audience="https://op.example.com"),
            clients=clients,
            replay_store=MemoryReplayStore(),
            on_event=self.reported.append,
        )
        register_private_key_jwt(self.server, self.verifier, before_consume=self.before_consume)

    def before_consume(self, pending: PendingAssertion, _request: Any) -> None:
        if self.consumes:
            pending.consume()

    def refusals(self) -> list[Reason]:
        reasons = [event.reason for event in self.reported if isinstance(event, AssertionRefused)]
        self.reported.clear()
        return reasons

    def query_client(self, client_id: str) -> Client | None:
        self.asked += 1
        if self.asked == self.fails_at:
            raise OSError("the database went away")
        return self.clients.get(client_id)

    def save_token(self, _token: object, request: Any) -> None:
        self.used.append(request.auth_method)

    def add(self, methods: dict[str, str] | None = None, **members: Any) -> None:
        methods = {"token": "private_key_jwt"} if methods is None else methods
        members = members or {"jwks": self.tenant.document()}
        self.clients[self.tenant.client_id] = Client(self.tenant.client_id, methods, **members)

    def list_methods(self, *methods: str) -> None:
        Grant.TOKEN_ENDPOINT_AUTH_METHODS = Revocation.CLIENT_AUTH_METHODS = list(methods)

    def post(self, form: dict[str, str], endpoint: str = "token", **headers: str) -> Any:
        return self.http.post(f"{self.url}/{endpoint}", data={"token": "x", **form}, headers=headers)

    http: httpx.Client
    url: str


@pytest.fixture
def op(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenIDProvider]:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    op = OpenIDProvider()
    with werkzeug_server.serve(op.app) as op.url, httpx.Client(trust_env=False) as op.http:
        yield op


def basic(client_id: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:s3cret".encode()).decode()


def test_what_cannot_be_registered_is_named() -> None:
    verifier: dict[str, Any] = {
        "policy": AssertionPolicy(audience="https://op.example.com"),
        "clients": [],
        "replay_store": MemoryReplayStore(),
    }
    with pytest.raises(ConfigurationError, match="server must be of AuthorizationServer, not Flask"):
        register_private_key_jwt(Flask(__name__), ClientAssertionVerifier(**verifier))
    asynchronous: Any = AsyncClientAssertionVerifier(**verifier)
    with pytest.raises(ConfigurationError, match="verifier must be of ClientAssertionVerifier, not Async"):
        register_private_key_jwt(AuthorizationServer(), asynchronous)

    async def check(_pending: object, _request: object) -> None: ...

    unfit: Any
    for unfit, kind in ((check, "a coroutine function"), ("check", "str")):
        with pytest.raises(ConfigurationError, match=f"^before_consume must be a plain function, not {kind}$"):
            register_private_key_jwt(AuthorizationServer(), ClientAssertionVerifier(**verifier), before_consume=unfit)


def test_the_server_learns_the_method(op: OpenIDProvider) -> None:
    op.add()
    assert op.post(token_request(op.tenant.assertion())).status_code == 200
    assert op.used == ["private_key_jwt"]


@pytest.mark.parametrize("endpoint", ["token", "revocation"])
@pytest.mark.parametrize(
    "methods", [(), ("none",), ("private_key_jwt",), ("none", "private_key_jwt"), ("private_key_jwt", "none")]
)
def test_an_assertion_decides_whatever_methods_are_listed(
    op: OpenIDProvider, methods: tuple[str, ...], endpoint: str
) -> None:
    op.list_methods(*methods)
    op.add()
    form = token_request(op.tenant.assertion())
    assert op.post(form, endpoint).status_code == 200
    assert wire(op.post(form, endpoint)) == INVALID_CLIENT


@pytest.mark.parametrize("endpoint", ["token", "revocation"])
@pytest.mark.parametrize("methods", [("none", "private_key_jwt"), ("private_key_jwt", "none")])
def test_a_refused_assertion_does_not_make_a_public_client(
    op: OpenIDProvider, methods: tuple[str, ...], endpoint: str
) -> None:
    op.list_methods(*methods)
    op.clients["public"] = Client("public", {"token": "none"})
    form = {"grant_type": "client_credentials", "client_id": "public"}
    assert op.post(form, endpoint).status_code == 200
    assert wire(op.post({**form, **token_request("a.b.c")}, endpoint)) == INVALID_CLIENT


@pytest.mark.parametrize("endpoint", ["token", "revocation"])
def test_where_nothing_else_is_listed_a_request_without_an_assertion_gets_our_answer(
    op: OpenIDProvider, endpoint: str
) -> None:
    op.list_methods("private_key_jwt")
    assert wire(op.post({"grant_type": "client_credentials"}, endpoint)) == INVALID_CLIENT


def test_a_client_that_must_send_an_assertion_is_told_apart_from_a_wrong_secret(op: OpenIDProvider) -> None:
    """Authlib answers both in the same way; the reason is for the operator."""
    op.add()
    form = {"grant_type": "client_credentials"}
    for sent in (
        {"form": form, "Authorization": basic(op.tenant.client_id)},
        {"form": {**form, "client_id": op.tenant.client_id, "client_secret": "s3cret"}},
    ):
        answer = op.post(**sent)
        assert (answer.status_code, answer.json()) == (401, INVALID_CLIENT.body)
    assert op.refusals() == [Reason.MISSING_ASSERTION] * 2
    # These are Authlib's to answer: nobody, a client of another method, and one that may use both.
    op.clients["secretive"] = Client("secretive", {"token": "client_secret_basic"})
    op.clients["both"] = Both("both", {})
    for client_id in ("nobody", "secretive", "both"):
        wrong = "Basic " + base64.b64encode(f"{client_id}:wrong".encode()).decode()
        assert "cannot authenticate" in op.post(form, Authorization=wrong).text or client_id == "nobody"
    assert op.refusals() == []


class Both(Client):
    """A client on its way from a secret to a key."""

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in ("private_key_jwt", "client_secret_basic")


def test_a_client_that_may_use_both_comes_in_by_its_secret(op: OpenIDProvider) -> None:
    op.clients["both"] = Both("both", {}, jwks=op.tenant.document())
    form = {"grant_type": "client_credentials"}
    assert op.post(form, Authorization=basic("both")).status_code == 200


@pytest.mark.parametrize("known", ["list", "mapping", "function"])
def test_what_the_verifier_knows_is_registered_whatever_the_model_says(op: OpenIDProvider, known: str) -> None:
    tenant = op.tenant
    registered = {tenant.client_id: RegisteredClient(tenant.client_id, jwks=tenant.document())}
    clients: dict[str, Any] = {"list": [*registered.values()], "mapping": registered, "function": registered.get}
    op.register(clients[known])
    op.add({"token": "client_secret_basic", "revocation": "client_secret_basic"})
    for endpoint in ("token", "revocation"):
        form = {"grant_type": "client_credentials"}
        assert op.post({**form, **token_request(tenant.assertion())}, endpoint).status_code == 200
        refused = op.post(form, endpoint, Authorization=basic(tenant.client_id))
        assert wire(refused) == INVALID_CLIENT_TRIED_BASIC
    assert op.refusals() == [Reason.MISSING_ASSERTION] * 2
    # What cannot be asked lets nobody in.
    op.register(clients_that_raise)
    assert wire(op.post(form, Authorization=basic(tenant.client_id))) == TEMPORARILY_UNAVAILABLE


def clients_that_raise(client_id: str) -> RegisteredClient:
    raise OSError("no route")


def test_a_client_that_is_known_must_be_the_servers_too_and_keeps_its_assertion(op: OpenIDProvider) -> None:
    tenant = op.tenant
    op.register([RegisteredClient(tenant.client_id, jwks=tenant.document())])
    form = token_request(tenant.assertion())
    assert wire(op.post(form)) == INVALID_CLIENT
    assert op.refusals() == [Reason.UNKNOWN_CLIENT]
    op.add()
    assert op.post(form).status_code == 200


def test_a_client_is_registered_under_the_name_that_is_stored() -> None:
    """A column that compares without case answers to every spelling; each would have replay marks of its own."""
    stored = Client("PORTAL-acme", {"token": "private_key_jwt"}, jwks_uri="https://c.example/")
    named = SimpleNamespace(
        get_client_id=lambda: "PORTAL-acme",
        check_endpoint_auth_method=stored.check_endpoint_auth_method,
        jwks_uri="https://c.example/",
    )
    for client in (stored, named):
        found = registered_clients(SimpleNamespace(query_client=lambda _, client=client: client))("portal-ACME")
        assert found is not None
        assert found.client_id == "PORTAL-acme"


def test_the_spellings_of_a_name_are_no_clients(op: OpenIDProvider) -> None:
    op.add()
    stored = op.clients[op.tenant.client_id]
    op.clients[op.tenant.client_id.upper()] = stored
    other = op.tenant.client_id.upper()
    assert wire(op.post(token_request(op.tenant.assertion(iss=other, sub=other)))) == INVALID_CLIENT
    assert op.post(token_request(op.tenant.assertion())).status_code == 200


def test_the_request_of_the_framework_tells_why_it_was_refused(op: OpenIDProvider) -> None:
    seen: list[Any] = []

    @op.app.after_request
    def log(response: Any) -> Any:
        seen.append(refusal(flask_request))
        return response

    op.add()
    op.post(token_request(op.tenant.defective("expired")))
    op.post(token_request(op.tenant.assertion()))
    assert [error and error.reason for error in seen] == [Reason.EXPIRED, None]


COSTLY: dict[str, dict[str, Any]] = {
    "a query of 300 parameters": {"params": b"a=&" * 300},
    "a query of 5,000 bytes": {"params": b"a=" + b"x" * 5_000},
    "a form of 300 parameters": {"content": b"a=&" * 300, "headers": {"Content-Type": FORM}},
    "a form of 70,000 bytes": {"data": {"a": "x" * 70_000}},
    "130 parameters in the URL and the form": {
        "params": b"a=b&" * 65,
        "content": b"a=b&" * 65,
        "headers": {"Content-Type": FORM},
    },
    "multipart of 5,000 bytes": {"files": {"a": b"x" * 5_000}},
}


@pytest.mark.parametrize("query", [b"a=\xff", b"a=" + b"%41" * 600, b"a=" + b'"' * 600])
def test_a_query_that_cannot_be_read_cheaply_is_refused(query: bytes) -> None:
    environ = EnvironBuilder(method="POST", data={"a": "b"}).get_environ()
    with pytest.raises(InvalidRequest):
        bound(Request({**environ, "QUERY_STRING": query.decode("latin-1")}))


def test_a_query_that_cannot_be_decoded_does_not_hang_on_its_refusal() -> None:
    environ = EnvironBuilder(method="POST", data={"a": "b"}).get_environ()
    with pytest.raises(InvalidRequest, match="parameters in UTF-8") as caught:
        bound(Request({**environ, "QUERY_STRING": "client_assertion=secret&a=\xff"}))
    assert "secret" not in held_by(caught.value)


class Limited(Request):
    """A request class with a limit of its own."""

    @property
    def args(self) -> Any:
        raise RequestEntityTooLarge


def test_a_query_over_a_limit_of_the_framework_is_refused_with_its_error() -> None:
    with pytest.raises(InvalidRequest, match="reading it raised RequestEntityTooLarge") as caught:
        bound(Limited(EnvironBuilder(method="POST", data={"a": "b"}).get_environ()))
    assert isinstance(caught.value.__cause__, RequestEntityTooLarge)


@pytest.mark.parametrize("endpoint", ["token", "revocation"])
@pytest.mark.parametrize("name", COSTLY)
def test_what_would_cost_too_much_to_parse_is_refused_before(op: OpenIDProvider, name: str, endpoint: str) -> None:
    response = op.http.post(f"{op.url}/{endpoint}", **COSTLY[name])
    assert wire(response) == INVALID_REQUEST
    assert op.refusals() == [Reason.INVALID_REQUEST]


def test_a_multipart_body_in_chunks_has_a_bound_too() -> None:
    builder = EnvironBuilder(method="POST", data={"a": "x" * 5_000}, content_type="multipart/form-data")
    with closing(builder):
        environ = builder.get_environ()
    del environ["CONTENT_LENGTH"]
    request = Request({**environ, "wsgi.input_terminated": True})
    bound(request)
    with pytest.raises(RequestEntityTooLarge):
        _ = request.form


@pytest.mark.parametrize("content_type", [FORM, "multipart/form-data; boundary=x"])
def test_a_lower_limit_of_the_framework_stays(content_type: str) -> None:
    environ = EnvironBuilder(method="POST", data=b"a=" + b"x" * 2_000, content_type=content_type).get_environ()
    request = Request(environ)
    request.max_content_length = 1_000
    with pytest.raises(InvalidRequest, match="at most 1000 bytes"):
        bound(request)


def test_what_is_no_request_of_a_client_is_left_alone() -> None:
    long = "a=b&" * 2_000
    bound(SimpleNamespace(method="POST", uri=f"https://op.example.com/token?{long}"))  # of another framework
    # At the authorization endpoint a client is named in the URL, also where a form is posted to it.
    consent = Request(EnvironBuilder(method="POST", query_string="client_id=a", data={"confirm": "x"}).get_environ())
    bound(consent)
    assert (consent.args["client_id"], consent.form["confirm"]) == ("a", "x")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_would_cost_too_much_to_parse_is_refused_by_every_method(op: OpenIDProvider, method: str) -> None:
    """Where a route takes it. Flask parses a form whatever the method."""
    op.app.add_url_rule("/any", view_func=op.server.create_token_response, methods=[method])
    for name in ("a query of 300 parameters", "a query of 5,000 bytes", "a form of 70,000 bytes"):
        assert wire(op.http.request(method, f"{op.url}/any", **COSTLY[name])) == INVALID_REQUEST
        assert op.refusals() == [Reason.INVALID_REQUEST]


def test_a_request_to_the_authorization_endpoint_may_have_a_long_url(op: OpenIDProvider) -> None:
    with op.app.test_request_context(query_string="request=" + "x" * 7_000):
        assert len(op.server.create_oauth2_request(None).args["request"]) == 7_000


def test_an_endpoint_takes_only_forms_and_what_is_small(op: OpenIDProvider) -> None:
    """A client of another method may go on to send multipart."""
    op.add({"token": "client_secret_post"})
    op.list_methods("client_secret_post")
    form = {"grant_type": "client_credentials", "client_id": op.tenant.client_id, "client_secret": "s3cret"}
    files = {name: (None, value) for name, value in form.items()}
    assert op.http.post(f"{op.url}/token", files=files).status_code == 200


def test_what_a_grant_raises_is_answered_and_is_one_event(op: OpenIDProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: object) -> None:
        raise InvalidClient(Reason.BAD_SIGNATURE, "a proof is missing")

    op.add()
    monkeypatch.setattr(Grant, "create_token_response", refuse)
    assert wire(op.post(token_request(op.tenant.assertion()))) == INVALID_CLIENT
    assert op.refusals() == [Reason.BAD_SIGNATURE]


@pytest.mark.parametrize("before", ["a hook of Flask", "before_consume"])
def test_an_assertion_that_another_part_of_the_server_consumed_is_used_up_once(op: OpenIDProvider, before: str) -> None:
    op.add()
    if before == "before_consume":
        op.consumes = True
    else:
        hook = in_flask.client_authentication(op.verifier, consume=False)(lambda client: client.consume() and None)
        op.app.before_request(hook)
    form = token_request(op.tenant.assertion())
    assert op.post(form).status_code == 200
    assert wire(op.post(form)) == INVALID_CLIENT
    assert op.refusals() == [Reason.REPLAYED]


class Awaitable:
    def __await__(self) -> Iterator[None]:
        return iter(())


@pytest.mark.parametrize("answer", [False, Awaitable()])
def test_a_check_that_returns_in_place_of_raising_lets_nobody_in(op: OpenIDProvider, answer: Any) -> None:
    op.add()
    op.before_consume = lambda *_: answer  # type: ignore[method-assign]
    op.register(registered_clients(op.server))
    assert op.post(token_request(op.tenant.assertion())).status_code == 500
    assert op.used == []


def test_a_header_field_that_is_no_text_is_no_error_of_ours(op: OpenIDProvider) -> None:
    op.list_methods("client_secret_post")
    answer = op.post({"grant_type": "client_credentials"}, Authorization="Basic " + base64.b64encode(b"\xff").decode())
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")


@pytest.mark.parametrize("endpoint", ["token", "revocation"])
def test_credentials_that_authlib_cannot_decode_are_refused_and_do_not_hang_on_the_refusal(
    op: OpenIDProvider, endpoint: str
) -> None:
    seen: list[Any] = []

    @op.app.after_request
    def keep(response: Any) -> Any:
        seen.append(refusal(flask_request))
        return response

    sent = "Basic " + base64.b64encode(b"client:s3cret\xff").decode()
    assert wire(op.post({"grant_type": "client_credentials"}, endpoint, Authorization=sent)) == INVALID_REQUEST
    assert op.refusals() == [Reason.INVALID_REQUEST]
    assert "s3cret" not in held_by(seen[0])


def test_what_stands_behind_a_hash_in_a_url_is_checked() -> None:
    request = SimpleNamespace(
        uri="https://op.example.com/token?x=1#&client_id=victim", method="POST", headers={}, form=MultiDict()
    )
    with pytest.raises(InvalidRequest, match="client_id in the body, got it in the URL"):
        authlib_integration._read(request)


def test_a_client_may_be_registered_for_some_endpoints_only(op: OpenIDProvider) -> None:
    op.add({"token": "private_key_jwt", "revocation": "client_secret_basic"})
    assert op.post(token_request(op.tenant.assertion())).status_code == 200
    assert wire(op.post(token_request(op.tenant.assertion()), "revocation")) == INVALID_CLIENT


@pytest.mark.parametrize("endpoint", ["token", "revocation"])
def test_a_model_that_allows_everything_elsewhere_lets_nobody_in_by_a_secret(op: OpenIDProvider, endpoint: str) -> None:
    """As Authlib's mixin for SQLAlchemy does: it knows of the token endpoint only."""
    form = {"grant_type": "client_credentials"}
    op.add({"token": "private_key_jwt"})
    assert op.post(form, endpoint, Authorization=basic(op.tenant.client_id)).json()["error"] == "invalid_client"
    op.add({"token": "client_secret_basic"})
    assert op.post(form, endpoint, Authorization=basic(op.tenant.client_id)).status_code == 200
    op.add({})
    assert op.post(form, endpoint, Authorization=basic(op.tenant.client_id)).status_code == 200


@pytest.mark.parametrize("question", [1, 2])
def test_a_database_that_fails_is_no_fault_of_the_client(op: OpenIDProvider, question: int) -> None:
    op.add()
    op.fails_at = question
    assert wire(op.post(token_request(op.tenant.assertion()))) == TEMPORARILY_UNAVAILABLE
    assert op.asked == question


def test_a_client_that_leaves_in_between_is_refused(op: OpenIDProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    op.add()
    find = op.query_client

    def find_once(client_id: str) -> Client | None:
        return find(client_id) if not op.asked else None

    monkeypatch.setattr(op.server, "_query_client", find_once)
    assert wire(op.post(token_request(op.tenant.assertion()))) == INVALID_CLIENT


UNUSABLE: dict[str, tuple[dict[str, Any], Wire]] = {
    "no keys": ({"jwks": None}, INVALID_CLIENT),
    "both sources": ({"jwks": {"keys": []}, "jwks_uri": "https://c.example/"}, TEMPORARILY_UNAVAILABLE),
    "another algorithm": (
        {"jwks_uri": "https://c.example/", "token_endpoint_auth_signing_alg": "HS256"},
        TEMPORARILY_UNAVAILABLE,
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_registration_that_cannot_work_lets_nobody_in(op: OpenIDProvider, name: str) -> None:
    members, expected = UNUSABLE[name]
    op.add(**members)
    assert wire(op.post(token_request(op.tenant.assertion()))) == expected
    refused = [event.client_id for event in op.reported if isinstance(event, RegistrationRefused)]
    assert refused == ([] if expected == INVALID_CLIENT else [op.tenant.client_id])


def test_an_algorithm_that_is_not_known_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="signing_algs must be of RS256, .*, not 'HS256'"):
        registered_clients(SimpleNamespace(), signing_algs=["HS256"])


def test_the_clients_of_a_server_are_those_of_the_method() -> None:
    known = {
        "ours": Client("ours", {"token": "private_key_jwt"}, client_metadata={"jwks_uri": "https://c.example/"}),
        "other": Client("other", {"token": "client_secret_basic"}, jwks_uri="https://c.example/"),
    }
    find = registered_clients(SimpleNamespace(query_client=known.get))
    ours = find("ours")
    assert ours is not None
    assert (ours.client_id, ours.jwks_uri) == ("ours", "https://c.example/")
    assert find("other") is None
    assert find("nobody") is None


def test_the_reason_stays_with_the_error_for_hooks_of_the_server(
    op: OpenIDProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    handle = op.server.handle_error_response

    def keep(request: Any, error: Exception) -> Any:
        seen.append(error.__cause__)
        return handle(request, error)

    monkeypatch.setattr(op.server, "handle_error_response", keep)
    op.add(jwks_uri="https://c.example/", jwks=op.tenant.document())
    op.post(token_request(op.tenant.assertion()))
    [error] = seen
    assert isinstance(error, TemporarilyUnavailable)
    assert error.reason is Reason.CLIENT_LOOKUP_FAILED


@pytest.mark.parametrize("form", [MultiDict, dict])
def test_an_empty_value_in_front_hides_no_assertion_from_the_check_of_the_content_type(form: Any) -> None:
    pairs = [("client_assertion", "x")] if form is dict else [("client_assertion", ""), ("client_assertion", "x")]
    request = SimpleNamespace(
        uri="https://op.example.com/token",
        method="POST",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        form=form(pairs),
    )
    with pytest.raises(InvalidRequest, match="multipart"):
        authlib_integration._read(request)
