"""``private_key_jwt`` for Authlib's ``AuthorizationServer``, on Flask and on Django.

    verifier = ClientAssertionVerifier(..., clients=registered_clients(server))
    register_private_key_jwt(server, verifier)

``clients`` may as well be a list, a mapping or a function of your own: what the verifier knows is registered for the
method, whatever the client model says. The policy's audience must be the ``issuer`` of your metadata document: define
it once, and use it in both.

The reason for a refusal goes to the verifier's ``on_event``, one event for each request, and can be had until the end
of the request: ``refusal(request)`` gives the error, with ``reason`` and ``detail``, for the request of the framework
as for Authlib's. It is also the ``__cause__`` of what Authlib's hooks get.

A server that has more to check before an assertion is used up, such as a DPoP proof whose nonce the client must repeat
with the same assertion (RFC 9449 §8), gives a function. What it raises is Authlib's to answer, and leaves the assertion
as it was::

    def check_proof(pending, request):  # a PendingAssertion, an OAuth2Request
        if not has_good_proof(request, pending.client_id):
            raise UseDPoPNonceError()  # an OAuth2Error of yours

    register_private_key_jwt(server, verifier, before_consume=check_proof)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._core.token_request import invalid_request, missing_assertion
from .._extra import needs
from .._registration import METHOD, check_signing_algs
from .._results import client_lookup_failed
from .._text import quote
from ..clients import RegisteredClient
from ..exceptions import AuthenticationError, ConfigurationError, InvalidClient, Reason
from ..verifier import ClientAssertionVerifier, PendingAssertion
from . import _outcome
from ._authlib_request import bound, flask_request
from ._content_type import use_utf_8
from ._models import registered_client
from ._outcome import Outcomes, Parts, outcomes_of
from ._query import check_query
from ._request import ASSERTION_PARAMETERS, TokenRequest
from ._response import encode_error
from ._settings import check_before_consume

with needs(__name__, "authlib"):
    from authlib.oauth2 import AuthorizationServer, OAuth2Error
    from authlib.oauth2.rfc6749 import InvalidClientError
    from authlib.oauth2.rfc6749.util import extract_basic_authorization

__all__ = ["BeforeConsume", "ClientNotAuthenticated", "refusal", "register_private_key_jwt", "registered_clients"]

_FLASK_SERVER = "authlib.integrations.flask_oauth2."

BeforeConsume = Callable[[PendingAssertion, Any], None]


def registered_clients(
    server: Any, *, signing_algs: Sequence[str] | None = None
) -> Callable[[str], RegisteredClient | None]:
    """Make the ``clients`` of a verifier: those of an Authlib server that are registered for ``private_key_jwt``.

    server: the AuthorizationServer; its ``query_client`` is asked for each request. A client model has its
        ``jwks_uri`` or ``jwks``, and a ``token_endpoint_auth_signing_alg`` if it has one, as attributes or in its
        ``client_metadata``, and its method by ``check_endpoint_auth_method(method, "token")``.
    signing_algs: the algorithms that the server has enabled; a client without a ``token_endpoint_auth_signing_alg``
        may use each of them. Unless given, that is RS256 only, and a client may use the one that its model names.

    Raises ConfigurationError for algorithms that are not known.
    """
    if signing_algs is not None:
        check_signing_algs(signing_algs)

    def find(client_id: str) -> RegisteredClient | None:
        client = server.query_client(client_id)
        if client is None or not client.check_endpoint_auth_method(METHOD, "token"):
            return None
        return registered_client(_stored_id(client), client, signing_algs)

    return find


def register_private_key_jwt(
    server: Any, verifier: ClientAssertionVerifier, *, before_consume: BeforeConsume | None = None
) -> None:
    """Let the clients of an Authlib server authenticate with ``private_key_jwt``, at all of its endpoints.

    server: an AuthorizationServer of Flask or Django, or one of your own whose requests have ``form``, ``headers``
        and ``uri``. Token, revocation, introspection and device authorization endpoints ask it for the client.
    verifier: its ``clients`` are mostly ``registered_clients(server)``.
    before_consume: called with the pending assertion and Authlib's request before the assertion is used up.

    A request with a client assertion is decided by the assertion alone, whatever methods a grant or endpoint lists;
    those lists go on to govern requests without one. A client that is registered for ``private_key_jwt``, and whose
    model does not also name the method that it came with, is not let in by that other method at any endpoint. A model
    that names ``private_key_jwt`` for the token endpoint, and not for another, is not let in there.

    Bodies and queries that would take milliseconds to parse are refused before Flask, Django or Authlib does; so take
    the server's methods for your views after this call. An AuthenticationError of a grant of yours gets the
    constant response, too.

    Raises ConfigurationError.
    """
    for name, value, kind in (("server", server, AuthorizationServer), ("verifier", verifier, ClientAssertionVerifier)):
        if not isinstance(value, kind):
            raise ConfigurationError(f"{name} must be of {kind.__name__}, not {type(value).__name__}")
    if before_consume is not None:
        check_before_consume("before_consume", before_consume)
    authentication = _Authentication(server, verifier, before_consume)
    server.register_client_auth_method(METHOD, _without_assertion)
    server.authenticate_client = authentication.authenticate_client
    server.create_oauth2_request = authentication.create_oauth2_request
    server.create_token_response = authentication.create_token_response
    server.create_endpoint_response = authentication.create_endpoint_response


class ClientNotAuthenticated(OAuth2Error):  # type: ignore[misc]  # Authlib is untyped
    """An AuthenticationError (its ``__cause__``) as Authlib's endpoints send errors: the constant response.

        try: client = server.authenticate_client(request, ["private_key_jwt"])
        except ClientNotAuthenticated as error:
            log.warning("%s", error.__cause__)

    Raised inside of Authlib's endpoints, which send it. Called, it gives what is to be sent.
    """

    def __init__(self, error: AuthenticationError) -> None:
        body = error.to_response().body
        self._response = encode_error(error)
        super().__init__(body["error_description"], status_code=self._response.status, error=body["error"])

    def __call__(self, _uri: str | None = None) -> tuple[int, str, list[tuple[str, str]]]:
        """Give status, body and header fields for the server to send; no ``error_uri`` joins them."""
        status, headers, body = self._response
        return status, body.decode(), list(headers.items())


def refusal(request: Any) -> AuthenticationError | None:
    """Return why a request, Authlib's or the framework's, was refused; None when it was not."""
    return _outcomes(request).refusal


def _outcomes(request: Any) -> Outcomes:
    return outcomes_of(getattr(request, "_request", request))


class _Authentication:
    """The methods that take the place of a server's own."""

    def __init__(self, server: Any, verifier: ClientAssertionVerifier, before_consume: BeforeConsume | None) -> None:
        self._server = server
        self._verifier = verifier
        self._before_consume = before_consume
        self._authenticate_client = server.authenticate_client
        self._create_oauth2_request = server.create_oauth2_request
        self._create_token_response = server.create_token_response
        self._create_endpoint_response = server.create_endpoint_response
        self._is_flask = any(cls.__module__.startswith(_FLASK_SERVER) for cls in type(server).__mro__)

    def _of_framework(self, request: Any) -> Any:
        return flask_request() if self._is_flask else request

    def create_oauth2_request(self, request: Any) -> Any:
        of_framework = self._of_framework(request)
        use_utf_8(of_framework)
        try:
            # A request to the authorization endpoint may come with a long URL.
            if of_framework.method == "POST" or _outcomes(of_framework).is_of_client:
                bound(of_framework)
        except AuthenticationError as error:
            raise self._refused(of_framework, error) from error
        return self._create_oauth2_request(request)

    def create_token_response(self, request: Any = None) -> Any:
        return self._responded(request, lambda: self._create_token_response(request))

    def create_endpoint_response(self, name: str, request: Any = None) -> Any:
        return self._responded(request, lambda: self._create_endpoint_response(name, request))

    def _responded(self, request: Any, create: Callable[[], Any]) -> Any:
        """Give the response to a request that is refused before Authlib handles errors, or by a grant of yours."""
        of_framework = self._of_framework(request)
        _outcomes(of_framework).is_of_client = True
        try:
            return create()
        except ClientNotAuthenticated as error:
            return self._server.handle_error_response(request, error)
        except AuthenticationError as error:
            return self._server.handle_error_response(request, self._refused(of_framework, error))

    def _refused(self, request: Any, error: AuthenticationError) -> ClientNotAuthenticated:
        return ClientNotAuthenticated(_outcomes(request).refuse(self._verifier, error))

    def authenticate_client(self, request: Any, methods: Sequence[str], endpoint: str = "token") -> Any:
        outcomes = _outcomes(request)
        try:
            client = self._by_assertion(request, outcomes, methods, endpoint)
            if client is None:
                client = self._by_other_method(request, methods, endpoint)
        except AuthenticationError as error:
            raise self._refused(request, error) from error
        return client

    def _by_assertion(self, request: Any, outcomes: Outcomes, methods: Sequence[str], endpoint: str) -> Any:
        client = None

        def check(pending: PendingAssertion) -> object:
            nonlocal client
            client = self._find(pending.client_id, endpoint)
            check_more: Callable[..., object] | None = self._before_consume
            return None if check_more is None else check_more(pending, request)

        optional = set(methods) != {METHOD}
        verified = _outcome.authenticate(
            self._verifier, outcomes, lambda: _read(request), optional=optional, check=check
        )
        if verified is None:
            return None
        request.auth_method = METHOD
        return self._find(verified.client_id, endpoint) if client is None else client

    def _find(self, client_id: str, endpoint: str) -> Any:
        try:
            client = self._server.query_client(client_id)
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise client_lookup_failed(error, client_id) from error
        if client is None or not _may_use_assertion(client, endpoint):
            raise InvalidClient(
                Reason.UNKNOWN_CLIENT,
                f"{quote(client_id)} is known to the verifier, and is no client of the server that is registered for"
                f" {METHOD} at the {endpoint} endpoint",
                "client",
            )
        return client

    def _by_other_method(self, request: Any, methods: Sequence[str], endpoint: str) -> Any:
        is_decoded = True
        try:
            client = self._authenticate_client(request, methods, endpoint)
        except UnicodeDecodeError:
            client, is_decoded = None, False
        except InvalidClientError:
            # Authlib knows no client by the methods of this endpoint: say so of one that must send an assertion.
            named = _named(request)
            client = None if named is None else self._server.query_client(named)
            if client is None or self._may_use(client, methods):
                raise
            client = None
        # Not within the except: what hangs on the decoder's error, suppressed or not, holds a secret.
        if not is_decoded:
            raise invalid_request("expected Basic credentials in UTF-8, and Authlib cannot decode what came")
        if client is None or not self._may_use(client, [request.auth_method]):
            raise missing_assertion(request.headers.get("Authorization"), request.form)
        return client

    def _may_use(self, client: Any, methods: Sequence[str]) -> bool:
        """Report whether a client may authenticate with one of these methods."""
        if client.check_endpoint_auth_method(METHOD, "token"):
            return any(client.check_endpoint_auth_method(method, "token") for method in methods)
        return not self._verifier.is_registered(_stored_id(client))


