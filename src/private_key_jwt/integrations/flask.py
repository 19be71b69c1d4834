"""Client authentication in Flask: a view decorator, or one call in a view.

    @app.post("/token")
    @client_authentication(verifier)
    def token(client):  # a VerifiedAssertion; other requests are answered already
        return issue_tokens(client.client_id)

The reason for a refusal goes to the verifier's ``on_event``, one event for each request, and can be had until the end
of the request::

    @app.after_request
    def log(response):
        if (error := refusal(request)) is not None:
            app.logger.warning("%s", error)  # "expired: ...": not for the wire
        return response

A server that has more to check before an assertion is used up, such as a DPoP proof whose nonce the client must repeat
with the same assertion (RFC 9449 §8), takes it pending, and consumes it when everything else is in order::

    @app.post("/token")
    @client_authentication(verifier, consume=False)
    def token(client):  # a PendingAssertion
        if not has_good_proof(request, client.client_id):
            return {"error": "use_dpop_nonce"}, 400, {"DPoP-Nonce": new_nonce()}
        verified = client.consume()  # a refusal is answered, too
        return issue_tokens(verified.client_id)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from io import BytesIO
from typing import Any, Literal, overload

from .._core.token_request import Form
from .._extra import needs
from ..exceptions import AuthenticationError
from ..verifier import ClientAssertionVerifier, PendingAssertion, VerifiedAssertion
from . import _outcome
from ._invalid import unreadable
from ._outcome import Parts, outcomes_of
from ._request import MAX_BODY, TokenRequest
from ._response import encode_error
from ._settings import check_decorator_settings

with needs(__name__, "flask"):
    from flask import Request, Response, current_app, request

__all__ = ["authenticate", "begin_authentication", "client_authentication", "error_response", "refusal"]

View = Callable[..., Any]


@overload
def authenticate(
    verifier: ClientAssertionVerifier, request: Request, *, optional: Literal[False] = False, max_body: int = MAX_BODY
) -> VerifiedAssertion: ...
@overload
def authenticate(
    verifier: ClientAssertionVerifier, request: Request, *, optional: bool, max_body: int = MAX_BODY
) -> VerifiedAssertion | None: ...
def authenticate(
    verifier: ClientAssertionVerifier, request: Request, *, optional: bool = False, max_body: int = MAX_BODY
) -> VerifiedAssertion | None:
    """Authenticate the client of a request. Asked again for the same request, give the same result.

    optional: give None for a request without any client assertion, in place of an error.
    max_body: bytes over which a body is refused; a lower MAX_CONTENT_LENGTH goes first. The request can be read
        again afterwards.
    Raises what ``ClientAssertionVerifier.authenticate`` raises.
    """
    return _outcome.authenticate(verifier, outcomes_of(request), lambda: _read(request, max_body), optional=optional)


@overload
def begin_authentication(
    verifier: ClientAssertionVerifier, request: Request, *, optional: Literal[False] = False, max_body: int = MAX_BODY
) -> PendingAssertion: ...
@overload
def begin_authentication(
    verifier: ClientAssertionVerifier, request: Request, *, optional: bool, max_body: int = MAX_BODY
) -> PendingAssertion | None: ...
def begin_authentication(
    verifier: ClientAssertionVerifier, request: Request, *, optional: bool = False, max_body: int = MAX_BODY
) -> PendingAssertion | None:
    """Check everything but replay: the client is authenticated when ``consume()`` of what is given has answered.

    Whoever consumes it while the request lives gets the same answer. Keep none for longer.
    Arguments and errors are those of ``authenticate``.
    """
    return _outcome.begin(verifier, outcomes_of(request), lambda: _read(request, max_body), optional=optional)


def _read(request: Request, max_body: int) -> Parts:
    token_request = TokenRequest.from_wsgi(request.environ, _limit(request, max_body))
    return read_form(request, token_request), token_request.authorization


def _limit(request: Request, max_body: int) -> int:
    lower = request.max_content_length
    return max_body if lower is None else min(lower, max_body)


def read_form(request: Request, token_request: TokenRequest) -> Form:
    """Read the form of a request, and leave it as ``request.form``. Raises InvalidRequest."""
    request.max_content_length = token_request.max_body + 1  # Werkzeug cuts a body in chunks: it is seen as too large
    try:
        body = request.get_data()
        if not body:  # it may be one that was read before: the form keeps what was in it
            return token_request.parsed(request.form)
    except AuthenticationError:
        raise
    except Exception as error:  # a client that went away, a limit of the framework's own
        raise unreadable(error) from error
    token_request.check_end(len(body))  # Werkzeug does so, but behind a server that ends the stream itself
    form = token_request.form(body)
    # What a view reads is what was authenticated, and Werkzeug's slower parser is not run for a stranger.
    storage = request.parameter_storage_class
    vars(request).update(form=storage(form), files=storage(), stream=BytesIO(body))
    return form


def bound_other_body(request: Request, token_request: TokenRequest) -> None:
    """Let no more be parsed of a body that is no form, also where it comes in chunks."""
    request.max_content_length = token_request.max_body


def refusal(request: Request) -> AuthenticationError | None:
    """Return why a request was refused, with ``reason`` and ``detail`` for a log; None when it was not."""
    return outcomes_of(request).refusal


def error_response(error: AuthenticationError) -> Response:
    """Return the response to a request whose client was not authenticated (RFC 6749 §5.2)."""
    status, headers, body = encode_error(error)
    return Response(body, status, headers)


def client_authentication(
    verifier: ClientAssertionVerifier, *, optional: bool = False, consume: bool = True, max_body: int = MAX_BODY
) -> Callable[[View], View]:
    """Decorate a view: it gets the VerifiedAssertion as its argument ``client``, and errors are answered before it.

    optional: let a request without any client assertion through too, with None as ``client``, so that other
        methods of authentication can be tried.
    consume: with False, ``client`` is a PendingAssertion, which the view consumes when all else is in order.
    max_body: bytes (1,024 to 16,777,216) over which a body is refused.

    Views may be async; the verifier is not. An AuthenticationError that leaves the view is answered in the same way.
    Raises ConfigurationError.
    """
    check_decorator_settings(verifier, ClientAssertionVerifier, optional=optional, consume=consume, max_body=max_body)
    authenticate_request: Callable[..., Any] = authenticate if consume else begin_authentication

    def decorate(view: View) -> View:
        @wraps(view)
        def authenticated(*args: Any, **kwargs: Any) -> Any:
            try:
                client = authenticate_request(verifier, request, optional=optional, max_body=max_body)
                return current_app.ensure_sync(view)(*args, client=client, **kwargs)
            except AuthenticationError as error:
                return error_response(outcomes_of(request).refuse(verifier, error))

        return authenticated

    return decorate
