"""``private_key_jwt`` for django-oauth-toolkit.

    class Validator(ClientAssertionMixin, OAuth2Validator):  # OAUTH2_VALIDATOR_CLASS
        client_assertion_verifier = ClientAssertionVerifier(..., clients=applications)

``OAUTH2_BACKEND_CLASS`` must be ClientAssertionBackend or a subclass: only a backend sees the request as it came.
"""

from __future__ import annotations

import json
from typing import Any

from .._registration import METHOD
from .._text import quote
from ..clients import RegisteredClient
from ..discovery import client_authentication_metadata
from ..exceptions import AuthenticationError, ConfigurationError, InvalidClient, InvalidRequest, Reason
from ..verifier import ClientAssertionVerifier
from . import _models
from ._extra import needs
from ._request import Answer, answer, check_content_type, check_query, required

with needs("django-oauth-toolkit"):
    from django.http import HttpResponse, JsonResponse
    from oauth2_provider import views
    from oauth2_provider.models import get_application_model
    from oauth2_provider.oauth2_backends import OAuthLibCore
    from oauth2_provider.settings import oauth2_settings
    from oauthlib.oauth2 import OAuth2Error

__all__ = [
    "ClientAssertionBackend",
    "ClientAssertionMixin",
    "ClientAssertionViewMixin",
    "ClientNotAuthenticated",
    "ConnectDiscoveryInfoView",
    "IntrospectTokenView",
    "OAuthServerMetadataView",
    "applications",
]

# Django, its toolkit and oauthlib are untyped.
# mypy: disable-error-code="misc"

_ASSERTION = ("client_assertion", "client_assertion_type")
_UNIQUE = (*_ASSERTION, "client_id", "client_secret")
_REFUSED = "_private_key_jwt_refused"


def applications(client_id: str) -> RegisteredClient | None:
    """The ``clients`` of a verifier: the applications that are registered for ``private_key_jwt``.

    An application model tells its ``jwks_uri``, or its ``jwks`` as a dictionary, and may tell a
    ``token_endpoint_auth_signing_alg``: fields or properties of your own ``OAUTH2_PROVIDER_APPLICATION_MODEL``.
    It is registered for the method when its ``token_endpoint_auth_method`` says so, or when it has no such
    attribute and has keys.
    """
    if "\0" in client_id:  # PostgreSQL takes none in a text, and its driver raises
        return None
    application = get_application_model().objects.filter(client_id=client_id).first()
    if application is None or not _models.uses_private_key_jwt(application):
        return None
    return _models.registered_client(client_id, application)


class ClientNotAuthenticated(OAuth2Error):
    """An AuthenticationError (its ``__cause__``) as oauthlib's endpoints send errors: the constant answer."""

    def __init__(self, error: AuthenticationError) -> None:
        body = error.to_response().body
        self.error = body["error"]
        self.answer = answer(error)
        super().__init__(body["error_description"], status_code=self.answer.status)

    @property
    def headers(self) -> dict[str, str]:
        """The header fields of the answer. The content type is left to the endpoints, which all set it."""
        return {name: value for name, value in self.answer.headers.items() if name != "Content-Type"}

    @property
    def json(self) -> str:
        """The body of the answer."""
        return self.answer.body.decode()


