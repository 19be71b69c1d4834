"""Django REST Framework hands its views a request of its own, around Django's."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from django.test import override_settings

from integrations import django_project
from integrations.apps import Provider
from integrations.scenarios import INVALID_CLIENT, INVALID_REQUEST, token_request, wire
from private_key_jwt import Reason
from private_key_jwt.testing import Tenant

WAYS = ["one-call", "begun", "over-dispatch", "over-post", "pending-over-dispatch", "pending-over-post"]


@pytest.fixture
def http(provider: Provider) -> Iterator[httpx.Client]:
    views = {"ROOT_URLCONF": "integrations.rest_framework_urls", "REST_FRAMEWORK": {"UNAUTHENTICATED_USER": None}}
    with django_project.settings_for(provider), override_settings(**views):
        transport = httpx.WSGITransport(django_project.wsgi_application())
        with httpx.Client(transport=transport, base_url="http://127.0.0.1") as http:
            yield http


@pytest.mark.parametrize("way", WAYS)
def test_a_view_of_rest_framework_authenticates_its_client(
    http: httpx.Client, way: str, provider: Provider, tenant: Tenant
) -> None:
    form = token_request(tenant.assertion(), scope="read")
    response = http.post(f"/{way}", data=form)
    assert response.status_code == 200
    told = response.json()
    assert (told["client"], told["scope"]) == (tenant.client_id, "read")
    assert wire(http.post(f"/{way}", data=form)) == INVALID_CLIENT
    assert wire(http.post(f"/{way}", data=form | {"client_secret": "s"})) == INVALID_REQUEST
    assert provider.refusals() == [Reason.REPLAYED, Reason.INVALID_REQUEST]


@pytest.mark.parametrize("way", [each for each in WAYS if "over" in each])
def test_an_error_mail_of_a_view_of_rest_framework_leaves_the_assertion_out(
    http: httpx.Client, way: str, tenant: Tenant
) -> None:
    told = http.post(f"/{way}", data=token_request(tenant.assertion(), scope="read")).json()
    assert set(told["reported"]) == {"*"}
