"""What django-oauth-toolkit can be set up to do, beyond what its example shows of all servers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from integrations.authorization_server import AuthorizationServer
from integrations.scenarios import INVALID_CLIENT, INVALID_REQUEST, TEMPORARILY_UNAVAILABLE, token_request, wire
from private_key_jwt.integrations import oauth_toolkit
from private_key_jwt.testing import Clock, RelyingParty, Tenant

CASES = re.findall(
    r"^def ([a-z]\w+)\(\) -> None:", (Path(__file__).parent / "toolkit_cases.py").read_text(), re.MULTILINE
)


class OpenIDProvider:
    def __init__(self, server: AuthorizationServer, party: RelyingParty, base_url: str, http: httpx.Client) -> None:
        self.server, self.party, self.base_url, self.http = server, party, base_url, http

    def add(self, slug: str, **fields: str) -> Tenant:
        tenant = self.party.tenant(slug)
        self.server.add(tenant.client_id, **{"jwks_uri": str(tenant.client(self.base_url).jwks_uri), **fields})
        return tenant


@pytest.fixture(scope="module")
def op(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIDProvider]:
    party = RelyingParty(clock=Clock())
    with (
        party.serve() as publisher,
        httpx.Client(trust_env=False) as http,
        AuthorizationServer("oauth_toolkit", tmp_path_factory.mktemp("toolkit"), party.clock()) as server,
    ):
        yield OpenIDProvider(server, party, publisher.base_url, http)


def test_the_guide_and_the_example_name_the_same_settings() -> None:
    first = str(oauth_toolkit.__doc__).partition("``registered_applications()``")[0]
    example = (Path(__file__).parent.parent / "examples/oauth_toolkit/settings.py").read_text()

    def names(text: str) -> set[str]:
        return set(re.findall(r'"([A-Z0-9]+_[A-Z0-9_]+)"|"(private_key_jwt\.[\w.]+)"', text))

    assert names(first) == names(example)
    assert len(names(first)) == 6


@pytest.mark.parametrize("name", CASES)
def test_a_process_of_the_toolkit_holds(op: OpenIDProvider, name: str) -> None:
    op.server.call(f"integrations.toolkit_cases:{name}")


def test_a_public_client_without_keys_is_known_by_its_name(op: OpenIDProvider) -> None:
    op.server.add("public", client_type="public")
    form = {"token": "x", "client_id": "public"}
    assert op.http.post(op.server.revocation_endpoint, data=form).status_code == 200


def test_a_public_client_with_keys_is_not(op: OpenIDProvider) -> None:
    tenant = op.add("public-with-keys", client_type="public")
    form = {"token": "x", "client_id": tenant.client_id}
    assert wire(op.http.post(op.server.revocation_endpoint, data=form)) == INVALID_CLIENT
    form.update(token_request(tenant.assertion()))
    assert op.http.post(op.server.revocation_endpoint, data=form).status_code == 200


def test_the_device_flow_refuses_in_the_same_way(op: OpenIDProvider) -> None:
    tenant = op.add("device", authorization_grant_type="urn:ietf:params:oauth:grant-type:device_code")
    form = token_request(tenant.defective("expired"), client_id=tenant.client_id)
    endpoint = f"{op.server.url}/o/device-authorization/"
    assert wire(op.http.post(endpoint, data=form)) == INVALID_CLIENT
    assert wire(op.http.post(endpoint, params=token_request("a.b.c"), data={})) == INVALID_REQUEST
    assert wire(op.http.post(endpoint, params={"client_secret": "s"}, data=form)) == INVALID_REQUEST
    # Its polls at the token endpoint drop the header fields of an error.
    op.server.call("integrations.toolkit_cases:allow_device")
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "a-device"}
    endpoint = op.server.token_endpoint
    assert wire(op.http.post(endpoint, data={**form, **grant})) == INVALID_CLIENT
    assert wire(op.http.post(endpoint, params={"client_id": "x"}, data={**form, **grant})) == INVALID_REQUEST


def test_introspection_goes_on_to_refuse_strangers_in_the_toolkit_s_way(op: OpenIDProvider) -> None:
    assert op.http.post(op.server.introspection_endpoint, data={"token": "x"}).status_code == 403


def test_a_registration_that_cannot_work_is_no_fault_of_the_client(op: OpenIDProvider) -> None:
    tenant = op.add("misregistered", jwks_uri="http://client.example/jwks.json")
    form = token_request(tenant.assertion())
    assert wire(op.http.post(op.server.token_endpoint, data=form)) == TEMPORARILY_UNAVAILABLE


@pytest.mark.parametrize("prefix", ["", "/o"])
def test_the_metadata_tells_of_the_method_and_its_algorithms(op: OpenIDProvider, prefix: str) -> None:
    """At the root, where clients of an issuer without a path look for it (RFC 8414 §3), too."""
    told = op.http.get(f"{op.server.url}{prefix}/.well-known/oauth-authorization-server")
    metadata = told.json()
    assert metadata["token_endpoint"] == "https://op.example.com/o/token/"
    for endpoint in ("token", "revocation", "introspection"):
        methods = metadata[f"{endpoint}_endpoint_auth_methods_supported"]
        assert methods == ["private_key_jwt", "client_secret_basic"]
        assert metadata[f"{endpoint}_endpoint_auth_signing_alg_values_supported"] == ["RS256"]
    assert metadata["issuer"] == "https://op.example.com"
    assert told.headers["access-control-allow-origin"] == "*"


def test_other_grants_authenticate_in_the_same_way(op: OpenIDProvider) -> None:
    """The token endpoint asks the validator in two ways, by the grant."""
    tenant = op.add("other-grants", authorization_grant_type="authorization-code")
    for grant in (
        {"grant_type": "authorization_code", "code": "x"},
        {"grant_type": "refresh_token", "refresh_token": "x"},
    ):
        form = {**token_request(tenant.assertion()), **grant}
        unknown = op.http.post(op.server.token_endpoint, data=form)
        assert (unknown.status_code, unknown.json()["error"]) == (400, "invalid_grant")
        assert wire(op.http.post(op.server.token_endpoint, data=form)) == INVALID_CLIENT
