"""Authlib's authorization server and django-oauth-toolkit, whole, over HTTP."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from joserfc.jwk import RSAKey

from integrations.authorization_server import PATHS, AuthorizationServer
from integrations.scenarios import (
    ACCEPTED,
    ASSERTION_TYPE,
    INVALID_CLIENT,
    INVALID_REQUEST,
    MALFORMED,
    REFUSED,
    TEMPORARILY_UNAVAILABLE,
    Wire,
    send_cut_off,
    token_request,
    wire,
)
from private_key_jwt import Reason
from private_key_jwt.testing import Clock, RelyingParty, Tenant

ISSUER = "https://op.example.com"
_numbers = itertools.count()


class Running(NamedTuple):
    """One of the servers, with a clock of its own, and a client that publishes its keys all the time."""

    example: str
    folder: Path
    clock: Clock
    server: AuthorizationServer
    tenant: Tenant


@pytest.fixture(scope="module", params=sorted(PATHS))
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder, clock = tmp_path_factory.mktemp(request.param), Clock()
    party = RelyingParty(audience=ISSUER, clock=clock)
    tenant = party.tenant("usual")
    with party.serve() as publisher, AuthorizationServer(request.param, folder, clock()) as server:
        server.add(tenant.client_id, jwks_uri=str(tenant.client(publisher.base_url).jwks_uri))
        yield Running(request.param, folder, clock, server, tenant)


class OpenIDProvider:
    """A running server, a relying party for one test, so that its keys can be used again, and an HTTP client."""

    def __init__(self, running: Running, http: httpx.Client) -> None:
        self.example, self.folder, self.clock, self.server, self.tenant = running
        self.http = http
        self.party = RelyingParty(audience=ISSUER, clock=self.clock)
        self._base_url = ""
        self.stack = ExitStack()

    def add(self, **metadata: Any) -> Tenant:
        """A new tenant, registered by its jwks_uri."""
        if not self._base_url:
            self._base_url = self.stack.enter_context(self.party.serve()).base_url
        tenant = self.party.tenant(f"t{next(_numbers)}")
        self.server.add(tenant.client_id, **{"jwks_uri": tenant.client(self._base_url).jwks_uri, **metadata})
        return tenant

    def add_with_secret(self, **metadata: Any) -> tuple[str, str]:
        client_id = f"secretive-{next(_numbers)}"
        self.server.add(client_id, client_secret="s3cret", **metadata)
        return client_id, "s3cret"

    def form(self, tenant: Tenant, **changes: Any) -> dict[str, Any]:
        """A token request with changes; a change to None leaves a parameter out."""
        form = {**token_request(tenant.assertion()), **changes}
        return {name: value for name, value in form.items() if value is not None}

    def post(self, form: Any, endpoint: str = "token", **settings: Any) -> httpx.Response:
        return self.http.post(getattr(self.server, f"{endpoint}_endpoint"), data=form, **settings)

    def issue(self, tenant: Tenant) -> str:
        response = self.post(self.form(tenant))
        assert response.status_code == 200, response.text
        token: str = response.json()["access_token"]
        return token


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as http:
        yield http


@pytest.fixture
def op(running: Running, http: httpx.Client) -> Iterator[OpenIDProvider]:
    op = OpenIDProvider(running, http)
    with op.stack:
        yield op


ENDPOINTS = ("token", "revocation", "introspection")

# What a client sends besides the rest of a valid request, and what every framework answers.
Send = Callable[["OpenIDProvider", Tenant, str], httpx.Response]


def _form(op: OpenIDProvider, tenant: Tenant, **changes: Any) -> dict[str, Any]:
    return {"token": "no-such-token", **op.form(tenant, **changes)}


def _with(**changes: Any) -> Send:
    def send(op: OpenIDProvider, tenant: Tenant, endpoint: str) -> httpx.Response:
        return op.post(_form(op, tenant, **changes), endpoint)

    return send


def _behind_a_hash(op: OpenIDProvider, tenant: Tenant, endpoint: str) -> httpx.Response:
    """``client_id`` behind a raw ``#`` in the query, which httpx would escape: what some frameworks read on."""
    path = httpx.URL(getattr(op.server, f"{endpoint}_endpoint")).raw_path
    return op.post(_form(op, tenant), endpoint, extensions={"target": path + b"?x=1#&client_id=victim"})


