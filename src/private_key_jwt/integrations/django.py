"""Client authentication in Django: a view decorator, or one call in a view. No middleware, no app to install.

    PRIVATE_KEY_JWT = {  # settings.py
        "AUDIENCE": "https://op.example.com",
        "CLIENTS": "project.oauth.find_client",
        "REPLAY_STORE": "project.oauth.replay_store",
    }

    @require_POST
    @client_authentication()
    def token(request, client): ...  # a VerifiedAssertion; other requests are answered already

The keys are the arguments of ClientAssertionVerifier and of AssertionPolicy in capitals, and ``FETCHER`` may be a
dictionary of those of JWKSPolicy. ``CLIENTS``, ``REPLAY_STORE``, ``FETCHER`` and ``CLOCK`` may be dotted paths; a class
or function named for a store or a fetcher is called, once. Or there is a whole ``VERIFIER``, and for async views an
``ASYNC_VERIFIER``: a dotted path to one, or to a function that makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from .._core.token_request import Form
from ..exceptions import AuthenticationError
from ..verifier import AsyncClientAssertionVerifier, ClientAssertionVerifier, VerifiedAssertion
from . import _django_settings as project
from ._extra import needs
from ._request import MAX_BODY, TokenRequest, answer, check_settings, expected, unreadable

with needs("django"):
    from django.http import HttpRequest, HttpResponse
    from django.views.decorators.csrf import csrf_exempt
    from django.views.decorators.debug import sensitive_post_parameters

__all__ = ["aauthenticate", "authenticate", "client_authentication", "error_response"]

View = Callable[..., Any]


def authenticate(
    request: HttpRequest, verifier: ClientAssertionVerifier | None = None, *, max_body: int = MAX_BODY
) -> VerifiedAssertion | None:
    """Authenticate the client of a request; None when it carries no client assertion at all.

    verifier: that of the settings, unless given.
    max_body: bytes over which a body is refused; Django's own limits go first. The request can be read again
        afterwards.

    The view must be ``csrf_exempt``. Raises what ``ClientAssertionVerifier.authenticate`` raises, and
    ConfigurationError.
    """
    verifier = verifier or project.verifier(ClientAssertionVerifier)
    token_request = TokenRequest.from_wsgi(request.META, max_body)  # which Django fills under ASGI too
    return verifier.authenticate(_form(request, token_request), token_request.authorization, optional=True)


async def aauthenticate(
    request: HttpRequest, verifier: AsyncClientAssertionVerifier | None = None, *, max_body: int = MAX_BODY
) -> VerifiedAssertion | None:
    """``authenticate`` for async views."""
    verifier = verifier or project.verifier(AsyncClientAssertionVerifier)
    token_request = TokenRequest.from_wsgi(request.META, max_body)
    return await verifier.authenticate(_form(request, token_request), token_request.authorization, optional=True)


def _form(request: HttpRequest, token_request: TokenRequest) -> Form:
    try:
        form = token_request.form(request.body)
        # The limits of DATA_UPLOAD_MAX_... are told when POST is first read: here, where there is an answer for them.
        _ = request.POST
    except AuthenticationError:
        raise
    except Exception as error:  # SuspiciousOperation, UnreadablePostError, RawPostDataException
        raise unreadable(error) from error
    return form


def error_response(error: AuthenticationError) -> HttpResponse:
    """The answer to a request whose client was not authenticated (RFC 6749 §5.2)."""
    status, headers, body = answer(error)
    return HttpResponse(body, status=status, headers=headers)


def client_authentication(
    *,
    verifier: ClientAssertionVerifier | AsyncClientAssertionVerifier | None = None,
    optional: bool = False,
    max_body: int = MAX_BODY,
) -> Callable[[View], View]:
    """A decorator: the view gets the VerifiedAssertion as its argument ``client``; errors are answered before it.

    verifier: that of the settings, unless given; an async view takes an AsyncClientAssertionVerifier.
    optional: let a request without any client assertion through too, with None as ``client``, so that other
        methods of authentication can have their turn.
    max_body: bytes (1,024 to 16,777,216) over which a body is refused.

    The view is exempt from CSRF protection: no browser's cookie authenticates here. Debug pages and error mails
    leave the assertion out. Raises ConfigurationError, also for the settings.
    """

    def decorate(view: View) -> View:
        is_async = iscoroutinefunction(view)
        kind: type[Any] = AsyncClientAssertionVerifier if is_async else ClientAssertionVerifier
        # Asked for here too, so that a wrong setting is told when the views are imported, and not to a client.
        check_settings(verifier or project.verifier(kind), kind, optional=optional, max_body=max_body)
        wrap = _async_view if is_async else _view
        wrapper = wrap(view, verifier, optional=optional, max_body=max_body)
        decorated: View = csrf_exempt(sensitive_post_parameters("client_assertion", "client_secret")(wrapper))
        return decorated

    return decorate


def _view(view: View, verifier: Any, *, optional: bool, max_body: int) -> View:
    @wraps(view)
    def authenticated(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            client = expected(authenticate(request, verifier, max_body=max_body), optional=optional)
        except AuthenticationError as error:
            return error_response(error)
        return view(request, *args, client=client, **kwargs)

    return authenticated


def _async_view(view: View, verifier: Any, *, optional: bool, max_body: int) -> View:
    @wraps(view)
    async def authenticated(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            client = expected(await aauthenticate(request, verifier, max_body=max_body), optional=optional)
        except AuthenticationError as error:
            return error_response(error)
        return await view(request, *args, client=client, **kwargs)

    return authenticated