class ClientAssertionMixin:
    """Stands before ``OAuth2Validator`` in the bases of your ``OAUTH2_VALIDATOR_CLASS``.

    client_assertion_verifier: yours to set; its ``clients`` are mostly ``applications``.

    A request with a client assertion is decided by the assertion alone. An application that is registered for
    ``private_key_jwt`` is let in by nothing else: by no secret, and by no ``client_id`` alone if it is public.
    Raises ConfigurationError when the verifier or the backend is missing.
    """

    client_assertion_verifier: ClientAssertionVerifier

    def __init__(self) -> None:
        super().__init__()
        verifier = getattr(self, "client_assertion_verifier", None)
        if not isinstance(verifier, ClientAssertionVerifier):
            raise ConfigurationError(
                f"client_assertion_verifier must be a ClientAssertionVerifier, not {type(verifier).__name__}"
            )
        if not issubclass(oauth2_settings.OAUTH2_BACKEND_CLASS, ClientAssertionBackend):
            raise ConfigurationError(
                "OAUTH2_PROVIDER['OAUTH2_BACKEND_CLASS'] must be"
                f" '{ClientAssertionBackend.__module__}.{ClientAssertionBackend.__name__}', or a subclass of it"
            )

    def uses_private_key_jwt(self, application: Any) -> bool:
        """Whether an application must authenticate with ``private_key_jwt``: see ``applications``.

        Override it, and hand ``clients`` of your own to the verifier, where keys are not told by the model.
        """
        return _models.uses_private_key_jwt(application)

    def client_authentication_required(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        """See OAuth2Validator; a request with an assertion always is authenticated."""
        if _has_assertion(request):
            return True
        is_required: bool = super().client_authentication_required(request, *args, **kwargs)
        return is_required or self._needs_assertion(request)

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        """See OAuth2Validator. Raises ClientNotAuthenticated, which oauthlib sends."""
        try:
            if _has_assertion(request):
                self._authenticate_assertion(request)
                return True
            is_authenticated: bool = super().authenticate_client(request, *args, **kwargs)
            if self._needs_assertion(request):
                required(None)
        except AuthenticationError as error:
            raise ClientNotAuthenticated(error) from error
        return is_authenticated

    def authenticate_client_id(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        """See OAuth2Validator: for public clients only."""
        is_public: bool = super().authenticate_client_id(client_id, request, *args, **kwargs)
        return is_public and not self._needs_assertion(request)

    def _needs_assertion(self, request: Any) -> bool:
        """Whether a request without an assertion names an application that must send one."""
        return request.client is not None and self.uses_private_key_jwt(request.client)

    def _authenticate_assertion(self, request: Any) -> None:
        check_content_type(request.headers.get("Content-Type"))
        verified = self.client_assertion_verifier.authenticate(
            request.decoded_body, request.headers.get("Authorization"), optional=True
        )
        client_id = required(verified).client_id
        application = self._load_application(client_id, request)  # type: ignore[attr-defined]
        if application is None or not self.uses_private_key_jwt(application):
            detail = f"{quote(client_id)} is no usable application that is registered for private_key_jwt"
            raise InvalidClient(Reason.UNKNOWN_CLIENT, detail, "client")


def _has_assertion(request: Any) -> bool:
    # Of the body alone: oauthlib's own attributes mix in the parameters of the URL.
    return any(name in _ASSERTION for name, _ in request.decoded_body or ())


class ClientAssertionBackend(OAuthLibCore):
    """The ``OAUTH2_BACKEND_CLASS``: hands on repeated parameters, and keeps credentials out of URLs.

    Of a repeated parameter the toolkit's own backend hands on the last value, so that nothing behind it could
    refuse an assertion that came twice (RFC 6749 §3.2).
    """

    def extract_body(self, request: Any) -> list[tuple[str, str]]:
        """See OAuthLibCore; beside an assertion, with every value of the parameters that must be unique."""
        pairs: list[tuple[str, str]] = super().extract_body(request)
        if not any(name in request.POST for name in _ASSERTION):
            return pairs
        every = ((name, value) for name in _UNIQUE for value in request.POST.getlist(name))
        return [*(pair for pair in pairs if pair[0] not in _UNIQUE), *every]

    def create_token_response(self, request: Any) -> Any:
        """See OAuthLibCore."""
        return _refused_by_url(request) or super().create_token_response(request)

    def create_revocation_response(self, request: Any) -> Any:
        """See OAuthLibCore."""
        return _refused_by_url(request) or super().create_revocation_response(request)

    def authenticate_client(self, request: Any) -> bool:
        """See OAuthLibCore: for views that a client calls, such as introspection. What refused it is kept."""
        try:
            check_query(request.META["QUERY_STRING"])
            is_authenticated: bool = super().authenticate_client(request)
        except InvalidRequest as error:
            setattr(request, _REFUSED, answer(error))
            return False
        except ClientNotAuthenticated as error:
            setattr(request, _REFUSED, error.answer)
            return False
        return is_authenticated

    def verify_request(self, request: Any, scopes: Any) -> Any:
        """See OAuthLibCore: no access token lets in a request whose client was refused."""
        return (False, None) if hasattr(request, _REFUSED) else super().verify_request(request, scopes)


def _refused_by_url(request: Any) -> tuple[None, dict[str, str], bytes, int] | None:
    try:
        check_query(request.META["QUERY_STRING"])
    except InvalidRequest as error:
        wire = answer(error)
        return None, wire.headers, wire.body, wire.status
    return None


class ClientAssertionViewMixin:
    """Stands before the toolkit's ``ClientProtectedResourceView`` in the bases of a view: sends the answer.

    Without it, such a view answers 403 to all whom it does not let in.
    """

    def unauthenticated_response(self, request: Any, oauthlib_request: Any = None) -> Any:
        """See OAuthLibMixin."""
        wire: Answer | None = getattr(request, _REFUSED, None)
        if wire is None:
            return super().unauthenticated_response(request, oauthlib_request)
        return HttpResponse(wire.body, status=wire.status, headers=wire.headers)


class IntrospectTokenView(ClientAssertionViewMixin, views.IntrospectTokenView):
    """The toolkit's introspection endpoint (RFC 7662). Its URL stands before ``oauth2_provider.urls``."""


class _MetadataMixin:
    """Tells the algorithms of the method where a setting of the toolkit's tells the method (RFC 8414 §2)."""

    def get(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """See View."""
        told = super().get(request, *args, **kwargs)
        metadata = json.loads(told.content)
        for endpoint in ("token", "revocation", "introspection"):
            if METHOD in metadata.get(f"{endpoint}_endpoint_auth_methods_supported", ()):
                algs = f"{endpoint}_endpoint_auth_signing_alg_values_supported"
                metadata[algs] = client_authentication_metadata(endpoints=[endpoint])[algs]
        cors = {name: value for name, value in told.headers.items() if name.startswith("Access-Control-")}
        return JsonResponse(metadata, headers=cors)


class OAuthServerMetadataView(_MetadataMixin, views.OAuthServerMetadataView):
    """The toolkit's authorization server metadata (RFC 8414). Its URL stands before ``oauth2_provider.urls``."""


class ConnectDiscoveryInfoView(_MetadataMixin, views.ConnectDiscoveryInfoView):
    """The toolkit's provider configuration (OpenID Connect Discovery). Its URL stands before the toolkit's."""
