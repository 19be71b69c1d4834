"""``private_key_jwt`` for django-oauth-toolkit: one class and three settings.

    class Validator(ClientAssertionMixin, OAuth2Validator):
        client_assertion_verifier = ClientAssertionVerifier(..., clients=registered_applications())

    OAUTH2_PROVIDER = {
        "OAUTH2_VALIDATOR_CLASS": "project.oauth.Validator",
        "OIDC_ISS_ENDPOINT": "https://op.example.com",  # the issuer of the metadata: the policy's audience
    }
    MIDDLEWARE += ["private_key_jwt.integrations.oauth_toolkit.ClientAssertionMiddleware"]

``clients`` may as well be a list, a mapping or a function of your own, with the toolkit's default Application model:
what the verifier knows is registered for the method. The toolkit then needs no more than an application with the same
``client_id``.

The issuer that the toolkit publishes and the policy's audience must agree, or clients that send what is published are
refused with ``audience_mismatch``. With ``"private_key_jwt.integrations"`` in INSTALLED_APPS ``manage.py check``
compares them.

The toolkit's release after 3.4 has a ``private_key_jwt`` of its own. It is not used beside this one: its fields
``token_endpoint_auth_method``, ``client_jwks_uri`` and ``client_jwks`` are read, and no request with an assertion
reaches its code. Its ``client_secret_jwt`` is not supported: such clients are refused.

The reason for a refusal goes to the verifier's ``on_event``, one event for each request, and can be had until the end
of the request: ``refusal(request)`` in a middleware gives the error, with ``reason`` and ``detail``.

A server that has more to check before an assertion is used up, such as a DPoP proof whose nonce the client must repeat
with the same assertion (RFC 9449 §8), overrides ``before_consume``. What it raises leaves the assertion as it was::

    class Validator(ClientAssertionMixin, OAuth2Validator):
        def before_consume(self, pending, request):  # a PendingAssertion, oauthlib's request
            if not has_good_proof(request, pending.client_id):
                raise UseDPoPNonceError()  # an OAuth2Error of yours
"""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, cast

from .._core.token_request import missing_assertion
from .._extra import needs
from .._registration import METHOD
from .._text import quote
from ..clients import RegisteredClient
from ..discovery import client_authentication_metadata
from ..exceptions import AuthenticationError, ConfigurationError, InvalidClient, InvalidRequest, Reason
from ..verifier import ClientAssertionVerifier, PendingAssertion, VerifiedAssertion
from . import _models, _outcome
from ._outcome import Outcomes, Parts, outcomes_of
from ._request import (
    ASSERTION_PARAMETERS,
    FORM,
    MAX_BODY,
    MAX_OTHER_BODY,
    TokenRequest,
    bound_query_of_several_parsers,
    check_content_type,
    check_query,
    encode_error,
    use_utf_8,
)

with needs(__name__, "django-oauth-toolkit"):
    from django.conf import settings
    from django.core import checks
    from django.http import HttpResponse
    from django.utils.deprecation import MiddlewareMixin
    from django.utils.module_loading import import_string
    from oauth2_provider import views
    from oauth2_provider.models import get_application_model
    from oauth2_provider.settings import oauth2_settings
    from oauthlib.oauth2 import OAuth2Error

    from . import _django_request

__all__ = [
    "ClientAssertionMiddleware",
    "ClientAssertionMixin",
    "ClientNotAuthenticated",
    "check_issuer",
    "refusal",
    "registered_applications",
]

# Django, its toolkit and oauthlib are untyped.
# mypy: disable-error-code="misc"

_UNRESERVED = (string.ascii_letters + string.digits + "-._~").encode()  # RFC 3986 §2.3
_MAX_ESCAPES = 2_048
_REQUEST = "private_key_jwt.request"  # of META, which the toolkit hands to oauthlib as header fields
_REFUSED = "_private_key_jwt_refused"  # the attribute of a request that the middleware must answer
_CLIENT_VIEWS = (
    views.TokenView,
    views.RevokeTokenView,
    views.ClientProtectedResourceView,  # IntrospectTokenView is one
    views.DeviceAuthorizationView,
    getattr(views, "PushedAuthorizationRequestView", views.TokenView),  # after 3.4
)
_METADATA_VIEWS = (views.OAuthServerMetadataView, views.ConnectDiscoveryInfoView)


