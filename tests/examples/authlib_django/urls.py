"""The endpoints."""

from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from .client_authentication import server


@csrf_exempt
@require_POST
def token(request):
    return server.create_token_response(request)


@csrf_exempt
@require_POST
def endpoint(request, name):
    return server.create_endpoint_response(name, request)


urlpatterns = [
    path("token", token),
    path("revoke", endpoint, {"name": "revocation"}),
    path("introspect", endpoint, {"name": "introspection"}),
]
