"""``private_key_jwt`` for django-oauth-toolkit: one class and its settings.

    class Validator(ClientAssertionMixin, OAuth2Validator):
        client_assertion_verifier = ClientAssertionVerifier(..., clients=registered_applications())

    OAUTH2_PROVIDER = {
        "OAUTH2_VALIDATOR_CLASS": "project.oauth.Validator",
        "OIDC_ISS_ENDPOINT": "https://op.example.com",  # the issuer of the metadata: the policy's audience
        "OAUTH2_TOKEN_ENDPOINT_AUTH_METHODS_SUPPORTED": ["private_key_jwt", "client_secret_basic"],  # in the metadata
        "OIDC_TOKEN_ENDPOINT_AUTH_METHODS_SUPPORTED": ["private_key_jwt", "client_secret_basic"],  # with OIDC_ENABLED
    }
    MIDDLEWARE += ["private_key_jwt.integrations.oauth_toolkit.ClientAssertionMiddleware"]
    INSTALLED_APPS += ["private_key_jwt.integrations"]  # for `manage.py check`

``registered_applications()`` are those whose model has a ``jwks_uri`` or ``jwks``: fields that the toolkit's default
Application does not have. Derive a model from ``AbstractApplication``, name it in
``OAUTH2_PROVIDER_APPLICATION_MODEL``, and run ``manage.py makemigrations`` and ``migrate`` before the toolkit's tables
are made: they refer to it.

``clients`` may as well be a list, a mapping or a function of your own, with the toolkit's default Application model:
what the verifier knows is registered for the method. The toolkit then needs no more than an application with the same
``client_id``.

The issuer that the toolkit publishes and the policy's audience must agree, or clients that send what is published are
refused with ``audience_mismatch``. ``manage.py check`` compares them, and the algorithms, and finds a validator, a
middleware, an application model or a metadata document that does not fit.

Clients of an issuer without a path look for the metadata at the root of its host:
``/.well-known/oauth-authorization-server`` (RFC 8414 §3), and with OIDC_ENABLED ``/.well-known/openid-configuration``.
Where the toolkit's URLs stand below a path such as ``o/``, serve both documents at the root too; ``manage.py check``
asks whether they are there::

    from oauth2_provider.urls import metadata_urlpatterns
    from oauth2_provider.views import ConnectDiscoveryInfoView

    urlpatterns = [
        path("o/", include("oauth2_provider.urls")),
        path("", include(metadata_urlpatterns)),
        path(".well-known/openid-configuration", ConnectDiscoveryInfoView.as_view()),
    ]

No release of the toolkit up to 3.4.1 has a ``private_key_jwt`` of its own; its branch of development has one, for the
release after that. It is not used beside this one: its fields
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

import gzip
import json
import string
from collections.abc import Callable, Sequence
from functools import cache
from http import HTTPStatus
from importlib import import_module
from typing import Any, cast

from .._core.token_request import invalid_request, missing_assertion
from .._extra import needs
from .._registration import METHOD, check_signing_algs
from .._text import quote
from ..clients import RegisteredClient
from ..discovery import ENDPOINTS, client_authentication_metadata
from ..exceptions import AuthenticationError, ConfigurationError, InvalidClient, InvalidRequest, Reason
from ..verifier import ClientAssertionVerifier, PendingAssertion, VerifiedAssertion
from . import _models, _outcome
from ._applications import Applications
from ._content_type import FORM, check_content_type, use_utf_8
from ._outcome import Outcomes, Parts, outcomes_of
from ._parser_bounds import MAX_ESCAPES, MAX_OTHER_BODY, bound_query_of_several_parsers, check_parameters
from ._query import check_query
from ._request import ASSERTION_PARAMETERS, MAX_BODY, TokenRequest
from ._response import encode_error
from ._settings import check_before_consume

with needs(__name__, "django-oauth-toolkit"):
    from django import conf  # not its `settings`: help() looks into all names, and must need no project
    from django.http import HttpResponse
    from django.utils.deprecation import MiddlewareMixin
    from django.utils.module_loading import import_string
    from oauthlib.oauth2 import OAuth2Error, RequestValidator

    # Its models and views are imported when they are needed, for the same reason.
    import_module("oauth2_provider")

    from . import _django_request

__all__ = [
    "ClientAssertionMiddleware",
    "ClientAssertionMixin",
    "ClientNotAuthenticated",
    "refusal",
    "registered_applications",
]

# Django, its toolkit and oauthlib are untyped.
# mypy: disable-error-code="misc"

_UNRESERVED = (string.ascii_letters + string.digits + "-._~").encode()  # RFC 3986 §2.3
_MAX_PARAMETERS = 32  # of a query and a body together, which the toolkit and oauthlib parse up to eight times
_REQUEST = "private_key_jwt.request"  # of META, which the toolkit hands to oauthlib as header fields
_REFUSED = "_private_key_jwt_refused"  # the attribute of a request that the middleware must answer
_CLIENT_VIEWS = (
    "TokenView",
    "RevokeTokenView",
    "ClientProtectedResourceView",  # IntrospectTokenView is one
    "DeviceAuthorizationView",
    "PushedAuthorizationRequestView",  # after 3.4
)
_METADATA_VIEWS = ("OAuthServerMetadataView", "ConnectDiscoveryInfoView")


def registered_applications(*, signing_algs: Sequence[str] | None = None) -> Callable[[str], RegisteredClient | None]:
    """Make the ``clients`` of a verifier: the applications that are registered for ``private_key_jwt``.

    signing_algs: the algorithms that the server has enabled; an application without a
        ``token_endpoint_auth_signing_alg`` may use each of them. Unless given, that is RS256 only, and an application
        may use the one that its model names.

    An application model has a ``jwks_uri``, or a ``jwks`` as a dictionary or as JSON, and may have a
    ``token_endpoint_auth_signing_alg``: fields or properties of your own ``OAUTH2_PROVIDER_APPLICATION_MODEL``. It is
    registered for the method when its ``token_endpoint_auth_method`` says so, or names none and it has keys.
    Raises ConfigurationError for algorithms that are not known.
    """
    return Applications(signing_algs)


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


# The methods that decide who is let in. oauthlib's validators do not call those of their other bases.
_DECIDING = {"authenticate_client", "authenticate_client_id", "client_authentication_required"}


class ClientAssertionMixin:
    """Stands before ``OAuth2Validator`` in the bases of your ``OAUTH2_VALIDATOR_CLASS``.

        class Validator(ClientAssertionMixin, OAuth2Validator):
            client_assertion_verifier = ClientAssertionVerifier(..., clients=registered_applications())

    client_assertion_verifier: yours to set; its ``clients`` are mostly ``registered_applications()``.
    client_assertion_signing_algs: the algorithms that the metadata document names: those that clients may use.

    A request with a client assertion is decided by the assertion alone. An application that is registered for
    ``private_key_jwt`` is let in by nothing else: by no secret, and by no ``client_id`` alone if it is public.
    Raises ConfigurationError when the verifier or the middleware is missing, or an algorithm is not known; the class
    statement raises it when the bases stand in another order, in which none of this would be asked.
    """

    client_assertion_verifier: ClientAssertionVerifier
    client_assertion_signing_algs: Sequence[str] = ("RS256",)

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for each in cls.__mro__[: cls.__mro__.index(ClientAssertionMixin)]:
            is_foreign = issubclass(each, RequestValidator) and not issubclass(each, ClientAssertionMixin)
            if is_foreign and not _DECIDING.isdisjoint(vars(each)):
                raise ConfigurationError(
                    f"class {cls.__name__}: {ClientAssertionMixin.__name__} must stand before {each.__name__} in the"
                    f" bases: class {cls.__name__}({ClientAssertionMixin.__name__}, {each.__name__})"
                )

    def __init__(self) -> None:
        super().__init__()
        _check_validator(type(self))
        check_middleware()

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
        def check(pending: PendingAssertion) -> object:
            self._load(pending.client_id, request)
            check_more: Callable[..., object] = self.before_consume
            return check_more(pending, request)

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

    Bodies and queries that would take milliseconds to parse are refused before Django or oauthlib does: more than 32
    parameters in both together, multipart and JSON of more than 4,096 bytes.
    Of a repeated parameter the toolkit hands on the last value, so that nothing behind it could refuse an assertion
    that came twice (RFC 6749 §3.2); its device grant drops the header fields of errors, and its introspection answers
    403. What it publishes as metadata is completed by the algorithms of the method (RFC 8414 §2), and sent plain where
    GZipMiddleware, behind this one, had compressed it; a middleware for other codings must stand in front.
    Raises ConfigurationError, when the server starts, unless ``OAUTH2_VALIDATOR_CLASS`` has a verifier of ours.
    """

    max_body = MAX_BODY // 2  # the toolkit and oauthlib parse it up to four times

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        configured_validator()

    def process_request(self, request: Any) -> None:
        """Take forms in any charset that holds ASCII, where Django takes UTF-8 only."""
        use_utf_8(request)

    def process_view(self, request: Any, view: Any, _args: object, _kwargs: object) -> Any:
        """Read the request of an endpoint that authenticates clients. Refuse one that is malformed."""
        request.META[_REQUEST] = lambda: request  # oauthlib reads header fields that can be iterated over
        if not issubclass(_class(view), _views(_CLIENT_VIEWS)):
            return None
        try:
            count = bound_query_of_several_parsers(request.META.get("QUERY_STRING", ""))
            is_form = request.content_type == FORM
            token_request = TokenRequest.from_wsgi(request.META, self.max_body if is_form else MAX_OTHER_BODY)
            check_parameters(count + _django_request.count_parts(request, token_request), _MAX_PARAMETERS)
            if is_form:
                _django_request.read_form(request, token_request)
                _check_escapes(request.POST)
        except InvalidRequest as error:
            return _refuse(request, error)
        return None

    def process_exception(self, request: Any, error: Exception) -> Any:
        """Answer what an endpoint lets through, also of what your validator raises itself."""
        if isinstance(error, AuthenticationError) and issubclass(_class(_view(request)), _views(_CLIENT_VIEWS)):
            return _refuse(request, error)
        return HttpResponse() if isinstance(error, ClientNotAuthenticated) else None

    def process_response(self, request: Any, response: Any) -> Any:
        """Send the whole response to a request that the validator refused, whatever an endpoint made of it."""
        error = getattr(request, _REFUSED, None)
        if error is not None:
            return _send(error, response)
        if response.status_code == HTTPStatus.OK and issubclass(_class(_view(request)), _views(_METADATA_VIEWS)):
            _complete_metadata(response)
        return response


