"""Client authentication in Flask.

@app.post("/token")
@client_authentication(verifier)
def token(client): ...  # a VerifiedAssertion; other requests are answered already
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from .._core.token_request import Form
from ..exceptions import AuthenticationError
from ..verifier import ClientAssertionVerifier, VerifiedAssertion
from ._extra import needs
from ._request import MAX_BODY, TokenRequest, answer, check_settings, expected, unreadable

with needs("flask"):
    from flask import Request, Response, current_app, request

__all__ = ["authenticate", "client_authentication", "error_response"]

View = Callable[..., Any]


def authenticate(
    verifier: ClientAssertionVerifier, request: Request, *, max_body: int = MAX_BODY
) -> VerifiedAssertion | None:
    """Authenticate the client of a request; None when it carries no client assertion at all.

    max_body: bytes over which a body is refused; a lower MAX_CONTENT_LENGTH goes first. The request can be read
        again afterwards.
    Raises what ``ClientAssertionVerifier.authenticate`` raises.
    """
    token_request = TokenRequest.from_wsgi(request.environ, max_body)
    return verifier.authenticate(_form(request, token_request), token_request.authorization, optional=True)


def _form(request: Request, token_request: TokenRequest) -> Form:
    lower = request.max_content_length
    request.max_content_length = token_request.max_body if lower is None else min(lower, token_request.max_body)
    try:
        body = request.get_data()
        # An empty body may be one that was read before: the form keeps what was in it.
        return token_request.form(body) if body else token_request.parsed(request.form)
    except AuthenticationError:
        raise
    except Exception as error:  # a client that went away, a limit of the framework's own
        raise unreadable(error) from error


def error_response(error: AuthenticationError) -> Response:
    """The answer to a request whose client was not authenticated (RFC 6749 §5.2)."""
    status, headers, body = answer(error)
    return Response(body, status, headers)


def client_authentication(
    verifier: ClientAssertionVerifier, *, optional: bool = False, max_body: int = MAX_BODY
) -> Callable[[View], View]:
    """A decorator: the view gets the VerifiedAssertion as its argument ``client``; errors are answered before it.

    optional: let a request without any client assertion through too, with None as ``client``, so that other
        methods of authentication can have their turn.
    max_body: bytes (1,024 to 16,777,216) over which a body is refused.

    Views may be async; the verifier is not. Raises ConfigurationError.
    """
    check_settings(verifier, ClientAssertionVerifier, optional=optional, max_body=max_body)

    def decorate(view: View) -> View:
        @wraps(view)
        def authenticated(*args: Any, **kwargs: Any) -> Any:
            try:
                client = expected(authenticate(verifier, request, max_body=max_body), optional=optional)
            except AuthenticationError as error:
                return error_response(error)
            return current_app.ensure_sync(view)(*args, client=client, **kwargs)

        return authenticated

    return decorate