def registered_applications(*, signing_algs: Sequence[str] | None = None) -> Callable[[str], RegisteredClient | None]:
    """Make the ``clients`` of a verifier: the applications that are registered for ``private_key_jwt``.

    signing_algs: the algorithms that the server has enabled; an application without a
        ``token_endpoint_auth_signing_alg`` may use each of them. Unless given, that is RS256 only, and an application
        may use the one that its model names.

    An application model has a ``jwks_uri``, or a ``jwks`` as a dictionary or as JSON, and may have a
    ``token_endpoint_auth_signing_alg``: fields or properties of your own ``OAUTH2_PROVIDER_APPLICATION_MODEL``. It is
    registered for the method when its ``token_endpoint_auth_method`` says so, or names none and it has keys.
    """

    def find(client_id: str) -> RegisteredClient | None:
        if "\0" in client_id:  # PostgreSQL takes none in a text, and its driver raises
            return None
        application = get_application_model().objects.filter(client_id=client_id).first()
        if application is None or not _models.uses_private_key_jwt(application):
            return None
        return _models.registered_client(application.client_id, application, signing_algs)

    return find


def refusal(request: Any) -> AuthenticationError | None:
    """Return why a request was refused, with ``reason`` and ``detail`` for a log; None when it was not."""
    return outcomes_of(request).refusal


class ClientNotAuthenticated(OAuth2Error):
    """An AuthenticationError (its ``__cause__``) as oauthlib's endpoints send errors: the constant response.

        try: validator.authenticate_client(request)
        except ClientNotAuthenticated as error:
            log.warning("%s", error.__cause__)

    Raised inside of oauthlib's endpoints, which send it.
    """

    def __init__(self, error: AuthenticationError) -> None:
        body = error.to_response().body
        self.error = body["error"]
        self.response = encode_error(error)
        super().__init__(body["error_description"], status_code=self.response.status)

    @property
    def headers(self) -> dict[str, str]:
        """The header fields of the response. The content type is left to the endpoints, which all set it."""
        return {name: value for name, value in self.response.headers.items() if name != "Content-Type"}

    @property
    def json(self) -> str:
        """The body of the response."""
        return self.response.body.decode()


