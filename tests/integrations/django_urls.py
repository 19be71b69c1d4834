"""The example's endpoint, its async twin, and an endpoint that has other ways of authentication too."""

from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

from examples import django_app
from private_key_jwt import VerifiedAssertion
from private_key_jwt.integrations.django import client_authentication


@require_POST
@client_authentication()
async def async_token(request: HttpRequest, client: VerifiedAssertion) -> JsonResponse:
    tokens = {"access_token": f"for {client.client_id}", "token_type": "Bearer"}
    return JsonResponse(tokens, headers={"Cache-Control": "no-store"})


urlpatterns = [*django_app.urlpatterns, path("async/token", async_token)]
