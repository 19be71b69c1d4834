"""``private_key_jwt`` for Authlib's ``AuthorizationServer``, on Flask and on Django.

verifier = ClientAssertionVerifier(..., clients=registered_clients(server))
register_private_key_jwt(server, verifier)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from .._registration import METHOD
from .._sources import lookup_failed
from .._text import quote
from ..clients import RegisteredClient
from ..exceptions import AuthenticationError, ConfigurationError, InvalidClient, Reason
from ..verifier import ClientAssertionVerifier, VerifiedAssertion
from ._extra import needs
from ._models import registered_client
from ._request import answer, check_content_type, check_query, required

with needs("authlib"):
    from authlib.oauth2 import AuthorizationServer, OAuth2Error

__all__ = ["ClientNotAuthenticated", "register_private_key_jwt", "registered_clients"]


def registered_clients(server: Any) -> Callable[[str], RegisteredClient | None]:
    """The ``clients`` of a verifier: those of an Authlib server that are registered for ``private_key_jwt``.

    server: the AuthorizationServer; its ``query_client`` is asked for each request. A client model tells its
        ``jwks_uri`` or ``jwks``, and a ``token_endpoint_auth_signing_alg`` if it has one, as attributes or in its
        ``client_metadata``, and its method by ``check_endpoint_auth_method(method, "token")``.
    """

    def find(client_id: str) -> RegisteredClient | None:
        client = server.query_client(client_id)
        if client is None or not client.check_endpoint_auth_method(METHOD, "token"):
            return None
        return registered_client(client_id, client)

    return find


def register_private_key_jwt(server: Any, verifier: ClientAssertionVerifier) -> None:
    """Let the clients of an Authlib server authenticate with ``private_key_jwt``, at all of its endpoints.

    server: an AuthorizationServer of Flask or Django, or one of your own whose requests have ``form``, ``headers``
        and ``uri``. Token, revocation, introspection and device authorization endpoints ask it for the client.
    verifier: its ``clients`` are mostly ``registered_clients(server)``.

    A request with a client assertion is decided by the assertion alone, whatever methods a grant or endpoint lists;
    those lists go on to govern requests without one. A client whose model tells ``private_key_jwt`` for the token
    endpoint, and not also the method that it came with, is not let in by that other method at any endpoint.

    Raises ConfigurationError.
    """
    for name, value, kind in (("server", server, AuthorizationServer), ("verifier", verifier, ClientAssertionVerifier)):
        if not isinstance(value, kind):
            raise ConfigurationError(f"{name} must be of {kind.__name__}, not {type(value).__name__}")
    authenticate_otherwise = server.authenticate_client

    def authenticate_client(request: Any, methods: Sequence[str], endpoint: str = "token") -> Any:
        try:
            verified = _verify(verifier, request)
            if verified is not None:
                client = _find(server, verified.client_id, endpoint)
                request.auth_method = METHOD
                return client
            if set(methods) == {METHOD}:
                required(verified)
            client = authenticate_otherwise(request, methods, endpoint)
            if not _may_use(client, request.auth_method):
                required(verified)
        except AuthenticationError as error:
            raise ClientNotAuthenticated(error) from error
        return client

    server.register_client_auth_method(METHOD, _without_assertion)
    server.authenticate_client = authenticate_client


class ClientNotAuthenticated(OAuth2Error):  # type: ignore[misc]  # Authlib is untyped
    """An AuthenticationError (its ``__cause__``) as Authlib's endpoints send errors: the constant answer."""

    def __init__(self, error: AuthenticationError) -> None:
        body = error.to_response().body
        self._answer = answer(error)
        super().__init__(body["error_description"], status_code=self._answer.status, error=body["error"])

    def __call__(self, _uri: str | None = None) -> tuple[int, str, list[tuple[str, str]]]:
        """Status, body and header fields for the server to send; no ``error_uri`` joins them."""
        status, headers, body = self._answer
        return status, body.decode(), list(headers.items())


def _verify(verifier: ClientAssertionVerifier, request: Any) -> VerifiedAssertion | None:
    check_query(urlsplit(request.uri).query)
    if "client_assertion" in request.form or "client_assertion_type" in request.form:
        check_content_type(request.headers.get("Content-Type"))
    return verifier.authenticate(request.form, request.headers.get("Authorization"), optional=True)


def _find(server: Any, client_id: str, endpoint: str) -> Any:
    try:
        client = server.query_client(client_id)
    except Exception as error:  # the user's code: whatever it raises, nobody is let in
        raise lookup_failed(error, client_id) from error
    if client is None or not client.check_endpoint_auth_method(METHOD, endpoint):
        detail = f"{quote(client_id)} is not registered for {METHOD} at the {endpoint} endpoint"
        raise InvalidClient(Reason.UNKNOWN_CLIENT, detail, "client")
    return client


def _may_use(client: Any, method: str) -> bool:
    return not client.check_endpoint_auth_method(METHOD, "token") or client.check_endpoint_auth_method(method, "token")


def _without_assertion(_query_client: object, _request: object) -> None:
    """Authlib's turn comes when the request has no assertion: this method then knows no client."""