def _check_escapes(form: Any) -> None:
    """Refuse a form that oauthlib, which encodes and decodes it once more, would need milliseconds for."""
    texts = (text for name, values in form.lists() for text in (name, *values))
    escapes = sum(len(text.encode().translate(None, _UNRESERVED)) for text in texts)
    if escapes > MAX_ESCAPES:
        raise invalid_request(
            f"expected a form of at most {MAX_ESCAPES} bytes beside letters, digits and - . _ ~, got {escapes}"
        )


def _refuse(request: Any, error: AuthenticationError) -> Any:
    verifier = configured_validator().client_assertion_verifier
    return _send(outcomes_of(request).refuse(verifier, error), HttpResponse())


def configured_validator() -> type[ClientAssertionMixin]:
    """Return the ``OAUTH2_VALIDATOR_CLASS``. Raises ConfigurationError when it is not one of ours, or has no verifier.

    ImportError when it cannot be imported.
    """
    from oauth2_provider.settings import oauth2_settings

    found: type[ClientAssertionMixin] = oauth2_settings.OAUTH2_VALIDATOR_CLASS
    _check_validator(found)
    return found


def _check_validator(found: type) -> None:
    if not (issubclass(found, ClientAssertionMixin) and issubclass(found, RequestValidator)):
        raise ConfigurationError(
            "OAUTH2_PROVIDER['OAUTH2_VALIDATOR_CLASS'] must name a class Validator(ClientAssertionMixin,"
            f" OAuth2Validator), with a client_assertion_verifier, and names {found.__module__}.{found.__qualname__}"
        )
    verifier = getattr(found, "client_assertion_verifier", None)
    if not isinstance(verifier, ClientAssertionVerifier):
        raise ConfigurationError(
            f"{found.__qualname__}.client_assertion_verifier must be a ClientAssertionVerifier, not"
            f" {type(verifier).__name__}"
        )
    check_before_consume(f"{found.__qualname__}.before_consume", found.before_consume)
    try:
        check_signing_algs(found.client_assertion_signing_algs)
    except ConfigurationError as error:
        raise ConfigurationError(f"{found.__qualname__}.client_assertion_{error}") from None