class ClientAssertionMixin:
    """Stands before ``OAuth2Validator`` in the bases of your ``OAUTH2_VALIDATOR_CLASS``.

        class Validator(ClientAssertionMixin, OAuth2Validator):
            client_assertion_verifier = ClientAssertionVerifier(..., clients=registered_applications())

    client_assertion_verifier: yours to set; its ``clients`` are mostly ``registered_applications()``.
    client_assertion_signing_algs: the algorithms that the metadata document names.

    A request with a client assertion is decided by the assertion alone. An application that is registered for
    ``private_key_jwt`` is let in by nothing else: by no secret, and by no ``client_id`` alone if it is public.
    Raises ConfigurationError when the verifier or the middleware is missing.
    """

    client_assertion_verifier: ClientAssertionVerifier
    client_assertion_signing_algs: Sequence[str] = ("RS256",)

    def __init__(self) -> None:
        super().__init__()
        verifier = getattr(self, "client_assertion_verifier", None)
        if not isinstance(verifier, ClientAssertionVerifier):
            raise ConfigurationError(
                f"client_assertion_verifier must be a ClientAssertionVerifier, not {type(verifier).__name__}"
            )
        if not any(_is_ours(import_string(name)) for name in settings.MIDDLEWARE):
            raise ConfigurationError(
                f"MIDDLEWARE must hold '{__name__}.{ClientAssertionMiddleware.__name__}', or a subclass of it"
            )

    def uses_private_key_jwt(self, application: Any) -> bool:
        """Report whether an application must authenticate with ``private_key_jwt``.

        It is when the verifier's ``clients`` know it, or when the model says so: see ``registered_applications``.
        Raises TemporarilyUnavailable when ``clients`` failed.
        """
        return _models.uses_private_key_jwt(application) or self.client_assertion_verifier.is_registered(
            application.client_id
        )

    def before_consume(self, pending: PendingAssertion, request: Any) -> None:
        """Check what is yours to check before an assertion is used up. Raise an OAuth2Error to refuse the request."""

    def client_authentication_required(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        """See OAuth2Validator; a request with an assertion always is authenticated."""
        if _has_assertion(request):
            return True
        is_required: bool = super().client_authentication_required(request, *args, **kwargs)
        return is_required or self._needs_assertion(request)

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        """See OAuth2Validator. Raises ClientNotAuthenticated, which oauthlib or the middleware sends."""
        try:
            if _has_assertion(request):
                self._authenticate_assertion(request)
                return True
            _read(request)
            is_authenticated: bool = super().authenticate_client(request, *args, **kwargs)
        except AuthenticationError as error:
            raise self._refuse(request, error) from error
        if self._needs_assertion(request):
            error = missing_assertion(request.headers.get("Authorization"), _pairs(request))
            raise self._refuse(request, error) from error
        return is_authenticated

    def authenticate_client_id(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        """See OAuth2Validator: for public clients only."""
        is_public: bool = super().authenticate_client_id(client_id, request, *args, **kwargs)
        return is_public and not self._needs_assertion(request)

    @staticmethod
    def _presents_client_assertion(_request: Any) -> bool:
        """Keep out what the toolkit has of its own after 3.4: a request that is left to it counts as without one."""
        return False

    def _needs_assertion(self, request: Any) -> bool:
        """Report whether a request without an assertion names an application that must send one."""
        try:
            return request.client is not None and self.uses_private_key_jwt(request.client)
        except AuthenticationError as error:
            raise self._refuse(request, error) from error

    def _authenticate_assertion(self, request: Any) -> None:
        def check(pending: PendingAssertion) -> None:
            self._load(pending.client_id, request)
            self.before_consume(pending, request)

        verifier, outcomes = self.client_assertion_verifier, _outcomes(request)
        verified = _outcome.authenticate(verifier, outcomes, lambda: _read(request), optional=False, check=check)
        self._load(cast(VerifiedAssertion, verified).client_id, request)  # oauthlib's request may be another one

    def _load(self, client_id: str, request: Any) -> None:
        """Set ``request.client``. Raises InvalidClient."""
        if self._load_application(client_id, request) is None:  # type: ignore[attr-defined]
            detail = f"{quote(client_id)} is known to the verifier, and is no usable application of the toolkit"
            raise InvalidClient(Reason.UNKNOWN_CLIENT, detail, "client")

    def _refuse(self, request: Any, error: AuthenticationError) -> ClientNotAuthenticated:
        _outcomes(request).refuse(self.client_assertion_verifier, error)
        setattr(_http_request(request), _REFUSED, error)
        return ClientNotAuthenticated(error)


def _http_request(request: Any) -> Any:
    """Return the Django request behind one of oauthlib's, or that one where there is none."""
    return request.headers.get(_REQUEST, lambda: request)()


def _outcomes(request: Any) -> Outcomes:
    return outcomes_of(_http_request(request))


def _pairs(request: Any) -> list[tuple[str, str]]:
    """Return the parameters of the body, repeats included. oauthlib's own attributes mix in those of the URL."""
    http_request = _http_request(request)
    if http_request is request:
        return list(request.decoded_body or ())
    return [(name, value) for name, values in http_request.POST.lists() for value in values]


def _has_assertion(request: Any) -> bool:
    return any(value for name, value in _pairs(request) if name in ASSERTION_PARAMETERS)


def _read(request: Any) -> Parts:
    check_query(request.uri_query or "")
    if _has_assertion(request):
        check_content_type(request.headers.get("Content-Type"))
    return _pairs(request), request.headers.get("Authorization")


class ClientAssertionMiddleware(MiddlewareMixin):
    """Reads the requests of the toolkit's endpoints as they came, and sends the response to those that are refused.

        MIDDLEWARE += ["private_key_jwt.integrations.oauth_toolkit.ClientAssertionMiddleware"]

    max_body: bytes over which a body is refused, 32,768: override it in a subclass.

    Bodies and queries that would take milliseconds to parse are refused before Django or oauthlib does.
    Of a repeated parameter the toolkit hands on the last value, so that nothing behind it could refuse an assertion
    that came twice (RFC 6749 §3.2); its device grant drops the header fields of errors, and its introspection answers
    403. What it publishes as metadata is completed by the algorithms of the method (RFC 8414 §2).
    """

    max_body = MAX_BODY // 2  # the toolkit and oauthlib parse it up to four times

    def process_request(self, request: Any) -> None:
        """Take forms in any charset that holds ASCII, where Django takes UTF-8 only."""
        use_utf_8(request)

    def process_view(self, request: Any, view: Any, _args: object, _kwargs: object) -> Any:
        """Read the request of an endpoint that authenticates clients. Refuse one that is malformed."""
        request.META[_REQUEST] = lambda: request  # oauthlib reads header fields that can be iterated over
        if not issubclass(_class(view), _CLIENT_VIEWS):
            return None
        try:
            bound_query_of_several_parsers(request.META.get("QUERY_STRING", ""))
            if request.content_type == FORM:
                _django_request.read(request, self.max_body)
                _check_escapes(request.POST)
            else:
                TokenRequest.from_wsgi(request.META, MAX_OTHER_BODY)
        except InvalidRequest as error:
            return _refuse(request, error)
        return None

    def process_exception(self, request: Any, error: Exception) -> Any:
        """Answer what an endpoint lets through, also of what your validator raises itself."""
        if isinstance(error, AuthenticationError) and issubclass(_class(_view(request)), _CLIENT_VIEWS):
            return _refuse(request, error)
        return HttpResponse() if isinstance(error, ClientNotAuthenticated) else None

    def process_response(self, request: Any, response: Any) -> Any:
        """Send the whole response to a request that the validator refused, whatever an endpoint made of it."""
        error = getattr(request, _REFUSED, None)
        if error is not None:
            return _send(error, response)
        if response.status_code == HTTPStatus.OK and issubclass(_class(_view(request)), _METADATA_VIEWS):
            _complete_metadata(response)
        return response


def _check_escapes(form: Any) -> None:
    """Refuse a form that oauthlib, which encodes and decodes it once more, would need milliseconds for."""
    texts = (text for name, values in form.lists() for text in (name, *values))
    escapes = sum(len(text.encode().translate(None, _UNRESERVED)) for text in texts)
    if escapes > _MAX_ESCAPES:
        raise InvalidRequest(
            Reason.INVALID_REQUEST,
            f"expected a form of at most {_MAX_ESCAPES} bytes beside letters, digits and - . _ ~, got {escapes}",
            "request",
        )


def _refuse(request: Any, error: AuthenticationError) -> Any:
    verifier = oauth2_settings.OAUTH2_VALIDATOR_CLASS.client_assertion_verifier
    return _send(outcomes_of(request).refuse(verifier, error), HttpResponse())


def _is_ours(middleware: object) -> bool:
    return isinstance(middleware, type) and issubclass(middleware, ClientAssertionMiddleware)


def _view(request: Any) -> object:
    return getattr(request.resolver_match, "func", None)


def _class(view: object) -> type:
    found: type = getattr(view, "view_class", object)
    return found


def _send(error: AuthenticationError, response: Any) -> Any:
    """Make a response that of a request that was refused; header fields of others, such as CORS, stay."""
    response.status_code, headers, response.content = encode_error(error)
    for name, value in headers.items():
        response.headers[name] = value
    return response


def _complete_metadata(response: Any) -> None:
    metadata = json.loads(response.content)
    algs = oauth2_settings.OAUTH2_VALIDATOR_CLASS.client_assertion_signing_algs
    ours = client_authentication_metadata(signing_algs=algs)
    for endpoint in ("token", "revocation", "introspection"):
        if METHOD in metadata.get(f"{endpoint}_endpoint_auth_methods_supported", ()):
            name = f"{endpoint}_endpoint_auth_signing_alg_values_supported"
            metadata[name] = ours[name]
    response.content = json.dumps(metadata)


def check_issuer(**_: Any) -> list[checks.CheckMessage]:
    """Compare the issuer that the toolkit publishes with the policy's audience: a system check of Django."""
    verifier = getattr(oauth2_settings.OAUTH2_VALIDATOR_CLASS, "client_assertion_verifier", None)
    if not isinstance(verifier, ClientAssertionVerifier):
        return []
    accepted, issuer = verifier.policy.audiences, oauth2_settings.OIDC_ISS_ENDPOINT
    if issuer in accepted:
        return []
    shown = ", ".join(sorted(accepted))
    hint = f"Set OAUTH2_PROVIDER['OIDC_ISS_ENDPOINT'], or the policy's audience, so that both are the same: {shown}"
    if issuer:
        text = f"The toolkit publishes the issuer {issuer}, and the policy's audience is {shown}: clients are refused."
        return [checks.Error(text, hint=hint, id="private_key_jwt.E001")]
    text = "The issuer that the toolkit publishes follows the Host header: clients that send it may be refused."
    return [checks.Warning(text, hint=hint, id="private_key_jwt.W001")]
