"""What must hold inside of a process that runs django-oauth-toolkit: called there by the tests."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.db import connection
from django.test import RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from oauth2_provider.models import get_access_token_model, get_application_model
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.settings import oauth2_settings
from oauth2_provider.views.generic import ClientProtectedResourceView
from oauthlib.common import Request

from integrations.scenarios import token_request
from private_key_jwt import (
    AssertionPolicy,
    ClientAssertionVerifier,
    ConfigurationError,
    InvalidClient,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
)
from private_key_jwt.integrations.oauth_toolkit import (
    ClientAssertionMixin,
    ClientNotAuthenticated,
    ConnectDiscoveryInfoView,
    applications,
)
from private_key_jwt.testing import RelyingParty


def a_verifier_and_the_backend_must_be_set() -> None:
    class NoVerifier(ClientAssertionMixin, OAuth2Validator):  # type: ignore[misc]
        pass

    class WrongVerifier(ClientAssertionMixin, OAuth2Validator):  # type: ignore[misc]
        client_assertion_verifier: Any = "x"

    for validator in (NoVerifier, WrongVerifier):
        with pytest.raises(ConfigurationError, match="client_assertion_verifier"):
            validator()
    with override_settings(OAUTH2_PROVIDER={}):
        oauth2_settings.reload()
        with pytest.raises(ConfigurationError, match="OAUTH2_BACKEND_CLASS"):
            _validator(lambda _: None)
    oauth2_settings.reload()


def _validator(clients: Any) -> Any:
    class Validator(ClientAssertionMixin, OAuth2Validator):  # type: ignore[misc]
        client_assertion_verifier = ClientAssertionVerifier(
            policy=AssertionPolicy(audience="https://op.example.com"),
            clients=clients,
            replay_store=MemoryReplayStore(),
        )

    return Validator()


def clients_of_one_s_own_must_be_applications_too() -> None:
    tenant = RelyingParty().tenant("own")
    validator = _validator([RegisteredClient(tenant.client_id, jwks=tenant.document())])

    def refusal() -> Reason:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        request = Request("/o/token/", "POST", list(token_request(tenant.assertion()).items()), headers)
        with pytest.raises(ClientNotAuthenticated) as caught:
            validator.authenticate_client(request)
        assert isinstance(caught.value.__cause__, InvalidClient)
        return caught.value.__cause__.reason

    assert refusal() is Reason.UNKNOWN_CLIENT
    application = get_application_model().objects.create(
        client_id=tenant.client_id, client_type="confidential", authorization_grant_type="client-credentials"
    )
    assert refusal() is Reason.UNKNOWN_CLIENT
    application.jwks_uri = "https://client.example/jwks.json"
    application.save()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    request = Request("/o/token/", "POST", list(token_request(tenant.assertion()).items()), headers)
    assert validator.authenticate_client(request) is True
    assert request.client == application


def views_without_the_mixin_let_nobody_in_who_was_refused() -> None:
    """Not even with an access token beside it: the toolkit would try that next."""

    class View(ClientProtectedResourceView):  # type: ignore[misc]
        pass

    view = View.as_view()
    factory = RequestFactory(headers={"Host": "localhost"})
    form = token_request("a.b.c")
    assert view(factory.post("/", urlencode(form), content_type="application/x-www-form-urlencoded")).status_code == 403
    assert view(factory.post("/", form)).status_code == 403
    token = get_access_token_model().objects.create(
        token="t", scope="read", expires=timezone.now() + timedelta(hours=1)
    )
    bearer = {"Authorization": f"Bearer {token.token}"}
    assert view(factory.post("/", form, headers=bearer)).status_code == 403
    assert view(factory.post("/", {})).status_code == 403
    assert view(factory.post("/", {}, headers=bearer)).status_code == 405  # let in, to a view without methods


def an_application_with_keys_is_not_known_by_its_name() -> None:
    """Whatever else an endpoint asks first."""
    create = get_application_model().objects.create
    kind = {"client_type": "public", "authorization_grant_type": "client-credentials"}
    create(client_id="by-name", **kind)
    create(client_id="by-key", jwks_uri="https://client.example/jwks.json", **kind)
    validator = _validator(lambda _: None)
    assert validator.authenticate_client_id("by-name", Request("/")) is True
    assert validator.authenticate_client_id("by-key", Request("/")) is False
    assert validator.authenticate_client_id("nobody", Request("/")) is False


def no_database_is_asked_for_what_some_cannot_take() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert applications("a\0b") is None
        assert len(queries) == 0
        assert applications("nobody") is None
        assert len(queries) == 1


def the_provider_configuration_tells_the_algorithms_where_it_tells_the_method() -> None:
    request = RequestFactory(headers={"Host": "localhost"}).get("/")

    def told(*methods: str) -> Any:
        provider = {"OIDC_ENABLED": True, "OIDC_TOKEN_ENDPOINT_AUTH_METHODS_SUPPORTED": list(methods)}
        with override_settings(OAUTH2_PROVIDER={**settings.OAUTH2_PROVIDER, **provider}):
            oauth2_settings.reload()
            metadata = json.loads(ConnectDiscoveryInfoView.as_view()(request).content)
        oauth2_settings.reload()
        return metadata.get("token_endpoint_auth_signing_alg_values_supported")

    assert told("private_key_jwt", "client_secret_basic") == ["RS256"]
    assert told("client_secret_basic") is None
