"""A token endpoint in Django, all in one file. Run it: python django_app.py runserver"""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

from private_key_jwt import MemoryReplayStore, VerifiedAssertion, ledgerbee
from private_key_jwt.integrations.django import client_authentication

SIMULATOR = os.environ.get("SIMULATOR")  # where `private-key-jwt simulate` serves its keys

if not settings.configured:  # in a project: settings.py
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        PRIVATE_KEY_JWT={
            "AUDIENCE": "https://op.example.com",  # your issuer, exactly
            "CLIENTS": [ledgerbee.client("portal-acme", slug="acme", base_url=SIMULATOR or ledgerbee.BASE_URL)],
            "REPLAY_STORE": MemoryReplayStore(),  # several workers must share one
            "FETCHER": {"ALLOW_HTTP_LOOPBACK": bool(SIMULATOR)},
            "ON_EVENT": "private_key_jwt.events.log_events",  # why somebody is refused: a warning in the log
        },
    )


@require_POST
@client_authentication()
def token(request: HttpRequest, client: VerifiedAssertion) -> JsonResponse:
    tokens = {"access_token": f"for {client.client_id}", "token_type": "Bearer"}
    return JsonResponse(tokens, headers={"Cache-Control": "no-store"})


urlpatterns = [path("token", token)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
