"""A project whose settings name its stores, in a process of its own: ``python -m integrations.django_stores FILE``.

It sends one assertion to a sync and to an async view and prints the status of each answer, as JSON.
"""

import asyncio
import json
import sys
from typing import Any
from urllib.parse import urlencode

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from integrations.scenarios import FORM, token_request
from private_key_jwt import VerifiedAssertion
from private_key_jwt.testing import RelyingParty

if __name__ == "__main__":
    tenant = RelyingParty().tenant("acme")
    settings.configure(
        SECRET_KEY="for tests",
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["private_key_jwt.stores.django"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
        CACHES={"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"}},
        PRIVATE_KEY_JWT={
            "AUDIENCE": "https://op.example.com",
            "CLIENTS": [tenant.client(jwks_uri=None, jwks=tenant.document())],
            "REPLAY_STORE": "private_key_jwt.stores.DjangoReplayStore",
            "JWKS_CACHE": "private_key_jwt.stores.DjangoJWKSCache",
            "WORKERS": 4,
        },
    )
    django.setup()

    from django.core.management import call_command

    from private_key_jwt.integrations.django import client_authentication

    call_command("migrate", verbosity=0)
    call_command("createcachetable", verbosity=0)

    @client_authentication()
    def view(request: HttpRequest, client: VerifiedAssertion) -> HttpResponse:
        return HttpResponse(client.client_id)

    @client_authentication()
    async def async_view(request: HttpRequest, client: VerifiedAssertion) -> HttpResponse:
        return HttpResponse(client.client_id)

    def request(assertion: str) -> Any:
        return RequestFactory().post("/token", urlencode(token_request(assertion)), FORM)

    first, second = tenant.assertion(), tenant.assertion()
    statuses = [
        view(request(first)).status_code,
        asyncio.run(async_view(request(first))).status_code,
        asyncio.run(async_view(request(second))).status_code,
        view(request(second)).status_code,
    ]
    sys.stdout.write(json.dumps(statuses))