def check_middleware() -> None:
    """Raise ConfigurationError unless the settings name the middleware."""
    if not any(_is_ours(import_string(name)) for name in conf.settings.MIDDLEWARE):
        raise ConfigurationError(
            f"MIDDLEWARE must hold '{__name__}.{ClientAssertionMiddleware.__name__}', or a subclass of it"
        )


def _is_ours(middleware: object) -> bool:
    return isinstance(middleware, type) and issubclass(middleware, ClientAssertionMiddleware)


@cache
def _views(names: Sequence[str]) -> tuple[type, ...]:
    """Import those of the toolkit's views that this release of it has."""
    views = import_module("oauth2_provider.views")
    return tuple(getattr(views, name) for name in names if hasattr(views, name))


def _view(request: Any) -> object:
    return getattr(request.resolver_match, "func", None)


def _class(view: object) -> type:
    found: type = getattr(view, "view_class", object)
    return found


def _send(error: AuthenticationError, response: Any) -> Any:
    """Make a response that of a request that was refused; header fields of others, such as CORS, stay."""
    response.status_code, headers, body = encode_error(error)
    _replace_content(response, body)
    for name, value in headers.items():
        response.headers[name] = value
    return response


def _replace_content(response: Any, content: bytes) -> None:
    """Give a response another content, and none of the header fields that another middleware made of the old one."""
    for name in ("Content-Encoding", "ETag"):
        response.headers.pop(name, None)
    response.content = content
    if "Content-Length" in response.headers:
        response.headers["Content-Length"] = str(len(content))


def _complete_metadata(response: Any) -> None:
    coding = response.headers.get("Content-Encoding")
    if coding not in (None, "gzip"):  # GZipMiddleware behind this one; what else a project has cannot be read here
        return
    metadata = json.loads(gzip.decompress(response.content) if coding else response.content)
    ours = client_authentication_metadata(signing_algs=configured_validator().client_assertion_signing_algs)
    for endpoint in ENDPOINTS:
        if METHOD in metadata.get(f"{endpoint}_endpoint_auth_methods_supported", ()):
            name = f"{endpoint}_endpoint_auth_signing_alg_values_supported"
            metadata[name] = ours[name]
    _replace_content(response, json.dumps(metadata).encode())