def _replayed(op: OpenIDProvider, tenant: Tenant, endpoint: str) -> httpx.Response:
    form = _form(op, tenant)
    assert op.post(form, endpoint).status_code == 200
    return op.post(form, endpoint)


def _twice(op: OpenIDProvider, tenant: Tenant, endpoint: str) -> httpx.Response:
    return op.post(_form(op, tenant, client_assertion=[tenant.assertion(), tenant.assertion()]), endpoint)


def _in_url(op: OpenIDProvider, tenant: Tenant, endpoint: str) -> httpx.Response:
    form = _form(op, tenant)
    query = {"client_assertion": form.pop("client_assertion"), "client_assertion_type": ASSERTION_TYPE}
    return op.post(form, endpoint, params=query)


def _as_multipart(op: OpenIDProvider, tenant: Tenant, endpoint: str) -> httpx.Response:
    return op.post(_form(op, tenant), endpoint, files={"file": b"x"})


def _unpublished(op: OpenIDProvider, _tenant: Tenant, endpoint: str) -> httpx.Response:
    tenant = op.add()
    tenant.remove_keys()
    return op.post(_form(op, tenant), endpoint)


def _unregistered(op: OpenIDProvider, tenant: Tenant, endpoint: str) -> httpx.Response:
    return op.post(_form(op, op.party.tenant(f"t{next(_numbers)}")), endpoint)


def _nul(op: OpenIDProvider, tenant: Tenant, endpoint: str) -> httpx.Response:
    return op.post(_form(op, tenant, client_assertion=tenant.assertion(iss="a\0", sub="a\0")), endpoint)


def _registered_for_a_secret(op: OpenIDProvider, tenant: Tenant, endpoint: str) -> httpx.Response:
    client_id, _ = op.add_with_secret()
    return op.post(_form(op, tenant, client_assertion=tenant.assertion(iss=client_id, sub=client_id)), endpoint)


def _in_outage(op: OpenIDProvider, tenant: Tenant, endpoint: str) -> httpx.Response:
    op.party.outage = 500
    try:
        return op.post(_form(op, tenant), endpoint)
    finally:
        op.party.outage = None


def _outage(op: OpenIDProvider, _tenant: Tenant, endpoint: str) -> httpx.Response:
    return _in_outage(op, op.add(), endpoint)


TABLE: dict[str, tuple[Send, Wire, Reason]] = {
    "replayed": (_replayed, INVALID_CLIENT, Reason.REPLAYED),
    "no keys published": (_unpublished, INVALID_CLIENT, Reason.NO_KEYS),
    "a client that is not registered": (_unregistered, INVALID_CLIENT, Reason.UNKNOWN_CLIENT),
    "a client of another method": (_registered_for_a_secret, INVALID_CLIENT, Reason.UNKNOWN_CLIENT),
    "a NUL in the client_id": (_nul, INVALID_CLIENT, Reason.UNKNOWN_CLIENT),
    "two assertions": (_twice, INVALID_REQUEST, Reason.INVALID_REQUEST),
    "a client_secret beside it": (_with(client_secret="s3cret"), INVALID_REQUEST, Reason.INVALID_REQUEST),
    "in the URL": (_in_url, INVALID_REQUEST, Reason.INVALID_REQUEST),
    "in a multipart body": (_as_multipart, INVALID_REQUEST, Reason.INVALID_REQUEST),
    "keys that cannot be fetched": (_outage, TEMPORARILY_UNAVAILABLE, Reason.JWKS_UNAVAILABLE),
}

# The rows of the table of all frameworks that say something of an assertion, in a body that the framework could read
# as a form. The rest has no assertion for these servers, which take other methods, too: they answer it themselves.
READABLE = {
    **{
        name: (MALFORMED[name], INVALID_REQUEST)
        for name in (
            "no type",
            "another type",
            "no assertion",
            "two assertions",
            "two client_ids",
            "assertion in the query, and in the body",
            "encoded name in the query",
            "secret in the query",
            "Authorization beside",
            "two Authorization beside",
            "secret beside",
            "too large",
            "multipart",
        )
    },
    **{
        name: (REFUSED[name], INVALID_CLIENT)
        for name in (
            "an assertion of nonsense",
            "a large assertion",
            "an expired assertion",
            "a foreign key",
            "another client_id",
        )
    },
}


