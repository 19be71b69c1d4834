"""Views of Django REST Framework, each of which takes the client in one of the ways that there are."""

from typing import Any

from django.urls import path
from django.utils.decorators import method_decorator
from django.views.debug import get_exception_reporter_filter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from private_key_jwt import AuthenticationError, VerifiedAssertion
from private_key_jwt.integrations.django import (
    authenticate,
    begin_authentication,
    client_authentication,
    error_response,
    get_verifier,
    refusal,
)
from private_key_jwt.verifier import PendingAssertion


class ClientView(APIView):
    """REST framework authenticates nobody itself."""

    authentication_classes = ()
    permission_classes = ()


def seen(request: Request, client_id: str) -> Response:
    """Answer what a view reads of the request afterwards, and what an error mail would tell of it."""
    reported = get_exception_reporter_filter(request).get_post_parameters(request._request)
    return Response({"client": client_id, "scope": request.data["scope"], "reported": reported["client_assertion"]})


class OneCall(ClientView):
    def post(self, request: Request) -> Any:
        try:
            client = authenticate(get_verifier(), request)
            assert authenticate(get_verifier(), request._request) is client
        except AuthenticationError as error:
            assert refusal(request) is refusal(request._request) is error
            return error_response(error)
        return seen(request, client.client_id)


class Begun(ClientView):
    def post(self, request: Request) -> Any:
        try:
            return seen(request, begin_authentication(get_verifier(), request).consume().client_id)
        except AuthenticationError as error:
            return error_response(error)


@method_decorator(client_authentication(), name="dispatch")
class OverDispatch(ClientView):
    def post(self, request: Request, client: VerifiedAssertion) -> Response:
        return seen(request, client.client_id)


@method_decorator(client_authentication(), name="post")
class OverPost(ClientView):
    def post(self, request: Request, client: VerifiedAssertion) -> Response:
        return seen(request, client.client_id)


@method_decorator(client_authentication(consume=False), name="dispatch")
class PendingOverDispatch(ClientView):
    def post(self, request: Request, client: PendingAssertion) -> Response:
        return seen(request, client.consume().client_id)


@method_decorator(client_authentication(consume=False), name="post")
class PendingOverPost(ClientView):
    def post(self, request: Request, client: PendingAssertion) -> Response:
        return seen(request, client.consume().client_id)


urlpatterns = [
    path("one-call", OneCall.as_view()),
    path("begun", Begun.as_view()),
    path("over-dispatch", OverDispatch.as_view()),
    path("over-post", OverPost.as_view()),
    path("pending-over-dispatch", PendingOverDispatch.as_view()),
    path("pending-over-post", PendingOverPost.as_view()),
]