def _named(request: Any) -> str | None:
    """Return the ``client_id`` that a request without an assertion names."""
    try:
        by_basic, _ = extract_basic_authorization(request.headers)
    except UnicodeDecodeError:
        by_basic = None
    named: str | None = by_basic or request.form.get("client_id")
    return named


def _stored_id(client: Any) -> str:
    """Return a model's own ``client_id``, whatever spelling of it a database was asked for."""
    stored: str = client.client_id if hasattr(client, "client_id") else client.get_client_id()
    return stored


def _may_use_assertion(client: Any, endpoint: str) -> bool:
    """Report what a model says that names the method for the token endpoint; for others the verifier decides."""
    at_endpoint: bool = client.check_endpoint_auth_method(METHOD, endpoint)
    return at_endpoint or not client.check_endpoint_auth_method(METHOD, "token")


def _read(request: Any) -> Parts:
    # All of it: Django reads what stands behind a raw `#`, too.
    query, headers = request.uri.partition("?")[2], request.headers
    if not any(any(_values(request.form, name)) for name in ASSERTION_PARAMETERS):
        check_query(query)
        return request.form, headers.get("Authorization")
    token_request = TokenRequest(
        method=request.method,
        query=query,
        content_type=headers.get("Content-Type"),
        content_length=headers.get("Content-Length"),
        authorization=headers.get("Authorization"),
    )
    return token_request.parsed(request.form), token_request.authorization


def _values(form: Any, name: str) -> Sequence[Any]:
    """Return all values of a parameter: a first that is empty hides none behind it."""
    values: Sequence[Any] = form.getlist(name) if hasattr(form, "getlist") else [form.get(name)]
    return values


def _without_assertion(_query_client: object, _request: object) -> None:
    """Know no client: Authlib asks for this method only when the request has no assertion."""