@pytest.mark.parametrize("name", READABLE)
def test_they_answer_as_all_frameworks_do(op: OpenIDProvider, name: str) -> None:
    make, expected = READABLE[name]
    op.server.refusals()
    assert wire(op.http.post(op.server.token_endpoint, **make(op.tenant))) == expected
    assert len(op.server.refusals()) == 1


# These servers look at the scope, too, and one takes no query at all.
NOT_OURS = {"odd parameters", "a body of 60 KB", "another query", "parameters without a value in the query"}


@pytest.mark.parametrize("name", sorted(ACCEPTED.keys() - NOT_OURS))
def test_they_take_what_all_frameworks_take(op: OpenIDProvider, name: str) -> None:
    response = op.http.post(op.server.token_endpoint, **ACCEPTED[name](op.tenant))
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_credentials_behind_a_hash_in_the_url_are_refused_where_the_server_hands_them_on(
    op: OpenIDProvider, endpoint: str
) -> None:
    op.server.refusals()
    answer = _behind_a_hash(op, op.tenant, endpoint)
    if op.example == "authlib_flask":  # Werkzeug's server drops what stands behind it
        assert answer.status_code == 200
    else:
        assert (wire(answer), op.server.refusals()) == (INVALID_REQUEST, [Reason.INVALID_REQUEST])


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("sent", TABLE)
def test_every_endpoint_gives_the_same_answer_and_one_event(op: OpenIDProvider, sent: str, endpoint: str) -> None:
    send, expected, reason = TABLE[sent]
    op.server.refusals()
    assert wire(send(op, op.tenant, endpoint)) == expected
    assert op.server.refusals() == [reason]


def test_a_token_is_issued(op: OpenIDProvider) -> None:
    tenant = op.add()
    response = op.post(op.form(tenant, client_id=tenant.client_id))
    assert response.status_code == 200, response.text
    assert response.json()["token_type"] == "Bearer"


def test_a_token_is_introspected_and_revoked_by_its_client(op: OpenIDProvider) -> None:
    tenant = op.add()
    token = op.issue(tenant)
    form = {"token": token, "grant_type": None}
    told = op.post(op.form(tenant, **form), "introspection")
    assert (told.status_code, told.json()["active"], told.json()["client_id"]) == (200, True, tenant.client_id)
    assert op.post(op.form(op.add(), **form), "revocation").status_code in (200, 400)
    assert op.post(op.form(tenant, **form), "introspection").json()["active"] is True
    assert op.post(op.form(tenant, **form), "revocation").status_code == 200
    assert op.post(op.form(tenant, **form), "introspection").json() == {"active": False}


def test_one_assertion_serves_one_endpoint_once(op: OpenIDProvider) -> None:
    tenant = op.add()
    form = op.form(tenant, token=op.issue(tenant))
    assert op.post(form, "introspection").status_code == 200
    for endpoint in ENDPOINTS:
        assert wire(op.post(form, endpoint)) == INVALID_CLIENT


def test_a_new_key_works_at_once_and_the_old_one_while_it_is_published(op: OpenIDProvider) -> None:
    tenant = op.add()
    op.issue(tenant)
    old = tenant.current_key
    tenant.rotate()
    op.issue(tenant)
    assert op.post(op.form(tenant, client_assertion=tenant.assertion(key=old))).status_code == 200


def test_a_key_that_was_removed_is_refused_300_seconds_later(op: OpenIDProvider) -> None:
    tenant = op.add()
    op.issue(tenant)
    old = tenant.current_key
    tenant.rotate()
    tenant.end_grace()
    op.server.advance(301)
    op.clock.advance(301)
    assert wire(op.post(op.form(tenant, client_assertion=tenant.assertion(key=old)))) == INVALID_CLIENT
    op.issue(tenant)


