"""The example's endpoint, and others that a project may have."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.debug import get_exception_reporter_filter
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from examples import django_app
from private_key_jwt import AuthenticationError, VerifiedAssertion
from private_key_jwt.integrations.django import (
    aauthenticate,
    authenticate,
    client_authentication,
    error_response,
    get_async_verifier,
    get_verifier,
)
from private_key_jwt.verifier import AsyncPendingAssertion


def _seen(request: HttpRequest, client: Any) -> JsonResponse:
    return JsonResponse({"client": client and client.client_id, "form": sorted(request.POST)})


@require_POST
@client_authentication()
async def async_token(request: HttpRequest, client: VerifiedAssertion) -> JsonResponse:
    tokens = {"access_token": f"for {client.client_id}", "token_type": "Bearer"}
    return JsonResponse(tokens, headers={"Cache-Control": "no-store"})


@client_authentication(optional=True)
def optional(request: HttpRequest, client: VerifiedAssertion | None) -> JsonResponse:
    return _seen(request, client)


@client_authentication(optional=True)
async def async_optional(request: HttpRequest, client: VerifiedAssertion | None) -> JsonResponse:
    return _seen(request, client)


@csrf_exempt
def one_call(request: HttpRequest) -> HttpResponse:
    try:
        return _seen(request, authenticate(get_verifier(), request, optional=True))
    except AuthenticationError as error:
        return error_response(error)


@csrf_exempt
async def async_one_call(request: HttpRequest) -> HttpResponse:
    try:
        return _seen(request, await aauthenticate(get_async_verifier(), request, optional=True))
    except AuthenticationError as error:
        return error_response(error)


@method_decorator(client_authentication(), name="dispatch")
class ClassView(View):
    def post(self, request: HttpRequest, client: VerifiedAssertion, realm: str) -> HttpResponse:
        return JsonResponse([client.client_id, realm], safe=False)


class AsyncClassView(View):
    async def post(self, request: HttpRequest, client: AsyncPendingAssertion) -> HttpResponse:
        return JsonResponse((await client.consume()).client_id, safe=False)


class AsyncCallable:
    async def __call__(self, request: HttpRequest, client: AsyncPendingAssertion) -> HttpResponse:
        return JsonResponse((await client.consume()).client_id, safe=False)


@client_authentication()
def reported(request: HttpRequest, client: VerifiedAssertion) -> HttpResponse:
    """What an error mail would tell of this request."""
    return JsonResponse(get_exception_reporter_filter(request).get_post_parameters(request))


@csrf_exempt
@require_POST
def read_before(request: HttpRequest) -> HttpResponse:
    request.read(1)
    return optional(request)


urlpatterns = [
    *django_app.urlpatterns,
    path("async/token", async_token),
    path("optional", optional),
    path("async/optional", async_optional),
    path("one-call", one_call),
    path("async/one-call", async_one_call),
    path("class/<realm>", ClassView.as_view()),
    path("async/class", client_authentication(consume=False)(AsyncClassView.as_view())),
    path("async/callable", client_authentication(consume=False)(AsyncCallable())),
    path("reported", reported),
    path("read-before", read_before),
]