def test_an_outage_ends(op: OpenIDProvider) -> None:
    tenant = op.add()
    assert wire(_in_outage(op, tenant, "token")) == TEMPORARILY_UNAVAILABLE
    op.issue(tenant)
    assert _in_outage(op, tenant, "token").status_code == 200  # the keys are known by now


@pytest.mark.slow
def test_two_workers_share_a_replay_store(op: OpenIDProvider) -> None:
    tenant = op.add()
    with AuthorizationServer(op.example, op.folder, op.clock()) as other:
        form = op.form(tenant)
        assert op.http.post(other.token_endpoint, data=form).status_code == 200
        assert wire(op.post(form)) == INVALID_CLIENT
        form = op.form(tenant)
        assert op.post(form).status_code == 200
        assert wire(op.http.post(other.token_endpoint, data=form)) == INVALID_CLIENT


def test_clients_with_a_secret_go_on_as_before(op: OpenIDProvider) -> None:
    client = op.add_with_secret()
    form = {"grant_type": "client_credentials"}
    assert op.post(form, auth=client).status_code == 200
    refused = op.post(form, auth=(client[0], "wrong"))
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    token = op.post(form, auth=client).json()["access_token"]
    assert op.post({"token": token}, "introspection", auth=client).json()["active"] is True
    assert op.post({"token": token}, "revocation", auth=client).status_code == 200


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_refused_assertion_is_not_made_good_by_a_secret(op: OpenIDProvider, endpoint: str) -> None:
    client_id, secret = op.add_with_secret()
    form = _form(op, op.add(), client_assertion="x", client_id=client_id)
    assert wire(op.post({**form, "client_secret": secret}, endpoint)) == INVALID_REQUEST
    assert wire(op.post(form, endpoint, auth=(client_id, secret))) == INVALID_REQUEST
    assert wire(op.post(form, endpoint)) == INVALID_CLIENT


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_client_with_keys_does_not_come_in_without_an_assertion(op: OpenIDProvider, endpoint: str) -> None:
    """Neither with a secret, were there one, nor with an empty one, nor by its name."""
    for secret in ("s3cret", ""):
        op.server.refusals()
        tenant = op.add(client_secret=secret)
        form = {"grant_type": "client_credentials", "token": "x"}
        named = {**form, "client_id": tenant.client_id}
        answers = [
            op.post(form, endpoint, auth=(tenant.client_id, secret)),
            op.post({**named, "client_secret": secret}, endpoint),
            op.post(named, endpoint),
        ]
        assert [answer.status_code in (400, 401) for answer in answers] == [True] * 3
        assert [answer.json()["error"] for answer in answers] == ["invalid_client"] * 3


def _oauth2_client(tenant: Tenant, headers: dict[str, str]) -> OAuth2Session:
    """Authlib's, as the relying party would run it. It writes the ``jti`` into the claims that it is given."""
    assert isinstance(tenant.current_key.private_key, RSAPrivateKey)
    key = RSAKey.import_key(tenant.current_key.private_key)
    client = OAuth2Session(tenant.client_id, key, token_endpoint_auth_method="private_key_jwt")
    client.trust_env = False
    claims = {"exp": int(tenant.clock() + 60), "iat": int(tenant.clock())}
    client.register_client_auth_method(PrivateKeyJWT(ISSUER, claims=claims, headers=headers))
    return client


def test_authlib_s_client_gets_a_token_and_revokes_it(op: OpenIDProvider) -> None:
    tenant = op.add()
    with _oauth2_client(tenant, {"kid": tenant.kid}) as client:
        token = client.fetch_token(op.server.token_endpoint, grant_type="client_credentials")
    with _oauth2_client(tenant, {"kid": tenant.kid}) as client:
        client.revocation_endpoint_auth_method = "private_key_jwt"
        assert client.revoke_token(op.server.revocation_endpoint, token=token["access_token"]).status_code == 200
    told = op.post(op.form(tenant, token=token["access_token"]), "introspection")
    assert told.json() == {"active": False}


def test_a_body_that_was_cut_off_uses_up_no_assertion(op: OpenIDProvider) -> None:
    tenant = op.add()
    form = op.form(tenant, scope="read write")
    send_cut_off(op.server.token_endpoint, form)
    del form["scope"]
    assert op.post(form).status_code == 200
